"""From a dataset on the hub to the task rows of a split: fetch, check, map, validate, store."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import orjson

from gym_mcp.benchmarks.cache import Cache, read_json, write_bytes, write_json
from gym_mcp.benchmarks.fetch import Fetched, Fetcher, FetchError, hub_url, sha256_of
from gym_mcp.benchmarks.rows import filled, read_files, task_rows, validated
from gym_mcp.benchmarks.spec import Benchmark, File, Split
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A split that is ready to run. `unpinned`: files whose checksum only the cache's lock knows."""

    benchmark: str
    split: str
    path: Path
    rows: int
    sha256: str
    recipe: str
    revision: str | None
    files: tuple[JSONObject, ...]
    unpinned: tuple[str, ...]
    lock: Path

    def as_json(self) -> JSONObject:
        return {**asdict(self), "path": str(self.path), "lock": str(self.lock)}


def prepare(benchmark: Benchmark, split: str, cache: Cache, fetcher: Fetcher) -> Prepared:
    """Fetch what the cache lacks of a split and write its task rows. `UsageError` or `FetchError`."""
    source = benchmark.split(split)
    with cache.held():
        revision, files = _fetch_all(benchmark, source, cache, fetcher)
        located = read_files(benchmark, source, [file.path for file in files], cache.folder(benchmark.name))
        rows = list(task_rows(benchmark, located, source))
        if source.rows is not None and len(rows) != source.rows:
            raise UsageError(f"benchmark {benchmark.name}: split {split} has {len(rows)} rows, not {source.rows}")
        env = filled(benchmark.env, cache.folder(benchmark.name))
        content = b"".join(orjson.dumps(row) + b"\n" for row in validated(benchmark, rows, env))
        path = cache.prepared(benchmark.name, split)
        write_bytes(path, content)
        done = Prepared(
            benchmark.name,
            split,
            path,
            len(rows),
            hashlib.sha256(content).hexdigest(),
            benchmark.recipe(split),
            revision,
            tuple(
                {"path": f.path, "sha256": got.sha256, "size": got.size}
                for f, got in zip(source.files, files, strict=True)
            ),
            tuple(f.path for f in source.files if f.sha256 is None),
            cache.lock_file(benchmark.name),
        )
        write_json(cache.about(benchmark.name, split), done.as_json())
    return done


def _fetch_all(
    benchmark: Benchmark, source: Split, cache: Cache, fetcher: Fetcher
) -> tuple[str | None, list[Fetched]]:
    """Each file of a split, checked against `benchmark.yaml` or the lock; what was new goes into the lock."""
    lock_path = cache.lock_file(benchmark.name)
    lock = read_json(lock_path)
    repos: JSONObject = lock.setdefault("revisions", {})
    known: JSONObject = lock.setdefault("files", {})
    branch = source.revision or "main"
    revision = branch if _COMMIT.fullmatch(branch) else repos.get(f"{source.repo}@{branch}")
    out = []
    for file in source.files:
        key = file.url or f"{source.repo}/{file.path}"
        expected = file.sha256 or (known.get(key) or {}).get("sha256")
        origin = "benchmark.yaml" if file.sha256 else str(lock_path)
        fetched = _fetch_one(source, file, revision or branch, cache, fetcher, expected, origin)
        if file.url is None and source.repo is not None:
            revision = revision or fetched.revision
            if revision:
                repos[f"{source.repo}@{branch}"] = revision
        known[key] = {"sha256": fetched.sha256, "size": fetched.size}
        out.append(fetched)
        write_json(lock_path, lock)
    return revision, out


def _fetch_one(
    source: Split,
    file: File,
    revision: str,
    cache: Cache,
    fetcher: Fetcher,
    expected: str | None,
    origin: str,
) -> Fetched:
    url = file.url or hub_url(source.repo or "", revision, file.path)
    repo = None if file.url else source.repo
    path = cache.file(repo, revision, file.path, url)
    if path.is_file() and expected is not None and sha256_of(path) == expected:
        return Fetched(path, expected, path.stat().st_size, revision)
    fetched = fetcher.fetch(url, path, what=repo or "")
    if expected is not None and fetched.sha256 != expected:
        path.unlink()
        raise FetchError(
            f"{url}: sha256 is {fetched.sha256}, not {expected} as {origin} says: "
            "the file has changed or was tampered with; nothing of it was kept"
        )
    if repo and fetched.revision and fetched.revision != revision:  # of a branch: from now on under its commit
        settled = cache.file(repo, fetched.revision, file.path, url)
        settled.parent.mkdir(parents=True, exist_ok=True)
        fetched = replace(fetched, path=path.replace(settled))
    return fetched

"""From a dataset on the hub to the task rows of a split: fetch, check, map, validate, store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from gym_mcp import hub
from gym_mcp.benchmarks.cache import Cache, read_json, write_bytes, write_json
from gym_mcp.benchmarks.fetch import Fetched, Fetcher, FetchError, hub_url, sha256_of
from gym_mcp.benchmarks.formats import read_file
from gym_mcp.benchmarks.mapping import Unmappable, at, render
from gym_mcp.benchmarks.spec import SMOKE, Benchmark, File, Split
from gym_mcp.datasets import parse_task
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

Located = tuple[str, JSONObject]
"""A row, and where it came from."""


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
        located = (row for file in files for row in read_file(file.path, source.records))
        rows = list(task_rows(benchmark, located, source))
        if source.rows is not None and len(rows) != source.rows:
            raise UsageError(f"benchmark {benchmark.name}: split {split} has {len(rows)} rows, not {source.rows}")
        content = b"".join(orjson.dumps(row) + b"\n" for row in _validated(benchmark, rows))
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
    revision = source.revision or (repos.get(source.repo) if source.repo else None)
    out = []
    for file in source.files:
        key = file.url or f"{source.repo}/{file.path}"
        expected = file.sha256 or (known.get(key) or {}).get("sha256")
        origin = "benchmark.yaml" if file.sha256 else str(lock_path)
        fetched = _fetch_one(source, file, revision, cache, fetcher, expected, origin)
        if file.url is None and source.repo is not None:
            revision = revision or fetched.revision
            if revision:
                repos[source.repo] = revision
        known[key] = {"sha256": fetched.sha256, "size": fetched.size}
        out.append(fetched)
        write_json(lock_path, lock)
    return revision, out


def _fetch_one(
    source: Split,
    file: File,
    revision: str | None,
    cache: Cache,
    fetcher: Fetcher,
    expected: str | None,
    origin: str,
) -> Fetched:
    url = file.url or hub_url(source.repo or "", revision or "main", file.path)
    repo = None if file.url else source.repo
    path = cache.file(repo, revision or "main", file.path, url)
    if path.is_file() and expected is not None and sha256_of(path) == expected:
        return Fetched(path, expected, path.stat().st_size, revision)
    fetched = fetcher.fetch(url, path, what=repo or "")
    if expected is not None and fetched.sha256 != expected:
        path.unlink()
        raise FetchError(
            f"{url}: sha256 is {fetched.sha256}, not {expected} as {origin} says: "
            "the file has changed or was tampered with; nothing of it was kept"
        )
    if repo and revision is None and fetched.revision:  # from now on it lies under its commit
        settled = cache.file(repo, fetched.revision, file.path, url)
        settled.parent.mkdir(parents=True, exist_ok=True)
        fetched = replace(fetched, path=path.replace(settled))
    return fetched


def task_rows(
    benchmark: Benchmark, located: Iterable[Located], source: Split | None = None
) -> Iterator[JSONObject]:
    """Task rows out of a dataset's rows, in order; `UsageError` with the row's place for one that does not fit."""
    for number, (where, row) in enumerate(_hooked(benchmark, located)):
        if source is not None and not _wanted(row, source.where, where):
            continue
        try:
            yield _task_row(benchmark, row, number)
        except Unmappable as e:
            raise UsageError(f"benchmark {benchmark.name}: {where}: {e}") from None


def _hooked(benchmark: Benchmark, located: Iterable[Located]) -> Iterator[Located]:
    """The rows as `prepare.py` leaves them; it may drop and multiply rows, so places are counted anew."""
    if benchmark.hook is None:
        yield from located
        return
    rows = getattr(hub.load_module(benchmark.hook), "rows", None)
    if not callable(rows):
        raise UsageError(f"{benchmark.hook}: has no function `rows(raw)`")
    try:
        for number, row in enumerate(rows(row for _, row in located)):
            yield f"prepare.py:rows()[{number}]", row
    except UsageError:
        raise
    except Exception as e:
        raise UsageError(f"{benchmark.hook}: rows() raised {type(e).__name__}: {e}") from e


def _wanted(row: JSONObject, where: dict[str, Any], place: str) -> bool:
    for path, values in where.items():
        try:
            value = at(row, path)
        except Unmappable as e:
            raise UsageError(f"{place}: where: {e}") from None
        if value not in (values if isinstance(values, list) else [values]):
            return False
    return True


def _task_row(benchmark: Benchmark, row: JSONObject, number: int) -> JSONObject:
    data = {}
    for name, value in benchmark.fields.items():
        try:
            data[name] = value.of(row)
        except Unmappable as e:
            raise Unmappable(f"fields.{name}: {e}") from None
    seen = {**row, **data}
    out: JSONObject = {"id": render(benchmark.id, seen) if benchmark.id else f"{benchmark.name}-{number}"}
    if isinstance(benchmark.prompt, str):
        out["prompt"] = render(benchmark.prompt, seen)
    elif benchmark.prompt is not None:
        out["prompt"] = benchmark.prompt.of(seen)
    return {**out, "data": data if benchmark.fields else row}


def _validated(benchmark: Benchmark, rows: list[JSONObject]) -> Iterator[JSONObject]:
    """The rows, after each was read as the environment will read it; ids unique."""
    cls = hub.load_environment(benchmark.environment, benchmark.env)
    seen: set[str] = set()
    for row in rows:
        parse_task(cls, row, f"benchmark {benchmark.name}: row {row['id']}")
        if row["id"] in seen:
            raise UsageError(f"benchmark {benchmark.name}: id `{row['id']}` is used twice")
        seen.add(row["id"])
        yield row


def smoke_rows(benchmark: Benchmark) -> list[JSONObject]:
    """The task rows of the smoke split that comes with the benchmark."""
    path = benchmark.folder / f"{SMOKE}.jsonl"
    if not path.is_file():
        raise UsageError(f"benchmark {benchmark.name}: has no {SMOKE}.jsonl")
    return list(task_rows(benchmark, read_file(path)))

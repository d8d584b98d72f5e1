"""Where fetched files, locks and prepared splits lie."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject


def default_root() -> Path:
    """`GYM_MCP_DATASETS`, else `gym-mcp/datasets` under `XDG_CACHE_HOME` (`~/.cache`)."""
    chosen = os.environ.get("GYM_MCP_DATASETS")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gym-mcp" / "datasets"


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of datasets: `files/` as fetched, `locks/` of what was fetched, `prepared/` task rows."""

    root: Path

    def file(self, repo: str | None, revision: str, path: str, url: str) -> Path:
        """Where a fetched file lies: by repository and commit, or by the hash of its URL."""
        if repo is None:
            return self.root / "files" / "url" / hashlib.sha256(url.encode()).hexdigest()[:16] / Path(path).name
        return self.root / "files" / repo.replace("/", "--") / revision / path

    def folder(self, benchmark: str) -> Path:
        """Task rows of a benchmark, and what else its environment needs."""
        return self.root / "prepared" / benchmark

    def prepared(self, benchmark: str, split: str) -> Path:
        return self.folder(benchmark) / f"{split}.jsonl"

    def about(self, benchmark: str, split: str) -> Path:
        """What a prepared split was made from."""
        return self.folder(benchmark) / f"{split}.json"

    def lock_file(self, benchmark: str) -> Path:
        return self.root / "locks" / f"{benchmark}.json"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """One process at a time writes here; the kernel lets go when it ends."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise UsageError(f"{self.root}: cannot hold datasets: {e.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise UsageError(f"{self.root}: another process is preparing a dataset there; wait for it") from None
        try:
            yield
        finally:
            os.close(fd)


def read_json(path: Path) -> JSONObject:
    """The object in a file; empty when there is none."""
    try:
        value = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as e:
        raise UsageError(f"{path}: not JSON: {e}; delete it, and what it stood for is made again") from None
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: JSONObject) -> None:
    """Replace `path` as a whole."""
    write_bytes(path, orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n")


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` as a whole: a reader sees the old content or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)

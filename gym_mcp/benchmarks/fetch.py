"""Downloads that go on where they stopped and are believed only after their checksum."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import httpx2

from gym_mcp.benchmarks.cache import read_json, write_json
from gym_mcp.errors import GymError

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and how many there will be (None when unknown)."""
HUB: Final = "https://huggingface.co"
_ABSENT: Final = {"RepoNotFound": "dataset", "RevisionNotFound": "revision"}
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class FetchError(GymError):
    """A file could not be had: one line that says which, why, and what to do."""


class _Passing(Exception):
    """Worth another try. `after`: seconds to wait, as the server asks."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is there now. `revision`: the commit that the hub served, when it says so."""

    path: Path
    sha256: str
    size: int
    revision: str | None = None


def endpoint() -> str:
    """The dataset hub: `HF_ENDPOINT`, else Hugging Face's."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def hub_url(repo: str, revision: str, path: str) -> str:
    """Where the hub serves a file of a dataset."""
    return f"{endpoint()}/datasets/{repo}/resolve/{quote(revision, safe='')}/{quote(path)}"


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(slots=True)
class Fetcher:
    """Fetches files over HTTP, giving up after `tries` in a row that brought nothing; `backoff` is in seconds.

    The hub's token (`HF_TOKEN`) goes to the hub's host only: redirects to another host are followed without it.
    """

    progress: Progress = lambda name, done, total: None
    tries: int = 5
    backoff: float = 0.5
    timeout: float = 30.0
    _client: httpx2.Client | None = field(default=None, repr=False)

    def __enter__(self) -> Fetcher:
        self._client = httpx2.Client(
            follow_redirects=True, timeout=self.timeout, headers={"accept-encoding": "identity"}
        )
        return self

    def __exit__(self, *exc: object) -> None:
        if self._client is not None:
            self._client.close()

    def fetch(self, url: str, to: Path, *, what: str = "") -> Fetched:
        """Download `url` beside `to`, going on from what an earlier try left, and move it there when whole.

        Raises `FetchError`. The hub's own checksum of a large file (`X-Linked-Etag`) must fit.
        """
        part = Path(f"{to}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        failures = 0
        while True:
            before = _size(part)
            try:
                revision, promised = self._try(url, part, to.name, what)
                break
            except (_Passing, httpx2.TransportError) as e:
                failures = 1 if _size(part) > before else failures + 1
                if failures >= self.tries:
                    hint = "run the command again to go on from here" if _size(part) else "is the network there?"
                    raise FetchError(f"{url}: {_short(e)}; {hint}") from None
                asked = e.after if isinstance(e, _Passing) else None
                time.sleep(min(asked if asked is not None else self.backoff * 2 ** (failures - 1), 60.0))
        found = sha256_of(part)
        if promised is not None and found != promised:
            discard(part)
            raise FetchError(f"{url}: sha256 is {found}, but the hub says {promised}; run the command again")
        size = _size(part)
        part.replace(to)
        discard(part)
        return Fetched(to, found, size, revision)

    def _try(self, url: str, part: Path, name: str, what: str) -> tuple[str | None, str | None]:
        """One request; (commit, promised sha256) when the file is whole."""
        assert self._client is not None, "use it as a context manager"
        with self._client.stream("GET", url, headers=self._headers(url, part)) as response:
            answers = [*response.history, response]
            if response.status_code == 416:
                discard(part)
                raise _Passing("the server has less of the file than was fetched", 0.0)
            if response.status_code not in (200, 206):
                _refuse(response, url, what)
            done = _resumed_at(response, part)
            etag = response.headers.get("etag", "")
            write_json(_notes(part), {"etag": etag} if not etag.startswith("W/") else {})
            self._receive(response, part, done, name)
            commit = next((a.headers["x-repo-commit"] for a in answers if "x-repo-commit" in a.headers), None)
            return commit, _promised(answers)

    def _headers(self, url: str, part: Path) -> dict[str, str]:
        headers: dict[str, str] = {}
        token = os.environ.get("HF_TOKEN")
        if token and urlsplit(url)[:2] == urlsplit(endpoint())[:2]:
            headers["authorization"] = f"Bearer {token}"
        etag = read_json(_notes(part)).get("etag")
        if etag and _size(part):
            headers |= {"range": f"bytes={_size(part)}-", "if-range": etag}
        return headers

    def _receive(self, response: httpx2.Response, part: Path, done: int, name: str) -> None:
        length = response.headers.get("content-length", "")
        total = done + int(length) if length.isdigit() else None
        with part.open("ab" if done else "wb") as file:
            self.progress(name, done, total)
            for chunk in response.iter_raw():  # as it comes: fixed sizes would lose the last part of a broken one
                file.write(chunk)
                done += len(chunk)
                self.progress(name, done, total)
        if total is not None and done != total:
            raise _Passing(f"{done} of {total} bytes came")


def discard(part: Path) -> None:
    """Forget a half-fetched file."""
    for path in (part, _notes(part)):
        path.unlink(missing_ok=True)


def _notes(part: Path) -> Path:
    return Path(f"{part}.json")


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _resumed_at(response: httpx2.Response, part: Path) -> int:
    """How much of the file is kept: what the server goes on from, or nothing when it sends all of it."""
    if response.status_code == 200:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != _size(part):
        discard(part)
        raise _Passing("the server went on from another place than was asked", 0.0)
    return int(match[1])


def _promised(answers: Iterable[httpx2.Response]) -> str | None:
    """SHA-256 that the hub states for files in its large-file store."""
    for answer in answers:
        match = re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', answer.headers.get("x-linked-etag", ""))
        if match:
            return match[1]
    return None


def _refuse(response: httpx2.Response, url: str, what: str) -> None:
    status, code = response.status_code, response.headers.get("x-error-code", "")
    if status in _PASSING:
        wait = response.headers.get("retry-after", "")
        raise _Passing(f"HTTP {status}", float(wait) if wait.isdigit() else None)
    if code == "GatedRepo" or status in (401, 403):
        page = f"{endpoint()}/datasets/{what}" if what else url
        raise FetchError(
            f"{url}: HTTP {status}: not open to you; "
            f"accept the terms at {page} and set HF_TOKEN to a token that may read it"
        )
    if status == 404:
        raise FetchError(f"{url}: HTTP 404: no such {_ABSENT.get(code, 'file')}")
    raise FetchError(f"{url}: HTTP {status}")


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (
        text
        if isinstance(error, _Passing)
        else f"{type(error).__name__}: {text}"
        if text
        else type(error).__name__
    )

"""A dataset hub and its file store on local ports: redirects, commits, ranges, gates, and faults on demand."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
NEXT_COMMIT = "decade" + "0" * 34
TOKEN = "hf_token-of-the-tests"


@dataclass
class Hub:
    """What is served, and what was asked. `cut`: bytes after which each of the next answers breaks off."""

    files: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    commits: dict[str, str] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    direct: set[str] = field(default_factory=set)
    cut: list[int] = field(default_factory=list)
    refuse: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    served: int = 0
    ranges: bool = True
    names_commits: bool = True
    linked: str | None = None
    hold: threading.Event | None = None
    """When set, a cut answer stays open until the event instead of breaking off."""
    url: str = ""
    store: str = ""

    def put(self, repo: str, path: str, content: bytes, *, commit: str = COMMIT) -> None:
        """Serve a file; the commit becomes the head of the repository."""
        self.files[(repo, commit, path)] = content
        self.commits[repo] = commit

    def requests(self, where: str = "/") -> list[dict[str, str]]:
        """Headers of the requests whose path starts so: `/datasets` the hub's, `/store` the file store's."""
        return [headers for path, headers in self.asked if path.startswith(where)]


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub and, at another port, the store that it redirects to."""
    hub = Hub()
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, kind)) for kind in (_Front, _Store)]
    hub.url, hub.store = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    threads = [threading.Thread(target=s.serve_forever, args=(0.02,), daemon=True) for s in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        if hub.hold is not None:
            hub.hold.set()
        for server in servers:
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join(5)


def _handler(hub: Hub, base: type[_Handler]) -> type[_Handler]:
    return type(base.__name__, (base,), {"hub": hub})


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        return

    def _noted(self) -> None:
        self.hub.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))

    def answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self._write(body)

    def _write(self, body: bytes) -> None:
        limit = self.hub.cut.pop(0) if body and self.hub.cut else None
        self.wfile.write(body if limit is None else body[:limit])
        self.wfile.flush()
        self.hub.served += len(body) if limit is None else min(limit, len(body))
        if limit is not None:
            if self.hub.hold is not None:
                self.hub.hold.wait(30)
            self.close_connection = True

    def content(self, body: bytes, headers: dict[str, str]) -> None:
        """A file's bytes, or the part that was asked for when it still is the same file."""
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes", **headers}
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and self.hub.ranges and self.headers.get("If-Range", etag) == etag:
            start = int(match[1])
            if start >= len(body):
                self.answer(416, {"Content-Range": f"bytes */{len(body)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            self.answer(206, headers, body[start:])
            return
        self.answer(200, headers, body)


class _Front(_Handler):
    def do_GET(self) -> None:
        self._noted()
        hub = self.hub
        if hub.refuse:
            self.answer(*hub.refuse.pop(0))
            return
        match = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", urlsplit(self.path).path)
        if not match or match[1] not in hub.commits:
            self.answer(404, {"X-Error-Code": "RepoNotFound"})
            return
        repo, revision, path = match[1], match[2], unquote(match[3])
        if repo in hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"X-Error-Code": "GatedRepo"})
            return
        revision = unquote(revision)
        commit = hub.commits[repo] if revision == "main" else hub.branches.get(revision, revision)
        body = hub.files.get((repo, commit, path))
        if body is None:
            known = any(key[:2] == (repo, commit) for key in hub.files)
            self.answer(404, {"X-Error-Code": "EntryNotFound" if known else "RevisionNotFound"})
            return
        headers = {"X-Repo-Commit": commit} if hub.names_commits else {}
        if path in hub.direct:
            self.content(body, headers)
            return
        sha = hub.linked or hashlib.sha256(body).hexdigest()
        headers |= {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(body))}
        self.answer(302, {**headers, "Location": f"{hub.store}/store/{repo}/{commit}/{quote(path)}?signature=x"})


class _Store(_Handler):
    def do_GET(self) -> None:
        self._noted()
        match = re.fullmatch(r"/store/([^/]+/[^/]+)/([^/]+)/(.+)", unquote(urlsplit(self.path).path))
        assert match is not None
        self.content(self.hub.files[(match[1], match[2], match[3])], {})

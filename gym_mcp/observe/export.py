"""Where spans go: a queue, a thread that empties it in batches, and a collector or a file at its end.

The event loop only appends to a list. What the queue has no room for, or the other end does not take, is counted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson

from gym_mcp import __version__
from gym_mcp.errors import UsageError
from gym_mcp.observe.otel import Span
from gym_mcp.types import JSONObject

QUEUE: Final = 20_000
"""Spans that wait, at most."""
_QUEUE_WITH_TEXTS: Final = 2_000
BATCH: Final = 256
EVERY: Final = 1.0
FLUSH: Final = 5.0
"""Seconds that the end of a run waits for the last spans to be taken."""
_TRY: Final = 5.0
_HOPELESS: Final = 0.5
_SCOPE: Final = "gym-mcp"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@dataclass(frozen=True, slots=True)
class OtelSettings:
    """`--otel` as it was understood. `target`: URL of a collector, or path of a file."""

    target: str
    content: bool = False

    @classmethod
    def of(cls, text: str, *, content: bool = False) -> OtelSettings:
        """Raises `UsageError` for what is neither."""
        if text == "env":
            name = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
            if name is None:
                raise UsageError(f"--otel env: {_ENDPOINTS[1]} is not set")
            text = os.environ[name]
            if name == _ENDPOINTS[1]:
                text = text.rstrip("/") + "/v1/traces"
        if "://" not in text:
            if not text.endswith(".jsonl"):
                raise UsageError(f"--otel {text}: an http(s):// URL, a FILE.jsonl or `env` is expected")
            return cls(str(_writable(Path(text))), content)
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good:
            raise UsageError("--otel: an http:// or https:// URL is expected, such as http://127.0.0.1:4318")
        if parts.username is not None:
            raise UsageError("--otel: no credentials in the URL; set OTEL_EXPORTER_OTLP_HEADERS instead")
        _need_exporter()
        return cls(text if parts.path not in ("", "/") else text.rstrip("/") + "/v1/traces", content)

    @property
    def is_file(self) -> bool:
        return "://" not in self.target

    def exporter(self, trace: int) -> Exporter:
        sink = File(Path(self.target), trace) if self.is_file else Collector(self.target, trace)
        return Exporter(sink, _QUEUE_WITH_TEXTS if self.content else QUEUE)

    def as_json(self) -> JSONObject:
        return {"target": self.target, "content": self.content}


def _writable(path: Path) -> Path:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError as e:
        raise UsageError(f"--otel {path}: {e.strerror}") from None
    return path.resolve()


def _need_exporter() -> None:
    try:
        import opentelemetry.exporter.otlp.proto.http  # noqa: F401
    except ImportError:
        raise UsageError("--otel: a package is missing: pip install 'gym-mcp[otel]'") from None


class Sink(Protocol):
    """The other end. Called from the exporter's thread, but for `close`."""

    def send(self, spans: Sequence[Span]) -> str | None:
        """What went wrong, if the spans were not taken."""

    def close(self) -> None: ...


class Exporter:
    """Takes spans from the event loop and hands them to a sink from a thread of its own."""

    def __init__(self, sink: Sink, queue: int = QUEUE) -> None:
        self.sent = 0
        self._refused = self._lost = 0  # of the event loop's thread, and of ours
        self.problem = ""
        """Why the last spans were not taken."""
        self._sink = sink
        self._room = queue
        self._queue: deque[Span] = deque()
        self._wake = threading.Event()
        self._ending = False
        self._until = float("inf")
        self._thread = threading.Thread(target=self._empty, name="gym-mcp-otel", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        return self._refused + self._lost

    def put(self, spans: Sequence[Span]) -> None:
        """Queue spans, or count them where the queue is full. Never waits."""
        if len(self._queue) + len(spans) > self._room:
            self._refused += len(spans)
            self.problem = self.problem or "they came faster than they were taken"
            return
        self._queue.extend(spans)
        if len(self._queue) >= BATCH:
            self._wake.set()

    def _empty(self) -> None:
        while True:
            self._wake.wait(EVERY)
            self._wake.clear()
            ending = self._ending
            while self._queue and monotonic() < self._until:
                self._send([self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))])
            if ending:
                return

    def _send(self, batch: list[Span]) -> None:
        try:
            problem = self._sink.send(batch)
        except Exception as e:  # an exporter's bug must not end the thread
            problem = f"{type(e).__name__}: {e}"
        if problem is None:
            self.sent += len(batch)
        else:
            self._lost += len(batch)
            self.problem = problem

    def close(self, seconds: float = FLUSH) -> None:
        """Send what is queued, for at most so long. Blocks."""
        if self._lost and not self.sent:  # nobody is there: do not keep the run waiting
            seconds = min(seconds, _HOPELESS)
        self._until = monotonic() + seconds
        self._ending = True
        self._wake.set()
        self._thread.join(seconds)
        self._sink.close()
        self._thread.join(_HOPELESS)
        self._refused += len(self._queue)
        self._queue.clear()


class File:
    """A file of OTLP's JSON, a batch a line, as the specification's file exporter writes it."""

    def __init__(self, path: Path, trace: int) -> None:
        self._trace = f"{trace:032x}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def send(self, spans: Sequence[Span]) -> str | None:
        scope = {"scope": _scope(), "spans": [self._span(span) for span in spans]}
        batch = {"resourceSpans": [{"resource": {"attributes": _pairs(resource())}, "scopeSpans": [scope]}]}
        line = orjson.dumps(batch, default=str, option=orjson.OPT_APPEND_NEWLINE)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)  # worker processes write to it, too
            try:
                size = os.fstat(self._fd).st_size
                if os.write(self._fd, line) != len(line):
                    os.ftruncate(self._fd, size)
                    return "no room for a whole line"
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as e:
            return e.strerror or str(e)
        return None

    def _span(self, span: Span) -> JSONObject:
        return {
            "traceId": self._trace,
            "spanId": f"{span.id:016x}",
            **({"parentSpanId": f"{span.parent:016x}"} if span.parent else {}),
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": str(span.start),
            "endTimeUnixNano": str(span.end),
            "attributes": _pairs(span.attributes),
            "status": {"code": 2, "message": span.error} if span.error is not None else {},
        }

    def close(self) -> None:
        os.close(self._fd)


def resource() -> dict[str, Any]:
    """What the spans of this process have in common."""
    return {"service.name": "gym-mcp", "service.version": __version__, "process.pid": os.getpid()}


def _scope() -> JSONObject:
    return {"name": _SCOPE, "version": __version__}


def _pairs(attributes: dict[str, Any]) -> list[JSONObject]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> JSONObject:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}


class Collector:
    """A collector that takes OTLP over HTTP, through OpenTelemetry's own exporter.

    Its headers and certificates come from the standard variables (`OTEL_EXPORTER_OTLP_HEADERS`, ...).
    """

    def __init__(self, url: str, trace: int) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # we say at the end what was lost
        self._exporter: Any = OTLPSpanExporter(endpoint=url, timeout=_TRY)
        self._resource = Resource(resource())
        self._scope = InstrumentationScope(_SCOPE, __version__)
        self._trace = trace

    def send(self, spans: Sequence[Span]) -> str | None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        done = self._exporter.export([self._readable(span) for span in spans])
        return None if done is SpanExportResult.SUCCESS else "the collector did not take them"

    def _readable(self, span: Span) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(number: int) -> SpanContext:
            return SpanContext(self._trace, number, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

        failed = Status(StatusCode.ERROR, span.error) if span.error is not None else Status()
        return ReadableSpan(
            span.name,
            context(span.id),
            context(span.parent) if span.parent else None,
            self._resource,
            span.attributes,
            kind=SpanKind.CLIENT if span.kind == 3 else SpanKind.INTERNAL,
            status=failed,
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=self._scope,
        )

    def close(self) -> None:
        self._exporter.shutdown()

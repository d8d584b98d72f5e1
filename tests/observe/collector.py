"""An OTLP/HTTP collector on 127.0.0.1 that keeps what it is sent, or refuses it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class Received:
    """A span, with its ids in hexadecimal and its attributes as plain values."""

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any] = field(default_factory=dict)


class Collector:
    def __init__(self, *, status: int = 200) -> None:
        self.spans: list[Received] = []
        self.headers: list[dict[str, str]] = []
        self.status = status
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aenter__(self) -> Collector:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        if self.status != 200:
            return web.Response(status=self.status)
        batch = ExportTraceServiceRequest.FromString(await request.read())
        for resource in batch.resource_spans:
            for scope in resource.scope_spans:
                self.spans += [_received(span) for span in scope.spans]
        kind = "application/x-protobuf"
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type=kind)

    def named(self, prefix: str) -> list[Received]:
        return [span for span in self.spans if span.name.startswith(prefix)]


def _received(span: Any) -> Received:
    attributes = {pair.key: _plain(pair.value) for pair in span.attributes}
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    times = (span.start_time_unix_nano, span.end_time_unix_nano)
    return Received(*ids, span.name, *times, span.status.code == 2, attributes)


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_plain(item) for item in found.values] if kind == "array_value" else found


def check_tree(spans: list[Received], run_id: str) -> None:
    """One tree of one trace: every parent is there and encloses its children."""
    from gym_mcp.observe.otel import trace_of

    by_id = {span.id: span for span in spans}
    assert len(by_id) == len(spans), "an id was used twice"
    assert {span.trace for span in spans} == {f"{trace_of(run_id):032x}"}
    assert [span.name.split()[0] for span in spans if not span.parent] == ["evaluate"]
    for span in spans:
        assert span.start <= span.end, span
        if span.parent:
            parent = by_id[span.parent]
            slack = 2_000_000  # a graph's own clock is rounded to microseconds and read a little later
            assert parent.start - slack <= span.start and span.end <= parent.end + slack, (span, parent)

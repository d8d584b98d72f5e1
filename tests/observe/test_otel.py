"""A real collector sees a tree of spans whose counts are those of the rows; without one, nothing is slowed."""

from __future__ import annotations

import time
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from gym_mcp.coordinator.events import Notice
from gym_mcp.errors import UsageError
from gym_mcp.http import HTTPClient
from gym_mcp.observe import current
from gym_mcp.observe.export import Exporter, OtelSettings, Sink
from gym_mcp.observe.observed import Observe
from gym_mcp.observe.otel import Span
from gym_mcp.types import JSONObject
from tests import servers
from tests.coordinator.runs import SCRIPT
from tests.endpoint import faulty, status
from tests.langgraph.kit import REACT, write
from tests.observe.collector import Collector, check_tree
from tests.observe.kit import running
from tests.support import run


async def traced(
    folder: Path, collector: Collector, *, content: bool = False, **settings: object
) -> tuple[list[JSONObject], str, list[dict[str, str]]]:
    """(rows, run id, the headers that the model's endpoint saw) of a run whose spans went to `collector`."""
    observe = Observe(otel=OtelSettings.of(collector.url, content=content))
    async with running(folder, observe=observe, **settings) as r:  # type: ignore[arg-type]
        assert (await r.ended()).complete
        manifest = orjson.loads((r.bench.run_dir / "manifest.json").read_bytes())
        return r.rows(), manifest["run_id"], r.bench.endpoint.headers


def test_the_spans_are_a_tree_and_count_as_the_rows_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Collector() as collector:
            script = faulty(SCRIPT, status(400, "no"), first=1)
            rows, run_id, headers = await traced(tmp_path, collector, script=script, sampling={"temperature": 0.5})
            check_tree(collector.spans, run_id)
            episodes, chats = collector.named("invoke_agent simple"), collector.named("chat m")
            assert len(episodes) == sum(row["attempts"] for row in rows) == 6
            by_rollout = {e.attributes["gym_mcp.rollout_id"]: e for e in episodes}
            for row in rows:
                episode = by_rollout[row["rollout_id"]]
                inside = [s for s in collector.spans if s.parent == episode.id]
                assert episode.failed == (row["outcome"] == "failed")
                assert episode.attributes.get("gym_mcp.reward") == row["reward"]
                good = [s for s in inside if s.name == "chat m" and not s.failed]
                usage = row["usage"]
                assert len(good) == usage["model_calls"]
                for kind in ("input", "output"):
                    tokens = sum(s.attributes[f"gen_ai.usage.{kind}_tokens"] for s in good)
                    assert tokens == usage[f"{kind}_tokens"]
                tools = [s.attributes["gen_ai.tool.name"] for s in inside if s.name.startswith("execute_tool")]
                assert tools == [entry["name"] for entry in row["ledger"]]
                assert [s.name for s in inside].count("open_episode") == 1
                assert [s.name for s in inside].count("verify") == (row["outcome"] == "scored")
            failed = [chat for chat in chats if chat.failed]
            assert [chat.attributes["error.type"] for chat in failed] == ["model"]
            sent = {header["traceparent"].split("-")[2] for header in headers}
            assert sent == {chat.id for chat in chats} and len(headers) == len(chats)

    run(scenario)


def test_attributes_have_the_conventions_names(tmp_path: Path) -> None:
    known = {value for name, value in vars(gen_ai_attributes).items() if name.startswith("GEN_AI")}

    async def scenario() -> None:
        async with Collector() as collector:
            await traced(tmp_path, collector, tasks=1, content=True)
            used = {key for span in collector.spans for key in span.attributes}
            assert {key for key in used if key.startswith("gen_ai.")} <= known
            chat = collector.named("chat m")[-1].attributes
            assert (chat["gen_ai.operation.name"], chat["gen_ai.request.model"]) == ("chat", "m")
            assert chat["gen_ai.provider.name"] == "openai" and chat["server.address"] == "127.0.0.1"
            said = orjson.loads(chat["gen_ai.input.messages"])
            assert [m["role"] for m in said] == ["user", "assistant", "tool"]
            assert orjson.loads(chat["gen_ai.output.messages"])[0]["parts"][0]["content"] == "done"
            tool = collector.named("execute_tool add")[0].attributes
            assert tool["gen_ai.tool.call.arguments"] == '{"amount":2}' and tool["gen_ai.tool.call.result"] == "2"

    run(scenario)


def test_without_being_asked_no_text_leaves(tmp_path: Path) -> None:
    async def scenario() -> str:
        async with Collector() as collector:
            await traced(tmp_path, collector, tasks=1)
            return repr(collector.spans)

    seen = run(scenario)
    assert "Count." not in seen and "done" not in seen.replace("gym_mcp.done", "") and "amount" not in seen


@pytest.mark.slow
def test_calls_of_a_graph_hang_below_its_nodes(tmp_path: Path) -> None:
    harness = f"langgraph:{write(tmp_path, REACT)}"

    async def scenario() -> None:
        async with Collector() as collector:
            rows, run_id, _ = await traced(tmp_path, collector, tasks=2, harness=harness)
            assert [row["outcome"] for row in rows] == ["scored"] * 2, rows[0]["failure"]
            check_tree(collector.spans, run_id)
            names = {span.id: span.name for span in collector.spans}
            assert {names[s.parent] for s in collector.named("chat m")} == {"node agent"}
            assert {names[s.parent] for s in collector.named("execute_tool")} == {"node tools"}
            nodes = sum(span["kind"] in ("graph", "node") for row in rows for span in row["spans"])
            assert len(collector.named("graph ") + collector.named("node ")) == nodes

    run(scenario)


@pytest.mark.parametrize("code", [400, pytest.param(0, marks=pytest.mark.slow)])
def test_a_collector_that_takes_nothing_costs_spans_not_the_run(tmp_path: Path, code: int) -> None:
    async def scenario() -> None:
        async with Collector(status=code or 200) as collector:
            url = collector.url if code else "http://127.0.0.1:1"
            observe = Observe(otel=OtelSettings.of(url))
            async with running(tmp_path, observe=observe) as r:
                started = time.monotonic()
                assert (await r.ended()).complete
                notices = [event.text for event in r.events if isinstance(event, Notice)]
                assert time.monotonic() - started < 10
            assert notices == ["otel: 37 of 37 spans were dropped: the collector did not take them"]

    run(scenario)


def test_a_file_gets_the_same_tree(tmp_path: Path) -> None:
    async def scenario() -> list[JSONObject]:
        observe = Observe(otel=OtelSettings.of(str(tmp_path / "spans.jsonl")))
        async with running(tmp_path / "bench", tasks=2, observe=observe) as r:
            assert (await r.ended()).complete
            batches = [orjson.loads(line) for line in (tmp_path / "spans.jsonl").read_bytes().splitlines()]
            return [s for b in batches for r in b["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]]

    spans = run(scenario)
    ids = {span["spanId"] for span in spans}
    assert len(spans) == len(ids) == 1 + 2 * 6
    assert all(span.get("parentSpanId") in ids for span in spans if not span["name"].startswith("evaluate"))


def test_a_served_environment_is_told_whose_call_it_is(tmp_path: Path) -> None:
    parent = f"00-{1:032x}-{2:016x}-01"

    async def scenario() -> tuple[list[JSONObject], list[str | None]]:
        bodies: list[JSONObject] = []
        headers: list[str | None] = []

        async def take(request: web.Request) -> web.Response:
            headers.append(request.headers.get("traceparent"))
            body = orjson.loads(await request.read())
            bodies.append(body["params"]["_meta"])
            found = {"content": [], "structuredContent": {"reply": None}}
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": found})

        app = web.Application()
        app.router.add_post("/x/operator/mcp", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        client = HTTPClient(f"http://127.0.0.1:{runner.addresses[0][1]}/x", "k" * 32)
        for value in ("", parent):
            current.traceparent.set(value)
            await client.operate("reply", {})
        await client.aclose()
        await runner.cleanup()
        async with servers.running(tmp_path) as server, HTTPClient(server.url, server.key) as real:
            assert (await real.describe()).name == "ladder"
        current.traceparent.set("")
        return bodies, headers

    bodies, headers = run(scenario)
    assert headers == [None, parent]
    assert [meta.get("traceparent") for meta in bodies] == [None, parent]


def test_nothing_goes_out_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with Collector() as collector:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
            async with running(tmp_path, tasks=2) as r:
                assert (await r.ended()).complete
                assert all("traceparent" not in header for header in r.bench.endpoint.headers)
            assert collector.headers == []
            assert OtelSettings.of("env").target == f"{collector.url}/v1/traces"

    run(scenario)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("env", "OTEL_EXPORTER_OTLP_ENDPOINT is not set"),
        ("spans.txt", "a FILE.jsonl"),
        ("ftp://a/b", "an http:// or https:// URL"),
        ("http://", "an http:// or https:// URL"),
        ("http://a:99999999", "an http:// or https:// URL"),
        ("http://user:secret@a:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("/nonexistent/spans.jsonl", "No such file"),
    ],
)
def test_what_is_no_place_for_spans(text: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    with pytest.raises(UsageError, match=told) as found:
        OtelSettings.of(text)
    assert "secret" not in str(found.value)


class Stuck(Sink):
    """Takes nothing, and does not come back before it is closed."""

    def __init__(self) -> None:
        self.closed = False

    def send(self, spans: object) -> str | None:
        until = time.monotonic() + 5
        while not self.closed and time.monotonic() < until:
            time.sleep(0.01)
        return "stuck"

    def close(self) -> None:
        self.closed = True


def test_a_full_queue_drops_and_counts() -> None:
    exporter = Exporter(Stuck(), queue=100)
    started = time.monotonic()
    for _ in range(1_000):
        exporter.put([Span("s", 0, 0)])
    assert time.monotonic() - started < 0.5
    exporter.close(0.2)
    assert (exporter.sent, exporter.dropped) == (0, 1_000)
    assert current.traceparent.get() == ""

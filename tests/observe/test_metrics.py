"""Prometheus' own parser reads the page, and its numbers are those of the rows."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.errors import UsageError
from gym_mcp.observe.numbers import Histogram, Numbers
from gym_mcp.observe.observed import Observe
from gym_mcp.observe.prometheus import CONTENT_TYPE, listening, render, url_of
from gym_mcp.observe.status import Status
from tests.coordinator.runs import SCRIPT
from tests.endpoint import calling, faulty, status
from tests.observe.kit import running, until
from tests.support import run

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """Every sample of a page, by name and labels."""
    return {
        (sample.name.removeprefix("gym_mcp_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def at(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


async def get(url: str, method: str = "GET") -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        return answer.status, answer.headers.get("Content-Type", ""), await answer.text()


def test_the_page_while_it_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        sock = listening("127.0.0.1", 0, "--metrics")
        url = url_of(sock)
        script = faulty(SCRIPT, status(400, "no"), first=1)
        observe = Observe(metrics=sock)
        async with running(tmp_path, tasks=6, concurrency=2, script=script, observe=observe) as r:
            await until(lambda: r.bench.endpoint.in_flight == 2)
            code, kind, text = await get(url)
            assert (code, kind) == (200, CONTENT_TYPE)
            found = parsed(text)
            assert at(found, "rollouts_in_flight", stage="model") == 2
            assert at(found, "endpoint_limit_maximum") == 2 and at(found, "rollouts_expected") == 6
            assert at(found, "run_state", state="running") == 1
            assert (await get(url, "POST"))[0] == 405 and (await get(url.replace("metrics", "")))[0] == 404
            coordinator = r.coordinator
            assert (await r.ended()).complete
            numbers = coordinator.arm.stages.numbers
            assert numbers is not None
            await asyncio.sleep(0.21)  # a snapshot is good for 0.2 s
            page = render(status_of(coordinator), numbers)
            rows = r.rows()
        sock.close()
        found = parsed(page)
        assert at(found, "rollouts_total", outcome="scored", kind="") == 5
        assert at(found, "rollouts_total", outcome="failed", kind="model") == 1
        calls = sum(row["usage"]["model_calls"] for row in rows if row["usage"])
        assert at(found, "model_calls_total", outcome="ok") == calls == 10
        assert at(found, "model_calls_total", outcome="error") == 1
        assert at(found, "model_call_seconds_count") == 11
        assert at(found, "tool_calls_total", outcome="ok") == sum(len(row["ledger"]) for row in rows) == 5
        for kind in ("input", "output"):
            tokens = sum(row["usage"][f"{kind}_tokens"] for row in rows if row["usage"])
            assert at(found, "model_tokens_total", type=kind) == tokens
        assert at(found, "verify_seconds_count") == 5 and at(found, "open_seconds_count") == 6

    run(scenario)


def status_of(coordinator: Coordinator) -> Status:
    """The status that listened to the run."""
    owners = [getattr(listener, "__self__", None) for listener in coordinator._listeners]
    return next(owner for owner in owners if isinstance(owner, Status))


def test_a_tool_that_answers_with_an_error_is_counted_as_one(tmp_path: Path) -> None:
    async def scenario() -> Numbers:
        sock = listening("127.0.0.1", 0, "--metrics")
        script = calling([("no_such_tool", {}), ("add", {"amount": 2})], "done")
        async with running(tmp_path, tasks=2, script=script, observe=Observe(metrics=sock)) as r:
            await r.ended()
            numbers = r.coordinator.arm.stages.numbers
        sock.close()
        assert numbers is not None
        return numbers

    counts = run(scenario).counts
    assert (counts["tool_ok"], counts["tool_error"]) == (2, 2)


def test_histograms_of_processes_add_up() -> None:
    one, two = Histogram((0.1, 1.0)), Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        two.add(seconds)
    one.add(0.2)
    one.merge(two.take())
    assert one.counts == [2, 2, 1] and one.total == pytest.approx(7.85)
    assert two.counts == [0, 0, 0] and two.total == 0.0


def test_hostile_labels_are_escaped() -> None:
    hostile = 'a"b\\c\nd\ud800{}'
    state = {
        "run_dir": hostile, "title": hostile, "state": "paused", "expected": 1, "done": 1, "failed": {hostile: 1},
        "retried": {}, "stages": {}, "concurrency": 1, "limit": None, "lag": {"p99": None}, "rss": {},
        "workers": 0,
    }  # fmt: skip
    fake: Any = SimpleNamespace(as_json=lambda: state, reward_sum=float("inf"))
    found = parsed(render(fake, Numbers()))
    shown = hostile.replace("\ud800", "?")
    assert at(found, "run_info", run_dir=shown, title=shown) == 1
    assert at(found, "rollouts_total", outcome="failed", kind=shown) == 1
    assert at(found, "reward_sum") == float("inf")


def test_a_port_that_is_taken_is_told_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"--metrics 127.0.0.1:{port}: Address already in use"):
            listening("127.0.0.1", port, "--metrics")
    with pytest.raises(UsageError, match="--metrics"):
        listening("no-such-host.invalid", 1, "--metrics")

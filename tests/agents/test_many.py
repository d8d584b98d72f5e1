"""Many rollouts at a time: all score, none sees another's episode, and memory bounds them."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator import memory
from gym_mcp.coordinator.config import make_config
from gym_mcp.coordinator.events import Event, MemoryBound
from gym_mcp.coordinator.run import Outcome, start
from gym_mcp.types import JSONObject
from tests.agents.kit import FAST_AGENTS, agent_processes, calling_as_offered, installed, run
from tests.coordinator.kit import read_lines
from tests.endpoint import Answer, Body, Endpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LAB = Path(__file__).parents[1] / "environments" / "lab.py"


def to_the_target(body: Body, n: int) -> Answer | Awaitable[Answer]:
    """Adds what the prompt asks for, so that a mixed-up episode would score 0."""
    text = str(body["messages"])
    target = int(text.partition("Bring the counter to ")[2].partition(",")[0] or 0)
    return calling_as_offered([("add", {"amount": 1}), ("add", {"amount": target - 1})])(body, n)


async def evaluate(name: str, out: Path, **settings: Any) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    async with Endpoint(to_the_target) as endpoint:
        common = {"environment": str(LAB), "model": "openai-chat/m", "base_url": endpoint.url, "harness": name}
        config = make_config({**common, "limit": 16, "concurrency": 8, "max_attempts": 1, **settings})
        return await start(config, out, [events.append]), events


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_sixteen_at_concurrency_eight_all_score(name: str, tmp_path: Path) -> None:
    installed(name)
    outcome, _ = run(lambda: evaluate(name, tmp_path / "run"))
    rows: list[JSONObject] = read_lines(tmp_path / "run" / "rollouts.jsonl")
    assert [(r["outcome"], r["reward"]) for r in rows] == [("scored", 1.0)] * 16, [r["failure"] for r in rows]
    assert outcome.complete and outcome.metrics["usage"]["model_calls"] == 48
    assert agent_processes() == []


def test_free_memory_bounds_how_many_run_and_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed("codex")
    monkeypatch.setattr(memory, "available_mib", lambda: 200)
    _, events = run(lambda: evaluate("codex", tmp_path / "run", limit=3))
    assert [e for e in events if isinstance(e, MemoryBound)] == [MemoryBound(8, 2, 80, 200)]
    assert len(read_lines(tmp_path / "run" / "rollouts.jsonl")) == 3

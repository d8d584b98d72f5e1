"""Agents and memory: the one that takes too much is ended, and nothing starts while there is too little."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.agents.memory import tree_sizes
from gym_mcp.coordinator import guard, memory
from gym_mcp.coordinator.config import make_config
from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import Event, MemoryShort
from gym_mcp.coordinator.run import Outcome, start
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject
from tests.agents.kit import agent_processes, run
from tests.coordinator.kit import read_lines, write_rows
from tests.endpoint import Endpoint, fixed

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"), pytest.mark.timeout(120)]
HERE = Path(__file__).parent
LAB = HERE.parent / "environments" / "lab.py"
MIB = 1 << 20


async def evaluate(
    folder: Path, *wishes: str, on_ready: Callable[[Coordinator], None] | None = None, **settings: Any
) -> tuple[Outcome, dict[str, JSONObject], list[Event]]:
    """A run of the hungry agent; the outcome, its rows by task, its events."""
    events: list[Event] = []
    rows = [{"id": f"t{i}", "prompt": wish, "data": {"only": []}} for i, wish in enumerate(wishes)]
    async with Endpoint(fixed("done")) as endpoint:
        common = {"environment": str(LAB), "model": "openai-chat/m", "base_url": endpoint.url}
        config = make_config(
            {
                **common,
                "harness": str(HERE / "hungry.py"),
                "input": write_rows(folder / "rows.jsonl", rows),
                **settings,
            }
        )
        outcome = await start(config, folder / "run", [events.append], on_ready)
    assert agent_processes() == []
    return outcome, {row["task_id"]: row for row in read_lines(folder / "run" / "rollouts.jsonl")}, events


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_agent_above_its_limit_is_ended_and_no_other(tmp_path: Path, workers: int) -> None:
    wishes = ("mib=300 seconds=15 child", "mib=1 seconds=2", "mib=1 seconds=0")
    _, rows, _ = run(lambda: evaluate(tmp_path, *wishes, max_memory=150, max_attempts=1, workers=workers))
    failure = rows["t0"]["failure"]
    assert failure["kind"] == "harness" and "--max-memory allows 150" in failure["message"], failure
    assert rows["t0"]["timing"]["seconds"] < 12
    assert [rows[t]["outcome"] for t in ("t1", "t2")] == ["scored", "scored"], rows


@pytest.mark.slow
def test_the_largest_is_ended_before_memory_gives_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "available_mib", lambda: 90)
    monkeypatch.setattr(guard, "reserve_mib", lambda: 200)
    wishes = ("mib=100 seconds=15", "mib=1 seconds=2")
    outcome, rows, events = run(lambda: evaluate(tmp_path, *wishes, max_attempts=1))
    failure = rows["t0"]["failure"]
    assert failure["kind"] == "harness" and "90 MiB were left on this machine" in failure["message"], failure
    assert rows["t1"]["outcome"] == "scored" and outcome.complete
    assert MemoryShort(True, 90, 200) in events


@pytest.mark.slow
def test_nothing_starts_while_memory_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 100
    monkeypatch.setattr(guard, "EVERY", 0.05)
    monkeypatch.setattr(guard, "available_mib", lambda: free)
    monkeypatch.setattr(guard, "reserve_mib", lambda: 150)
    found: list[tuple[int, int]] = []

    def on_ready(coordinator: Coordinator) -> None:
        async def look() -> None:
            nonlocal free
            for _ in range(200):
                await asyncio.sleep(0.02)
                if coordinator.in_flight == 0 and coordinator.tally.done:
                    break
            found.append((coordinator.in_flight, coordinator.tally.done))
            await asyncio.sleep(0.3)
            found.append((coordinator.in_flight, coordinator.tally.done))
            free = 160  # above the reserve, but not by a rollout's own 20
            await asyncio.sleep(0.2)
            found.append((coordinator.in_flight, coordinator.tally.done))
            free = 1_000

        looking.append(asyncio.get_running_loop().create_task(look()))

    looking: list[asyncio.Task[None]] = []
    wishes = ["mib=1 seconds=0.2"] * 6
    outcome, _, events = run(lambda: evaluate(tmp_path, *wishes, concurrency=2, on_ready=on_ready))
    assert outcome.complete and found[0] == found[1] == found[2] and 1 <= found[0][1] < 6, found
    assert [(e.short, e.available_mib) for e in events if isinstance(e, MemoryShort)] == [
        (True, 100),
        (False, 1_000),
    ]


@pytest.mark.slow
def test_memory_that_never_comes_back_leaves_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "EVERY", 0.02)
    monkeypatch.setattr(guard, "STALLED", 5)
    monkeypatch.setattr(guard, "available_mib", lambda: 140)
    monkeypatch.setattr(guard, "reserve_mib", lambda: 150)
    outcome, rows, _ = run(lambda: evaluate(tmp_path, *["mib=1 seconds=0"] * 3, concurrency=3))
    assert outcome.complete and len(rows) == 3


def test_a_harness_without_processes_has_no_such_limit(tmp_path: Path) -> None:
    config = make_config({"environment": str(LAB), "model": "builtin/null", "max_memory": 100})
    with pytest.raises(UsageError, match="harness simple has no processes of its own"):
        run(lambda: start(config, tmp_path / "run"))


def test_the_size_of_a_tree_is_that_of_all_below() -> None:
    eat = "x = bytearray(60 * 2**20); x[::4096] = b'x' * len(x[::4096]); print('full', flush=True); input()"
    own = eat.replace("60", "20").partition("; print")[0]
    script = f"import subprocess, sys; {own}; subprocess.run([sys.executable, '-c', {eat!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"full\n"
        started = time.perf_counter()
        sizes = tree_sizes([process.pid, 2**22 + 1])
        assert time.perf_counter() - started < 1.0
        process.communicate(b"\n", timeout=20)
    assert 80 * MIB <= sizes[process.pid] < 130 * MIB
    assert sizes[2**22 + 1] == 0


def test_a_control_group_counts_without_the_cache_that_it_would_give_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"max": str(1_000 * MIB), "current": str(900 * MIB), "stat": f"anon 5\ninactive_file {700 * MIB}\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    group = memory._Group(tmp_path / "max", tmp_path / "current", tmp_path / "stat", "inactive_file")
    monkeypatch.setattr(memory, "_CGROUPS", (group,))
    assert (memory.available_mib(), memory.total_mib(), memory.reserve_mib()) == (800, 1_000, 250)
    (tmp_path / "max").write_text("max\n")
    assert (memory.available_mib() or 0) > 0 and (memory.total_mib() or 0) > 1_000

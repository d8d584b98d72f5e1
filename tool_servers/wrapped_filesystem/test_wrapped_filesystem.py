"""File errands: generated as they are written, solved by the solution, and what does not count as done."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript
from tests.support import check_environment, missing, run
from tool_servers.wrapped_filesystem.generate import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HERE = Path(__file__).parent


def environment() -> type[Environment[Any]]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("needs Node.js with npm")
    return load_environment("wrapped_filesystem")


def test_tasks_are_what_the_generator_writes() -> None:
    written = [json.loads(line) for line in (HERE / "tasks.jsonl").read_text().splitlines()]
    assert written == list(rows()) and len(written) == 24
    assert len({json.dumps(row["data"]) for row in written}) == 24


@pytest.mark.parametrize("kind", ["setting", "archive", "total", "search", "split", "rename"])
def test_solution_null_and_replay(kind: str) -> None:
    cls = environment()
    tasks = [task for task in load_tasks(cls) if task.id == f"{kind}-1"]
    assert run(check_environment, cls, tasks) == 1


def played(*calls: tuple[str, dict[str, Any]], task_id: str) -> Reward:
    async def main() -> Reward:
        cls = environment()
        async with DirectClient(cls) as client:
            task = next(t for t in load_tasks(cls) if t.id == task_id)
            episode = await client.open_episode(task, seed=0)
            for name, arguments in calls:
                await episode.agent.call(name, arguments)
            return (await episode.verify(Transcript())).reward

    return run(main)


def test_a_stray_file_spoils_it_and_is_named() -> None:
    total = next(row for row in rows() if row["id"] == "total-1")["data"]["expected"]["total.txt"]
    right = ("write_file", {"path": "/workdir/total.txt", "content": total})
    assert played(right, task_id="total-1").score == 1.0
    stray = ("write_file", {"path": "/workdir/notes.txt", "content": "x"})
    spoilt = played(right, stray, task_id="total-1")
    assert (spoilt.score, spoilt.components) == (0.0, {"expected": 1.0, "untouched": 1.0})
    assert "notes.txt" in spoilt.notes


def test_a_changed_original_spoils_it() -> None:
    row = next(row for row in rows() if row["id"] == "total-1")["data"]
    right = ("write_file", {"path": "total.txt", "content": row["expected"]["total.txt"]})
    broken = ("write_file", {"path": next(iter(row["files"])), "content": ""})
    reward = played(right, broken, task_id="total-1")
    assert reward.score == 0.0 and reward.components["untouched"] == 0.75


def test_without_node_it_says_what_to_install() -> None:
    program = "import os; os.environ['PATH'] = '/nowhere'; from gym_mcp.hub import load_environment as l; l('{}')"
    command = [sys.executable, "-c", program.format("wrapped_filesystem")]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=50)
    assert "wrapped_filesystem needs Node.js 18 or newer with npm" in done.stderr

"""Mathematics with Python: the session as a tool, published rows and rollouts, code that attacks the server."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.client import EnvironmentClient, EpisodeClient
from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Item, Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "math_with_code"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
HOSTILE = {
    "fork bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "memory": "x = []\nwhile True: x.append(bytearray(50_000_000))",
    "disk": "n = 0\nwhile True:\n    open(f'f{n}', 'wb').write(b'x' * 10_000_000)\n    n += 1",
    "network": "import socket; socket.create_connection(('127.0.0.1', 1), 1)",
    "the gold": f"print(open({str(Path(__file__).with_name('tasks.jsonl'))!r}).read())",
    "the parent": f"import os\nfor p in (os.getppid(), {os.getpid()}, 1):\n    os.kill(p, 9)",
    "endless": "while True: pass",
    "output": "while True: print('y' * 1_000_000)",
    "daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(100)",
    "exit": "import os; os._exit(0)",
}


def environment(**changes: Any) -> type[Environment[Any]]:
    return load_environment("math_with_code", changes)


async def _open(client: EnvironmentClient, cls: type[Environment[Any]], gold: Any = "4") -> EpisodeClient:
    data = {"expected_result": gold}
    return await client.open_episode(parse_task(cls, {"id": "t", "prompt": "q", "data": data}, "row"), seed=0)


def reward(gold: Any, items: list[Item] | str, **changes: Any) -> Reward:
    async def verified() -> Reward:
        cls = environment(**changes)
        async with DirectClient(cls) as client:
            given_items = [assistant_message(items)] if isinstance(items, str) else items
            return (await (await _open(client, cls, gold)).verify(Transcript(given_items))).reward

    return asyncio.run(verified())


def execute(*cells: str, **changes: Any) -> list[dict[str, Any]]:
    """What the tool says to each cell of one session."""

    async def executed() -> list[dict[str, Any]]:
        cls = environment(**changes)
        async with DirectClient(cls) as client:
            episode = await _open(client, cls)
            results = [await episode.agent.call("execute_python", {"code": cell}) for cell in cells]
            assert not any(result.is_error for result in results)
            return [json.loads(result.text) for result in results]

    return asyncio.run(executed())


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


def test_the_bundled_answers_are_what_their_code_prints() -> None:
    for task in load_tasks(environment()):
        assert execute(*task.data.code)[-1]["stdout"].strip() == task.data.expected_result, task.id


def test_the_session_keeps_its_variables() -> None:
    assert execute("import math\nx = math.factorial(5)", "print(x)\nx + 1") == [
        {"stdout": "", "stderr": "", "result": None},
        {"stdout": "120\n", "stderr": "", "result": "121"},
    ]
    assert "NameError" in execute("print(x)")[0]["stderr"]


def test_packages() -> None:
    pytest.importorskip("numpy")
    said = execute("import numpy as np", "print(np.linalg.det(np.eye(3)))")
    assert said[1] == {"stdout": "1.0\n", "stderr": "", "result": None}, said


def test_a_session_that_is_ended_starts_anew() -> None:
    said = execute("x = 1", "while True: pass", "print('x' in globals())", seconds=0.5)
    assert said[1]["stderr"].startswith("The code took longer than 0.5 s. The session was ended")
    assert said[2]["stdout"] == "False\n"


def test_long_output_is_cut() -> None:
    said = execute("print('a' * 5000 + 'b' * 5000)", max_output_chars=100)[0]["stdout"]
    assert said.startswith("a" * 50 + "\n[9901 characters left out]\n") and said.endswith("b" * 49 + "\n")


def test_end_session() -> None:
    async def ended() -> list[str]:
        cls = environment()
        async with DirectClient(cls) as client:
            agent = (await _open(client, cls)).agent
            calls = [("execute_python", {"code": "x = 1"}), ("end_session", {}), ("end_session", {})]
            return [(await agent.call(name, arguments)).text for name, arguments in [
                *calls, ("execute_python", {"code": "print('x' in globals())"})]]  # fmt: skip

    said = asyncio.run(ended())
    assert said[1:3] == ["The session has ended."] * 2 and json.loads(said[3])["stdout"] == "False\n"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_harms_nobody(name: str) -> None:
    started = time.monotonic()
    said = execute("x = 1", HOSTILE[name], "print(6 * 7)", seconds=1, memory_mib=256)
    assert said[1]["stderr"] or name == "daemon"
    assert said[2]["stdout"] == "42\n"
    assert time.monotonic() - started < 10
    children = [
        pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    assert not [p for p in children if b"sandbox_guest" in Path("/proc", p, "cmdline").read_bytes()]


def test_sessions_are_separate() -> None:
    async def both() -> list[str]:
        cls = environment()
        async with DirectClient(cls) as client:
            one, two = await _open(client, cls), await _open(client, cls)
            await asyncio.gather(
                *(e.agent.call("execute_python", {"code": f"x = {i}"}) for i, e in ((1, one), (2, two)))
            )
            said = await asyncio.gather(*(e.agent.call("execute_python", {"code": "x"}) for e in (one, two)))
            return [json.loads(result.text)["result"] for result in said]

    assert asyncio.run(both()) == ["1", "2"]


@pytest.mark.parametrize(
    ("gold", "text", "expected"),
    [
        ("4", r"It is \boxed{4}.", 1.0),
        ("4", r"\boxed{5} no, \boxed{4}", 1.0),
        ("4", r"\boxed{4} no, \boxed{5}", 0.0),
        ("4", r"\boxed{4.0000001}", 1.0),
        ("4", r"\boxed{4.1}", 0.0),
        (4, r"\boxed{4.0}", 1.0),
        ("1e9", r"\boxed{1000000900}", 1.0),
        (r"\(\frac{1}{2}\)", r"\boxed{\frac{1}{2}}", 1.0),
        (r"\frac{1}{2}", r"\boxed{$\frac{1}{2}$}", 1.0),
        (r"\frac{1}{2}", r"\boxed{0.5}", 0.0),
        ("north", r"\boxed{\text{north}}", 1.0),
        ("North", r"\boxed{north}", 0.0),
        ("", r"\boxed{}", 0.0),
        ("nan", r"\boxed{NaN}", 0.0),
        ("4", "4", 0.0),
        ("4", r"\boxed{4", 0.0),
    ],
)
def test_answers(gold: Any, text: str, expected: float) -> None:
    assert reward(gold, text).score == expected


def test_which_box_counts() -> None:
    printed = {"type": "function_call_output", "call_id": "1", "output": json.dumps({"stdout": "\\boxed{4}\n"})}
    assert reward("4", [printed]).score == 1.0
    assert reward("4", [assistant_message(r"\boxed{4}"), printed, assistant_message("Done.")]).score == 1.0
    assert reward("4", [printed, assistant_message(r"\boxed{5}")]).score == 0.0
    assert reward("4", [{**printed, "output": "\\boxed{4}"}]).score == 0.0


def test_symbolic_comparison() -> None:
    pytest.importorskip("math_verify")
    assert reward(r"\frac{1}{2}", r"\boxed{0.5}", compare="symbolic").score == 1.0


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rows\.jsonl:7: expected_result: "):
        parse_task(environment(), {"id": "x", "data": {"expected_result": None}}, "rows.jsonl:7")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=40), st.sampled_from(["", "\\boxed{", "\\boxed{1e999}", "}"]))
def test_verify_never_raises(text: str, piece: str) -> None:
    assert reward("4", [assistant_message(text + piece + text)]).score == 0.0 or "4" in text


@needs_data
def test_published_rows_are_solved() -> None:
    cls = environment()
    assert run(check_environment, cls, list(load_tasks(cls, DATA / "example.jsonl"))) == 5


@needs_data
@pytest.mark.parametrize(("box", "differ"), [("first_brace", []), ("balanced", [r"\(\sqrt{2}\)"])])
def test_recorded_rollouts_get_their_recorded_reward(box: str, differ: list[str]) -> None:
    """The recordings ended a box at its first brace, so that the right answer of one row was none."""
    cls = environment(box=box)
    tasks = {task.prompt[-1]["content"]: task for task in load_tasks(cls, DATA / "example.jsonl")}

    async def rewards() -> list[tuple[str, float, float]]:
        out = []
        async with DirectClient(cls) as client:
            for recorded in read_rows(DATA / "example_rollouts.jsonl"):
                task = tasks[recorded["responses_create_params"]["input"][-1]["content"]]
                episode = await client.open_episode(task, seed=0)
                verdict = await episode.verify(Transcript(recorded["response"]["output"]))
                out.append((task.data.expected_result, verdict.reward.score, recorded["reward"]))
        return out

    found = asyncio.run(rewards())
    assert len(found) == 5
    assert [gold for gold, mine, theirs in found if mine != theirs] == differ

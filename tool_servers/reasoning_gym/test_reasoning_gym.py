"""reasoning-gym: its rows and recorded rollouts, every generator through MCP, and answers that are code."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.mcp_client import MemoryClient
from gym_mcp.types import Reward, Task, Transcript, assistant_message
from tests.support import SHARED, check_environment, play_solution, run

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("reasoning_gym") is None, reason="needs the package reasoning-gym"
)
DATA = SHARED / "data" / "nemo_gym" / "reasoning_gym"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
EXCEPTIONS = {"boxnet", "composite", "rush_hour"}
EVALUATED = "binary_matrix,countdown,n_queens,polynomial_multiplication,puzzle24,simple_integration,spiral_matrix"
ATTACKS = (
    "__import__('os').system('touch {mark}')",
    "[__import__('os').system('touch {mark}')]",
    "[[open('{mark}', 'w')]]",
    "open('{mark}', 'w')",
    "(lambda: open('{mark}', 'w'))()",
    "x.__class__.__base__.__subclasses__()",
    "exec(chr(111))",
)


def environment(dataset: str = "", **settings: Any) -> type[Environment[Any]]:
    return load_environment(f"reasoning_gym:{dataset}" if dataset else "reasoning_gym", settings)


async def scores(cls: type[Environment[Any]], pairs: list[tuple[Task[Any], str]]) -> list[Reward]:
    out = []
    async with DirectClient(cls) as client:
        for task, text in pairs:
            episode = await client.open_episode(task, seed=0)
            out.append((await episode.verify(Transcript([assistant_message(text)]))).reward)
    return out


def test_the_default_mix_is_solved() -> None:
    assert run(check_environment, environment()) == 22


def test_one_dataset_of_the_name(capfd: pytest.CaptureFixture[str]) -> None:
    tasks = list(load_tasks(environment("basic_arithmetic", size=3, seed=7)))
    assert [task.id for task in tasks] == [f"basic_arithmetic-7-{i}" for i in range(3)]
    assert tasks == list(load_tasks(environment("basic_arithmetic", size=3, seed=7)))
    assert tasks[0].prompt != next(iter(load_tasks(environment("basic_arithmetic", seed=8)))).prompt
    assert capfd.readouterr().out == ""


@pytest.mark.slow
def test_several_share_the_size() -> None:
    tasks = list(load_tasks(environment("gcd, lcm,chain_sum", size=5)))
    assert [task.id.split("-")[0] for task in tasks] == ["gcd", "gcd", "lcm", "lcm", "chain_sum"]


@pytest.mark.slow
def test_settings_of_a_generator_reach_its_scorer() -> None:
    cls = environment(
        "decimal_arithmetic", size=4, config={"min_num_decimal_places": 5, "max_num_decimal_places": 6}
    )
    assert run(check_environment, cls) == 4


@pytest.mark.parametrize(
    ("dataset", "settings", "message"),
    [
        ("basic_aritmetic", {}, "no dataset `basic_aritmetic`; did you mean `basic_arithmetic`"),
        ("gcd", {"config": {"max_value": -1}}, "dataset gcd: "),
        ("gcd", {"config": {"maximum": 1}}, "dataset gcd: .*maximum"),
        ("composite", {}, "dataset composite: "),
    ],
)
def test_what_does_not_exist(dataset: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(load_tasks(environment(dataset, **settings)))


def test_partial_credit() -> None:
    (task,) = load_tasks(environment("letter_jumble", size=1))
    words = task.data.answer.split()
    half = " ".join([*words[:1], *("x" for _ in words[1:])])
    full, partial, none = run(scores, environment(), [(task, text) for text in (task.data.answer, half, "")])
    assert full.score == 1.0 and none == Reward(0.0, notes="no answer")
    assert 0.0 < partial.score < 1.0


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("<answer>{}</answer>", 1.0),
        ("<answer>0</answer> or rather <answer> {} </answer>", 1.0),
        ("\\boxed{{0}} <answer>{}</answer>", 1.0),
        ("So \\boxed{{{}}} and not \\boxed{{0}}.", 1.0),
        ("{}\n", 1.0),
        ("<answer>{}</answer><answer>x</answer>", 0.0),
    ],
)
def test_which_text_is_graded(text: str, score: float) -> None:
    (task,) = load_tasks(environment("gcd", size=1))
    (reward,) = run(scores, environment(), [(task, text.format(task.data.answer))])
    assert reward.score == score


@pytest.mark.parametrize("piece", ["<answer>", "\\boxed{", "\\boxed{}", "</answer>"])
def test_the_answer_is_found_in_linear_time(piece: str) -> None:
    (task,) = load_tasks(environment("gcd", size=1))
    start = time.process_time()
    (reward,) = run(scores, environment(), [(task, piece * (1_000_000 // len(piece)))])
    assert reward.score < 1.0
    assert time.process_time() - start < 4.0


@needs_data
def test_published_rows_are_solved() -> None:
    cls = environment()
    assert run(check_environment, cls, list(load_tasks(cls, DATA / "example.jsonl"))) == 5


@needs_data
def test_recorded_rollouts_get_their_recorded_reward() -> None:
    cls = environment()
    tasks = {task.data.question: task for task in load_tasks(cls, DATA / "example.jsonl")}

    async def rewards() -> list[tuple[float, float]]:
        out = []
        async with DirectClient(cls) as client:
            for recorded in read_rows(DATA / "example_rollouts.jsonl"):
                question = recorded["responses_create_params"]["input"][-1]["content"]
                episode = await client.open_episode(tasks[question], seed=0)
                verdict = await episode.verify(Transcript(recorded["response"]["output"]))
                out.append((verdict.reward.score, recorded["reward"]))
        return out

    pairs = run(rewards)
    assert len(pairs) == 5
    assert [mine for mine, _ in pairs] == pytest.approx([theirs for _, theirs in pairs], abs=1e-6)


def test_a_row_of_another_generator_is_refused() -> None:
    row = {"id": "x", "data": {"question": "?", "answer": "1", "metadata": {"source_dataset": "nothing"}}}
    with pytest.raises(UsageError, match=r"rows\.jsonl:3: metadata: .*'nothing' is no generator"):
        parse_task(environment(), row, "rows.jsonl:3")


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_answer_is_never_run_as_code(attack: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    tasks = list(load_tasks(environment(EVALUATED, size=len(EVALUATED.split(",")))))
    rewards = run(scores, environment(), [(task, attack.format(mark=mark)) for task in tasks])
    assert not mark.exists()
    assert all(reward.score <= 0.05 for reward in rewards)


@pytest.mark.slow
def test_an_answer_that_never_ends_scoring_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = environment("countdown", size=1)
    monkeypatch.setattr(sys.modules[server_of(cls)], "SECONDS", 1.0)
    (task,) = load_tasks(cls)
    tower, sane = run(scores, cls, [(task, "9**9**9**9**9"), (task, task.data.answer)])
    assert tower.score <= 0.05
    assert sane.score == 1.0


def test_without_the_package_one_line_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'reasoning_gym' else find(name, *a)\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "gym_mcp.cli.main", "env", "test", "reasoning_gym"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "pip install 'gym-mcp[reasoning-gym]'" in done.stderr


def server_of(cls: type[Environment[Any]]) -> str:
    """Name of the module that holds the environment."""
    return next(base.__module__ for base in cls.__mro__ if base.__module__.endswith(".server"))


def names() -> Iterator[str]:
    cls = environment()
    yield from vars(sys.modules[server_of(cls)])["generators"].names()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_packages_own_answers_score_full_for_all_but_the_listed_exceptions() -> None:
    """Through MCP: 3 questions of each generator, the package's answer as the reply."""

    cls = environment("all", size=3 * (len(list(names())) - len(EXCEPTIONS)), seed=11)

    async def played() -> dict[str, list[float]]:
        out: dict[str, list[float]] = {}
        async with MemoryClient(cls) as client:
            for task in load_tasks(cls):
                verdict = await play_solution(client, task)
                out.setdefault(task.data.metadata["source_dataset"], []).append(verdict.reward.score)
        return out

    found = run(played)
    assert len(found) >= 99
    assert set(names()) - set(found) == EXCEPTIONS
    assert {name: scores for name, scores in found.items() if scores != [1.0] * 3} == {}


@pytest.mark.slow
def test_rows_do_not_depend_on_the_process() -> None:
    """Rows of every generator from two processes with different hash seeds."""
    program = (
        "import json, hashlib\nfrom gym_mcp.hub import load_environment\nfrom gym_mcp.datasets import load_tasks\n"
        "tasks = load_tasks(load_environment('reasoning_gym:all', {'size': 103}))\n"
        "print(json.dumps({t.id: hashlib.sha256(json.dumps(t.raw).encode()).hexdigest() for t in tasks}))"
    )

    def rows(seed: str) -> dict[str, str]:
        env = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-W", "ignore", "-c", program]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=50, check=True)
        return dict(json.loads(done.stdout))

    first, second = rows("1"), rows("2")
    assert len(first) == 103
    assert {key for key in first if first[key] != second.get(key)} == set()

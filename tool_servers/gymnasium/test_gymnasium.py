"""Gymnasium environments: the same as the library's step by step, best play, options, what cannot be played."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.mcp_client import MemoryClient
from gym_mcp.types import Task, Transcript
from tests.support import SHARED, check_environment, play_solution, run

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gymnasium") is None, reason="needs the package gymnasium"
)
DATA = SHARED / "data" / "nemo_gym" / "gymnasium"
PLAYED = ("Taxi-v4", "CliffWalking-v1", "FrozenLake-v1", "Blackjack-v1", "CartPole-v1", "MountainCar-v0")
TABULAR = ("Taxi-v4", "CliffWalking-v1", "CliffWalkingSlippery-v1", "FrozenLake-v1", "FrozenLake8x8-v1")


def environment(name: str = "", **settings: Any) -> type[Environment[Any]]:
    return load_environment(f"gymnasium:{name}" if name else "gymnasium", settings)


async def replies(cls: type[Environment[Any]], task: Task[Any], actions: list[int]) -> list[str]:
    """What `observe` and then each `step` say, through MCP."""
    async with MemoryClient(cls) as client:
        episode = await client.open_episode(task, seed=0)
        out = [(await episode.agent.call("observe", {})).text]
        for action in actions:
            result = await episode.agent.call("step", {"action": action})
            out.append(result.text)
            if result.ended:
                break
        return out


@pytest.mark.parametrize("seed", [0, 1, 20_260_101])
@pytest.mark.parametrize("name", PLAYED)
def test_observations_rewards_and_ends_are_the_librarys(name: str, seed: int) -> None:
    import gymnasium

    mode = "ansi" if name[:4] in ("Taxi", "Clif", "Froz") else None
    env: Any = gymnasium.make(name, render_mode=mode)
    rng = random.Random(seed)
    actions = [rng.randrange(env.action_space.n) for _ in range(250)]
    cls = environment(name)
    said = run(replies, cls, Task("t", data=cls.parse_row({"seed": seed})), actions)
    observation, _ = env.reset(seed=seed)
    assert json.loads(said[0].split("\n")[0]) == {"observation": _plain(observation)}
    limit = env.spec.max_episode_steps or 200
    for number, (text, action) in enumerate(zip(said[1:], actions, strict=False), 1):
        observation, reward, terminated, truncated, _ = env.step(action)
        line, _, drawn = text.partition("\n\n")
        assert json.loads(line) == {
            "observation": _plain(observation),
            "reward": float(reward),
            "terminated": bool(terminated),
            "truncated": bool(truncated) or (number == limit and not terminated),
        }
        assert _letters(drawn) == _letters(env.render() if mode else "")
        assert (number == len(said) - 1) == (terminated or truncated or number == limit)
    env.close()


def _plain(value: Any) -> Any:
    return [_plain(v) for v in value] if isinstance(value, tuple) else getattr(value, "tolist", lambda: value)()


def _letters(drawn: str) -> list[str]:
    """The letters of a drawing in order, without colours and marks."""
    import re

    return re.findall(r"[A-Za-z+|:]", re.sub(r"\x1b\[[\d;]*m", "", drawn))


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


@pytest.mark.parametrize("name", TABULAR)
def test_the_oracle_plays_best(name: str) -> None:
    assert run(check_environment, environment(name, tasks=3)) == 3


def test_the_oracles_return_is_the_best_there_is() -> None:
    async def best(name: str, settings: dict[str, Any]) -> dict[str, float]:
        cls = environment(name, tasks=1, settings=settings)
        async with DirectClient(cls) as client:
            return (await play_solution(client, next(iter(load_tasks(cls))))).reward.components

    assert run(best, "CliffWalking-v1", {})["return"] == -13.0
    lake = run(best, "FrozenLake-v1", {"is_slippery": False})
    assert (lake["return"], lake["steps"]) == (1.0, 6.0)


def test_drawings_keep_what_colours_said() -> None:
    task = next(iter(load_tasks(environment("FrozenLake-v1", settings={"is_slippery": False}))))
    assert task.prompt[0]["content"].endswith('{"observation": 0}\n\n[S]FFF\nFHFH\nFFFH\nHFFG')
    content = next(iter(load_tasks(environment("Taxi-v4", first_seed=3)))).prompt[0]["content"]
    assert "|<R>: |[ ]: :G|" in content and "|<Y>| : |B: |" in content and "\x1b" not in content
    assert "4: Pickup passenger" in content and "Version History" not in content


@pytest.mark.parametrize(
    ("name", "settings", "actions", "score", "why"),
    [
        ("CliffWalking-v1", {}, [0, *[1] * 11, 2], 1.0, "the goal was reached"),
        ("CliffWalking-v1", {}, [1, 0, *[1] * 11, 2], 1.0, "the goal was reached"),
        ("CliffWalking-v1", {"threshold": -13}, [1, 0, *[1] * 11, 2], 0.0, "return -113, -13 wanted"),
        ("CliffWalking-v1", {}, [0], 0.0, "the episode was not played to its end"),
        ("FrozenLake-v1", {"settings": {"is_slippery": False}}, [2, 1], 0.0, "the goal was not reached"),
        ("MountainCar-v0", {}, [1] * 200, 0.0, "return -200, -110 wanted"),
        ("MountainCar-v0", {"threshold": -200}, [1] * 200, 1.0, "return -200, -200 wanted"),
        ("Blackjack-v1", {}, [0], 1.0, "return 1, more than 0 wanted"),
    ],
)
def test_success(name: str, settings: dict[str, Any], actions: list[int], score: float, why: str) -> None:
    cls = environment(name, **settings)

    async def reward() -> Any:
        async with DirectClient(cls) as client:
            episode = await client.open_episode(Task("t", data=cls.parse_row({"seed": 1})), seed=0)
            for action in actions:
                await episode.agent.call("step", {"action": action})
            return (await episode.verify(Transcript())).reward

    found = run(reward)
    assert (found.score, found.notes) == (score, why)
    assert found.components["steps"] == len(actions)


def test_actions_that_do_not_exist() -> None:
    cls = environment("CliffWalking-v1")
    said = run(replies, cls, Task("t", data=cls.parse_row({"seed": 0})), [4, -1, 0])
    assert said[1:3] == [f"There is no action {a}; actions are 0 to 3." for a in (4, -1)]
    assert json.loads(said[3].split("\n")[0])["observation"] == 24


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
def test_published_rows_are_episodes_of_their_own_seeds() -> None:
    cls = environment("CliffWalking-v1")
    assert run(check_environment, cls, list(load_tasks(cls, DATA / "example.jsonl"))) == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Taxi-v3", "deprecated. Please use `Taxi-v4`"),
        ("CliffWalkin-v1", "Did you mean: `CliffWalking`"),
        ("Pendulum-v1", "discrete ones are needed"),
        ("no_such_module:X-v0", "gymnasium cannot make"),
    ],
)
def test_what_cannot_be_played(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"option id: .*{message}"):
        environment(name)


def test_metrics_of_a_run() -> None:
    rows: list[dict[str, Any]] = [{"components": part} for part in ({"return": -13.0}, {"return": -15.0}, None)]
    assert environment().metrics(rows) == {"mean_return": -14.0}
    assert environment().metrics([]) == {}


def test_without_the_package_one_line_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'gymnasium' else find(name, *a)\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "gym_mcp.cli.main", "env", "test", "gymnasium"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and "pip install 'gym-mcp[gymnasium]'" in done.stderr

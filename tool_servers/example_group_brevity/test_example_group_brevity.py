"""Brevity among the right answers: ranks, ties, wrong ones, and a group of one."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.datasets import load_tasks
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.hub import load_environment
from gym_mcp.types import GroupRollout, Transcript, assistant_message
from tests.support import check_environment, run


def environment() -> type[Environment[Any]]:
    return load_environment("example_group_brevity")


async def score(*answers: str) -> list[float]:
    async with DirectClient(environment()) as client:
        task = next(iter(load_tasks(environment())))
        members = []
        for repeat, answer in enumerate(answers):
            transcript = Transcript([assistant_message(answer.replace("N", f"{task.data.answer:g}"))])
            episode = await client.open_episode(task, seed=repeat)
            members.append(GroupRollout(repeat, transcript, (await episode.verify(transcript)).reward))
        return [reward.score for reward in (await client.verify_group(task, members)).rewards]


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 12


@pytest.mark.parametrize(
    ("answers", "rewards"),
    [
        (["N"], [1.0]),
        (["no idea"], [0.0]),
        (["N", "it is N", "1"], [1.0, 0.5, 0.0]),
        (["that makes N", "it is N", "N", "N"], [2 / 3, 2 / 3, 1.0, 1.0]),
        (["one two N", "one N", "N"], [0.5, 0.75, 1.0]),
        (["N. So 1"], [0.0]),
    ],
)
def test_ranks(answers: list[str], rewards: list[float]) -> None:
    assert run(lambda: score(*answers)) == pytest.approx(rewards)

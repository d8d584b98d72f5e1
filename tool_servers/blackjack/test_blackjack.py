"""Blackjack: hands, the conversation, seeds, recorded results."""

from __future__ import annotations

import random
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import VerifierError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Task, Transcript, assistant_message
from tests.support import SHARED, check_environment, play, run, scored_again

DATA = SHARED / "data" / "nemo_gym" / "blackjack"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
load_environment("blackjack")
game: Any = next(m for name, m in sys.modules.items() if name.endswith("blackjack.game"))


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("blackjack", settings)


async def conversation(task: Task[Any], said: list[str], seed: int = 0) -> tuple[list[str | None], Reward]:
    async with DirectClient(environment()) as client:
        episode = await client.open_episode(task, seed=seed)
        heard = [await episode.agent.reply(message) for message in said]
        return heard, (await episode.verify(Transcript([assistant_message(m) for m in said]))).reward


@pytest.mark.parametrize(
    ("cards", "value"),
    [("A K", 21), ("A A", 12), ("A 5 9 10", 25), ("A 9 A", 21), ("Q K J", 30), ("2 3", 5), ("A A 10 9", 21)],
)
def test_values(cards: str, value: int) -> None:
    assert game.value(cards.split()) == value


@given(st.lists(st.sampled_from(["A", "2", "5", "10", "K"]), min_size=1, max_size=12))
def test_an_ace_never_busts_a_hand_that_could_stand(cards: list[str]) -> None:
    low = sum(1 if c == "A" else int(c) if c.isdigit() else 10 for c in cards)
    high = low + 10 * cards.count("A")
    assert game.value(cards) == max([v for v in range(low, high + 1, 10) if v <= 21], default=low)


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("<action>hit</action>", "hit"),
        ("I stand. <action> HIT </action>", "hit"),
        ("<action>hit</action> no, <action>stand</action>", "stand"),
        ("hit", "stand"),
        ("", "stand"),
        ("<action>double</action>", "stand"),
    ],
)
def test_actions(message: str, action: str) -> None:
    assert game.action_of(message) == action


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 16


def test_standing_loses_every_bundled_hand() -> None:
    for task in load_tasks(environment()):
        heard, reward = run(conversation, task, ["<action>stand</action>"])
        assert heard == [None] and reward.score == -1.0


def test_a_hand_step_by_step() -> None:
    task = next(iter(load_tasks(environment())))
    prompt = task.prompt[0]["content"]
    heard, _ = run(conversation, task, ["<action>hit</action>"])
    before = re.search(r"Your hand: (.*) \(value", prompt)
    after = re.search(r"Your hand: (.*) \(value", heard[0] or "")
    assert before and after and after[1].split()[:-1] == before[1].split()


def test_the_dealer_draws_below_17_only() -> None:
    for seed in range(300):
        hand = game.Hand(random.Random(seed))
        hand.deal()
        hand.act("stand")
        assert game.value(hand.dealer) >= 17
        assert len(hand.dealer) == 2 or game.value(hand.dealer[:-1]) < 17
        assert hand.result == game.settle(hand.player, hand.dealer)


def test_the_best_play_is_no_worse_than_any_other() -> None:
    for seed in range(100):
        best, actions = game.best_actions(seed)
        for hits in range(6):
            hand = game.Hand(random.Random(seed))
            hand.deal()
            for action in [*["hit"] * hits, "stand"]:
                if hand.result is None:
                    hand.act(action)
            assert hand.result <= best
        assert actions[-1] == "stand"


def test_an_unfinished_hand_is_lost() -> None:
    task = next(iter(load_tasks(environment())))
    _, reward = run(conversation, task, [])
    assert (reward.score, reward.notes) == (-1.0, "the hand was not played to its end")


@needs_data
def test_published_rows_show_the_hand_first_and_follow_the_episodes_seed() -> None:
    tasks = list(load_tasks(environment(), DATA / "example.jsonl"))
    assert len(tasks) == 5
    heard, _ = run(conversation, tasks[0], ["Deal.", "<action>stand</action>"], 3)
    assert heard[0] and heard[0].startswith("Your hand: ") and heard[1] is None
    assert run(conversation, tasks[0], ["Deal."], 3)[0] == heard[:1]
    assert run(conversation, tasks[0], ["Deal."], 4)[0] != heard[:1]


@needs_data
def test_the_oracle_plays_published_rows_as_well_as_their_cards_allow() -> None:
    async def scores() -> list[tuple[float, int]]:
        out = []
        async with DirectClient(environment()) as client:
            for task in load_tasks(environment(), DATA / "example.jsonl"):
                for seed in range(5):
                    verdict, _ = await play(client, task, seed=seed)
                    out.append((verdict.reward.score, game.best_actions(seed)[0]))
        return out

    found = run(scores)
    assert len(found) == 25
    assert [mine for mine, _ in found] == [float(best) for _, best in found]


@needs_data
def test_recorded_hands_get_their_recorded_result() -> None:
    results = []
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        info = recorded["info"]
        player = info["player"].strip("[]").split(", ")
        assert game.value(player) == info.get("player_value", info.get("value"))
        dealer = info.get("dealer", "[10, 7]").strip("[]").split(", ")
        assert "dealer" not in info or game.value(dealer) == info["dealer_value"]
        results.append((float(game.settle(player, dealer)), recorded["reward"]))
    assert len(results) == 5
    assert [mine for mine, _ in results] == [theirs for _, theirs in results]


@needs_data
def test_recorded_rollouts_are_scored_by_the_hands_that_their_rows_tell() -> None:
    scored = run(scored_again, environment(), DATA / "example_rollouts.jsonl", DATA / "example.jsonl")
    assert len(scored) == 5
    assert [line["reward"] for line in scored] == [line["recorded_reward"] for line in scored]


@pytest.mark.parametrize("info", [None, {}, {"player": 3}, {"player": "[8, Q, x]"}])
def test_another_servers_hand_without_its_end_is_no_score(info: Any) -> None:
    task = parse_task(environment(), {"id": "t", "prompt": "Your hand: [8, 5] = 13", "data": {}}, "row")

    async def verdict() -> Any:
        async with DirectClient(environment()) as client:
            episode = await client.open_episode(task, seed=0)
            return await episode.verify(Transcript([assistant_message("stand")], facts={"info": info}))

    with pytest.raises(VerifierError, match="not how it ended"):
        run(verdict)

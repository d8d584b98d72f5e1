"""Sokoban: boards and moves, levels and their solutions, the conversation, recorded episodes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from typing import Any

import pytest

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Task, Transcript, assistant_message, text_of
from tests.support import SHARED, check_environment, run, scored_again

DATA = SHARED / "data" / "nemo_gym" / "grl_sokoban"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
load_environment("grl_sokoban")
level, search, server = (
    next(m for name, m in sys.modules.items() if name.endswith(f"grl_sokoban.{part}"))
    for part in ("level", "search", "server")
)
BOARD = "#####\n#O__#\n#_X_#\n#_P_#\n#####"


def environment(**settings: Any) -> type[Environment[Any]]:
    return load_environment("grl_sokoban", settings)


def task_of(**data: Any) -> Task[Any]:
    return parse_task(environment(), {"id": "t", "prompt": data.get("board", "?"), "data": data}, "row")


async def conversation(task: Task[Any], said: list[str]) -> tuple[list[str | None], Reward]:
    async with DirectClient(environment()) as client:
        episode = await client.open_episode(task, seed=0)
        heard = [await episode.agent.reply(message) for message in said]
        return heard, (await episode.verify(Transcript([assistant_message(m) for m in said]))).reward


def boards(heard: list[str | None]) -> list[str | None]:
    return [None if text is None else text.split("\n\n")[0] for text in heard]


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 16


def test_bundled_levels_are_no_trifles() -> None:
    lengths = [len(search.solve(server.level_of(task.data))) for task in load_tasks(environment())]
    assert min(lengths) >= 5 and max(lengths) <= 20


@pytest.mark.parametrize("board", [BOARD, "####\n#S√#\n#_X#\n####", "###\n#PXO#"])
def test_a_board_is_drawn_as_it_was_read(board: str) -> None:
    read = level.read(board)
    assert [line.rstrip("#") for line in read.draw(read.start).split("\n")] == [
        line.rstrip("#") for line in board.split("\n")
    ]


@pytest.mark.parametrize(
    ("board", "message"),
    [
        ("#PX.#", "not '.'"),
        ("#_XO#", "one player"),
        ("#PPXO#", "one player"),
        ("#P_O#", "a box at least"),
        ("#PXXO#", "no more boxes than targets"),
    ],
)
def test_boards_that_are_no_puzzle(board: str, message: str) -> None:
    with pytest.raises(UsageError, match=rf"row: board: .*{message}"):
        task_of(board=board)


@pytest.mark.parametrize(
    ("board", "direction", "after"),
    [
        ("#P_#", "Right", "#_P#"),
        ("#P_#", "Left", "#P_#"),
        ("#PX_#", "Right", "#_PX#"),
        ("#PX#", "Right", "#PX#"),
        ("#PXX_#", "Right", "#PXX_#"),
        ("#PXO#", "Right", "#_P√#"),
        ("#P√_#", "Right", "#_SX#"),
        ("#SX_#", "Right", "#OPX#"),
    ],
)
def test_moves(board: str, direction: str, after: str) -> None:
    read = level.read(f"{board}\n#√#\n#{'O' * board.count('X')}#")
    assert read.draw(read.move(read.start, direction)).split("\n")[0].rstrip("#") == after.rstrip("#")


@pytest.mark.parametrize(
    ("message", "direction"),
    [
        ("<action>Up</action>", "Up"),
        ("<action>Up</action> no: <action> down </action>", "Down"),
        ("I go LEFT, not right", "Left"),
        ("<action>jump</action> up", None),
        ("update", None),
        ("", None),
    ],
)
def test_which_text_is_a_move(message: str, direction: str | None) -> None:
    assert server.move_of(message) == direction


def test_the_search_finds_a_shortest_solution() -> None:
    """Against breadth-first search by the rules alone."""
    for seed in range(40):
        made = search.generate(seed, 6, 6, 1 + seed % 2, 14)
        moves = search.solve(made)
        state = made.start
        for direction in moves:
            state = made.move(state, direction)
        assert made.solved(state)
        assert len(moves) == _breadth_first(made)


def _breadth_first(made: Any) -> int:
    layer, seen, depth = {made.start}, {made.start}, 0
    while not any(map(made.solved, layer)):
        layer = {made.move(s, d) for s in layer for d in level.DIRECTIONS} - seen
        seen |= layer
        depth += 1
    return depth


def test_a_board_without_a_solution() -> None:
    assert search.solve(level.read("#####\n#X__#\n#_PO#\n#####")) is None


@pytest.mark.parametrize("size", [(5, 5), (8, 8), (6, 4), (6, 7), (4, 6), (3, 5)])
def test_every_size_gives_levels_that_are_solvable_in_time(size: tuple[int, int]) -> None:
    for seed in random.Random(0).sample(range(100_000), 5):
        task = task_of(seed=seed, dim_room=list(size), num_boxes=1)
        made = server.level_of(task.data)
        assert (made.rows, made.columns) == size
        assert 1 <= len(search.solve(made)) <= 20


def test_a_size_without_room_is_refused() -> None:
    with pytest.raises(UsageError, match=r"row: .*no solvable level of 3 by 4 with 2 boxes"):
        task_of(dim_room=[3, 4], num_boxes=2)


def test_another_process_makes_the_same_levels() -> None:
    program = (
        "from gym_mcp.hub import load_environment\nfrom gym_mcp.datasets import load_tasks\n"
        "print([t.prompt for t in load_tasks(load_environment('grl_sokoban'))])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{[t.prompt for t in load_tasks(environment())]}\n"}


def test_a_conversation() -> None:
    said = ["<action>Right</action>", "hm", "Up", "<action>Left</action>"]
    heard, reward = run(conversation, task_of(board=BOARD), said)
    assert boards(heard) == [
        "#####\n#O__#\n#_X_#\n#__P#\n#####",
        "#####\n#O__#\n#_X_#\n#__P#\n#####",
        "#####\n#O__#\n#_XP#\n#___#\n#####",
        "#####\n#O__#\n#XP_#\n#___#\n#####",
    ]
    assert reward == Reward(0.0, {"return": -0.4, "moves": 4.0, "unread": 1.0}, "not solved in 4 moves")


def test_moves_run_out() -> None:
    heard, reward = run(conversation, task_of(board=BOARD, max_steps=2), ["Left", "Left"])
    assert heard[1] is None and reward.score == 0.0


def test_a_prompt_without_the_board_brings_it_first() -> None:
    task = parse_task(environment(), {"id": "t", "prompt": "Play.", "data": {"board": BOARD}}, "row")
    heard, reward = run(conversation, task, ["Up", "Up"])
    assert boards(heard)[0] == BOARD
    assert boards(heard)[1] == "#####\n#OX_#\n#_P_#\n#___#\n#####"
    assert reward.components["moves"] == 1.0


@needs_data
def test_published_rows_are_solved() -> None:
    cls = environment()
    assert run(check_environment, cls, list(load_tasks(cls, DATA / "example.jsonl"))) == 5


@needs_data
def test_recorded_episodes_are_played_again_as_they_were() -> None:
    returns = []
    for recorded in read_rows(DATA / "example_rollouts.jsonl"):
        first = _board(recorded["responses_create_params"]["input"][-1])
        output = recorded["response"]["output"]
        said = [text_of(item) for item in output if item["role"] == "assistant"]
        heard, reward = run(conversation, task_of(board=first), said)
        shown = [_board(item) for item in output if item["role"] == "user"]
        assert [board for board in boards(heard) if board] == shown[: len(said) - 1]  # none after the last move
        assert reward.score == float(recorded["info"]["success"])
        returns.append((reward.components["return"], recorded["reward"]))
    assert len(returns) == 5
    assert [mine for mine, _ in returns] == pytest.approx([theirs for _, theirs in returns], abs=1e-6)


@needs_data
def test_a_recorded_transcript_alone_is_enough() -> None:
    recorded = next(iter(read_rows(DATA / "example_rollouts.jsonl")))
    task = task_of(board=_board(recorded["responses_create_params"]["input"][-1]))

    async def reward() -> Reward:
        async with DirectClient(environment()) as client:
            episode = await client.open_episode(task, seed=0)
            return (await episode.verify(Transcript(recorded["response"]["output"]))).reward

    assert run(reward) == Reward(1.0, {"return": 10.0, "moves": 10.0, "unread": 0.0}, "solved in 10 moves")


@needs_data
def test_recorded_rollouts_are_scored_on_the_boards_that_they_show() -> None:
    scored = run(scored_again, environment(), DATA / "example_rollouts.jsonl", DATA / "example.jsonl")
    returns = [line["components"]["return"] for line in scored]
    assert returns == pytest.approx([line["recorded_reward"] for line in scored], abs=1e-6)
    assert [line["reward"] for line in scored] == [1.0, 0.0, 0.0, 0.0, 0.0]


def _board(item: dict[str, Any]) -> str:
    return text_of(item).split("board:\n", 1)[1].split("\n\n")[0]

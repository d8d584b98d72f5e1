"""Playing back a recorded run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from gym_mcp.client import EpisodeClient
from gym_mcp.errors import ModelError, UsageError
from gym_mcp.models.base import Model, Request, RolloutContext
from gym_mcp.models.replay import Replay, split_turns
from gym_mcp.models.spec import make_model
from gym_mcp.types import Item, Task, user_message
from tests.endpoint import call, message

REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "1"}
SPOKEN = [REASONING, message("I add."), call("add", {"amount": 1})]
OUTPUT = [*SPOKEN, RESULT, message("1"), user_message("Sure?"), message("Yes.")]


def write(folder: Path, *rows: Any, tail: bytes = b"") -> Path:
    (folder / "rollouts.jsonl").write_bytes(b"".join(orjson.dumps(r) + b"\n" for r in rows) + tail)
    return folder


def row(task_id: str, repeat: int, output: list[Item] | None, **fields: Any) -> dict[str, Any]:
    response = None if output is None else {"output": output}
    return {"schema": 1, "task_id": task_id, "repeat": repeat, "response": response, **fields}


def rollout(model: Model, task_id: str = "a", repeat: int = 0) -> Model:
    episode = cast(EpisodeClient, None)  # a replay never looks at it
    return model.for_rollout(RolloutContext(Task(task_id), repeat, 1, episode))


def play(model: Model, turns: int) -> list[list[Item]]:
    async def main() -> list[list[Item]]:
        return [(await model.respond(Request(()))).output for _ in range(turns)]

    return asyncio.run(main())


def test_turns_come_back_as_they_were(tmp_path: Path) -> None:
    model = make_model(f"replay/{write(tmp_path, row('a', 0, OUTPUT))}")
    assert play(rollout(model), 3) == [SPOKEN, [message("1")], [message("Yes.")]]
    assert model.price == (0.0, 0.0)


def test_each_rollout_gets_its_own(tmp_path: Path) -> None:
    rows = [row(task, repeat, [message(f"{task}{repeat}")]) for repeat in range(3) for task in ("a", "b", "ü")]
    model = Replay(write(tmp_path, *rows))
    for task in ("ü", "b", "a"):
        for repeat in (2, 0, 1):
            assert play(rollout(model, task, repeat), 1) == [[message(f"{task}{repeat}")]]
    first, second = rollout(model), rollout(model)
    assert play(first, 1) == play(second, 1)


def test_the_last_row_of_a_rollout_counts_and_a_torn_tail_does_not(tmp_path: Path) -> None:
    torn = orjson.dumps(row("a", 1, [message("torn")]))[:-5]
    folder = write(tmp_path, row("a", 0, [message("old")]), row("a", 0, [message("new")]), tail=torn)
    model = Replay(folder)
    assert play(rollout(model), 1) == [[message("new")]]
    assert isinstance(failure(rollout(model, "a", 1), 1), ModelError)


def failure(model: Model, turns: int) -> ModelError:
    with pytest.raises(ModelError) as caught:
        play(model, turns)
    return caught.value


def test_what_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    model = Replay(write(tmp_path, row("a", 0, OUTPUT), row("b", 0, None, outcome="failed")))
    for missing in (rollout(model, "c"), rollout(model, "a", 1), rollout(model, "b")):
        error = failure(missing, 1)
        assert "no such rollout" in str(error)
        assert not error.retryable
    assert "ends after 3 turns" in str(failure(rollout(model), 4))
    assert "inside a rollout" in str(failure(model, 1))


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="RUN_DIR"):
        make_model(f"replay/{tmp_path}")
    (tmp_path / "rollouts.jsonl").write_text('{"task_id": "a"}\n')
    with pytest.raises(UsageError, match=r"rollouts\.jsonl:1: not a rollout row"):
        Replay(tmp_path)


def test_identity_is_the_content_not_the_place(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "xyz"]
    for folder, text in zip(folders, ("same", "same", "other"), strict=True):
        folder.mkdir()
        write(folder, row("a", 0, [message(text)]))
    x, y, z = (Replay(folder).identity() for folder in folders)
    assert x == y != z


def test_memory_does_not_hold_the_rollouts(tmp_path: Path) -> None:
    rows = [row(str(i), 0, [message("x" * 10_000)]) for i in range(200)]
    model = Replay(write(tmp_path, *rows))
    assert len(repr(vars(model))) < 20_000
    assert play(rollout(model, "150"), 1) == [[message("x" * 10_000)]]


def test_split_turns_of_nothing() -> None:
    assert split_turns([]) == []
    assert split_turns([RESULT, user_message("hi")]) == []
    assert split_turns([{"role": "assistant", "content": "x"}]) == [[{"role": "assistant", "content": "x"}]]

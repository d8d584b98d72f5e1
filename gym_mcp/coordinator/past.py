"""What a run directory already holds: counted, put aside for another try, or verified again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import journal
from gym_mcp.coordinator.reverify import reverify
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.errors import RolloutError
from gym_mcp.metrics.tally import Tally
from gym_mcp.types import JSONObject, Task


def load_done(directory: RunDirectory, tally: Tally) -> bytearray:
    """Which rollouts are terminal, one byte each, task-major; counted into `tally`. A double row is dropped."""
    done = bytearray(tally.expected)
    doubled = False
    for row in journal.read_rows(directory.rollouts_path):
        slot = _slot(row, tally)
        if slot is None:
            raise journal.DamagedJournal(
                f"{directory.rollouts_path}: task {row['task_id']}, repeat {row['repeat']} is not of this run: "
                "something else changed the file; remove that line"
            )
        if done[slot]:
            doubled = True
            continue
        done[slot] = 1
        tally.add(row)
    if doubled:
        journal.rewrite(directory.rollouts_path, _first_of_each(directory))
    return done


def _slot(row: JSONObject, tally: Tally) -> int | None:
    """The place of a rollout among the expected ones, task-major; None when it is not one of them."""
    index, repeat = row["task_index"], row["repeat"]
    if not (isinstance(index, int) and isinstance(repeat, int)):
        return None
    return index * tally.repeats + repeat if 0 <= index < tally.tasks and 0 <= repeat < tally.repeats else None


def _first_of_each(directory: RunDirectory) -> Iterator[JSONObject]:
    seen: set[tuple[int, int]] = set()
    for row in journal.read_rows(directory.rollouts_path):
        key = (row["task_index"], row["repeat"])
        if key not in seen:
            seen.add(key)
            yield row


def set_failed_aside(directory: RunDirectory) -> None:
    """Move failed rows to `rollouts.superseded.jsonl`, so that they run again and stay on record."""
    failed = journal.Journal(directory.path / "rollouts.superseded.jsonl")

    def kept() -> Iterator[JSONObject]:
        for row in journal.read_rows(directory.rollouts_path):
            if row["outcome"] == "failed":
                failed.append(row)
            else:
                yield row

    journal.rewrite(directory.rollouts_path, kept())
    failed.close()


async def verify_again(
    directory: RunDirectory, client: EnvironmentClient, parse: Callable[[JSONObject], Task[Any]]
) -> int:
    """Replay and score under the verifier as it is now what was scored, or failed because of the verifier.

    How many rewards changed.
    The rows as they were stay in `rollouts.before-reverify.jsonl`. A replay that does not bring back what was
    recorded scores nothing: the rollout fails with the divergence as its message.
    """
    if not directory.rollouts_path.exists():
        return 0
    before = directory.path / "rollouts.before-reverify.jsonl"
    journal.rewrite(before, journal.read_rows(directory.rollouts_path))
    scratch = directory.path / "rollouts.reverified.jsonl"
    scratch.unlink(missing_ok=True)
    out = journal.Journal(scratch)
    tasks = _by_index(directory)
    changed = 0
    for row in journal.read_rows(before):
        if row["outcome"] == "scored" or row["failure"]["kind"] == "verifier":
            old = row["reward"]
            await _score_again(client, parse(tasks(row["task_index"])), row)
            changed += row["reward"] != old
        out.append(row)
    await out.aclose()
    scratch.replace(directory.rollouts_path)
    return changed


def _by_index(directory: RunDirectory) -> Callable[[int], JSONObject]:
    """Task rows by index: only their offsets stay in memory."""
    offsets: list[int] = []
    with directory.tasks_path.open("rb") as file:
        position = 0
        for line in file:
            offsets.append(position)
            position += len(line)

    def get(index: int) -> JSONObject:
        with directory.tasks_path.open("rb") as file:
            file.seek(offsets[index])
            row: JSONObject = orjson.loads(file.readline())
            return row

    return get


async def _score_again(client: EnvironmentClient, task: Task[Any], row: JSONObject) -> None:
    try:
        again = await reverify(client, task, row)
    except RolloutError as e:
        row.update(outcome="failed", reward=None, failure={"kind": e.kind, "message": f"re-verify: {e}"})
        return
    if again.divergences:
        message = f"re-verify: the replay diverged: {again.divergences[0]}"
        row.update(outcome="failed", reward=None, failure={"kind": "environment", "message": message})
        return
    reward = again.reward
    row.update(outcome="scored", failure=None)
    row.update(reward=reward.score, components=reward.components, notes=reward.notes)
    row.pop("answer", None)
    if reward.answer is not None:
        row["answer"] = reward.answer

"""What a run directory already holds: counted, put aside for another try, or verified again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import journal
from gym_mcp.coordinator.groups import ALONE, as_alone
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.metrics.tally import Tally
from gym_mcp.reverify.plan import Decision
from gym_mcp.reverify.rescore import Rescoring, by_index, score_again
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


def set_failed_aside(directory: RunDirectory, *, groups: bool = False) -> None:
    """Move failed rows to `rollouts.superseded.jsonl`, so that they run again and stay on record.

    With `groups`, what else there is of their tasks waits for its group to be scored again; of a rollout that
    failed because its group could not be scored, only that is done again.
    """
    path = directory.rollouts_path
    tasks = {row["task_index"] for row in journal.read_rows(path) if row["outcome"] == "failed"}
    failed = journal.Journal(directory.path / "rollouts.superseded.jsonl")
    waiting = journal.Journal(directory.waiting_path) if groups else None

    def kept() -> Iterator[JSONObject]:
        for row in journal.read_rows(path):
            if row["outcome"] == "failed":
                failed.append(row)
            if waiting is not None and row["task_index"] in tasks:
                if as_alone(row)["outcome"] == "scored":
                    waiting.append(row)
            elif row["outcome"] != "failed":
                yield row

    journal.rewrite(path, kept())
    failed.close()
    if waiting is not None:
        waiting.close()


async def verify_again(
    directory: RunDirectory,
    client: EnvironmentClient,
    parse: Callable[[JSONObject], Task[Any]],
    manifest: JSONObject,
    now: JSONObject,
    *,
    groups: bool = False,
) -> None:
    """Bring the scores of a run up to a verifier that changed; `now` is the identity that they then have.

    A crash loses nothing: the next resume goes on with what was scored again already.
    """
    decision = Decision(verifier_changed=True)
    size = (manifest["tasks"], manifest["repeats"])
    rescoring = Rescoring(directory, directory, client, parse, decision.wants, now, size, groups=groups)
    if directory.rollouts_path.exists():
        await rescoring.run()
        rescoring.finish()
    if directory.waiting_path.exists():
        await _waiting_again(directory, client, parse)
    directory.write_manifest({**manifest, "identity": now})
    rescoring.forget()


async def _waiting_again(
    directory: RunDirectory, client: EnvironmentClient, parse: Callable[[JSONObject], Task[Any]]
) -> None:
    """Score again, alone, what waits for the rest of its group."""
    journal.repair(directory.waiting_path)
    tasks = by_index(directory.tasks_path)
    rows = [as_alone(row) for row in journal.read_rows(directory.waiting_path)]
    for row in rows:
        if row["outcome"] == "scored" or row["failure"]["kind"] == "verifier":
            del row[ALONE]
            await score_again(client, parse(tasks(row["task_index"])), row)
            as_alone(row)
    journal.rewrite(directory.waiting_path, iter(rows))

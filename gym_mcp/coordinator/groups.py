"""Tasks whose rollouts are scored together: each rollout waits in a journal of its own until its group has ended.

`rollouts.jsonl` holds terminal rows only: a rollout of a group gets there with the score that its group gave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import journal
from gym_mcp.errors import RolloutError, internal
from gym_mcp.types import GroupRollout, JSONObject, Reward, Task, Transcript

ALONE: Final = "before_group"
"""Field of a row: what `verify` said of the rollout before its group was scored."""


class Groups:
    """The groups of one run that are not scored yet. Rows in memory are those of unfinished groups alone."""

    def __init__(
        self,
        path: Path,
        client: EnvironmentClient,
        repeats: int,
        opened: Callable[[Path], journal.Journal] = journal.Journal,
    ) -> None:
        self.path = path
        self._client = client
        self._repeats = repeats
        self._waiting: dict[int, list[JSONObject]] = {}
        self._terminal: set[tuple[int, int]] = set()
        """Of a waiting group what is in `rollouts.jsonl` all the same: a power cut may tear its rows apart."""
        self._open = opened
        self._journal = opened(path)

    def load(self, done: bytearray) -> None:
        """Take up what waited when the run stopped, and mark it in `done`; what is all in it waits no more."""
        journal.repair(self.path)
        for row in journal.read_rows(self.path):
            members = self._waiting.setdefault(row["task_index"], [])
            if all(member["repeat"] != row["repeat"] for member in members):
                members.append(row)
        for index, members in list(self._waiting.items()):
            slots = [(row["repeat"], index * self._repeats + row["repeat"]) for row in members]
            if all(done[slot] for _, slot in slots):
                del self._waiting[index]
            self._terminal |= {(index, repeat) for repeat, slot in slots if done[slot]}
            for _, slot in slots:
                done[slot] = 1
        self._journal.close()
        journal.rewrite(self.path, (row for members in self._waiting.values() for row in members))
        self._journal = self._open(self.path)

    def take(self, index: int, rows: list[JSONObject], terminal: Iterable[int]) -> bool:
        """Take up a group that another process or run left; whether it is complete."""
        if rows:
            self._waiting[index] = rows
        self._terminal |= {(index, repeat) for repeat in terminal}
        return len(rows) == self._repeats

    def give(self, index: int) -> tuple[list[JSONObject], list[int]]:
        """Let go of a group: its members that have ended, and the repeats of them that are terminal."""
        rows = self._waiting.pop(index, [])
        return rows, [repeat for i, repeat in self._terminal if i == index]

    def repeats_waiting(self) -> dict[int, set[int]]:
        """The members that wait, by task."""
        return {index: {row["repeat"] for row in rows} for index, rows in self._waiting.items()}

    def hand_over(self) -> None:
        """Close the journal, and leave it for others to write."""
        self._journal.close()

    def complete(self) -> list[int]:
        """Indexes of the tasks whose rollouts have all ended."""
        return [i for i, members in self._waiting.items() if len(members) == self._repeats]

    def add(self, row: JSONObject) -> bool:
        """Journal a rollout that has ended; whether its group is complete now. Raises `JournalError`."""
        self._journal.append(as_alone(row))
        members = self._waiting.setdefault(row["task_index"], [])
        members.append(row)
        return len(members) == self._repeats

    async def score(self, task: Task[Any], index: int) -> list[JSONObject]:
        """The terminal rows of a complete group. A failure to score it is one of each rollout that had a score."""
        rows = self._waiting[index]
        await score_group(self._client, task, rows)
        del self._waiting[index]
        return [row for row in rows if (index, row["repeat"]) not in self._terminal]

    def close(self) -> None:
        """Close the journal; nothing is left of it when no group waits."""
        self._journal.close()
        if not self._waiting:
            self.path.unlink(missing_ok=True)


def as_alone(row: JSONObject) -> JSONObject:
    """`row` as it was before its group was scored, to wait for that (again)."""
    alone = row.pop(ALONE, None)
    if alone is not None and alone["reward"] is not None:
        row.update(outcome="scored", failure=None, **alone)
    row[ALONE] = {name: row[name] for name in ("reward", "components", "notes")}
    return row


async def score_group(client: EnvironmentClient, task: Task[Any], rows: Sequence[JSONObject]) -> None:
    """Give rows that wait the outcome that their group has."""
    scored = sorted((row for row in rows if row["outcome"] == "scored"), key=lambda row: int(row["repeat"]))
    try:
        verdict = await client.verify_group(task, [_member(row) for row in scored])
    except Exception as e:
        # A bug of ours must not take the other rollouts with it.
        error = e if isinstance(e, RolloutError) else internal(e)
        failure = {"kind": error.kind, "message": str(error), **({"detail": error.detail} if error.detail else {})}
        for row in scored:
            row.update(outcome="failed", failure=failure, reward=None, components={}, notes="")
        return
    for row, reward in zip(scored, verdict.rewards, strict=True):
        row.update(reward=reward.score, components=reward.components, notes=reward.notes)
        if reward.answer is not None:  # else what the rollout's own verification read stands
            row["answer"] = reward.answer
    if verdict.judge_usage:
        _add_usage(scored[0], verdict.judge_usage)


def _member(row: JSONObject) -> GroupRollout:
    alone, response = row[ALONE], row["response"]
    return GroupRollout(
        row["repeat"],
        Transcript(response["output"], response["stop"]),
        Reward(alone["reward"], alone["components"], alone["notes"], row.get("answer")),
        row["ledger"],
    )


def _add_usage(row: JSONObject, usage: JSONObject) -> None:
    """The judge is asked once for all of a group: its tokens stand in the first row, so that sums are right."""
    before = row.get("judge_usage") or {}
    row["judge_usage"] = {
        key: None if value is None or before.get(key, 0) is None else before.get(key, 0) + value
        for key, value in usage.items()
    }

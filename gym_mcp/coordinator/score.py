"""Scores recorded replies without a model: the calls of each are made in a fresh episode, then `verify`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator.reverify import Replay
from gym_mcp.datasets import Rows, parse_task
from gym_mcp.environment import Environment
from gym_mcp.errors import RolloutError, UsageError
from gym_mcp.judge import RecordedJudge
from gym_mcp.seeds import episode_seed
from gym_mcp.types import GroupRollout, Item, JSONObject, Reward, Task, Transcript, assistant_message, text_of


@dataclass(slots=True)
class TaskIndex:
    """Finds the task of a recorded rollout: by its id, by the prompt's text, else by NeMo Gym's task index."""

    by_id: dict[str, Task[Any]] = field(default_factory=dict)
    by_prompt: dict[bytes, list[Task[Any]]] = field(default_factory=dict)
    in_order: list[Task[Any]] = field(default_factory=list)

    @classmethod
    def of(cls, tasks: Iterable[Task[Any]], *, positions: bool = True) -> TaskIndex:
        """`positions`: whether NeMo Gym's task index counts these tasks: those of its own input file."""
        index = cls()
        for task in tasks:
            index.by_id[task.id] = task
            index.by_prompt.setdefault(prompt_key(task.prompt), []).append(task)
            if positions:
                index.in_order.append(task)
        return index

    def find(self, row: JSONObject) -> Task[Any] | None:
        for name in ("task_id", "task", "id", "uuid"):
            task = self.by_id.get(str(row.get(name)))
            if task is not None:
                return task
        placed = self._placed(row.get("_ng_task_index"))
        params = row.get("responses_create_params")
        asked = self.by_prompt.get(prompt_key(params.get("input")), []) if isinstance(params, dict) else []
        if not asked:
            return placed
        if placed is not None and any(task is placed for task in asked):
            return placed
        return max(asked, key=lambda task: _agreement(task, row))

    def _placed(self, position: Any) -> Task[Any] | None:
        if isinstance(position, int) and 0 <= position < len(self.in_order):
            return self.in_order[position]
        return None


def _agreement(task: Task[Any], row: JSONObject) -> int:
    """How many of a task's fields a rollout row repeats: several tasks may have one prompt."""
    fields = task.raw or {}
    return sum(1 for name, value in fields.items() if name in row and row[name] == value)


def prompt_key(prompt: Any) -> bytes:
    """The roles and texts of a prompt: what two ways to write the same prompt have in common."""
    if isinstance(prompt, str):
        return orjson.dumps([["user", prompt]])
    items = prompt if isinstance(prompt, list | tuple) else []
    return orjson.dumps([[i.get("role", ""), text_of(i)] for i in items if isinstance(i, Mapping)])


def recorded(
    cls: type[Environment[Any]], rollouts: Path, index: TaskIndex | None
) -> Iterator[tuple[JSONObject, Task[Any], Transcript]]:
    """(row, task, transcript) of a file of rollout rows (ours or NeMo Gym's), or of rows with a `reply`.

    A row whose task is not in the index must hold it itself, as NeMo Gym's rollout rows mostly do.
    """
    for where, row in Rows(rollouts):
        task = (index.find(row) if index is not None else None) or _own_task(cls, row, where)
        if isinstance(cls.judge, RecordedJudge):
            cls.judge.rehear(task.id, row)
        yield row, _as_asked(task, row), _transcript(row, where)


def _as_asked(task: Task[Any], row: JSONObject) -> Task[Any]:
    """The task with the prompt that the recorded agent read, which an environment may have added to."""
    params = row.get("responses_create_params")
    said = params.get("input") if isinstance(params, dict) else None
    if not isinstance(said, list) or not said or not all(isinstance(item, dict) for item in said):
        return task
    return replace(task, prompt=said)


def _own_task(cls: type[Environment[Any]], row: JSONObject, where: str) -> Task[Any]:
    """The task that a rollout row holds itself."""
    missing = f"{where}: its task is not among those given (by id, index or prompt)"
    if "responses_create_params" not in row:
        raise UsageError(f"{missing}, and the row does not hold it; give it with --input FILE.jsonl")
    try:
        return parse_task(cls, {k: v for k, v in row.items() if k not in ("response", "reward")}, where)
    except UsageError as e:
        raise UsageError(f"{missing}, nor does the row hold it: {str(e).removeprefix(f'{where}: ')}") from None


def _transcript(row: JSONObject, where: str) -> Transcript:
    response = row.get("response", row.get("reply"))
    if isinstance(response, str):
        return Transcript([assistant_message(response)])
    output = response.get("output") if isinstance(response, dict) else response
    if not isinstance(output, list) or not all(isinstance(i, dict) for i in output):
        raise UsageError(f"{where}: no `reply` text and no `response.output` items")
    items: list[Item] = output
    stop = str(response.get("stop", "completed")) if isinstance(response, dict) else "completed"
    info = row.get("info")
    return Transcript(items, stop, facts={"info": info} if isinstance(info, dict) else {})


Recorded = tuple[JSONObject, Task[Any], Transcript]


async def score_all(client: EnvironmentClient, rows: Iterable[Recorded]) -> AsyncIterator[JSONObject]:
    """One line for each row: `task`, `reward`, `components`, `notes`; `failure` where there is no score.

    Where the environment scores groups, all rows of a task are one, and no line comes before the last row is read.
    """
    if not (await client.describe()).groups:
        async for line, _ in _each_alone(client, rows):
            yield line
        return
    lines: list[JSONObject] = []
    groups: dict[str, list[tuple[JSONObject, Recorded]]] = {}
    async for line, row in _each_alone(client, rows):
        lines.append(line)
        if "failure" not in line:
            groups.setdefault(row[1].id, []).append((line, row))
    for members in groups.values():
        await _score_group(client, members)
    for line in lines:
        yield line


async def _score_group(client: EnvironmentClient, members: list[tuple[JSONObject, Recorded]]) -> None:
    rollouts = [
        GroupRollout(
            i, transcript, Reward(line["reward"], line["components"], line["notes"]), row.get("ledger") or []
        )
        for i, (line, (row, _, transcript)) in enumerate(members)
    ]
    try:
        verdict = await client.verify_group(members[0][1][1], rollouts)
    except RolloutError as e:
        for line, _ in members:
            line.update(reward=None, components={}, notes="", failure={"kind": e.kind, "message": str(e)})
        return
    for (line, _), reward in zip(members, verdict.rewards, strict=True):
        line.update(reward=reward.score, components=reward.components, notes=reward.notes)


async def _each_alone(
    client: EnvironmentClient, rows: Iterable[Recorded]
) -> AsyncIterator[tuple[JSONObject, Recorded]]:
    for row, task, transcript in rows:
        line: JSONObject = {"task": task.id, "reward": None, "components": {}, "notes": ""}
        if isinstance(row.get("reward"), int | float):
            line["recorded_reward"] = row["reward"]
        try:
            seed = row.get("seed")
            await _score(client, task, transcript, seed if isinstance(seed, int) else None, line)
        except RolloutError as e:
            line["failure"] = {"kind": e.kind, "message": str(e)}
        yield line, (row, task, transcript)


async def _score(
    client: EnvironmentClient, task: Task[Any], transcript: Transcript, seed: int | None, line: JSONObject
) -> None:
    episode = await client.open_episode(task, seed=episode_seed(0, task.id, 0) if seed is None else seed)
    try:
        await Replay(episode.agent, None).play(transcript.items)
        reward = (await episode.verify(transcript)).reward
        line.update(reward=reward.score, components=reward.components, notes=reward.notes)
    finally:
        await episode.close()

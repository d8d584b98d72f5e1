"""`replay/RUN_DIR`: plays back what a model said in a recorded run, turn by turn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from gym_mcp.errors import ModelError, UsageError
from gym_mcp.models.base import Model, Request, Response, RolloutContext, Usage
from gym_mcp.types import Item, JSONObject

ROLLOUTS: Final = "rollouts.jsonl"


class Replay(Model):
    """The recorded answers of a run, by (task id, repeat). Only the places of rollouts are held in memory."""

    price = (0.0, 0.0)

    def __init__(self, directory: Path) -> None:
        self.spec = f"replay/{directory}"
        self._path = directory / ROLLOUTS
        self._places: dict[tuple[str, int], tuple[int, int]] = {}
        self._digest = self._index()

    def _index(self) -> str:
        """Find all rollouts; the digest of the whole file."""
        digest = hashlib.sha256()
        try:
            file = self._path.open("rb")
        except OSError as e:
            raise UsageError(f"{self._path}: {e.strerror}; replay/RUN_DIR names the folder of a run") from None
        offset = 0
        with file:
            for number, line in enumerate(file, 1):
                if line.strip() and line.endswith(b"\n"):  # else the torn tail of a run that was killed
                    self._places[self._key(line, number)] = (offset, len(line))
                    digest.update(line)
                offset += len(line)
        return digest.hexdigest()[:16]

    def _key(self, line: bytes, number: int) -> tuple[str, int]:
        try:
            row = orjson.loads(line)
            return str(row["task_id"]), int(row["repeat"])
        except (ValueError, TypeError, KeyError):
            raise UsageError(f"{self._path}:{number}: not a rollout row") from None

    def for_rollout(self, context: RolloutContext) -> Model:
        return _Played(self.spec, self.turns(context.task.id, context.repeat))

    def turns(self, task_id: str, repeat: int) -> list[list[Item]]:
        """The recorded turns of a rollout; an empty list when it was not recorded."""
        place = self._places.get((task_id, repeat))
        if place is None:
            return []
        with self._path.open("rb") as file:
            file.seek(place[0])
            row = orjson.loads(file.read(place[1]))
        response = row.get("response")
        return split_turns(response.get("output") or []) if isinstance(response, dict) else []

    async def respond(self, request: Request) -> Response:
        raise ModelError(f"{self.spec} plays back rollouts: it works inside a rollout only")

    def identity(self) -> JSONObject:
        return {"spec": "replay", "rollouts": self._digest}


def split_turns(items: Sequence[Item]) -> list[list[Item]]:
    """The model's turns: runs of its output items between tool results and user messages."""
    turns: list[list[Item]] = []
    inside = False
    for item in items:
        if is_input(item):
            inside = False
            continue
        if not inside:
            turns.append([])
            inside = True
        turns[-1].append(item)
    return turns


def is_input(item: Item) -> bool:
    """Whether a recorded item came from the outside: a tool's result, or a message of someone else."""
    kind = item.get("type", "message")
    return kind == "function_call_output" or (kind == "message" and item.get("role") != "assistant")


class _Played(Model):
    """One rollout's place in its recording."""

    price = (0.0, 0.0)

    def __init__(self, spec: str, turns: list[list[Item]]) -> None:
        self.spec = spec
        self._turns = turns
        self._next = 0

    async def respond(self, request: Request) -> Response:
        if not self._turns:
            raise ModelError(f"{self.spec}: no such rollout was recorded, or it failed before an answer")
        if self._next == len(self._turns):
            raise ModelError(f"{self.spec}: the recorded rollout ends after {self._next} turns")
        output = self._turns[self._next]
        self._next += 1
        return Response(output, Usage(calls=1), id=f"resp_{self._next:04}", model=self.spec)

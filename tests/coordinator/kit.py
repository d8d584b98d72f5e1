"""Parts for tests of the coordinator: an environment that can be told to go wrong, rows for it, rollouts of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from gym_mcp import hub
from gym_mcp.coordinator.config import RunConfig, make_config
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject, Task

POISONED = Path(__file__).resolve().parents[1] / "environments" / "poisoned.py"


def poisoned() -> type[Environment[Any]]:
    """The environment of `tests/environments/poisoned.py`."""
    return hub.load_environment(str(POISONED))


def rows(count: int, **special: JSONObject) -> list[JSONObject]:
    """`count` task rows `t0`, `t1`, ... `special` gives some of them other data."""
    return [{"id": f"t{i}", "prompt": f"Count to {i}.", "data": special.get(f"t{i}", {})} for i in range(count)]


def write_rows(path: Path, task_rows: Iterable[JSONObject]) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in task_rows))
    return path


def read_lines(path: Path) -> list[JSONObject]:
    """All rows of a journal, which must be whole."""
    data = path.read_bytes()
    assert not data or data.endswith(b"\n"), "the last line is torn"
    return [orjson.loads(line) for line in data.splitlines()]


def config(environment: str | Path = POISONED, model: str = "builtin/oracle", **settings: Any) -> RunConfig:
    return make_config({"environment": str(environment), "model": model, **settings})


def make_harness(folder: Path, body: str, name: str = "crooked") -> Path:
    """A harness file whose `run(session, model, limits)` has `body`."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    path = folder / f"{name}.py"
    path.write_text(
        "import asyncio\nimport sys\n\n"
        "from gym_mcp.errors import ModelError, LimitReached\n"
        "from gym_mcp.models.base import Request\n"
        "from gym_mcp.types import Transcript\n\n"
        f"async def run(session, model, limits):\n{lines}\n"
    )
    return path


async def one(
    data: JSONObject | None = None,
    *,
    model: Model | str = "builtin/oracle",
    harness: Path | str = "simple",
    limits: Limits | None = None,
    attempts: int = 1,
    waits: list[float] | None = None,
    cls: type[Environment[Any]] | None = None,
) -> JSONObject:
    """The terminal row of one rollout of the poisoned environment."""
    name, loaded, _ = hub.load_harness(str(harness))
    played = make_model(model) if isinstance(model, str) else model
    client = DirectClient(cls or poisoned())
    async with client:
        arm = Arm("run", 0, "poisoned", client, played, name, loaded, limits or Limits(seconds=20), attempts)
        task: Task[Any] = Task("t", [{"role": "user", "content": "Go."}], data or {})
        found = [] if waits is None else waits
        try:
            row = await run_rollout(arm, task, 0, 0, lambda task, repeat, error, wait: found.append(wait))
        finally:
            await played.aclose()
        assert len(client.store) == 0, "an episode was left open"
    orjson.dumps(row)
    return row


def pairs(found: Sequence[JSONObject]) -> list[tuple[int, int]]:
    """(task index, repeat) of each row."""
    return [(row["task_index"], row["repeat"]) for row in found]

"""Plays tasks in another process with another hash seed, to compare fingerprints: `python -m` this module."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gym_mcp import hub
from gym_mcp.datasets import as_row, parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import EnvironmentFailure, GymError, UsageError
from gym_mcp.report_card.exam import play_task
from gym_mcp.seeds import episode_seed
from gym_mcp.types import JSONObject, Task

TIMEOUT: Final = 60.0


class Unreachable(Exception):
    """The class cannot be loaded in another process, and why."""


async def fingerprints_elsewhere(
    cls: type[Environment[Any]], tasks: Sequence[Task[Any]], seed: int
) -> Mapping[str, str]:
    """Fingerprint by task id of the plays of `tasks` in a fresh process; `Unreachable` when it cannot be asked.

    Raises `EnvironmentFailure` when that process fails where this one did not.
    """
    job = {
        "file": str(_file_of(cls)),
        "settings": {} if cls.options is None else cls.options.model_dump(mode="json", exclude_unset=True),
        "rows": [as_row(task) for task in tasks],
        "seed": seed,
    }
    env = os.environ | {"PYTHONHASHSEED": "7", "GYM_MCP_HUB": os.pathsep.join(map(str, hub.roots()))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=-1, stdout=-1, stderr=-1, env=env
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            out, err = await process.communicate(json.dumps(job, default=str).encode())
    except TimeoutError:
        raise EnvironmentFailure(f"in another process there was no answer in {TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = err.decode(errors="replace").strip().splitlines()
        reason = last[-1] if last else f"exit code {process.returncode}"
        raise EnvironmentFailure(f"in another process it fails: {reason}")
    answers: dict[str, str] = json.loads(out.splitlines()[-1])
    return answers


def _file_of(cls: type[Environment[Any]]) -> Path:
    """The file that `load_environment` would load `cls` from."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    if file is None or "<locals>" in cls.__qualname__:
        raise Unreachable("the class is not at the top of a file")
    try:
        found = hub.load_environment(file)
    except UsageError:
        raise Unreachable("its file cannot be loaded by itself") from None
    if found not in cls.__mro__:
        raise Unreachable("its file loads as another class")
    return Path(file)


async def _play(job: JSONObject) -> dict[str, str]:
    cls = hub.load_environment(job["file"], job["settings"])
    found: dict[str, str] = {}
    client = DirectClient(cls)
    async with client:
        for i, row in enumerate(job["rows"]):
            task = parse_task(cls, row, f"row {i}")
            try:
                trace = await play_task(client, cls, task, episode_seed(job["seed"], task.id, 0))
                found[task.id] = trace.fingerprint()
            except GymError as e:
                found[task.id] = str(e)
    return found


def main() -> None:
    """Read a job from stdin, write fingerprints to stdout."""
    answers = asyncio.run(_play(json.load(sys.stdin)))
    sys.stdout.write("\n" + json.dumps(answers) + "\n")


if __name__ == "__main__":
    main()

"""Run directories made of given scores, in the form that `eval run` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from gym_mcp.analysis.read import Run, read_run
from gym_mcp.coordinator.journal import line_of
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.types import JSONObject, Task

Score = float | str | None
"""A reward, the kind of a failure, or None for a rollout that is missing."""


def write_run(
    path: Path,
    scores: Sequence[Sequence[Score]],
    *,
    model: str = "made/up",
    seed: int = 0,
    tasks: Sequence[JSONObject] | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    identity: Mapping[str, Any] | None = None,
    rows: Sequence[JSONObject] | None = None,
    interaction: str = "single_turn",
    higher_is_better: bool = True,
) -> Path:
    """A run with `scores[task][repeat]`. `rows`: extra fields of each row that exists, in their order."""
    repeats = max(map(len, scores), default=1)
    directory = RunDirectory.new(path, "")
    given = tasks or [{"id": f"t{i}", "data": {"level": i % 2}} for i in range(len(scores))]
    _, digest = directory.write_tasks(Task(t["id"], t.get("prompt", ()), t.get("data", {})) for t in given)
    about: JSONObject = {"name": "made_up", "reward_range": list(bounds), "interaction": interaction}
    about["higher_is_better"] = higher_is_better
    identity = {
        **{"environment": "e1", "environment_name": "made_up", "tasks": digest, "harness": "simple:h1"},
        **{"model": {"spec": model}, "sampling": {}, "seed": seed, "repeats": repeats},
        **(identity or {}),
    }
    directory.write_manifest(
        {
            **{"schema": 1, "run_id": path.name, "identity": identity, "environment": about},
            **{
                "config": {"environment": "nowhere_at_all", "env": {}},
                "model": {"spec": model},
                "harness": "simple",
            },
            **{"tasks": len(given), "repeats": repeats, "expected": len(given) * repeats},
        }
    )
    extra = iter(rows or [])
    lines = [
        line_of({**row(path.name, given[i]["id"], i, r, score), **next(extra, {})})
        for i, task in enumerate(scores)
        for r, score in enumerate(task)
        if score is not None
    ]
    directory.rollouts_path.write_bytes(b"".join(lines))
    return path


def row(run: str, task: str, index: int, repeat: int, score: float | str) -> JSONObject:
    """A row as the coordinator writes it; a text as score is the kind of a failure."""
    failed = isinstance(score, str)
    return {
        **{"schema": 1, "rollout_id": f"{run}/{task}/{repeat}", "task_id": task, "task_index": index},
        **{"repeat": repeat, "outcome": "failed" if failed else "scored"},
        **{"failure": {"kind": score, "message": f"no {score}"} if failed else None, "attempts": 1},
        **{
            "reward": None if failed else score,
            "components": {} if isinstance(score, str) else {"half": score / 2},
            "notes": "",
        },
        **{"response": {"output": [], "stop": "completed"}, "ledger": []},
        **{
            "usage": {"model_calls": 1, "output_tokens": 10, "cost": 0.5},
            "timing": {"started": 1.0, "seconds": 2.0},
        },
    }


def read(path: Path, scores: Sequence[Sequence[Score]], **more: Any) -> Run:
    return read_run(write_run(path, scores, **more))


def rewrite_rows(path: Path, change: Any) -> None:
    """Give `change` the lines of a journal and write what it returns."""
    journal = path / "rollouts.jsonl"
    journal.write_bytes(b"".join(change(journal.read_bytes().splitlines(keepends=True))))


def said(text: str) -> JSONObject:
    """The `response` of a rollout whose agent said `text`."""
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {"response": {"output": [message], "stop": "completed"}}


def manifest_of(path: Path) -> JSONObject:
    found: JSONObject = orjson.loads((path / "manifest.json").read_bytes())
    return found

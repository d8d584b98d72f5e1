"""A rollout as text, its parts numbered as quotations name them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from gym_mcp.claims.evidence import place_of
from gym_mcp.coordinator.journal import read_rows
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.diagnosis.scan import prompt_of
from gym_mcp.errors import UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject

CUT: Final = 2_000


def find_rollout(run: Path, rollout: str) -> tuple[JSONObject, str]:
    """The row of a rollout and its prompt; `UsageError` when the run has no such rollout."""
    directory = RunDirectory.existing(run)
    ids: list[str] = []
    for row in read_rows(directory.rollouts_path):
        if row["rollout_id"] == rollout:
            task = next(islice(directory.task_rows(), row["task_index"], None), {})
            return row, prompt_of(task)
        ids.append(row["rollout_id"])
    raise UsageError(f"{run} has no rollout {rollout}{nearest(rollout, ids)}")


def nearest(rollout: str, ids: Sequence[str]) -> str:
    """A hint at the rollout that is meant: a task or its repeat without the run's id is the usual slip."""
    within = next((i for i in ids if f"/{rollout.strip('/')}/" in f"/{i}/"), None)
    return f"; did you mean `{within}`?" if within else did_you_mean(rollout, ids[:1_000])


def show(row: JSONObject, prompt: str, *, start: int = 0, end: int | None = None, cut: int = CUT) -> str:
    """The rollout: outcome first, then its items and its ledger from `start` to `end`; long texts are cut."""
    lines = [
        f"rollout {row['rollout_id']}",
        f"outcome {row['outcome']}, reward {row.get('reward')}, stop {(row.get('response') or {}).get('stop')}",
    ]
    for name in ("prompt", "notes", "answer", "failure"):
        text = place_of(row, prompt, name)
        if text:
            lines.append(f"{name}: {_cut(text, cut)}")
    items = (row.get("response") or {}).get("output") or []
    for i, item in list(enumerate(items))[start:end]:
        who = item.get("role") or item.get("type")
        lines.append(f"output:{i} ({who}): {_cut(place_of(row, '', f'output:{i}') or '', cut)}")
    for i, entry in list(enumerate(row.get("ledger") or []))[start:end]:
        error = f" error {entry['error']}" if entry.get("error") else ""
        lines.append(f"ledger:{i}{error}: {_cut(place_of(row, '', f'ledger:{i}') or '', cut)}")
    return "\n".join(lines)


def _cut(text: str, cut: int) -> str:
    return text if len(text) <= cut else f"{text[:cut]} ... ({len(text) - cut} characters more)"

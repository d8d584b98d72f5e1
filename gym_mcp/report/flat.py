"""A flat table of rollouts, a row each, as CSV or Parquet: for spreadsheets, pandas, DuckDB."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, TextIO

from gym_mcp.analysis.read import Run, read_run
from gym_mcp.coordinator.journal import DiskError
from gym_mcp.coordinator.slim import slim_rows
from gym_mcp.errors import UsageError
from gym_mcp.metrics.tally import is_full
from gym_mcp.report.clean import clean
from gym_mcp.types import JSONObject

TEXT, WHOLE, NUMBER, TRUTH = str, int, float, bool
_BATCH: Final = 5_000
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_USAGE: Final = ("model_calls", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_TIMES: Final = ("seconds", "model_seconds", "tool_seconds")
COLUMNS: Final[dict[str, type]] = {
    **dict.fromkeys(("run_dir", "run_id", "environment", "benchmark", "model", "harness", "task_id"), TEXT),
    **dict.fromkeys(("task_index", "repeat", "seed"), WHOLE),
    "outcome": TEXT,
    "passed": TRUTH,
    "reward": NUMBER,
    **dict.fromkeys(("failure_kind", "failure_message", "stop"), TEXT),
    **dict.fromkeys(("attempts", "tool_calls", "tool_errors", *_USAGE), WHOLE),
    **dict.fromkeys(("cost", *_TIMES, "judge_cost"), NUMBER),
}
"""Names and types of the columns; a `component.NAME` for each component follows, then what --with-answers adds."""


def write_flat(out: Path, paths: Sequence[Path], *, with_answers: bool = False) -> None:
    """Write the rollouts of runs to a `.csv` or `.parquet` file: whole or not at all (`DiskError`)."""
    runs = [read_run(path) for path in paths]
    parts = sorted({name for run in runs for name in run.sheet.columns if name.startswith("components.")})
    columns = {**COLUMNS, **{f"component.{name.partition('.')[2]}": NUMBER for name in parts}}
    if with_answers:
        columns |= {"answer": TEXT, "notes": TEXT}
    rows = (row for run in runs for row in _rows(run, columns))
    scratch = out.with_name(f"{out.name}.tmp")
    write: Callable[[Path, dict[str, type], Iterator[JSONObject]], None]
    write = _write_csv if out.suffix.lower() == ".csv" else _write_parquet
    try:
        write(scratch, columns, rows)
        scratch.chmod(0o600)
        os.replace(scratch, out)
    except OSError as e:
        raise DiskError(f"{out}: {e.strerror}") from None
    finally:
        scratch.unlink(missing_ok=True)


def _rows(run: Run, columns: Mapping[str, type]) -> Iterator[JSONObject]:
    about = run.about()
    common = {name: about[name] for name in ("run_dir", "run_id", "environment", "benchmark", "model", "harness")}
    seen: set[int] = set()
    for row in slim_rows(run.directory.rollouts_path, texts="answer" in columns):
        slot = run.sheet.slot(row)
        if slot is not None and slot not in seen:
            seen.add(slot)
            yield {**common, **_flat(row, run.sheet.best)}


def _flat(row: JSONObject, best: float) -> JSONObject:
    failure, usage, timing = row.get("failure") or {}, row.get("usage") or {}, row.get("timing") or {}
    ledger = row.get("ledger") or ()
    reward = row.get("reward")
    return {
        **{
            name: row.get(name)
            for name in ("task_id", "task_index", "repeat", "seed", "outcome", "reward", "stop")
        },
        "passed": None if reward is None else is_full(reward, best),
        "failure_kind": failure.get("kind"),
        "failure_message": failure.get("message"),
        "attempts": row.get("attempts"),
        "tool_calls": len(ledger),
        "tool_errors": sum(1 for entry in ledger if entry["error"]),
        **{name: usage.get(name) for name in (*_USAGE, "cost")},
        **{name: timing.get(name) for name in _TIMES},
        "judge_cost": (row.get("judge_usage") or {}).get("cost"),
        **{f"component.{name}": value for name, value in (row.get("components") or {}).items()},
        "answer": row.get("text"),
        "notes": row.get("notes"),
    }


def _value(value: Any, kind: type) -> Any:
    """A cell: clean text, or a number of the column's kind."""
    if value is None:
        return None
    if kind is TEXT:
        return clean(str(value))
    return kind(value)


def _write_csv(path: Path, columns: dict[str, type], rows: Iterator[JSONObject]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        _fill_csv(file, columns, rows)


def _fill_csv(file: TextIO, columns: dict[str, type], rows: Iterator[JSONObject]) -> None:
    writer = csv.writer(file)
    writer.writerow([_harmless(clean(name)) for name in columns])
    for row in rows:
        values = (_value(row.get(name), kind) for name, kind in columns.items())
        writer.writerow([_harmless(v) if isinstance(v, str) else v for v in values])


def _harmless(text: str) -> str:
    """A text that a spreadsheet would take for a formula gets an apostrophe, a spreadsheet's own sign for text."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_parquet(path: Path, columns: dict[str, type], rows: Iterator[JSONObject]) -> None:
    try:
        import pyarrow as pa  # type: ignore[import-untyped]
        import pyarrow.parquet as pq  # type: ignore[import-untyped]
    except ImportError:
        raise UsageError("report: Parquet needs the extra `parquet`: pip install 'gym-mcp[parquet]'") from None
    kinds = {TEXT: pa.string(), WHOLE: pa.int64(), NUMBER: pa.float64(), TRUTH: pa.bool_()}
    schema = pa.schema([(clean(name), kinds[kind]) for name, kind in columns.items()])
    with pq.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            arrays = [
                pa.array([_value(row.get(name), kind) for row in batch], kinds[kind])
                for name, kind in columns.items()
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

"""Rows of a dataset's files as task rows: hooks, filters, the mapping, and what the environment makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gym_mcp import hub
from gym_mcp.benchmarks.formats import read_file
from gym_mcp.benchmarks.mapping import Unmappable, at, render
from gym_mcp.benchmarks.spec import SMOKE, Benchmark, Split
from gym_mcp.datasets import parse_task
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

Located = tuple[str, JSONObject]
"""A row, and where it came from."""


def task_rows(
    benchmark: Benchmark, located: Iterable[Located], source: Split | None = None
) -> Iterator[JSONObject]:
    """Task rows out of a dataset's rows, in order; `UsageError` with the row's place for one that does not fit."""
    for number, (where, row) in enumerate(_hooked(benchmark, located)):
        if source is not None and not _wanted(row, source.where, where):
            continue
        try:
            yield _task_row(benchmark, row, number)
        except Unmappable as e:
            raise UsageError(f"benchmark {benchmark.name}: {where}: {e}") from None


def _hooked(benchmark: Benchmark, located: Iterable[Located]) -> Iterator[Located]:
    """The rows as `prepare.py` leaves them; it may drop and multiply rows, so places are counted anew."""
    rows = _hook(benchmark, "rows")
    if rows is None:
        yield from located
        return
    try:
        for number, row in enumerate(rows(row for _, row in located)):
            yield f"prepare.py:rows()[{number}]", row
    except UsageError:
        raise
    except Exception as e:
        raise UsageError(f"{benchmark.hook}: rows() raised {type(e).__name__}: {e}") from e


def _hook(benchmark: Benchmark, name: str) -> Callable[..., Iterable[JSONObject]] | None:
    if benchmark.hook is None:
        return None
    module = hub.load_module(benchmark.hook)
    if not hasattr(module, "rows") and not hasattr(module, "read"):
        raise UsageError(f"{benchmark.hook}: has neither `rows(raw)` nor `read(files, folder)`")
    found: Callable[..., Iterable[JSONObject]] | None = getattr(module, name, None)
    return found


def read_files(benchmark: Benchmark, source: Split, files: list[Path], folder: Path) -> Iterator[Located]:
    """The rows of a split's files; what `read` of `prepare.py` makes of them, where there is one."""
    read = _hook(benchmark, "read")
    if read is None:
        for file in files:
            yield from read_file(file, source.records)
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        for number, row in enumerate(read(files, folder)):
            yield f"prepare.py:read()[{number}]", row
    except UsageError:
        raise
    except Exception as e:
        raise UsageError(f"{benchmark.hook}: read() raised {type(e).__name__}: {e}") from e


def filled(env: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """Options of an environment with `{prepared}` replaced by the benchmark's folder; without one, left out."""
    places = {k for k, v in env.items() if isinstance(v, str) and "{prepared}" in v}
    if folder is None:
        return {k: v for k, v in env.items() if k not in places}
    return {k: v.replace("{prepared}", str(folder)) if k in places else v for k, v in env.items()}


def _wanted(row: JSONObject, where: dict[str, Any], place: str) -> bool:
    for path, values in where.items():
        try:
            value = at(row, path)
        except Unmappable as e:
            raise UsageError(f"{place}: where: {e}") from None
        if not _fits(value, values):
            return False
    return True


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return bool(wanted.get("from", value) <= value and ("before" not in wanted or value < wanted["before"]))
    return value in (wanted if isinstance(wanted, list) else [wanted])


def _task_row(benchmark: Benchmark, row: JSONObject, number: int) -> JSONObject:
    data = {}
    for name, value in benchmark.fields.items():
        try:
            data[name] = value.of(row)
        except Unmappable as e:
            raise Unmappable(f"fields.{name}: {e}") from None
    seen = {**row, **data}
    out: JSONObject = {"id": render(benchmark.id, seen) if benchmark.id else f"{benchmark.name}-{number}"}
    if isinstance(benchmark.prompt, str):
        out["prompt"] = render(benchmark.prompt, seen)
    elif benchmark.prompt is not None:
        out["prompt"] = benchmark.prompt.of(seen)
    return {**out, "data": data if benchmark.fields else row}


def validated(benchmark: Benchmark, rows: list[JSONObject], env: dict[str, Any]) -> Iterator[JSONObject]:
    """The rows, after each was read as the environment will read it; ids unique."""
    cls = hub.load_environment(benchmark.environment, env)
    seen: set[str] = set()
    for row in rows:
        parse_task(cls, row, f"benchmark {benchmark.name}: row {row['id']}")
        if row["id"] in seen:
            raise UsageError(f"benchmark {benchmark.name}: id `{row['id']}` is used twice")
        seen.add(row["id"])
        yield row


def smoke_rows(benchmark: Benchmark) -> list[JSONObject]:
    """The task rows of the smoke split that comes with the benchmark."""
    path = benchmark.folder / f"{SMOKE}.jsonl"
    if not path.is_file():
        raise UsageError(f"benchmark {benchmark.name}: has no {SMOKE}.jsonl")
    return list(task_rows(benchmark, read_file(path)))

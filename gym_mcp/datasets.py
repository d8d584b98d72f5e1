"""Task rows from JSONL files, in our own form or as NeMo Gym publishes them.

Ours: `{"id", "prompt", "data", "params", "tools"}`. NeMo Gym's: `responses_create_params` holds prompt, tools and
sampling, and the verifier's fields stand at top level or in `verifier_metadata`. Fields that are neither are data.
"""

from __future__ import annotations

import hashlib
import json
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError

from gym_mcp.environment import Environment, bundled_tasks
from gym_mcp.errors import GymError, UsageError, one_line
from gym_mcp.tools import explain
from gym_mcp.types import Item, JSONObject, Task, user_message

ID_FIELDS: Final = ("id", "task_id", "uuid", "_ng_task_index")
_OWN_FIELDS: Final = frozenset({"id", "prompt", "data", "params", "tools"})
_NOT_PARAMS: Final = frozenset({"input", "tools", "model", "stream", "store", "metadata", "background", "user"})


class Rows:
    """Rows of a JSONL file with the place each came from, for error messages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __iter__(self) -> Iterator[tuple[str, JSONObject]]:
        try:
            file = self.path.open("rb")
        except OSError as e:
            raise UsageError(f"{self.path}: {e.strerror}") from None
        with file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{self.path}:{number}"
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as e:
                    row = _python_json(line)
                    if row is None:
                        raise UsageError(f"{where}: not JSON: {e}") from None
                if not isinstance(row, dict):
                    raise UsageError(f"{where}: a row is a JSON object, not {type(row).__name__}")
                yield where, row


def _python_json(line: bytes) -> Any:
    """What Python's `json` writes and JSON has not: NaN, and half emoji, which become U+FFFD. None for others."""
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False)
        return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    except (ValueError, RecursionError):
        return None


def read_rows(path: Path) -> Iterator[JSONObject]:
    """The rows of a JSONL file, one object a line."""
    for _, row in Rows(path):
        yield row


def load_tasks(
    cls: type[Environment[Any]], source: Path | None = None, *, repeats: bool = False
) -> Iterator[Task[Any]]:
    """The tasks of a file, or the environment's own; each validated, ids unique.

    `repeats`: a row that states the id, prompt and data of an earlier one is passed over, as in NeMo Gym's
    materialized inputs, which hold a row for each repeat. Raises `UsageError` with file, line and field for a row
    that does not fit.
    """
    rows: Iterable[tuple[str, Any]]
    if source is None and not cls.has("tasks"):
        source = bundled_tasks(cls)
    if source is not None:
        rows = Rows(source)
    else:
        rows = _own_rows(cls)
    seen: set[int] = set()
    contents: dict[str, int] = {}
    copies: Counter[int] = Counter()
    for where, row in rows:
        task = row if isinstance(row, Task) else parse_task(cls, row, where)
        if repeats:
            content = _content(task)
            if contents.setdefault(task.id, content) == content and hash(task.id) in seen:
                continue
        if hash(task.id) in seen:
            if not isinstance(row, Task) and explicit_id(row) is not None:
                raise UsageError(f"{where}: task id `{task.id}` is used twice; ids must be unique")
            task = _numbered(task, seen, copies)
        seen.add(hash(task.id))
        yield task


def _own_rows(cls: type[Environment[Any]]) -> Iterator[tuple[str, Any]]:
    """The rows of `tasks()`; what goes wrong in it is its author's to mend, and is told with its place."""
    try:
        for i, row in enumerate(cls.tasks()):
            yield f"{cls.name}.tasks()[{i}]", row
    except GymError:
        raise
    except Exception as e:
        place = traceback.extract_tb(e.__traceback__)[-1]
        raise UsageError(f"{cls.name}.tasks() raised {one_line(e)} ({place.filename}:{place.lineno})") from e


def _content(task: Task[Any]) -> int:
    """A hash of prompt and data, NeMo Gym's own bookkeeping left out."""
    data = {k: v for k, v in (task.raw or {}).items() if not k.startswith("_ng_")}
    return hash(orjson.dumps([task.prompt, data], option=orjson.OPT_SORT_KEYS, default=str))


def _numbered(task: Task[Any], seen: set[int], copies: Counter[int]) -> Task[Any]:
    """A further task of the same id under `ID-2`, `ID-3`, ..."""
    key = hash(task.id)
    while True:
        copies[key] += 1
        name = f"{task.id}-{copies[key] + 1}"
        if hash(name) not in seen:
            return replace(task, id=name)


def explicit_id(row: Mapping[str, Any]) -> str | None:
    """The id that a row states, if any."""
    for name in ID_FIELDS:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            return str(value)
    return None


def row_id(row: Mapping[str, Any]) -> str:
    """The stated id, or the first 12 hex digits of the row's SHA-256: stable when rows move."""
    return explicit_id(row) or hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def parse_task(cls: type[Environment[Any]], row: JSONObject, where: str) -> Task[Any]:
    """One row as a task of `cls`."""
    params = row.get("responses_create_params")
    try:
        if isinstance(params, dict):
            prompt = _items(params.get("input"), "responses_create_params.input")
            sampling = {k: v for k, v in params.items() if k not in _NOT_PARAMS and v is not None}
            tools = _tool_names(params.get("tools"), cls)
            data = _with_tools(_flat_data(row), params.get("tools"), cls)
        elif params is not None:
            raise _Unfit("responses_create_params: an object is expected")
        else:
            prompt = _items(row.get("prompt"), "prompt")
            sampling = row.get("params") or {}
            tools = _tool_names(row.get("tools"), cls)
            data = _own_data(row)
            data = _with_tools(data, row.get("tools"), cls)
        if not isinstance(sampling, dict):
            raise _Unfit("params: an object is expected")
        if not prompt:
            prompt = [user_message(cls.summary())]
        raw = data if isinstance(data, dict) else None
        return Task(row_id(row), prompt, cls.parse_row(data), sampling, tools, raw)
    except _Unfit as e:
        raise UsageError(f"{where}: {e}") from None
    except ValidationError as e:
        raise UsageError(f"{where}: {explain(e, cls.row_type)}") from None


class _Unfit(ValueError):
    pass


def _items(value: Any, field: str) -> list[Item]:
    if value is None:
        return []
    if isinstance(value, str):
        return [user_message(value)]
    if not isinstance(value, list):
        raise _Unfit(f"{field}: a string or a list of Responses input items is expected")
    for i, item in enumerate(value):
        if not isinstance(item, dict) or not ("type" in item or "role" in item):
            raise _Unfit(f"{field}.{i}: not a Responses input item (needs `type` or `role`)")
    return value


def _tool_names(value: Any, cls: type[Environment[Any]]) -> tuple[str, ...] | None:
    """Names of the tools that a row lists. An environment whose tools come from the data decides for itself."""
    if value is None or cls.has("tools_for"):
        return None
    if not isinstance(value, list):
        raise _Unfit("tools: a list is expected")
    names = tuple(str(t.get("name", "") if isinstance(t, dict) else t) for t in value)
    missing = [n for n in names if n not in cls.tools()]
    if missing:
        raise _Unfit(f"tools: environment {cls.name} has no tool `{missing[0]}`")
    return names


def _flat_data(row: JSONObject) -> JSONObject:
    """Verifier fields of a NeMo Gym row: `verifier_metadata` and top level merged, top level first."""
    top = {k: v for k, v in row.items() if k not in ("responses_create_params", "verifier_metadata")}
    nested = row.get("verifier_metadata")
    if nested is None:
        return top
    if not isinstance(nested, dict):
        raise _Unfit("verifier_metadata: an object is expected")
    return {**nested, **top}


def _own_data(row: JSONObject) -> Any:
    """The data of a row in our own form: `data`, and the fields that have no other meaning."""
    rest = {k: v for k, v in row.items() if k not in _OWN_FIELDS}
    if "data" not in row:
        return rest
    absent = frozenset(_OWN_FIELDS - row.keys()) if rest else _OWN_FIELDS
    for name in rest:
        if meant := _misspelt(name, absent):
            raise _Unfit(
                f"no field `{name}`; did you mean `{meant}`? (what the environment needs goes into `data`)"
            )
    data = row["data"]
    if not isinstance(data, dict) or not rest:
        return data
    return {**{k: v for k, v in rest.items() if k not in ID_FIELDS}, **data}


@lru_cache(maxsize=256)  # the rows of a file have the same fields, and each row is read more than once
def _misspelt(name: str, absent: frozenset[str]) -> str | None:
    return next(iter(get_close_matches(name, absent, n=1, cutoff=0.8)), None)


def _with_tools(data: Any, tools: Any, cls: type[Environment[Any]]) -> Any:
    """`data` with the row's tools, for an environment that makes its tools from data (`tools_for`)."""
    if tools and isinstance(data, dict) and cls.has("tools_for"):
        return {"tools": tools, **data}
    return data


def as_row(task: Task[Any]) -> JSONObject:
    """A task in our own form, the one that `parse_task` reads back."""
    data = task.data if task.raw is None else task.raw
    if hasattr(data, "model_dump"):
        data = data.model_dump(mode="json")
    row: JSONObject = {"id": task.id, "prompt": list(task.prompt), "data": data}
    if task.params:
        row["params"] = dict(task.params)
    if task.tools is not None:
        row["tools"] = list(task.tools)
    return row

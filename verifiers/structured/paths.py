"""Key paths in a parsed value, as StructEval states them: `novel.characters[0].name`, `recipe.steps.*.order`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

_STEP: Final = re.compile(r"\[(\d+|\*)\]|([^.\[\]]+)")
CSV_PREFIX: Final = "csv::"


def has_path(value: Any, path: str) -> bool:
    """Whether a path leads somewhere, to null too.

    `[n]` is an index, `*` or `[*]` any child. `csv::name` is a column of a list of rows. A name also finds the XML
    attribute `@name`, and `@name` the child `name`; on a list it is looked for in any item.
    """
    if path.startswith(CSV_PREFIX):
        column = path.removeprefix(CSV_PREFIX)
        return isinstance(value, list) and any(isinstance(row, dict) and column in row for row in value)
    found = [value]
    for index, name in _STEP.findall(path):
        found = [child for part in found for child in (_at(part, index) if index else _named(part, name))]
        if not found:
            return False
    return bool(_STEP.search(path))


def _at(part: Any, index: str) -> list[Any]:
    if index == "*":
        return _children(part)
    return [part[int(index)]] if isinstance(part, list) and len(index) < 9 and int(index) < len(part) else []


def _named(part: Any, name: str) -> list[Any]:
    if name == "*":
        return _children(part)
    if isinstance(part, list):
        return [child for item in part if isinstance(item, dict) for child in _named(item, name)]
    if not isinstance(part, dict):
        return []
    names = (name, name.removeprefix("@"), f"@{name}")
    return next(([part[candidate]] for candidate in names if candidate in part), [])


def _children(part: Any) -> list[Any]:
    return list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []


def paths_score(value: Any, paths: Sequence[str]) -> float:
    """StructEval's score: 0.2 for a value that is not empty, 0.8 for the share of paths, rounded to 2 decimals."""
    share = sum(has_path(value, path) for path in paths) / len(paths) if paths else 0.0
    return round(0.2 * bool(value) + 0.8 * share, 2)

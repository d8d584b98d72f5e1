"""Dataset rows to task rows, as `benchmark.yaml` declares it: renames, small steps, templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from string import ascii_uppercase
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gym_mcp.types import JSONObject

_PLACE: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w .-]*)\}")


class Unmappable(ValueError):
    """A row that lacks a field or has a value of another kind than the mapping says."""


class Value(BaseModel):
    """How one value is made: `from` a field (dotted path), a `template`, or a constant `value`; then steps.

    A bare string stands for `{from: ...}`. `default` is taken when the field is absent or null.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    from_: str | None = Field(default=None, alias="from")
    template: str | None = None
    value: Any = None
    default: Any = None
    do: list[str | dict[str, Any]] = []

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> Value:
        given = {name for name in ("from_", "template", "value") if name in self.model_fields_set}
        if len(given) != 1:
            raise ValueError("one of `from`, `template` and `value` is expected")
        for step in self.do:
            name, argument = _step(step)
            if name not in STEPS:
                raise ValueError(f"no step `{name}`; there are {', '.join(STEPS)}")
            if (argument is None) == (name in WITH_ARGUMENT):
                raise ValueError(f"step `{name}` takes {'an' if name in WITH_ARGUMENT else 'no'} argument")
        return self

    def of(self, row: JSONObject) -> Any:
        """The value for one row; `Unmappable` when the row does not have it."""
        value = self._start(row)
        for step in self.do:
            name, argument = _step(step)
            try:
                value = STEPS[name](value, argument)
            except Unmappable:
                raise
            except (TypeError, ValueError, KeyError, IndexError, AttributeError) as e:
                raise Unmappable(f"step `{name}` cannot take {value!r:.80} ({type(e).__name__}: {e})") from None
        return value

    def _start(self, row: JSONObject) -> Any:
        if self.template is not None:
            return render(self.template, row)
        if self.from_ is None:
            return self.value
        try:
            value = at(row, self.from_)
        except Unmappable:
            if "default" not in self.model_fields_set:
                raise
            value = None
        return self.default if value is None and "default" in self.model_fields_set else value


def _step(step: str | dict[str, Any]) -> tuple[str, Any]:
    if isinstance(step, str):
        return step, None
    if len(step) != 1:
        raise ValueError("a step is a name, or a mapping of one name to its argument")
    return next(iter(step.items()))


def at(row: Any, path: str) -> Any:
    """The value at a dotted path; a key that itself holds dots or blanks is found as it stands."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    value = row
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            known = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
            raise Unmappable(f"no field `{path}`; there are {known}")
    return value


def render(template: str, row: JSONObject) -> str:
    """`{field}` replaced by the field's text; `{{` and `}}` are braces, and `{}` stays as it is."""

    def put(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else as_text(at(row, match[1]))

    return _PLACE.sub(put, template)


def as_text(value: Any) -> str:
    """Text for a prompt: options as `A) ...` lines, a list as lines, null as nothing."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "\n".join(f"{key}) {text}" for key, text in value.items())
    if isinstance(value, list):
        return "\n".join(map(as_text, value))
    return str(value)


def _letters(value: Any, _: Any) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) > len(ascii_uppercase):
        raise TypeError("a list of at most 26 is expected")
    return dict(zip(ascii_uppercase, value, strict=False))


def _letter(value: Any, _: Any) -> str:
    index = int(value)
    if isinstance(value, bool) or not 0 <= index < len(ascii_uppercase):
        raise ValueError("an index from 0 to 25 is expected")
    return ascii_uppercase[index]


def _after(value: str, marker: str) -> str:
    if marker not in value:
        raise ValueError(f"it has no {marker!r}")
    return value.rpartition(marker)[2].strip()


def _boxed(value: str, _: Any) -> str:
    """What the last closed `\\boxed{}` (or `\\fbox{}`) holds, braces balanced."""
    for match in reversed(list(re.finditer(r"\\f?box(?:ed)?\s*\{", value))):
        depth = 1
        for end in range(match.end(), len(value)):
            depth += {"{": 1, "}": -1}.get(value[end], 0)
            if not depth:
                return value[match.end() : end]
    simple = re.search(r"\\boxed\s+(\S+?)\$?\s*\.?\s*$", value)
    if simple:
        return simple[1]
    raise ValueError("it has no closed \\boxed{}")


STEPS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "letters": _letters,
    "letter": _letter,
    "after": _after,
    "boxed": _boxed,
    "json": lambda value, _: json.loads(value),
    "text": lambda value, _: as_text(value),
    "strip": lambda value, _: value.strip(),
    "upper": lambda value, _: value.upper(),
    "replace": lambda value, pair: value.replace(pair[0], pair[1]),
    "map": lambda value, table: table[value],
    "drop": lambda value, unwanted: [v for v in value if v not in unwanted],
    "without_nulls": lambda value, _: {k: v for k, v in value.items() if v is not None},
}
WITH_ARGUMENT: Final = frozenset({"after", "replace", "map", "drop"})

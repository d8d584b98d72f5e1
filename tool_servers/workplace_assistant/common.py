"""What the tools of all domains share: parameter types, the form of results, pages and dates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any, TypeAlias

from pydantic import Field, WithJsonSchema

from gym_mcp import ToolError

from .world import World


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


Text: TypeAlias = Annotated[str | None, WithJsonSchema({"type": "string"}), Field(json_schema_extra=_no_default)]
"""An optional string whose schema is a plain `string`; null counts as left out."""


class Desk:
    """Base of the tool groups: what they work on."""

    world: World


def output(value: Any) -> str:
    """A result as the agent reads it: `{"output":...}` without white space."""
    return json.dumps({"output": value}, ensure_ascii=False, separators=(",", ":"))


def page_of(things: str, found: Sequence[Any], page: int, page_size: int) -> str:
    """One page of what was found, with how much there is in all."""
    if page < 1 or page_size < 1:
        raise ToolError("page and page_size start at 1.")
    if not found:
        return output(f"No {things} found.")
    pagination = {
        f"total_{things}": len(found),
        "page": page,
        "page_size": page_size,
        "total_pages": -(-len(found) // page_size),
    }
    return output({things: found[(page - 1) * page_size : page * page_size], "pagination": pagination})


def given(**values: str | None) -> None:
    """Refuse empty strings where something must stand."""
    for name, value in values.items():
        if not (value or "").strip():
            raise ToolError(f"{name} must not be empty.")


def address(value: str, name: str) -> str:
    """An e-mail address in lower case; `ToolError` when it is none."""
    local, at, domain = value.strip().partition("@")
    if not (local and at and domain) or " " in value.strip():
        raise ToolError(f"{name} '{value}' is no e-mail address.")
    return value.strip().lower()


def one_of(value: str, allowed: Sequence[str], name: str) -> str:
    """`value` if it is allowed, spelled exactly so."""
    if value not in allowed:
        raise ToolError(f"{name} '{value}' is not valid. Choose one of: {', '.join(allowed)}.")
    return value


def day(value: str | None, name: str) -> date | None:
    """The day of `YYYY-MM-DD`, with or without a time after it."""
    moment = when(value, name)
    return None if moment is None else moment.date()


def when(value: str | None, name: str) -> datetime | None:
    """The moment of `YYYY-MM-DD HH:MM:SS`; None stays None."""
    if value is None or not value.strip():
        return None
    try:
        return datetime.fromisoformat(value.strip()).replace(tzinfo=None)
    except ValueError:
        raise ToolError(f"{name} '{value}' is no date. Write YYYY-MM-DD, or YYYY-MM-DD HH:MM:SS.") from None


def within(value: str | None, first: date | None, last: date | None) -> bool:
    """Whether the day of a cell lies between two days, both included; an empty cell lies nowhere."""
    if first is None and last is None:
        return True
    cell = (value or "")[:10]
    return (
        bool(cell) and (first is None or first.isoformat() <= cell) and (last is None or cell <= last.isoformat())
    )


def has(cell: str | None, part: str | None) -> bool:
    """Whether `part` occurs in a cell, whatever the case. Nothing asked for is always there."""
    return not part or part.lower() in (cell or "").lower()

"""From the text of a reply to a value: five formats, code fences as declared, nothing raised."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from verifiers.structured.bounds import MAX_CHARS, OutOfBounds, check_bounds
from verifiers.structured.xml_text import read_xml
from verifiers.structured.yaml_text import read_yaml

Format: TypeAlias = Literal["json", "yaml", "toml", "xml", "csv"]
Fences: TypeAlias = Literal["refuse", "allow", "require"]

_FENCE: Final = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
_LONG_KEY: Final = re.compile(r"(?:[\w\"'-]*+\s*+\.\s*+){100}")
_MAX_TOML: Final = 50_000
"""Characters; the standard parser takes quadratic time on dotted keys."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The value of a text that parsed, or None and why it did not."""

    ok: bool
    value: Any = None
    note: str = ""


def parse(text: str, form: Format, *, fences: Fences = "refuse") -> Parsed:
    """The whole of `text` read as one document.

    `fences`: whether the document may, or must, stand in a code fence, prose around it allowed; the first fence
    counts. Outer white space never matters. XML becomes dicts as `read_xml` says, CSV a list of dicts of texts.
    Never raises: texts that do not parse, and values out of bounds, come back with a note.
    """
    inside = fenced(text)
    if inside is None and fences == "require":
        return Parsed(False, note="no code fence")
    document = inside if inside is not None and fences != "refuse" else text
    if not document.strip():
        return Parsed(False, note="empty")
    if len(document) > MAX_CHARS:
        return Parsed(False, note=f"more than {MAX_CHARS} characters")
    try:
        value = _READERS[form](document.strip())
        check_bounds(value)
    except OutOfBounds as e:
        return Parsed(False, note=str(e))
    except Exception as e:  # every parser has its own, and RecursionError on deep nesting
        return Parsed(False, note=f"not {form.upper()}: {e}"[:200])
    return Parsed(True, value)


def fenced(text: str) -> str | None:
    """Content of the first closed code fence, None when there is none."""
    match = _FENCE.search(text[: 2 * MAX_CHARS])
    return match.group(1) if match else None


def _read_json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _read_toml(text: str) -> Any:
    if len(text) > _MAX_TOML or _LONG_KEY.search(text):
        raise OutOfBounds(f"more than {_MAX_TOML} characters of TOML, or a key of 100 parts")
    return tomllib.loads(text)


def _read_csv(text: str) -> list[dict[str, str | None]]:
    rows = [row for row in csv.reader(io.StringIO(text), strict=True) if row]
    header, rows = [name.strip() for name in rows[0]], rows[1:]
    if len(set(header)) < len(header):
        raise ValueError("a column name is used twice")
    for number, row in enumerate(rows, 2):
        if len(row) > len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header {len(header)}")
    padding: list[str | None] = [None] * len(header)
    return [dict(zip(header, [*row, *padding], strict=False)) for row in rows]


_READERS: Final[dict[Format, Callable[[str], Any]]] = {
    "json": _read_json,
    "yaml": read_yaml,
    "toml": _read_toml,
    "xml": read_xml,
    "csv": _read_csv,
}

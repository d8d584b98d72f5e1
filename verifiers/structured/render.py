"""The way back: a JSON value as text of each format, such that `parse` and `coerced` give it back."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

import yaml

from verifiers.structured.parse import Format


def render(value: Any, form: Format) -> str:
    """`value` as a document. TOML has no null: such entries are left out. CSV takes rows, or one object."""
    match form:
        case "json":
            return json.dumps(value, ensure_ascii=False)
        case "yaml":
            return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))
        case "toml":
            return "".join(f"{_quoted(key)} = {_toml(entry)}\n" for key, entry in _present(value))
        case "xml":
            return "".join(_xml("response", value))
        case "csv":
            return _csv(value if isinstance(value, list) else [value])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _present(value: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(key, entry) for key, entry in value.items() if entry is not None]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)} = {_toml(entry)}" for key, entry in _present(value)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value if entry is not None) + "]"
    return json.dumps(value, ensure_ascii=False)


def _xml(name: str, value: Any) -> Iterator[str]:
    yield f"<{name}>"
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _xml(key, entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _xml("item", entry)
    elif value is not None:
        yield escape(value if isinstance(value, str) else json.dumps(value))
    yield f"</{name}>"


def _csv(rows: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    header = list(dict.fromkeys(key for row in rows for key in row))
    writer.writerow(header)
    writer.writerows([_cell(row.get(key)) for key in header] for row in rows)
    return file.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

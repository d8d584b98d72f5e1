"""Sets members in the text of a JSON file, comments and layout of everything else kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_BLANK: Final = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SCALAR: Final = re.compile(r"[^\s,\]}/]+")
_BOM: Final = "\ufeff"


class NotJSON(ValueError):
    """The text is no JSON, comments and trailing commas allowed."""


@dataclass(slots=True)
class Node:
    """A value and where it stands: `text[start:end]`."""

    start: int
    end: int
    value: Any
    members: dict[str, Node] = field(default_factory=dict)
    """Of an object; the last one of a name."""
    first_key: int | None = None
    comma: bool = False
    """Whether a comma follows its last member."""


def parse(text: str) -> Node:
    """The root of a JSON text; `NotJSON` where it is none."""
    try:
        root = _value(text, _blank(text, len(_BOM) if text.startswith(_BOM) else 0))
        if _blank(text, root.end) != len(text):
            raise NotJSON(f"something follows the value at character {root.end}")
    except RecursionError:
        raise NotJSON("nested too deeply") from None
    return root


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None  # it matches nothing too
    return match.end()


def _value(text: str, at: int) -> Node:
    char = text[at : at + 1]
    if char == "{":
        return _object(text, at)
    if char == "[":
        return _array(text, at)
    if char == '"':
        try:
            value, end = json.JSONDecoder().raw_decode(text, at)
        except ValueError as e:
            raise NotJSON(str(e)) from None
        return Node(at, end, value)
    match = _SCALAR.match(text, at)
    try:
        if match is None:
            raise ValueError(f"a value is missing at character {at}")
        return Node(at, match.end(), json.loads(match[0]))
    except ValueError as e:
        raise NotJSON(str(e)) from None


def _object(text: str, at: int) -> Node:
    node = Node(at, at, {})
    at = _blank(text, at + 1)
    while text[at : at + 1] != "}":
        if node.members and not node.comma:
            raise NotJSON(f"a comma is missing at character {at}")
        key = _value(text, at)
        if not isinstance(key.value, str):
            raise NotJSON(f"a key is missing at character {at}")
        node.first_key = at if node.first_key is None else node.first_key
        at = _blank(text, key.end)
        if text[at : at + 1] != ":":
            raise NotJSON(f"a colon is missing at character {at}")
        node.members[key.value] = _value(text, _blank(text, at + 1))
        at, node.comma = _comma(text, node.members[key.value].end)
    node.value = {key: member.value for key, member in node.members.items()}
    node.end = at + 1
    return node


def _array(text: str, at: int) -> Node:
    node, comma = Node(at, at, []), True
    at = _blank(text, at + 1)
    while text[at : at + 1] != "]":
        if not comma:
            raise NotJSON(f"a comma is missing at character {at}")
        entry = _value(text, at)
        node.value.append(entry.value)
        at, comma = _comma(text, entry.end)
    node.end = at + 1
    return node


def _comma(text: str, at: int) -> tuple[int, bool]:
    at = _blank(text, at)
    return (_blank(text, at + 1), True) if text[at : at + 1] == "," else (at, False)


def set_member(text: str, path: Sequence[str], value: Any) -> str:
    """`text` with the member at `path` set to `value`; objects on the way are made.

    Raises `NotJSON` for what cannot be read, and where something other than an object stands on the way.
    """
    root = node = parse(text)
    step = _step(text, root)
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            raise NotJSON(f"`{'.'.join(path[:depth]) or 'the file'}` is no object")
        found = node.members.get(key)
        if found is None:
            for inner in reversed(path[depth + 1 :]):
                value = {inner: value}
            return _insert(text, node, key, value, step)
        node = found
    shown = _dumped(text, value, _indent_of(text, node.start), step)
    return text[: node.start] + shown + text[node.end :]


def _insert(text: str, node: Node, key: str, value: Any, step: str) -> str:
    close = node.end - 1
    newline = "\r\n" if "\r\n" in text else "\n"
    outer = _indent_of(text, node.start)
    inner = outer + step if node.first_key is None else _indent_of(text, node.first_key)
    inline = node.first_key is not None and "\n" not in text[node.start : node.first_key]
    member = f"{json.dumps(key)}: {_dumped(text, value, '' if inline else inner, step, inline)}"
    head = text[:close].rstrip(" \t\r\n")
    if node.members and not node.comma:
        last = max(m.end for m in node.members.values())
        head = f"{head[:last]},{head[last:]}"
    if inline:
        return f"{head} {member}{text[close:]}"
    return f"{head}{newline}{inner}{member}{newline}{outer}{text[close:]}"


def _dumped(text: str, value: Any, indent: str, step: str, inline: bool = False) -> str:
    if inline:
        return json.dumps(value, ensure_ascii=False)
    newline = "\r\n" if "\r\n" in text else "\n"
    return json.dumps(value, indent=step, ensure_ascii=False).replace("\n", newline + indent)


def _indent_of(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at].removeprefix(_BOM)
    return line[: len(line) - len(line.lstrip(" \t"))]


def _step(text: str, root: Node) -> str:
    """One level of indentation, as the file has it."""
    return (_indent_of(text, root.first_key) if root.first_key is not None else "") or "  "

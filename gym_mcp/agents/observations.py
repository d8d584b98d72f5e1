"""Joins what an agent's conversation says of tool calls with what went through the relay.

Agents rename tools (`mcp__env__guess`) and some wrap results (Codex puts the wall time before them). Here calls
get the environment's own names back, and results the environment's own text, so that the same episode reads the
same whatever agent played it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from gym_mcp.agents.relay import SERVER, RelayedCall
from gym_mcp.types import Item, ToolSpec

_PREFIXES: Final = (f"mcp__{SERVER}__", f"mcp_{SERVER}_", f"{SERVER}__", f"{SERVER}_", "")


class Names:
    """The environment's name of each tool that an agent offers to its model."""

    def __init__(self, tools: Iterable[ToolSpec]) -> None:
        self.own = {spec.name for spec in tools}

    def plain(self, name: str) -> str | None:
        """The environment's name for the agent's `name`; None for the agent's own tools."""
        for prefix in _PREFIXES:
            if name.startswith(prefix) and name[len(prefix) :] in self.own:
                return name[len(prefix) :]
        return None

    def offered(self, functions: Iterable[Item]) -> dict[str, str]:
        """The agent's name of each environment tool among the functions of a model request."""
        found: dict[str, str] = {}
        for function in functions:
            plain = self.plain(str(function.get("name", "")))
            if plain is not None:
                found.setdefault(plain, function["name"])
        return found


class Join:
    """Which relayed call belongs to which call of a conversation: by the model's id, else by order and name."""

    def __init__(self, names: Names, calls: Sequence[RelayedCall]) -> None:
        self._names = names
        self._calls = calls

    def matches(self, items: Iterable[Item]) -> dict[str, int]:
        """Call id -> number of the relayed call."""
        by_id = {call.call_id: n for n, call in enumerate(self._calls) if call.call_id is not None}
        left = [n for n, call in enumerate(self._calls) if call.call_id is None]
        found: dict[str, int] = {}
        for item in items:
            if item.get("type") != "function_call":
                continue
            call_id, plain = str(item.get("call_id")), self._names.plain(str(item.get("name")))
            if plain is None:
                continue
            number = by_id.get(call_id)
            if number is None:
                number = next((n for n in left if self._same(n, plain, item)), None)
                if number is None:
                    continue
                left.remove(number)
            found[call_id] = number
        return found

    def _same(self, number: int, name: str, item: Item) -> bool:
        call = self._calls[number]
        return call.name == name and _agree(call.arguments, item.get("arguments"))

    def plain(self, items: Sequence[Item], *, rename: bool = False) -> list[Item]:
        """`items` with the tools' own texts as results, and with `rename` their own names in calls."""
        matches = self.matches(items)
        out: list[Item] = []
        for item in items:
            kind = item.get("type")
            if kind == "function_call_output" and item.get("call_id") in matches:
                item = self._unwrapped(item, self._calls[matches[item["call_id"]]])
            elif kind == "function_call" and rename:
                item = self._renamed(item)
            out.append(item)
        return out

    def _renamed(self, item: Item) -> Item:
        plain = self._names.plain(str(item.get("name")))
        return item if plain is None else {**{k: v for k, v in item.items() if k != "namespace"}, "name": plain}

    @staticmethod
    def _unwrapped(item: Item, call: RelayedCall) -> Item:
        """The result as the environment gave it, if the agent shows all of it; what it cut stays cut."""
        text = call.result.text if call.result else None
        shown = item.get("output")
        if not text:
            return item
        if isinstance(shown, str):
            return {**item, "output": text} if _holds(shown, text) else item
        if not isinstance(shown, list):
            return item
        texts = [part for part in shown if _is_text(part)]
        if not _holds("\n".join(part["text"] for part in texts), text):
            return item
        rest = [part for part in shown if not _is_text(part)]
        if not rest:
            return {**item, "output": text}
        return {**item, "output": [{"type": "input_text", "text": text}, *rest]}


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


def _holds(shown: str, text: str) -> bool:
    """Whether all of `text` is in what an agent shows, as it is or (errors, in some) inside a JSON string."""
    return text in shown or any(json.dumps(text, ensure_ascii=ascii)[1:-1] in shown for ascii in (False, True))


def _agree(sent: dict[str, Any], said: Any) -> bool:
    """Whether the model's arguments may have become those of the call: agents add and drop fields of their own."""
    try:
        asked = orjson.loads(said or "{}")
    except (orjson.JSONDecodeError, TypeError):
        return False
    return isinstance(asked, dict) and all(asked.get(key, value) == value for key, value in sent.items())

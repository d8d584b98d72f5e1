"""Puts the model's own words back where an agent sends them in another form.

Agents serialize tool arguments anew and drop item ids. What was sampled must come back to the model as it was: its
tokens are then those of before, and the message graph finds the same nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from gym_mcp.types import Item, text_of


class Restorer:
    """The output items of a session, by what agents keep of them."""

    def __init__(self) -> None:
        self._calls: dict[str, Item] = {}
        self._texts: dict[str, Item] = {}

    def learn(self, output: Sequence[Item]) -> None:
        """Remember what the model said."""
        for item in output:
            kind = item.get("type", "message")
            if kind == "function_call":
                self._calls[item["call_id"]] = item
            elif kind == "message":
                self._texts[text_of(item).strip()] = item

    def restore(self, items: Sequence[Item]) -> list[Item]:
        """`items` with the model's own in place of what only looks different."""
        return [self._restored(item) for item in items]

    def _restored(self, item: Item) -> Item:
        kind = item.get("type", "message")
        if kind == "function_call":
            known = self._calls.get(item.get("call_id", ""))
            if known is not None and known["name"] == item.get("name") and _same(known, item):
                return known
        elif kind == "message" and item.get("role") == "assistant":
            text = text_of(item).strip()
            return self._texts.get(text, item) if text else item
        return item


def _same(known: Item, item: Item) -> bool:
    """Whether the arguments mean the same; those that were no JSON cannot come back as they were."""
    value = _parsed(known["arguments"])
    return value is None or value == _parsed(item.get("arguments"))


def _parsed(arguments: Any) -> Any:
    try:
        return orjson.loads(arguments or "{}")
    except (orjson.JSONDecodeError, TypeError):
        return None

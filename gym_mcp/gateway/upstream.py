"""What an agent asked, in the form that the model behind it can take. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gym_mcp.gateway.ask import Ask
from gym_mcp.models.messages import reminder
from gym_mcp.types import Item, JSONObject, text_of

_ANY_PLACE: Final = frozenset({"openai"})
"""Providers that take system messages in the middle. Chat templates of open models want one, at the start."""


def portable(spec: str, items: Sequence[Item], ask: Ask) -> tuple[list[Item], list[Item], JSONObject]:
    """(input, tools, params) of the call to a model of this spec."""
    provider = spec.partition("/")[0]
    params = {**ask.params, **ask.own.get(provider, {})}
    if not ask.tools:
        params = {k: v for k, v in params.items() if k not in ("tool_choice", "parallel_tool_calls")}
    return list(items) if provider in _ANY_PLACE else one_system(items), ask.tools, params


def one_system(items: Sequence[Item]) -> list[Item]:
    """`items` with one system message at most, at the start. Later ones become a user's, marked as reminders."""
    start = 0
    while start < len(items) and _is_system(items[start]):
        start += 1
    texts = [text_of(item) for item in items[:start]]
    head: list[Item] = [{"type": "message", "role": "system", "content": "\n\n".join(texts)}] if texts else []
    return head + [reminder(item) if _is_system(item) else item for item in items[start:]]


def _is_system(item: Item) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in ("system", "developer")

"""What an agent asked, in the form that the model behind it can take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gym_mcp.gateway.ask import Ask
from gym_mcp.models.messages import reminder
from gym_mcp.types import Item, JSONObject, text_of

EMBEDDED: Final = frozenset({"builtin", "replay"})
"""Providers whose models play a script and have not read the tools."""
_LARGE: Final = frozenset({"openai", "anthropic"})
"""Providers whose models may all answer at that length."""
_BLANKET: Final = 16_000
"""Output tokens from which on a limit is an agent's default for any model (Claude Code and opencode say 32,000),
not a wish. A server refuses it where it does not fit into the context window."""
_ANY_PLACE: Final = frozenset({"openai"})
"""Providers that take system messages in the middle. Chat templates of open models want one, at the start."""


def portable(spec: str, items: Sequence[Item], ask: Ask) -> tuple[list[Item], list[Item], JSONObject]:
    """(input, tools, params) of the call to a model of this spec; `ask.dropped` tells what that leaves out."""
    provider = spec.partition("/")[0]
    params = {**ask.params, **ask.own.get(provider, {})}
    limit = params.get("max_output_tokens")
    if provider not in _LARGE and isinstance(limit, int) and limit >= _BLANKET:
        del params["max_output_tokens"]
        ask.drop(f"a limit of {_BLANKET} output tokens or more")
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


def as_offered(output: Sequence[Item], tools: Sequence[Item]) -> list[Item]:
    """Calls of an embedded model, which knows a tool by its environment's name, under the name that the agent gave
    it: `add` as `mcp__env__add`. Nothing is guessed where two tools could be meant."""
    names = [tool["name"] for tool in tools]
    return [{**item, "name": _offered(item["name"], names)} if "name" in item else item for item in output]


def _offered(name: str, names: Sequence[str]) -> str:
    if name in names:
        return name
    longer = [other for other in names if other.endswith(f"_{name}")]
    return longer[0] if len(longer) == 1 else name


def _is_system(item: Item) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in ("system", "developer")

"""Which of a rollout's calls are the main conversation, and the transcript that they make. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from gym_mcp.calls import CallRecord, MessageGraph, fingerprint
from gym_mcp.types import Item, text_of


def mark_sides(calls: Sequence[CallRecord], graph: MessageGraph) -> None:
    """Set `side` of the calls outside the main conversation, which is that of the first call that offers tools (or
    of the first call, where none does): the same system text, and tools if that one has them."""
    lead = next((call for call in calls if call.tools), calls[0] if calls else None)
    if lead is None:
        return
    system = _system(graph.path(lead.input))
    for call in calls:
        call.side = bool(call.tools) != bool(lead.tools) or _system(graph.path(call.input)) != system


def _system(items: Sequence[Item]) -> str:
    """The system texts that a conversation begins with."""
    texts = []
    for item in items:
        if item.get("role") not in ("system", "developer"):
            break
        texts.append(text_of(item))
    return "\n".join(texts[:1])


def main_items(calls: Sequence[CallRecord], graph: MessageGraph) -> list[Item]:
    """What the model said in the main conversation and was told in between, in order.

    An answer that the agent asked for again (a broken stream) counts once, as the agent got it last. After a
    compaction the history starts anew: what the agent then says that was not said before is included.
    """
    main = [call for call in calls if not call.side and call.error is None and call.delivered]
    items: list[Item] = []
    known: list[str] = []
    for i, call in enumerate(main):
        if i + 1 < len(main) and main[i + 1].input == call.input:
            continue
        asked = graph.path(call.input)
        prints = [fingerprint(item) for item in asked]
        if known:
            common = _common(known, prints)
            items += [item for item in asked[common:] if _from_outside(item)]
        items += call.items
        known = prints + [fingerprint(item) for item in call.items]
    return items


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the common prefix."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))


def _from_outside(item: Item) -> bool:
    kind = item.get("type", "message")
    return kind == "function_call_output" or (kind == "message" and item.get("role") == "user")

"""Which of a rollout's calls are the main conversation, and the transcript that they make. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from gym_mcp.calls import CallRecord, MessageGraph, fingerprint
from gym_mcp.types import Item, text_of


def mark_sides(calls: Sequence[CallRecord], graph: MessageGraph) -> None:
    """Set `side` of the calls outside the main conversation.

    The main conversation is that of the first call that offers tools (of the first call, where none does). Outside
    are calls that offer none (titles, summaries), and those that begin with other instructions and another prompt
    (sub-agents).
    """
    ordered = sorted(calls, key=lambda call: call.seq)
    lead = next((call for call in ordered if call.tools), ordered[0] if ordered else None)
    if lead is None:
        return
    system, prompt = _beginning(graph.path(lead.input))
    for call in calls:
        other_system, other_prompt = _beginning(graph.path(call.input))
        elsewhere = other_system != system and other_prompt != prompt
        call.side = elsewhere or bool(call.tools) != bool(lead.tools)


def _beginning(items: Sequence[Item]) -> tuple[str, str]:
    """(first system text, fingerprint of the first item that is none) of a conversation."""
    system = ""
    for item in items:
        if item.get("role") not in ("system", "developer"):
            return system, fingerprint(item)
        system = system or text_of(item)
    return system, ""


def main_items(calls: Sequence[CallRecord], graph: MessageGraph) -> list[Item]:
    """What the model said in the main conversation and was told in between, in order.

    An answer that the agent asked for again (a broken stream) counts once, as the agent got it last. Where an
    agent has rewritten what came before (a compaction, old results cut out), only what is new is added.
    """
    main = [call for call in calls if not call.side and call.error is None and call.delivered]
    items: list[Item] = []
    asked_before, known, told = 0, list[str](), set[str]()
    for i, call in enumerate(main):
        if i + 1 < len(main) and main[i + 1].input == call.input:
            continue
        asked = graph.steps(call.input)
        common = _common(known, asked)
        items_since = (graph.nodes[node][1] for node in asked[common:])
        outside = [item for item in items_since if _from_outside(item)]
        if known:
            rewritten = common < asked_before
            items += [item for item in outside if not (rewritten and _name(item) in told)]
        told |= {_name(item) for item in outside}
        items += call.items
        asked_before, known = len(asked), graph.steps(call.output)
    return items


def _name(item: Item) -> str:
    """What a told item is known by: a result by its call, whose text may have been cut."""
    return str(item["call_id"]) if item.get("type") == "function_call_output" else fingerprint(item)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the common prefix."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))


def _from_outside(item: Item) -> bool:
    kind = item.get("type", "message")
    return kind == "function_call_output" or (kind == "message" and item.get("role") == "user")

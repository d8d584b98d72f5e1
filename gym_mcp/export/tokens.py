"""Puts the token ids of a row's calls onto the items of its transcript, as NeMo Gym has them."""

from __future__ import annotations

from collections.abc import Sequence

from gym_mcp.calls import MessageGraph, fingerprint, prompt_token_ids
from gym_mcp.types import Item, JSONObject


def with_tokens(row: JSONObject) -> tuple[list[Item], bool]:
    """(output items, the last of each call with its tokens; whether every call of the main conversation is there).

    A trainer must not learn from a rollout whose calls are not all there.
    """
    items: list[Item] = list(row["response"]["output"])
    calls = row.get("calls") or []
    if not any("generation_token_ids" in call for call in calls):
        return items, True
    nodes = row["messages"]["nodes"]
    graph = MessageGraph({node["id"]: (node["parent"], node["item"]) for node in nodes})
    prints = [fingerprint(item) for item in items]
    start, complete = 0, True
    for call in calls:
        if "generation_token_ids" not in call or call.get("side"):
            complete = complete and bool(call.get("side"))
            continue
        said = [fingerprint(item) for item in graph.path(call["output"], call["input"])]
        end = _end(prints, said, start)
        if end is None:
            complete = False
            continue
        items[end - 1] = {
            **items[end - 1],
            "prompt_token_ids": prompt_token_ids(calls, call["seq"]),
            "generation_token_ids": call["generation_token_ids"],
            "generation_log_probs": call["generation_log_probs"],
        }
        start = end
    return items, complete


def _end(prints: Sequence[str], said: Sequence[str], start: int) -> int | None:
    """Where `said` ends in `prints`, looked for from `start`; None when it is not there."""
    for place in range(start, len(prints) - len(said) + 1):
        if said and list(prints[place : place + len(said)]) == list(said):
            return place + len(said)
    return None

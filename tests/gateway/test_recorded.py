"""Recorded conversations of real models there and back through the other dialects."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from gym_mcp.gateway import chat_in, messages_in
from gym_mcp.models.chat import reasoning_text, to_messages
from gym_mcp.models.messages import to_messages as to_anthropic
from gym_mcp.types import Item, text_of
from tests.support import SHARED

DATA = SHARED / "data" / "nemo_gym"
FILES = sorted(DATA.glob("*/*rollouts*.jsonl"))
pytestmark = pytest.mark.skipif(not FILES, reason="needs the published rollouts in ../shared")


def conversation(row: dict[str, Any]) -> list[Item]:
    """What went in and what came out, as items."""
    prompt = row["responses_create_params"]["input"]
    items = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    response = row.get("response")
    items += (response.get("output") or []) if isinstance(response, dict) else []
    return [item for item in items if isinstance(item, dict)]


def rows(path: Path) -> list[list[Item]]:
    found = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.startswith(b"{")]
    return [conversation(row) for row in found if isinstance(row.get("responses_create_params"), dict)]


def calls(items: list[Item]) -> list[Any]:
    return [(i["call_id"], i["name"], _json(i["arguments"])) for i in items if i.get("type") == "function_call"]


def results(items: list[Item]) -> list[Any]:
    outputs = [(i["call_id"], i["output"]) for i in items if i.get("type") == "function_call_output"]
    return [(call, text if isinstance(text, str) else text_of({"content": text})) for call, text in outputs]


def holds_something(thought: Item) -> bool:
    return bool(reasoning_text(thought) or thought.get("encrypted_content"))


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def said(items: list[Item], roles: tuple[str, ...]) -> str:
    """All that these roles said: a dialect may join messages of one role, and none may lose a word."""
    return "".join(text_of(i) for i in items if i.get("role") in roles)


def images(value: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    if isinstance(value, dict):
        if value.get("type") == "input_image":
            found[str(value.get("image_url"))] += 1
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        found += images(inner)
    return found


@pytest.mark.parametrize("path", FILES, ids=[f"{p.parent.name}-{p.stem}" for p in FILES])
def test_nothing_is_lost_unsaid(path: Path) -> None:
    for items in rows(path):
        thoughts = sum(i.get("type") == "reasoning" and holds_something(i) for i in items)
        dropped: list[str] = []
        chat = chat_in.read({"messages": to_messages(items, dropped=dropped)})
        assert (calls(chat.items), results(chat.items)) == (calls(items), results(items))
        assert images(chat.items) == images(items)
        for roles in (("user",), ("assistant",), ("system", "developer")):
            assert said(chat.items, roles) == said(items, roles)
        assert not thoughts or dropped, "reasoning was dropped and nobody was told"
        lost: list[str] = []
        system, messages = to_anthropic(items, dropped=lost)
        back = messages_in.read({"system": system, "messages": messages})
        assert (calls(back.items), results(back.items)) == (calls(items), results(items))
        assert images(back.items) == images(items)
        assert said(back.items, ("assistant",)) == said(items, ("assistant",))
        assert len([one for one in lost if "reasoning" in one]) >= thoughts
        assert to_anthropic(back.items) == (system, messages)

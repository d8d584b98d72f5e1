"""A rollout as blocks of text and small images: bounded, and never more than text to whoever shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gym_mcp.report.clean import clean
from gym_mcp.types import text_of

TEXT: Final = 4_000
"""Characters of one block."""
BLOCKS: Final = 60
"""Blocks of one transcript: the first two thirds of them and the last third."""
IMAGES: Final = 4
IMAGE_BYTES: Final = 200_000
_IMAGE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(slots=True)
class Block:
    """One thing that was said or done. `kind` is system, user, assistant, thought, call, result or note."""

    kind: str
    title: str
    text: str
    error: bool = False
    images: list[str] = field(default_factory=list)
    """`data:` URLs of raster images, each checked."""


def transcript(task: Mapping[str, Any], row: Mapping[str, Any]) -> list[Block]:
    """What an agent was asked, did and said, from its task's row and its rollout's."""
    prompt = task.get("prompt")
    items = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt or []
    return blocks(items, (row.get("response") or {}).get("output") or [], row.get("ledger") or [])


def task_data(task: Mapping[str, Any]) -> str:
    """What only the environment sees of a task."""
    return clean(json.dumps(task.get("data"), indent=1, ensure_ascii=False), TEXT)


def blocks(prompt: Iterable[Any], output: Iterable[Any], ledger: Sequence[Mapping[str, Any]]) -> list[Block]:
    """A transcript with the prompt before it; the middle of a long one is left out, and says so."""
    wrong = {(e.get("name"), e.get("result")) for e in ledger if e.get("error")}
    items = [item for item in (*prompt, *output) if isinstance(item, Mapping)]
    names = {str(i.get("call_id")): str(i.get("name")) for i in items if i.get("type") == "function_call"}
    found = [_block(item, names, wrong) for item in items]
    if len(found) > BLOCKS:
        head, tail = BLOCKS * 2 // 3, BLOCKS // 3
        gap = Block("note", "", f"{len(found) - head - tail:,} steps are left out here.")
        found = [*found[:head], gap, *found[-tail:]]
    left = IMAGES
    for block in found:
        block.images, more = block.images[:left], block.images[left:]
        left -= len(block.images)
        if more:
            block.text += f"\n[{len(more)} images are left out]"
    return found


def _block(item: Mapping[str, Any], names: Mapping[str, str], wrong: set[Any]) -> Block:
    kind = item.get("type", "message")
    if kind == "function_call":
        return Block("call", f"calls {clean(str(item.get('name')), 100)}", _arguments(item.get("arguments")))
    if kind == "function_call_output":
        name = names.get(str(item.get("call_id")), "")
        output = item.get("output")
        text = output if isinstance(output, str) else text_of({"content": output})
        images, notes = _images(output)
        title = f"{clean(name, 100)} returns" if name else "result"
        return Block("result", title, clean(text, TEXT) + notes, (name, text) in wrong, images)
    if kind == "reasoning":
        return Block("thought", "thinks", clean("\n".join(_thoughts(item)) or "(not shown by the model)", TEXT))
    if kind == "message":
        role = str(item.get("role", "assistant"))
        images, notes = _images(item.get("content"))
        known = "system" if role in ("system", "developer") else role if role in ("user", "assistant") else "note"
        return Block(known, clean(role, 30), clean(text_of(item), TEXT) + notes, images=images)
    return Block("note", clean(str(kind), 60), clean(json.dumps(item, ensure_ascii=False, default=str), TEXT))


def _arguments(raw: Any) -> str:
    """A call's arguments, indented where they are JSON."""
    text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    if len(text) <= TEXT:
        try:
            text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
        except (ValueError, RecursionError):
            pass
    return clean(text, TEXT)


def _thoughts(item: Mapping[str, Any]) -> Iterator[str]:
    for name in ("summary", "content"):
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, Mapping) and isinstance(part.get("text"), str):
                yield part["text"]


def _images(content: Any) -> tuple[list[str], str]:
    """(`data:` URLs that may be shown, what is said of the others)."""
    shown: list[str] = []
    notes = ""
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, Mapping) or "image" not in str(part.get("type")):
            continue
        url = part.get("image_url")
        url = url.get("url") if isinstance(url, Mapping) else url
        if isinstance(url, str) and len(url) <= IMAGE_BYTES and _IMAGE.fullmatch(url):
            shown.append(url)
        else:
            notes += f"\n[an image is left out: {clean(str(url)[:60], 60)}]"
    return shown, notes

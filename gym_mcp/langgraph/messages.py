"""LangChain messages and Responses items, both ways. What came in as items goes out as the same items.

A message keeps the items that it was made of. They go out again as they are, unless someone has changed the
message: then what it says now is what goes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolCall, ToolMessage

from gym_mcp.errors import HarnessError
from gym_mcp.models.base import Response
from gym_mcp.toolcalls import call_item, read_arguments
from gym_mcp.types import Item, JSONObject, ToolResult, assistant_message, text_of

ITEMS: Final = "gym_mcp_items"
"""Key in `additional_kwargs` of the items that a message was made of."""
RAW: Final = "__raw_arguments__"
"""The one argument of a tool call whose arguments were no JSON object: their text, for an error to the model."""
_ROLE: Final = "__openai_role__"  # LangChain's own place for it


def to_messages(items: Iterable[Item]) -> list[BaseMessage]:
    """Messages of Responses items; the items of one turn of the model become one message."""
    found: list[BaseMessage] = []
    turn: list[Item] = []
    for item in items:
        role, output = item.get("role"), item.get("type") == "function_call_output"
        if role in (None, "assistant") and not output:
            turn.append(item)
            continue
        if turn:
            found.append(turn_message(turn))
            turn = []
        found.append(_output_message(item) if output else _said_message(item))
    return [*found, turn_message(turn)] if turn else found


def turn_message(items: Sequence[Item], **fields: Any) -> AIMessage:
    """One turn of the model as a message. Reasoning stays out of the text; it is kept with the items."""
    text, calls = _plain(items)
    return AIMessage(text, tool_calls=calls, additional_kwargs={ITEMS: list(items)}, **fields)


def response_message(response: Response, message_id: str) -> AIMessage:
    """A model's answer as a message, with its usage."""
    usage = response.usage
    return turn_message(
        response.output,
        id=message_id,
        usage_metadata={
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.total,
            "input_token_details": {"cache_read": usage.cached},
            "output_token_details": {"reasoning": usage.reasoning},
        },
        response_metadata={
            "id": response.id,
            "model_name": response.model,
            "status": response.status,
            "incomplete_details": {"reason": response.incomplete} if response.incomplete else None,
            "seq": response.seq,
        },
    )


def to_items(messages: Iterable[BaseMessage]) -> list[Item]:
    """Responses items of messages; `HarnessError` for content that has no place among them."""
    items: list[Item] = []
    for message in messages:
        if isinstance(message, AIMessage):
            items += _turn_items(message)
        elif isinstance(message, ToolMessage):
            output = _content(message.content)
            items.append({"type": "function_call_output", "call_id": message.tool_call_id, "output": output})
        else:
            kept = message.additional_kwargs.get(ITEMS)
            if kept and _blocks(kept[0].get("content")) == message.content:
                items += kept
            else:
                items.append({"type": "message", "role": _role(message), "content": _content(message.content)})
    return items


def text_of_message(message: BaseMessage) -> str:
    """All text of a message."""
    content = message.content
    if isinstance(content, str):
        return content
    return "".join(b if isinstance(b, str) else str(b.get("text") or "") for b in content)


def _plain(items: Iterable[Item]) -> tuple[str, list[ToolCall]]:
    """What LangChain shows of a turn: its text and its calls."""
    texts: list[str] = []
    calls: list[ToolCall] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            texts.append(text_of(item) or _refusal(item))
        elif kind == "function_call":
            name, call_id = item.get("name") or "", item.get("call_id") or ""
            calls.append(ToolCall(name=name, args=arguments_of(item), id=call_id, type="tool_call"))
    return "".join(texts), calls


def arguments_of(item: Item) -> JSONObject:
    """Arguments of a function call; a text that is no JSON object stands under `RAW`."""
    arguments = read_arguments(item)
    return {RAW: item.get("arguments")} if isinstance(arguments, ToolResult) else arguments


def _refusal(item: Item) -> str:
    parts = item.get("content")
    return "".join(p.get("refusal") or "" for p in parts) if isinstance(parts, list) else ""


def _turn_items(message: AIMessage) -> list[Item]:
    kept: list[Item] = message.additional_kwargs.get(ITEMS) or []
    text, calls = _plain(kept)
    if kept and text == message.content and calls == message.tool_calls:
        return kept
    items = [i for i in kept if i.get("type", "message") not in ("message", "function_call")]
    if said := text_of_message(message):
        items.append(assistant_message(said))
    same = {(c["id"], c["name"]): (c, i) for c, i in zip(calls, _calls(kept), strict=True)}
    for call in message.tool_calls:
        before, item = same.get((call["id"], call["name"]), (None, {}))
        items.append(item if before == call else _call_item(call))
    return items


def _calls(items: Iterable[Item]) -> list[Item]:
    return [item for item in items if item.get("type") == "function_call"]


def _call_item(call: ToolCall) -> Item:
    item = call_item(call["name"], call["args"], call["id"] or "")
    return {**item, "arguments": call["args"][RAW]} if RAW in call["args"] else item


def _said_message(item: Item) -> BaseMessage:
    content, kept = _blocks(item.get("content")), {ITEMS: [item]}
    if item.get("role") == "user":
        return HumanMessage(content, additional_kwargs=kept)
    if item.get("role") == "developer":
        kept[_ROLE] = "developer"  # type: ignore[assignment]
    return SystemMessage(content, additional_kwargs=kept)


def _output_message(item: Item) -> ToolMessage:
    return ToolMessage(_blocks(item.get("output")), tool_call_id=item.get("call_id") or "")


def _role(message: BaseMessage) -> str:
    if isinstance(message, SystemMessage):
        return str(message.additional_kwargs.get(_ROLE, "system"))
    role = getattr(message, "role", "user")
    return role if role in ("user", "assistant", "system", "developer") else "user"


def _blocks(content: Any) -> Any:
    """LangChain's content blocks of Responses content."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return [_block(part) for part in content]


def _block(part: JSONObject) -> JSONObject:
    if part.get("type") in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text", "")}
    if part.get("type") == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"], **({"detail": part["detail"]} if part.get("detail") else {})}
        return {"type": "image_url", "image_url": image}
    return part


def _content(content: str | list[Any]) -> str | list[JSONObject]:
    """Responses content of LangChain's."""
    return content if isinstance(content, str) else [_part(block) for block in content]


def _part(block: Any) -> JSONObject:
    if isinstance(block, str):
        return {"type": "input_text", "text": block}
    kind = block.get("type")
    if kind == "text":
        return {"type": "input_text", "text": block["text"]}
    if kind == "image_url":
        image = block["image_url"]
        return {"type": "input_image", **({"image_url": image} if isinstance(image, str) else _image(image))}
    if kind == "image" and (block.get("url") or block.get("base64")):
        url = block.get("url") or f"data:{block.get('mime_type', 'image/png')};base64,{block['base64']}"
        return {"type": "input_image", "image_url": url}
    if isinstance(kind, str) and kind.startswith("input_"):
        return dict(block)
    if kind == "json":
        return {"type": "input_text", "text": orjson.dumps(block.get("json")).decode()}
    raise HarnessError(
        f"a message holds a content block of type `{kind}`, which the Responses API has no place for"
    )


def _image(image: JSONObject) -> JSONObject:
    return {"image_url": image["url"], **({"detail": image["detail"]} if image.get("detail") else {})}

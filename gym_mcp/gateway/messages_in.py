"""Anthropic Messages requests as Responses items. Pure functions.

Reasoning keeps what its endpoint needs back: `encrypted_content` of an Anthropic thinking block is its signature
behind a mark, and the signature of any other model's reasoning is the sealed item.
"""

from __future__ import annotations

from typing import Any, Final

from gym_mcp.errors import ModelError
from gym_mcp.gateway.ask import Ask, Refused, function, objects, unseal
from gym_mcp.models.messages_answer import to_item
from gym_mcp.types import Item, JSONObject

_BILLING: Final = "x-anthropic-billing-header"
_PLACEHOLDER: Final = "DeferredToolPlaceholder"
_SAME: Final = ("temperature", "top_p")
_OWN: Final = ("thinking", "output_config", "stop_sequences", "top_k")
_READ: Final = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "max_tokens", "stream", *_SAME, *_OWN}
)
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def read(body: JSONObject) -> Ask:
    """What a Messages request asks; `Refused` when it is none."""
    ask = Ask(stream=body.get("stream") is True, model=str(body.get("model") or ""))
    system = _system(body.get("system"), ask)
    if system:
        ask.items.append({"type": "message", "role": "system", "content": system})
    for message in objects(body.get("messages"), "messages"):
        _message(message, ask)
    for tool in objects(body.get("tools") or [], "tools"):
        _tool(tool, ask)
    _params(body, ask)
    return ask


def _system(system: Any, ask: Ask) -> str:
    if system is None or isinstance(system, str):
        return system or ""
    texts = [block.get("text") for block in objects(system, "system")]
    kept = [text for text in texts if isinstance(text, str) and not text.startswith(_BILLING)]
    if len(kept) < len(texts):
        ask.drop("system block of no text, or of the billing header")
    return "\n\n".join(kept)


def _message(message: JSONObject, ask: Ask) -> None:
    role, content = message.get("role"), message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else objects(content, "content")
    if role == "assistant":
        _assistant(blocks, ask)
    elif role in ("user", "system"):
        _outside(str(role), blocks, ask)
    else:
        raise Refused("bad_request", f"messages: Unexpected role {role!r}")


def _assistant(blocks: list[JSONObject], ask: Ask) -> None:
    for block in blocks:
        try:
            item = unseal(block.get("signature")) or to_item(block)
        except ModelError as e:
            raise Refused("bad_request", f"messages: {e}") from None
        if item is None:
            ask.drop(f"assistant block `{block.get('type')}`")
        else:
            ask.items.append(item)


def _outside(role: str, blocks: list[JSONObject], ask: Ask) -> None:
    """A user's or system message. Its tool results come first: they must follow their calls."""
    parts: list[JSONObject] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            ask.items.append(_result(block, ask))
        else:
            part = _part(block, ask)
            parts += [part] if part else []
    if parts:
        texts = [part["text"] for part in parts if part["type"] == "input_text"]
        content: Any = texts[0] if len(parts) == len(texts) == 1 else parts
        ask.items.append({"type": "message", "role": role, "content": content})


def _result(block: JSONObject, ask: Ask) -> Item:
    content = block.get("content")
    if block.get("is_error"):
        ask.drop("`is_error` of a tool_result")
    output: Any = content
    if isinstance(content, list):
        parts = [part for part in (_part(entry, ask) for entry in objects(content, "content")) if part]
        only_text = len(parts) == 1 and parts[0]["type"] == "input_text"
        output = parts[0]["text"] if only_text else parts or ""
    elif not isinstance(content, str):
        output = ""
    return {"type": "function_call_output", "call_id": str(block.get("tool_use_id")), "output": output}


def _part(block: JSONObject, ask: Ask) -> JSONObject | None:
    kind = block.get("type")
    given = block.get("source")
    source: JSONObject = given if isinstance(given, dict) else {}
    if kind == "text":
        return {"type": "input_text", "text": str(block.get("text", ""))}
    if kind == "tool_reference":
        return {"type": "input_text", "text": f"The tool {block.get('tool_name')} is available."}
    if kind in ("image", "document") and source.get("type") in ("base64", "url"):
        url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
        if kind == "image":
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        name = str(block.get("title") or "document")
        field = "file_url" if source["type"] == "url" else "file_data"
        return {"type": "input_file", "filename": name, field: url}
    if kind == "document" and source.get("type") == "text":
        return {"type": "input_text", "text": str(source.get("data", ""))}
    ask.drop(f"block `{kind}`")
    return None


def _tool(tool: JSONObject, ask: Ask) -> None:
    kind, name = tool.get("type"), tool.get("name")
    if kind not in (None, "custom") or name == _PLACEHOLDER:
        ask.drop(f"tool `{name if kind in (None, 'custom') else kind}`")
        return
    # Nothing here searches for tools, so those that would be loaded later are offered at once.
    ask.tools.append(function(name, tool.get("description"), tool.get("input_schema"), tool.get("strict")))


def _params(body: JSONObject, ask: Ask) -> None:
    ask.params |= {name: body[name] for name in _SAME if body.get(name) is not None}
    if isinstance(body.get("max_tokens"), int):
        ask.params["max_output_tokens"] = body["max_tokens"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        if choice.get("type") == "tool":
            ask.params["tool_choice"] = {"type": "function", "name": choice.get("name")}
        elif str(choice.get("type")) in _CHOICES:
            ask.params["tool_choice"] = _CHOICES[choice["type"]]
        if choice.get("disable_parallel_tool_use"):
            ask.params["parallel_tool_calls"] = False
    ask.own["anthropic"] = {name: body[name] for name in _OWN if body.get(name) is not None}
    if body.get("stop_sequences"):
        ask.own["openai-chat"] = {"stop": body["stop_sequences"]}
    for name in body:
        if name not in _READ:
            ask.drop(f"`{name}`")

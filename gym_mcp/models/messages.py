"""Responses items, tools and parameters in the form of Anthropic Messages. Pure functions.

Anthropic signs what its models think and wants it back unchanged: a reasoning item keeps the signature in
`encrypted_content`, behind a mark that says whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from gym_mcp.errors import ModelError
from gym_mcp.models.chat import reasoning_text
from gym_mcp.types import Item, JSONObject, text_of

SIGNED: Final = "anthropic-thinking:"
REDACTED: Final = "anthropic-redacted:"
MAX_TOKENS: Final = 16_000
"""The API wants a limit of each answer; this one where the request has none."""
_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_DATA_URL: Final = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)
_CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}
_RENAMED: Final = {"max_output_tokens": "max_tokens", "stop": "stop_sequences"}
_DROPPED: Final = frozenset(
    {"include", "store", "truncation", "prompt_cache_key", "instructions", "text", "reasoning", "tool_choice"}
    | {"parallel_tool_calls", "top_logprobs", "return_token_ids"}
)


def to_messages(
    items: Iterable[Item], *, instructions: str | None = None, dropped: list[str] | None = None
) -> tuple[str, list[JSONObject]]:
    """(system text, messages) of Responses input items.

    System messages in the middle become a user's, marked as reminders. Other models' reasoning has no place here;
    `dropped` gets a line for each thing that is left out. `ModelError` for an item that cannot be said at all.
    """
    writer = _Writer([] if dropped is None else dropped)
    if instructions:
        writer.system.append(instructions)
    for item in items:
        writer.add(item)
    return "\n\n".join(writer.system), writer.messages


class _Writer:
    def __init__(self, dropped: list[str]) -> None:
        self.system: list[str] = []
        self.messages: list[JSONObject] = []
        self._dropped = dropped

    def add(self, item: Item) -> None:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            self._result(item)
        elif kind == "function_call":
            self._put("assistant", [_tool_use(item)])
        elif kind == "reasoning":
            self._put("assistant", self._thinking(item))
        elif kind != "message":
            raise ModelError(f"Anthropic Messages has no place for an input item of type `{kind}`")
        elif item.get("role") == "assistant":
            self._put("assistant", [{"type": "text", "text": text} for text in _said(item) if text])
        elif item.get("role") == "user":
            self._put("user", _blocks(item.get("content")))
        elif self.messages:
            self._put("user", _blocks(reminder(item)["content"]))
        else:
            self.system.append(text_of(item))

    def _put(self, role: str, blocks: list[JSONObject]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _result(self, item: Item) -> None:
        """Results stand before whatever else a user's message holds."""
        output = item.get("output")
        content = output if isinstance(output, str) else _blocks(output)
        block = {"type": "tool_result", "tool_use_id": tool_id(item.get("call_id")), "content": content}
        if not self.messages or self.messages[-1]["role"] != "user":
            self.messages.append({"role": "user", "content": []})
        blocks = self.messages[-1]["content"]
        place = next((i for i, b in enumerate(blocks) if b["type"] != "tool_result"), len(blocks))
        blocks.insert(place, block)

    def _thinking(self, item: Item) -> list[JSONObject]:
        hidden = item.get("encrypted_content")
        block = signed(hidden, reasoning_text(item)) if isinstance(hidden, str) else None
        if block is None:
            self._dropped.append(f"reasoning {item.get('id', '')} that Anthropic has not signed")
        return [block] if block else []


def signed(hidden: str, text: str) -> JSONObject | None:
    """The thinking block of a reasoning item that came from Anthropic; None for another's."""
    if hidden.startswith(REDACTED):
        return {"type": "redacted_thinking", "data": hidden.removeprefix(REDACTED)}
    if hidden.startswith(SIGNED):
        return {"type": "thinking", "thinking": text, "signature": hidden.removeprefix(SIGNED)}
    return None


def reminder(item: Item) -> Item:
    """A system message as a user's. The tag is the one that Claude Code itself uses for such texts."""
    text = f"<system-reminder>\n{text_of(item)}\n</system-reminder>"
    return {"type": "message", "role": "user", "content": text}


def tool_id(call_id: Any) -> str:
    """`call_id` in the characters that Anthropic allows."""
    return _ID.sub("_", str(call_id)) or "_"


def _tool_use(item: Item) -> JSONObject:
    return {
        "type": "tool_use",
        "id": tool_id(item.get("call_id")),
        "name": item.get("name"),
        "input": arguments_of(item),
    }


def arguments_of(item: Item) -> JSONObject:
    """A call's arguments as an object. What is none goes in one field, so that the tool itself refuses it."""
    raw = item.get("arguments") or "{}"
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = None
    return value if isinstance(value, dict) else {"arguments": raw}


def _said(item: Item) -> list[str]:
    content = item.get("content")
    if isinstance(content, str):
        return [content]
    return [str(part.get("text") or part.get("refusal") or "") for part in content or []]


def _blocks(content: Any) -> list[JSONObject]:
    if isinstance(content, str):
        content = [{"type": "input_text", "text": content}]
    return [block for block in map(_block, content or []) if block.get("text") != ""]


def _block(part: JSONObject) -> JSONObject:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text", "")}
    if kind == "input_image" and part.get("image_url"):
        return {"type": "image", "source": _source(part["image_url"])}
    if kind == "input_file" and (part.get("file_data") or part.get("file_url")):
        title = {"title": part["filename"]} if part.get("filename") else {}
        return {"type": "document", "source": _source(part.get("file_data") or part["file_url"]), **title}
    raise ModelError(f"Anthropic Messages has no place for a content part of type `{kind}`")


def _source(url: str) -> JSONObject:
    match = _DATA_URL.fullmatch(url)
    if match is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": match[1], "data": match[2]}


def to_tools(tools: Sequence[Item]) -> list[JSONObject]:
    """Anthropic tools of Responses function tools."""
    return [_tool(tool) for tool in tools]


def _tool(tool: Item) -> JSONObject:
    if tool.get("type") != "function":
        raise ModelError(f"Anthropic Messages has no tools of type `{tool.get('type')}`")
    schema = tool.get("parameters") or {"type": "object", "properties": {}}
    out: JSONObject = {"name": tool["name"], "input_schema": schema}
    if tool.get("description"):
        out["description"] = tool["description"]
    if tool.get("strict"):
        out["strict"] = True
    return out


def to_params(params: Mapping[str, Any], *, has_tools: bool) -> JSONObject:
    """Messages parameters of Responses parameters. Names that both share, and unknown ones, pass as they are."""
    out: JSONObject = {"max_tokens": MAX_TOKENS}
    out |= {_RENAMED.get(name, name): value for name, value in params.items() if name not in _DROPPED}
    choice = _tool_choice(params) if has_tools else None
    if choice:
        out["tool_choice"] = choice
    config: JSONObject = {}
    text, reasoning = params.get("text"), params.get("reasoning")
    form = text.get("format") if isinstance(text, dict) else None
    if isinstance(form, dict) and form.get("type") == "json_schema":
        config["format"] = {"type": "json_schema", "schema": form.get("schema")}
    if isinstance(reasoning, dict) and reasoning.get("effort"):
        config["effort"] = reasoning["effort"]
    if config:
        out["output_config"] = config | (params.get("output_config") or {})
    return out


def _tool_choice(params: Mapping[str, Any]) -> JSONObject | None:
    choice = params.get("tool_choice")
    out: JSONObject | None = None
    if isinstance(choice, dict) and choice.get("type") == "function":
        out = {"type": "tool", "name": choice.get("name")}
    elif isinstance(choice, str) and choice in _CHOICES:
        out = {"type": _CHOICES[choice]}
    if params.get("parallel_tool_calls") is False and (out is None or out["type"] != "none"):
        out = {**(out or {"type": "auto"}), "disable_parallel_tool_use": True}
    return out

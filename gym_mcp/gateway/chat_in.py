"""OpenAI Chat Completions requests as Responses items. Pure functions."""

from __future__ import annotations

from typing import Any, Final

from gym_mcp.gateway.ask import Ask, Refused, function, objects
from gym_mcp.models.chat_answer import reasoning_of
from gym_mcp.types import Item, JSONObject

_SAME: Final = ("temperature", "top_p", "parallel_tool_calls")
_CHAT: Final = ("stop", "seed", "presence_penalty", "frequency_penalty", "top_k", "min_p", "reasoning_effort")
_READ: Final = frozenset(
    {"model", "messages", "tools", "tool_choice", "stream", "stream_options", "max_tokens", *_SAME, *_CHAT}
    | {"max_completion_tokens", "response_format", "n", "store", "user", "metadata"}
)


def read(body: JSONObject) -> Ask:
    """What a Chat Completions request asks; `Refused` when it is none."""
    options = body.get("stream_options")
    ask = Ask(stream=body.get("stream") is True, model=str(body.get("model") or ""))
    ask.usage = isinstance(options, dict) and options.get("include_usage") is True
    for message in objects(body.get("messages"), "messages"):
        add_message(message, ask)
    for tool in objects(body.get("tools") or [], "tools"):
        inner = tool.get("function")
        if tool.get("type") == "function" and isinstance(inner, dict):
            ask.tools.append(
                function(inner.get("name"), inner.get("description"), inner.get("parameters"), inner.get("strict"))
            )
        else:
            ask.drop(f"tool `{tool.get('type')}`")
    _params(body, ask)
    return ask


def add_message(message: JSONObject, ask: Ask) -> None:
    """Append the items of one chat message."""
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        output = content if isinstance(content, str) else _parts(content, ask)
        ask.items.append(
            {"type": "function_call_output", "call_id": str(message.get("tool_call_id")), "output": output}
        )
    elif role == "assistant":
        _assistant(message, ask)
    elif role in ("user", "system", "developer"):
        given = content if isinstance(content, str) else _parts(content, ask)
        ask.items.append({"type": "message", "role": role, "content": given})
    else:
        raise Refused("bad_request", f"messages: a message of role {role!r}")


def _assistant(message: JSONObject, ask: Ask) -> None:
    thought = reasoning_of(message)
    if thought:
        parts = [{"type": "reasoning_text", "text": thought}]
        ask.items.append({"type": "reasoning", "summary": [], "content": parts})
    content = message.get("content")
    said: list[JSONObject] = []
    texts = content if isinstance(content, list) else [{"text": content}]
    for part in objects(texts, "content"):
        if part.get("type") == "refusal" or isinstance(part.get("refusal"), str):
            said.append({"type": "refusal", "refusal": str(part.get("refusal"))})
        elif isinstance(part.get("text"), str) and part["text"]:
            said.append({"type": "output_text", "text": part["text"], "annotations": []})
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        said.append({"type": "refusal", "refusal": message["refusal"]})
    calls = objects(message.get("tool_calls") or [], "tool_calls")
    if said:
        ask.items.append({"type": "message", "role": "assistant", "status": "completed", "content": said})
    ask.items += [_call(call) for call in calls]
    if message.get("function_call"):
        ask.drop("`function_call` of an assistant message (the old form)")
    if message.get("audio"):
        ask.drop("`audio` of an assistant message")


def _call(call: JSONObject) -> Item:
    inner = call.get("function")
    if not isinstance(inner, dict):
        raise Refused("bad_request", f"messages: a tool call of type {call.get('type')!r}")
    return {
        "type": "function_call",
        "call_id": str(call.get("id")),
        "name": str(inner.get("name")),
        "arguments": str(inner.get("arguments") or ""),
        "status": "completed",
    }


def _parts(content: Any, ask: Ask) -> list[JSONObject]:
    parts: list[JSONObject] = []
    for part in objects(content or [], "content"):
        kind, image = part.get("type"), part.get("image_url")
        if kind == "text":
            parts.append({"type": "input_text", "text": str(part.get("text", ""))})
        elif kind == "image_url" and isinstance(image, dict | str):
            source: JSONObject = {"url": image} if isinstance(image, str) else image
            detail = source.get("detail") or "auto"
            parts.append({"type": "input_image", "image_url": source.get("url"), "detail": detail})
        elif kind == "file" and isinstance(part.get("file"), dict):
            parts.append({"type": "input_file", **part["file"]})
        elif kind == "input_audio":
            parts.append(part)
        else:
            ask.drop(f"content part `{kind}`")
    return parts


def _params(body: JSONObject, ask: Ask) -> None:
    ask.params |= {name: body[name] for name in _SAME if body.get(name) is not None}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is not None:
        ask.params["max_output_tokens"] = limit
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        ask.params["tool_choice"] = {"type": "function", "name": choice["function"].get("name")}
    elif isinstance(choice, str):
        ask.params["tool_choice"] = choice
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema" and isinstance(form.get("json_schema"), dict):
        ask.params["text"] = {"format": {"type": "json_schema", **form["json_schema"]}}
    elif isinstance(form, dict):
        ask.params["text"] = {"format": form}
    own = {name: body[name] for name in _CHAT if body.get(name) is not None}
    ask.own["openai-chat"] = own
    if "reasoning_effort" in own:
        ask.own["openai"] = {"reasoning": {"effort": own["reasoning_effort"]}}
    if (body.get("n") or 1) != 1:
        ask.drop("`n`: one answer is given")
    for name, value in body.items():
        if name not in _READ and value is not None:
            ask.drop(f"`{name}`")

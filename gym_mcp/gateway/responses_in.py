"""OpenAI Responses requests as plain items and function tools. Pure functions.

Models see functions only: those in a namespace get the namespace into their name, built-in tools are dropped.
"""

from __future__ import annotations

from typing import Any, Final

from gym_mcp.gateway.ask import Ask, Refused, flat_name, function, objects, unseal
from gym_mcp.types import Item, JSONObject

_SAME: Final = ("temperature", "top_p", "max_output_tokens", "parallel_tool_calls", "text")
_OWN: Final = ("reasoning",)
_READ: Final = frozenset({"model", "input", "instructions", "tools", "tool_choice", "stream", *_SAME, *_OWN})
_HARMLESS: Final = frozenset({"store", "include", "prompt_cache_key", "stream_options", "background", "metadata"})
"""Say nothing to the model."""


def read(body: JSONObject) -> Ask:
    """What a Responses request asks; `Refused` when it is none."""
    if body.get("previous_response_id") or body.get("conversation"):
        raise Refused("bad_request", "nothing is stored here: send the whole conversation as `input`")
    ask = Ask(stream=body.get("stream") is True, model=str(body.get("model") or ""))
    about = [_tool(tool, ask) for tool in objects(body.get("tools") or [], "tools")]
    texts = (body.get("instructions"), *about)
    instructions = "\n\n".join(text for text in texts if isinstance(text, str) and text)
    if instructions:
        ask.items.append({"type": "message", "role": "system", "content": instructions})
    given = body.get("input")
    if isinstance(given, str):
        ask.items.append({"type": "message", "role": "user", "content": given})
    else:
        for item in objects(given, "input"):
            _item(item, ask)
    _params(body, ask)
    return ask


def _item(item: Item, ask: Ask) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        if item.get("role") not in ("user", "assistant", "system", "developer"):
            raise Refused("bad_request", f"input: a message of role {item.get('role')!r}")
        ask.items.append({"type": "message", **item})
    elif kind == "function_call":
        space, name = item.get("namespace"), str(item.get("name"))
        rest = {k: v for k, v in item.items() if k != "namespace"}
        ask.items.append({**rest, "name": flat_name(space, name)} if isinstance(space, str) and space else rest)
    elif kind == "function_call_output":
        ask.items.append(item)
    elif kind == "reasoning":
        ask.items.append(unseal(item.get("encrypted_content")) or item)
    else:
        ask.drop(f"input item `{kind}`")


def _tool(tool: JSONObject, ask: Ask) -> str:
    """Add a tool; what there is to say about its namespace."""
    kind, name = tool.get("type"), tool.get("name")
    if kind == "function":
        ask.tools.append(function(name, tool.get("description"), tool.get("parameters"), tool.get("strict")))
    elif kind == "namespace" and isinstance(name, str):
        for inner in objects(tool.get("tools") or [], "tools"):
            _inner(name, inner, ask)
        about = tool.get("description")
        return f"# {name}\n{about}" if isinstance(about, str) and about else ""
    else:
        ask.drop(f"tool `{kind}`" if kind != "custom" else f"custom tool `{name}`")
    return ""


def _inner(space: str, tool: JSONObject, ask: Ask) -> None:
    if tool.get("type", "function") != "function":
        ask.drop(f"tool `{tool.get('type')}` of {space}")
        return
    name = str(tool.get("name") or "")
    flat = flat_name(space, name)
    ask.names[flat] = (space, name)
    ask.tools.append(function(flat, tool.get("description"), tool.get("parameters"), tool.get("strict")))


def _params(body: JSONObject, ask: Ask) -> None:
    ask.params |= {name: body[name] for name in _SAME if body.get(name) is not None}
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") != "function":
        ask.drop(f"tool_choice `{choice.get('type')}`")
    elif choice is not None:
        ask.params["tool_choice"] = _choice(choice)
    text = ask.params.get("text")
    if isinstance(text, dict) and "verbosity" in text:
        # Only OpenAI's newest models know it; the form of the answer is what agents rely on.
        ask.params["text"] = {k: v for k, v in text.items() if k != "verbosity"}
        ask.drop("`text.verbosity`")
    if not ask.params.get("text"):
        ask.params.pop("text", None)
    ask.own["openai"] = {name: body[name] for name in _OWN if body.get(name) is not None}
    for name, value in body.items():
        if name not in _READ and name not in _HARMLESS and value is not None:
            ask.drop(f"`{name}`")


def _choice(choice: Any) -> Any:
    if isinstance(choice, dict) and isinstance(choice.get("namespace"), str):
        return {"type": "function", "name": flat_name(choice["namespace"], str(choice.get("name")))}
    return choice

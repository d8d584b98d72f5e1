"""Responses items, tools and parameters in the form of Chat Completions. Pure functions.

All output items between two inputs are one turn of the model, and one turn is one assistant message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gym_mcp.errors import ModelError
from gym_mcp.types import Item, JSONObject

_DROPPED: Final = frozenset({"include", "store", "truncation", "prompt_cache_key", "text", "reasoning"})
_NEED_TOOLS: Final = frozenset({"tool_choice", "parallel_tool_calls"})


def to_messages(
    items: Iterable[Item],
    *,
    instructions: str | None = None,
    developer: bool = False,
    reasoning_field: str | None = None,
    dropped: list[str] | None = None,
) -> list[JSONObject]:
    """Chat messages of Responses input items.

    `developer`: the endpoint knows that role (OpenAI's do; elsewhere it becomes `system`). `reasoning_field`: the
    field in which the endpoint gives reasoning, and takes back that of the turns since the last user message;
    None drops it. `dropped` gets a line for each thing that is left out. `ModelError` for an item that the
    dialect has no place for.
    """
    writer = _Writer(developer, reasoning_field, [] if dropped is None else dropped)
    if instructions:
        writer.messages.append({"role": "system", "content": instructions})
    for item in items:
        writer.add(item)
    writer.end_turn()
    writer.end_outputs()
    return writer.messages


class _Writer:
    def __init__(self, developer: bool, reasoning_field: str | None, dropped: list[str]) -> None:
        self.messages: list[JSONObject] = []
        self._developer = developer
        self._reasoning_field = reasoning_field
        self._dropped = dropped
        self._turn: JSONObject | None = None
        self._reasoning: list[str] = []
        self._images: list[JSONObject] = []

    def add(self, item: Item) -> None:
        kind = item.get("type", "message")
        if kind == "function_call_output":
            self.end_turn()
            self._output(item)
            return
        self.end_outputs()
        if kind == "function_call":
            self._assistant().setdefault("tool_calls", []).append(_tool_call(item))
        elif kind == "reasoning":
            self._assistant()
            self._reasoning.append(reasoning_text(item))
            if item.get("encrypted_content"):
                self._dropped.append("encrypted reasoning")
        elif kind == "message" and item.get("role") == "assistant":
            turn, text = self._assistant(), _assistant_text(item)
            turn["content"] = text if turn["content"] is None else f"{turn['content']}\n\n{text}"
        elif kind == "message":
            self.end_turn()
            self._message(item)
        else:
            raise ModelError(f"Chat Completions has no place for an input item of type `{kind}`")

    def _assistant(self) -> JSONObject:
        if self._turn is None:
            self._turn = {"role": "assistant", "content": None}
        return self._turn

    def end_turn(self) -> None:
        turn, self._turn = self._turn, None
        reasoning, self._reasoning = "\n".join(filter(None, self._reasoning)), []
        if turn is None or (turn["content"] is None and "tool_calls" not in turn):
            if reasoning:
                self._dropped.append("reasoning of a turn that says nothing")
            return  # reasoning alone, cut short: no server takes such a message
        if reasoning and self._reasoning_field:
            turn[self._reasoning_field] = reasoning
        elif reasoning:
            self._dropped.append("reasoning")
        self.messages.append(turn)

    def _message(self, item: Item) -> None:
        role = item.get("role")
        if role == "developer" and not self._developer:
            role = "system"
        if role == "user" and self._reasoning_field:
            for message in self.messages:
                if message.pop(self._reasoning_field, None):
                    self._dropped.append("reasoning before the last user message")
        content = item.get("content")
        self.messages.append({"role": role, "content": content if isinstance(content, str) else _parts(content)})

    def _output(self, item: Item) -> None:
        call_id, output = item.get("call_id"), item.get("output")
        if isinstance(output, list):
            texts = [p["text"] for p in output if isinstance(p.get("text"), str)]
            images = [_part(p) for p in output if not isinstance(p.get("text"), str)]
            if images:
                self._images += [{"type": "text", "text": f"Result of call {call_id}:"}, *images]
            output = "\n".join(texts)
        self.messages.append(
            {"role": "tool", "tool_call_id": call_id, "content": "" if output is None else output}
        )

    def end_outputs(self) -> None:
        """A tool message holds text only, so the images of all results of a turn follow in a user message."""
        if self._images:
            self.messages.append({"role": "user", "content": self._images})
            self._images = []


def _tool_call(item: Item) -> JSONObject:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _assistant_text(item: Item) -> str:
    content = item.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(p.get("text") or p.get("refusal") or "") for p in parts)


def reasoning_text(item: Item) -> str:
    """The readable text of a reasoning item: its content, else its summary."""
    for field in ("content", "summary"):
        parts = item.get(field)
        texts = [p["text"] for p in parts if isinstance(p.get("text"), str)] if isinstance(parts, list) else []
        if texts:
            return "\n".join(texts)
    return ""


def _parts(content: Any) -> list[JSONObject]:
    return [_part(part) for part in content] if isinstance(content, list) else []


def _part(part: JSONObject) -> JSONObject:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text", "")}
    if kind == "input_image" and part.get("image_url"):
        image = {"url": part["image_url"]}
        if part.get("detail"):
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file" and (part.get("file_data") or part.get("file_id")):
        return {
            "type": "file",
            "file": {k: v for k, v in part.items() if k in ("file_data", "file_id", "filename")},
        }
    if kind == "input_audio":
        return part
    raise ModelError(f"Chat Completions has no place for a content part of type `{kind}`")


def to_tools(tools: Sequence[Item]) -> list[JSONObject]:
    """Chat tools of Responses function tools."""
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Item) -> JSONObject:
    if tool.get("type") != "function":
        raise ModelError(f"Chat Completions has no tools of type `{tool.get('type')}`")
    function = {"name": tool["name"], "parameters": tool.get("parameters") or {"type": "object", "properties": {}}}
    if tool.get("description"):
        function["description"] = tool["description"]
    if tool.get("strict"):
        function["strict"] = True
    return function


def to_params(params: Mapping[str, Any], *, has_tools: bool, is_openai: bool) -> JSONObject:
    """Chat parameters of Responses parameters. Names that both share, and unknown ones, pass as they are."""
    out: JSONObject = {}
    for name, value in params.items():
        if name == "max_output_tokens":
            # OpenAI retired max_tokens for its reasoning models; many other servers know nothing else.
            out["max_completion_tokens" if is_openai else "max_tokens"] = value
        elif name == "tool_choice":
            out[name] = _tool_choice(value)
        elif name == "top_logprobs":
            out |= {"logprobs": True, "top_logprobs": value}
        elif name not in _DROPPED and name != "instructions":
            out[name] = value
    if not has_tools:
        out = {k: v for k, v in out.items() if k not in _NEED_TOOLS}
    text, reasoning = params.get("text"), params.get("reasoning")
    if isinstance(text, dict):
        out |= _text(text)
    if isinstance(reasoning, dict) and reasoning.get("effort"):
        out["reasoning_effort"] = reasoning["effort"]
    return out


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function" and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


def _text(text: JSONObject) -> JSONObject:
    out: JSONObject = {}
    form = text.get("format")
    if isinstance(form, dict):
        if form.get("type") == "json_schema":
            schema = {k: v for k, v in form.items() if k != "type"}
            out["response_format"] = {"type": "json_schema", "json_schema": schema}
        else:
            out["response_format"] = form
    if text.get("verbosity"):
        out["verbosity"] = text["verbosity"]
    return out

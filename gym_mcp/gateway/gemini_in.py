"""Gemini generateContent requests as Responses items. Pure functions.

Gemini's calls need no ids. Those without one are numbered, and a result without one answers the oldest open call
of its name.
"""

from __future__ import annotations

import base64
from typing import Any, Final

import orjson

from gym_mcp.gateway.ask import Ask, Refused, function, objects, unseal
from gym_mcp.types import Item, JSONObject

_CHOICES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}
_SAME: Final = {"temperature": "temperature", "topP": "top_p", "maxOutputTokens": "max_output_tokens"}
_READ: Final = frozenset(
    {"contents", "systemInstruction", "system_instruction", "tools", "toolConfig", "generationConfig", "model"}
)
_CONFIG: Final = frozenset({*_SAME, "responseMimeType", "responseJsonSchema", "candidateCount"})


def read(body: JSONObject) -> Ask:
    """What a generateContent request asks; `Refused` when it is none. A countTokens request may wrap one."""
    inner = body.get("generateContentRequest")
    body = inner if isinstance(inner, dict) else body
    ask = Ask()
    system = body.get("systemInstruction") or body.get("system_instruction")
    text = system if isinstance(system, str) else "\n\n".join(_texts(system))
    if text:
        ask.items.append({"type": "message", "role": "system", "content": text})
    _Reader(ask).contents(objects(body.get("contents"), "contents"))
    for tool in objects(body.get("tools") or [], "tools"):
        _tool(tool, ask)
    _params(body, ask)
    return ask


def _texts(content: Any) -> list[str]:
    parts = objects(content.get("parts") or [], "parts") if isinstance(content, dict) else []
    return [str(part["text"]) for part in parts if "text" in part]


class _Reader:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._calls = 0
        self._open: list[tuple[str, str]] = []
        self._said: list[JSONObject] = []
        self._thoughts: list[Item] = []
        self._start = 0

    def contents(self, contents: list[JSONObject]) -> None:
        for content in contents:
            parts = objects(content.get("parts") or [], "parts")
            if content.get("role") == "model":
                self._thoughts, self._start = [], len(self._ask.items)
                for part in parts:
                    self._model(part)
            else:
                for part in parts:
                    self._user(part)
            self._end_message("assistant" if content.get("role") == "model" else "user")

    def _end_message(self, role: str) -> None:
        said, self._said = self._said, []
        if said:
            plain = len(said) == 1 and said[0]["type"] == "input_text"
            content: Any = said[0]["text"] if plain else said
            self._ask.items.append({"type": "message", "role": role, "content": content})

    def _thought(self, part: JSONObject) -> None:
        """The reasoning that a part carries, once a turn: agents drop thoughts and keep the calls' signatures."""
        item = unseal(_decoded(part.get("thoughtSignature")))
        if item is None and part.get("thought"):
            parts = [{"type": "reasoning_text", "text": str(part.get("text", ""))}]
            item = {"type": "reasoning", "summary": [], "content": parts}
        if item is not None and item not in self._thoughts:
            self._end_message("assistant")
            # A call's signature stands for a thought that came before all that the turn says.
            place = len(self._ask.items) if part.get("thought") else self._start + len(self._thoughts)
            self._ask.items.insert(place, item)
            self._thoughts.append(item)

    def _model(self, part: JSONObject) -> None:
        self._thought(part)
        call = part.get("functionCall")
        if part.get("thought"):
            return
        if isinstance(call, dict):
            self._end_message("assistant")
            self._ask.items.append(self._call(call))
        elif isinstance(part.get("text"), str):
            self._said.append({"type": "output_text", "text": part["text"], "annotations": []})
        elif "thoughtSignature" not in part:
            self._ask.drop(f"model part `{next(iter(part), '')}`")

    def _call(self, call: JSONObject) -> Item:
        self._calls += 1
        name = str(call.get("name"))
        call_id = str(call.get("id") or f"call_{self._calls}")
        self._open.append((name, call_id))
        arguments = orjson.dumps(call.get("args") or {}).decode()
        item = {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        return {**item, "status": "completed"}

    def _user(self, part: JSONObject) -> None:
        answer, blob, file = part.get("functionResponse"), part.get("inlineData"), part.get("fileData")
        if isinstance(answer, dict):
            self._ask.items.append(self._result(answer))
        elif isinstance(part.get("text"), str):
            self._said.append({"type": "input_text", "text": part["text"]})
        elif isinstance(blob, dict) and str(blob.get("mimeType")).startswith("image/"):
            url = f"data:{blob['mimeType']};base64,{blob.get('data')}"
            self._said.append({"type": "input_image", "image_url": url, "detail": "auto"})
        elif isinstance(file, dict) and str(file.get("mimeType")).startswith("image/"):
            self._said.append({"type": "input_image", "image_url": str(file.get("fileUri")), "detail": "auto"})
        else:
            self._ask.drop(f"part `{next(iter(part), '')}`")

    def _result(self, answer: JSONObject) -> Item:
        name, call_id = str(answer.get("name")), answer.get("id")
        place = next(
            (i for i, (n, c) in enumerate(self._open) if c == call_id or (not call_id and n == name)), None
        )
        if place is not None:
            call_id = self._open.pop(place)[1]
        elif not call_id:
            raise Refused("bad_request", f"contents: a functionResponse of `{name}` that answers no call")
        return {"type": "function_call_output", "call_id": str(call_id), "output": _output(answer.get("response"))}


def _output(response: Any) -> str:
    """What a tool said: the text in `output` (or `error`) where that is all, else the JSON."""
    if isinstance(response, dict) and len(response) == 1:
        value = response.get("output", response.get("error"))
        if isinstance(value, str):
            return value
    return orjson.dumps(response).decode()


def _decoded(signature: Any) -> Any:
    try:
        return base64.b64decode(signature, validate=True).decode() if isinstance(signature, str) else None
    except ValueError:
        return None


def _tool(tool: JSONObject, ask: Ask) -> None:
    for kind, value in tool.items():
        if kind not in ("functionDeclarations", "function_declarations"):
            ask.drop(f"tool `{kind}`")
            continue
        for entry in objects(value, kind):
            schema = entry.get("parametersJsonSchema") or _json_schema(entry.get("parameters"))
            ask.tools.append(function(entry.get("name"), entry.get("description"), schema))


def _json_schema(schema: Any) -> Any:
    """Gemini's form of a schema (types in capitals, `nullable`) as JSON Schema."""
    if isinstance(schema, list):
        return [_json_schema(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _json_schema(value) for key, value in schema.items() if key != "nullable"}
    kind = schema.get("type")
    if isinstance(kind, str):
        out["type"] = [kind.lower(), "null"] if schema.get("nullable") is True else kind.lower()
    return out


def _params(body: JSONObject, ask: Ask) -> None:
    config = body.get("generationConfig")
    config = config if isinstance(config, dict) else {}
    ask.params |= {ours: config[theirs] for theirs, ours in _SAME.items() if config.get(theirs) is not None}
    if config.get("responseMimeType") == "application/json":
        schema = config.get("responseJsonSchema")
        form = {"type": "json_schema", "name": "answer", "schema": schema} if schema else {"type": "json_object"}
        ask.params["text"] = {"format": form}
    tools = body.get("toolConfig")
    calling = tools.get("functionCallingConfig") if isinstance(tools, dict) else None
    calling = calling if isinstance(calling, dict) else {}
    if str(calling.get("mode")) in _CHOICES:
        ask.params["tool_choice"] = _CHOICES[calling["mode"]]
    if calling.get("allowedFunctionNames"):
        ask.drop("`allowedFunctionNames`")
    unread = [name for name in body if name not in _READ] + [name for name in config if name not in _CONFIG]
    for name in unread:
        ask.drop(f"`{name}`")

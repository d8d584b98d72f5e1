"""Responses as Chat Completions answers, whole and in chunks. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from time import time

from gym_mcp.gateway.ask import Ask, Kind, pieces
from gym_mcp.gateway.responses_out import error
from gym_mcp.gateway.sse import event
from gym_mcp.models.base import Response
from gym_mcp.models.chat import reasoning_text
from gym_mcp.types import JSONObject, text_of

_DONE = b"data: [DONE]\n\n"


def answer(response: Response, ask: Ask) -> JSONObject:
    """The body of a chat completion."""
    message = to_message(response)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(response)}
    return {**_head(response, ask, "chat.completion"), "choices": [choice], "usage": _usage(response)}


def to_message(response: Response) -> JSONObject:
    """The assistant message of a response; reasoning in `reasoning_content`, as DeepSeek and vLLM name it."""
    texts, thoughts, calls, refusals = [], [], [], []
    for item in response.output:
        kind = item.get("type", "message")
        if kind == "function_call":
            function = {"name": item["name"], "arguments": item["arguments"] or "{}"}
            calls.append({"id": item["call_id"], "type": "function", "function": function})
        elif kind == "reasoning":
            thoughts.append(reasoning_text(item))
        elif kind == "message":
            texts.append(text_of(item))
            refusals += [part["refusal"] for part in item.get("content") or [] if _refuses(part)]
    message: JSONObject = {"role": "assistant", "content": "\n\n".join(texts) if texts else None, "refusal": None}
    if refusals:
        message["refusal"] = "".join(refusals)
    thought = "\n".join(filter(None, thoughts))
    return message | ({"reasoning_content": thought} if thought else {}) | ({"tool_calls": calls} if calls else {})


def _refuses(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("refusal"), str)


def finish_reason(response: Response) -> str:
    """Why the model stopped, in the words of Chat Completions."""
    if response.incomplete:
        return "content_filter" if response.incomplete == "content_filter" else "length"
    calls = any(item.get("type") == "function_call" for item in response.output)
    return "tool_calls" if calls else "stop"


def _head(response: Response, ask: Ask, kind: str) -> JSONObject:
    return {
        "id": f"chatcmpl-{response.id or 'gateway'}",
        "object": kind,
        "created": int(time()),
        "model": ask.model or response.model,
    }


def _usage(response: Response) -> JSONObject:
    usage = response.usage
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def events(response: Response, ask: Ask) -> Iterator[bytes]:
    """The chunks of a streamed completion: role, reasoning, text, calls, finish reason, usage if asked, [DONE]."""
    head = _head(response, ask, "chat.completion.chunk")

    def chunk(delta: JSONObject, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**head, "choices": [choice]})

    message = to_message(response)
    yield chunk({"role": "assistant", "content": ""})
    for field in ("reasoning_content", "content", "refusal"):
        for text in pieces(message.get(field) or ""):
            yield chunk({field: text})
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        yield chunk({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
        for text in pieces(function["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
    yield chunk({}, finish_reason(response))
    if ask.usage:
        yield event({**head, "choices": [], "usage": _usage(response)})
    yield _DONE


def error_events(kind: Kind, message: str) -> Iterator[bytes]:
    """An error inside a stream that has begun."""
    yield event(error(kind, message))
    yield _DONE

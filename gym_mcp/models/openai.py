"""`openai/NAME`: any endpoint that speaks the OpenAI Responses API."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from gym_mcp.errors import ModelError
from gym_mcp.models.base import Request, Response, Usage
from gym_mcp.models.http import HTTPModel, broken
from gym_mcp.models.tokens import item_tokens
from gym_mcp.types import Item, JSONObject

_REASONING: Final = re.compile(r"^(?:ft:)?(?:o\d|gpt-(?:[5-9]|\d{2,})(?!.*-chat)|codex)")
"""OpenAI's names of models that reason; the others refuse `include: reasoning.encrypted_content`."""
_ENCRYPTED: Final = "reasoning.encrypted_content"
_CALL_FIELDS: Final = ("name", "arguments", "call_id")


class OpenAIResponses(HTTPModel):
    """Items go out and come back as they are. Nothing is stored at the endpoint (`store: false`).

    Without storage OpenAI's reasoning items only survive encrypted, so they are asked for in that form.
    """

    provider: ClassVar[str] = "openai"
    path: ClassVar[str] = "/responses"

    def encode(self, request: Request) -> JSONObject:
        body: JSONObject = {"model": self.name, "input": request.input, "store": False}
        if request.tools:
            body["tools"] = request.tools
        if request.params or self.params:
            body.update(self.merged(request))
        if self.is_openai and "include" not in body and not body["store"] and _REASONING.match(self.name):
            body["include"] = [_ENCRYPTED]
        return body

    def decode(self, answer: JSONObject, request: Request) -> Response:
        status = answer.get("status", "completed")
        if status not in ("completed", "incomplete"):
            raise ModelError(f"the model failed: status {status!s:.40}", status=200, retryable=True)
        output = answer.get("output")
        if not isinstance(output, list):
            raise broken("no list `output`")
        for item in output:
            check_item(item)
        response = Response(output, usage_of(answer.get("usage")))
        if status == "incomplete":
            details = answer.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            response.status, response.incomplete = "incomplete", str(reason or "unknown")
        response.tokens = item_tokens(output)
        response.id = str(answer.get("id") or "")
        response.model = str(answer.get("model") or self.name)
        return response


def check_item(item: Any) -> Item:
    """An output item, or `ModelError` for one that no harness could carry."""
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise broken("an output item is not an object with a `type`")
    if item["type"] == "function_call":
        for field in _CALL_FIELDS:
            if not isinstance(item.get(field), str):
                raise broken(f"a function_call without a string `{field}`")
    return item


def usage_of(usage: Any) -> Usage:
    """Token counts of a Responses answer; zero where the server does not tell."""
    if not isinstance(usage, dict):
        return Usage(calls=1)
    return Usage(
        count(usage, "input_tokens"),
        count(usage, "output_tokens"),
        count(usage.get("input_tokens_details"), "cached_tokens"),
        count(usage.get("output_tokens_details"), "reasoning_tokens"),
        1,
    )


def count(usage: Any, field: str) -> int:
    """A token count out of JSON: a non-negative whole number, else zero."""
    value = usage.get(field) if isinstance(usage, dict) else None
    return value if type(value) is int and value > 0 else 0

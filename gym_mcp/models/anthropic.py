"""`anthropic/NAME`: any endpoint with Anthropic's Messages API."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from yarl import URL

from gym_mcp.models.base import Request, Response
from gym_mcp.models.http import HTTPModel
from gym_mcp.models.messages import to_messages, to_params, to_tools
from gym_mcp.models.messages_answer import INCOMPLETE, messages_usage, to_items
from gym_mcp.types import JSONObject

ANTHROPIC: Final = "https://api.anthropic.com"
_VERSION: Final = "2023-06-01"
_CACHED: Final = {"cache_control": {"type": "ephemeral"}}


class Anthropic(HTTPModel):
    """Converts both ways. Thinking comes back with its signature, as the API demands between tool calls.

    At Anthropic itself the conversation so far is cached, so that each turn of an agent does not pay for all
    earlier ones again.
    """

    provider: ClassVar[str] = "anthropic"
    path: ClassVar[str] = "/v1/messages"

    def __init__(
        self, name: str, *, base_url: str = ANTHROPIC, api_key: str | None = None, **options: Any
    ) -> None:
        # The API's own base URL has no /v1; the other providers' have.
        super().__init__(name, base_url=base_url.rstrip("/").removesuffix("/v1"), api_key=api_key, **options)
        self._caches = is_anthropic(self.base_url)
        self._headers["anthropic-version"] = _VERSION
        if api_key and self._headers.get("Authorization", "").startswith("Bearer "):
            del self._headers["Authorization"]
        if api_key:
            self._headers["x-api-key"] = api_key

    def encode(self, request: Request) -> JSONObject:
        params = self.merged(request)
        system, messages = to_messages(request.input, instructions=params.get("instructions"))
        body: JSONObject = {"model": self.name, **to_params(params, has_tools=bool(request.tools))}
        body["messages"] = messages
        if system:
            body["system"] = [{"type": "text", "text": system, **(_CACHED if self._caches else {})}]
        if request.tools:
            body["tools"] = to_tools(request.tools)
        last = messages[-1]["content"][-1] if messages else {}
        if self._caches and last.get("type") in ("text", "image", "tool_result"):
            last |= _CACHED
        return body

    def decode(self, answer: JSONObject, request: Request) -> Response:
        key = str(answer.get("id") or f"turn_{len(request.input)}")
        response = Response(to_items(answer, key), messages_usage(answer.get("usage")), id=key)
        response.model = str(answer.get("model") or self.name)
        reason = answer.get("stop_reason")
        if isinstance(reason, str) and reason in INCOMPLETE:
            response.status, response.incomplete = "incomplete", INCOMPLETE[reason]
        return response


def is_anthropic(base_url: str) -> bool:
    """Whether a base URL is Anthropic's own."""
    return (URL(base_url).host or "").endswith("anthropic.com")

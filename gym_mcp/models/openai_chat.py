"""`openai-chat/NAME`: any endpoint with OpenAI's Chat Completions (vLLM, SGLang, Ollama, OpenRouter, ...)."""

from __future__ import annotations

from typing import Any, ClassVar

from gym_mcp.models.base import Request, Response
from gym_mcp.models.chat import to_messages, to_params, to_tools
from gym_mcp.models.chat_answer import chat_usage, choice_of, reasoning_field, to_items
from gym_mcp.models.http import HTTPModel
from gym_mcp.models.tokens import ASKED, chat_tokens
from gym_mcp.types import JSONObject


class OpenAIChat(HTTPModel):
    """Converts both ways. Where a server shows its reasoning, the turns since the last user message keep it."""

    provider: ClassVar[str] = "openai-chat"
    path: ClassVar[str] = "/chat/completions"

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self._reasoning_field: str | None = None

    def encode(self, request: Request) -> JSONObject:
        params = self.merged(request)
        body: JSONObject = {
            "model": self.name,
            "messages": to_messages(
                request.input,
                instructions=params.get("instructions"),
                developer=self.is_openai,
                reasoning_field=self._reasoning_field,
            ),
        }
        if request.tools:
            body["tools"] = to_tools(request.tools)
        if params:
            body |= to_params(params, has_tools=bool(request.tools), is_openai=self.is_openai)
        if params.get(ASKED):
            body.setdefault("logprobs", True)
        return body

    def decode(self, answer: JSONObject, request: Request) -> Response:
        message, incomplete = choice_of(answer)
        key = str(answer.get("id") or f"turn_{len(request.input)}")
        calls = sum(item.get("type") == "function_call" for item in request.input)
        items = to_items(message, key, calls_before=calls)
        # Sent back under the name that the server itself used, and to no server that never showed any.
        self._reasoning_field = reasoning_field(message) or self._reasoning_field
        response = Response(items, chat_usage(answer.get("usage")), id=key)
        response.model = str(answer.get("model") or self.name)
        response.tokens = chat_tokens(answer)
        if incomplete:
            response.status, response.incomplete = "incomplete", incomplete
        return response

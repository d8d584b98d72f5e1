"""The gateway over plain HTTP, as each dialect's clients write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import orjson

from gym_mcp.gateway import GatewaySession

HELLO: dict[str, Any] = {"role": "user", "content": "hi"}
GEMINI_HELLO: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@dataclass(frozen=True)
class API:
    """One dialect: where it is asked, with what, and how its answers and errors are read."""

    path: str
    body: dict[str, Any]
    header: str = "x-api-key"

    def headers(self, key: str) -> dict[str, str]:
        return {self.header: f"Bearer {key}" if self.header == "Authorization" else key}

    def streamed(self) -> tuple[str, dict[str, Any]]:
        if ":generateContent" in self.path:
            return self.path.replace(":generateContent", ":streamGenerateContent") + "?alt=sse", self.body
        return self.path, {**self.body, "stream": True}


APIS = {
    "messages": API("/v1/messages", {"max_tokens": 100, "messages": [HELLO]}),
    "chat": API("/v1/chat/completions", {"messages": [HELLO]}, "Authorization"),
    "responses": API("/v1/responses", {"input": [HELLO]}, "Authorization"),
    "gemini": API("/v1beta/models/m:generateContent", GEMINI_HELLO, "x-goog-api-key"),
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.text)

    @property
    def events(self) -> list[tuple[str | None, Any]]:
        """(name, data) of each event; comments and [DONE] as they are."""
        found: list[tuple[str | None, Any]] = []
        for block in self.text.split("\n\n"):
            lines = block.splitlines()
            name = next((line[7:] for line in lines if line.startswith("event: ")), None)
            data = next((line[6:] for line in lines if line.startswith("data: ")), None)
            if data is not None:
                found.append((name, data if data == "[DONE]" else orjson.loads(data)))
            elif block.startswith(":"):
                found.append((None, block))
        return found


async def ask(
    session: GatewaySession,
    dialect: str,
    *,
    stream: bool = False,
    body: Any = None,
    key: str | None = None,
    path: str | None = None,
    data: bytes | None = None,
    begun: Callable[[str], None] | None = None,
) -> Answer:
    """One request. `body` is merged into the dialect's hello; `data` replaces it.

    `begun` is told what of the answer has come so far, each time that more has come.
    """
    api = APIS[dialect]
    place, content = api.streamed() if stream else (api.path, api.body)
    async with aiohttp.ClientSession() as client:
        answer = await client.post(
            session.base_url + (path or place),
            data=BytesIO(orjson.dumps({**content, **(body or {})}) if data is None else data),
            headers={"Content-Type": "application/json", **api.headers(session.key if key is None else key)},
            timeout=aiohttp.ClientTimeout(20),
        )
        text = ""
        async for chunk in answer.content.iter_any():
            text += chunk.decode()
            if begun is not None:
                begun(text)
        return Answer(answer.status, answer.headers, text)

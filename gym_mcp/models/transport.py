"""The HTTP client of all model calls: one POST of JSON, and every way it can fail as a classified `ModelError`.

aiohttp, because its cost stays flat at hundreds of connections, where httpx's pool walks all of them per call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from time import time
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from yarl import URL

from gym_mcp.errors import ModelError, PromptTooLong
from gym_mcp.types import JSONObject

RETRYABLE: Final = frozenset({408, 409, 425, 429})
"""Statuses below 500 that say `later`, not `never`."""
CONNECT_TIMEOUT: Final = 30.0
KEEP_ALIVE: Final = 4.0
"""Seconds an idle connection is kept: uvicorn (vLLM, SGLang) closes its end after 5, maybe under our next call."""
MAX_BODY: Final = 64 * 2**20
"""Bytes of an answer; more is a broken answer."""
_MESSAGE: Final = 300
"""Characters of a server's own words that an error repeats."""
_SECRET: Final = 4
"""Characters below which a `secret` is a placeholder that would garble ordinary words."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

_TOO_LONG: Final = re.compile(
    r"prompt is too long|maximum context length|longer than the (?:model's|maximum) "
    r"|context (?:window|length) (?:of|is)"
    r"|exceeds? (?:the )?(?:available |model's |maximum )*(?:context|allowed length)",
    re.IGNORECASE,
)
"""In the words of Anthropic, vLLM, SGLang, llama.cpp and Ollama."""


class AnswerTimeout(ModelError):
    """No answer in time: like a 503, a sign of too much work where it happens often."""


class Transport:
    """One pool of connections, opened by the first call and bound to its event loop.

    `secrets` are replaced by `***` in every error text, should a server repeat them.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(s for s in secrets if len(s) >= _SECRET)
        self._session: aiohttp.ClientSession | None = None
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._proxies: dict[URL, str | None] = {}

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        return self._session

    async def post(self, url: URL, headers: Mapping[str, str], body: bytes, timeout: float) -> JSONObject:
        """The JSON object that `url` answers within `timeout` seconds, or `ModelError`."""
        session = self._session or self._open()
        limits = self._timeouts.get(timeout)
        if limits is None:
            limits = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, CONNECT_TIMEOUT))
            self._timeouts[timeout] = limits
        if url not in self._proxies:
            self._proxies[url] = proxy_for(str(url))
        try:
            async with session.post(
                url,
                data=body,
                headers=headers,
                timeout=limits,
                allow_redirects=False,  # the key must not travel to where the user did not send it
                proxy=self._proxies[url],
            ) as answer:
                status = answer.status
                content = await _read(answer)
        except TimeoutError:
            raise AnswerTimeout(f"no answer within {timeout:g} s", retryable=True) from None
        except aiohttp.ClientSSLError as e:
            raise ModelError(f"TLS to the model endpoint failed: {self.clean(str(e))}") from None
        except aiohttp.InvalidURL:
            raise ModelError("the model endpoint's URL is not valid") from None
        except (aiohttp.ClientError, OSError) as e:
            raise ModelError(self._connection_message(e), retryable=True) from None
        if status != HTTPStatus.OK:
            raise self._refusal(status, answer.headers, content)
        return self._parse(content)

    def _parse(self, content: bytes) -> JSONObject:
        try:
            value = orjson.loads(content)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise ModelError(
                "broken answer: not a JSON object",
                status=200,
                retryable=True,
                detail=self.clean(content[: 4 * _MESSAGE].decode(errors="replace")),
            )
        return value

    def _connection_message(self, error: BaseException) -> str:
        if isinstance(error, aiohttp.ClientConnectorError):
            # asyncio's own text is `Connect call failed` and the address again. A resolver's number is negative.
            cause, number = error.os_error, error.os_error.errno or 0
            reason = os.strerror(number) if number > 0 else cause.strerror or str(cause)
            return self.clean(f"cannot connect to {error.host}:{error.port}: {reason}")
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "the endpoint cut the connection before it answered"
        if isinstance(error, aiohttp.ClientPayloadError):
            return "the endpoint cut the connection in the middle of its answer"
        return self.clean(f"the connection failed: {str(error) or type(error).__name__}")

    def _refusal(self, status: int, headers: Mapping[str, str], content: bytes) -> ModelError:
        message, code = server_error(content)
        if 300 <= status < 400:
            place = headers.get("Location", "nowhere").partition("?")[0]
            message = f"it redirects to {place}: name that address instead"
        kind = PromptTooLong if status in (400, 413) and is_too_long(message, code) else ModelError
        return kind(
            f"the model endpoint answered {status} {reason_of(status)}".rstrip() + self.clean(f": {message}"),
            status=status,
            retry_after=retry_after(headers),
            retryable=is_retryable(status) and code != "insufficient_quota",
        )

    def clean(self, text: str) -> str:
        """`text` as one line of at most 300 characters, secrets masked first, so that no half of one survives."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = " ".join(text.split()).rstrip(": ")
        return text if len(text) <= _MESSAGE else text[: _MESSAGE - 3] + "..."

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    length = answer.content_length
    if length is not None and length <= MAX_BODY and "Content-Encoding" not in answer.headers:
        return await answer.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > MAX_BODY:
            answer.close()
            raise ModelError(f"broken answer: more than {MAX_BODY} bytes", status=answer.status, retryable=True)
        chunks.append(chunk)
    return b"".join(chunks)


def is_retryable(status: int) -> bool:
    """Whether a refusal with this HTTP status may pass when tried again."""
    return status in RETRYABLE or status >= 500


def is_too_long(message: str, code: str) -> bool:
    """Whether a refusal says that the prompt does not fit. OpenAI has a code for it, the others only words."""
    return code == "context_length_exceeded" or _TOO_LONG.search(message) is not None


def reason_of(status: int) -> str:
    """The standard phrase of a status; empty for one that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def server_error(content: bytes) -> tuple[str, str]:
    """(message, code) of an error body in the forms in use; its text when it is not JSON."""
    try:
        value: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return content[: 16 * _MESSAGE].decode(errors="replace"), ""
    error = value.get("error", value) if isinstance(value, dict) else value
    if not isinstance(error, dict):
        return str(error), ""
    message = error.get("message") or error.get("detail") or error
    return str(message), str(error.get("code") or error.get("type") or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of `Retry-After` (a number or an HTTP date, RFC 9110 section 10.2.3) or `retry-after-ms`."""
    milliseconds, value = headers.get("retry-after-ms"), headers.get("Retry-After")
    try:
        if milliseconds is not None:
            seconds = float(milliseconds) / 1000
        elif value is None:
            return None
        elif value.strip().replace(".", "", 1).isdigit():
            seconds = float(value)
        else:
            seconds = parsedate_to_datetime(value).timestamp() - time()
    except ValueError:
        return None
    return max(seconds, 0.0)


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (`HTTPS_PROXY`, `NO_PROXY`, ...) names for `url`; none for this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in _LOOPBACK:
        return None
    proxy = getproxies().get(parts.scheme)
    return None if not proxy or proxy_bypass(host) else proxy

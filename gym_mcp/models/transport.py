"""The HTTP client of all model calls: one POST of JSON, and every way it can fail as a classified `ModelError`.

Plain `http://` without a proxy, which is how servers of one's own are reached, goes over `gym_mcp.http1`, because
aiohttp's client would be half of what a rollout costs. TLS and proxies are aiohttp's, whose cost stays flat at
hundreds of connections, where httpx's pool walks all of them per call.
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
from multidict import CIMultiDict
from yarl import URL

from gym_mcp.errors import ModelError, PromptTooLong
from gym_mcp.http1 import Address, AnswerTooLong, ConnectionLost, Pool
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

_ERRNO: Final = re.compile(r"Errno (\d+)")
_CUT: Final = "the endpoint cut the connection before it answered"
_CUT_LATER: Final = "the endpoint cut the connection in the middle of its answer"

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
        self._pool: Pool | None = None
        self._plain: dict[URL, Address | None] = {}
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
        if url not in self._plain:
            self._plain[url] = _plain_address(url)
        address = self._plain[url]
        try:
            if address is not None:
                status, fields, content = await self._over_plain(address, headers, body, timeout)
            else:
                status, fields, content = await self._over_aiohttp(url, headers, body, timeout)
        except TimeoutError:
            raise AnswerTimeout(f"no answer within {timeout:g} s", retryable=True) from None
        if status != HTTPStatus.OK:
            raise self._refusal(status, fields, content)
        return self._parse(content)

    async def _over_plain(
        self, address: Address, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._pool is None:
            self._pool = Pool(connect_timeout=CONNECT_TIMEOUT, max_answer=MAX_BODY)
        try:
            answer = await self._pool.post(address, _lines(headers), body, timeout=timeout)
        except TimeoutError:  # an OSError, too
            raise
        except AnswerTooLong:
            raise ModelError(f"broken answer: more than {MAX_BODY} bytes", retryable=True) from None
        except ConnectionLost as e:
            if not e.reached:
                raise AnswerTimeout(str(e), retryable=True) from None
            raise ModelError(_lost_message(e), retryable=True) from None
        except OSError as e:
            reason = _reason_of(e)
            message = f"cannot connect to {address.host}:{address.port}: {reason}"
            raise ModelError(self.clean(message), retryable=True) from None
        if answer.status == HTTPStatus.OK and b"content-encoding" not in answer.headers:
            return answer.status, {}, answer.body
        encoding = answer.headers.get(b"content-encoding", b"identity").decode("latin-1")
        if encoding != "identity":
            raise ModelError(
                self.clean(f"broken answer: in {encoding}, which nobody asked for"), status=answer.status
            )
        fields = CIMultiDict((k.decode("latin-1"), v.decode("latin-1")) for k, v in answer.headers.items())
        return answer.status, fields, answer.body

    async def _over_aiohttp(
        self, url: URL, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
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
                return answer.status, answer.headers, await _read(answer)
        except TimeoutError:
            raise
        except aiohttp.ClientSSLError as e:
            raise ModelError(f"TLS to the model endpoint failed: {self.clean(str(e))}") from None
        except aiohttp.InvalidURL:
            raise ModelError("the model endpoint's URL is not valid") from None
        except (aiohttp.ClientError, OSError) as e:
            raise ModelError(self._connection_message(e), retryable=True) from None

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
            return _CUT
        if isinstance(error, aiohttp.ClientPayloadError):
            return _CUT_LATER
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
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _plain_address(url: URL) -> Address | None:
    """Where a URL leads, if our own client can go there."""
    if url.scheme != "http" or proxy_for(str(url)) is not None:
        return None
    try:
        return Address.of(str(url))
    except ValueError:
        return None


def _lines(headers: Mapping[str, str]) -> bytes:
    """Header lines. `ModelError` for a value that would be more than one."""
    lines = ["Accept: */*\r\n"]
    for name, value in headers.items():
        if not value.isprintable():
            raise ModelError(f"the value of the header {name} cannot be sent: it holds control characters")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode()


def _lost_message(error: ConnectionLost) -> str:
    if not error.answered:
        return _CUT
    text = str(error)
    return _CUT_LATER if text.startswith("the server closed") else f"the connection failed: {text}"


def _reason_of(error: OSError) -> str:
    """asyncio's own text is `Connect call failed` and the address again, once for each address of a name."""
    numbers = [error.errno] if error.errno else [int(n) for n in _ERRNO.findall(str(error))]
    number = next((n for n in reversed(numbers) if n > 0), 0)  # a resolver's number is negative
    return os.strerror(number) if number else error.strerror or str(error)


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

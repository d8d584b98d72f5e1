"""What every model behind HTTP does alike: limiter, retries, credentials; a dialect adds `encode` and `decode`."""

from __future__ import annotations

import base64
from abc import abstractmethod
from collections.abc import Mapping
from time import monotonic
from typing import Any, ClassVar, Final

import orjson
from multidict import CIMultiDict
from yarl import URL

from gym_mcp.errors import ModelError, PromptTooLong, UsageError
from gym_mcp.models.base import Model, Request, Response
from gym_mcp.models.lanes import Lane
from gym_mcp.models.limiter import AdaptiveLimiter
from gym_mcp.models.retry import RetryPolicy
from gym_mcp.models.transport import AnswerTimeout, Transport, is_retryable, is_too_long, server_error
from gym_mcp.observe import current
from gym_mcp.types import JSONObject

OPENAI: Final = "https://api.openai.com/v1"
_PUBLIC_QUERY: Final = frozenset({"api-version"})
_SLOWER: Final = 429
_OVERLOADED: Final = frozenset({503, 529})
_NOT_OURS: Final = frozenset({"stream", "stream_options", "background"})
"""Parameters that would change the form of the answer."""
_TRANSIENT: Final = frozenset({"", "server_error", "rate_limit_exceeded", "overloaded_error", "timeout"})


class HTTPModel(Model):
    """A model at an HTTP endpoint.

    `params` go into every request and win over the request's own. `timeout` is in seconds, for one try.
    """

    provider: ClassVar[str]
    path: ClassVar[str]

    def __init__(
        self,
        name: str,
        *,
        base_url: str = OPENAI,
        api_key: str | None = None,
        params: Mapping[str, Any] | None = None,
        timeout: float = 600.0,
        retry: RetryPolicy | None = None,
        limiter: AdaptiveLimiter | None = None,
        price: tuple[float, float] | None = None,
    ) -> None:
        self.name = name
        self.spec = f"{self.provider}/{name}"
        self.price = price
        self.params: JSONObject = {k: v for k, v in (params or {}).items() if k not in _NOT_OURS}
        self.timeout = timeout
        self.retry = retry or RetryPolicy()
        self.limiter: AdaptiveLimiter | Lane = limiter or AdaptiveLimiter(1_024)
        base, userinfo = split_credentials(base_url)
        self._url = base.with_path(base.path.rstrip("/") + self.path, keep_query=True)
        self.base_url = public_url(base)
        self._headers = CIMultiDict({"Content-Type": "application/json", "User-Agent": "gym-mcp"})
        authorization = self._authorization(api_key, userinfo)
        if authorization:
            self._headers["Authorization"] = authorization
        private = [v for k, v in base.query.items() if k not in _PUBLIC_QUERY]
        secrets = [api_key or "", authorization.partition(" ")[2], userinfo.partition(":")[2], *private]
        self.transport = Transport(secrets)

    @staticmethod
    def _authorization(api_key: str | None, userinfo: str) -> str:
        if userinfo:
            return "Basic " + base64.b64encode(userinfo.encode()).decode()
        return f"Bearer {api_key}" if api_key else ""

    @property
    def endpoint(self) -> tuple[str, str, str]:
        """Whose limits calls count towards: hosted ones are set by model and account. Holds a secret."""
        account = self._headers.get("Authorization", self._headers.get("x-api-key", ""))
        return f"{self.base_url}?{self._url.raw_query_string}", self.name, account

    @property
    def is_openai(self) -> bool:
        """Whether OpenAI itself answers: it takes fields that other servers reject, and the other way round."""
        return is_openai(self.base_url)

    @abstractmethod
    def encode(self, request: Request) -> JSONObject:
        """The body of a call."""

    @abstractmethod
    def decode(self, answer: JSONObject, request: Request) -> Response:
        """The response in an answer; `ModelError` when it holds none."""

    async def respond(self, request: Request) -> Response:
        started = monotonic()
        body = self._encoded(request)
        retries = 0
        while True:
            try:
                response = await self._attempt(body, request)
                break
            except ModelError as error:
                await _pause(self.retry, retries, error)
                retries += 1
        response.latency = monotonic() - started
        response.retries = retries
        return response

    def _encoded(self, request: Request) -> bytes:
        try:
            return orjson.dumps(self.encode(request))
        except orjson.JSONEncodeError as e:
            raise ModelError(f"the request is not JSON: {e}") from None

    async def _attempt(self, body: bytes, request: Request) -> Response:
        limiter = self.limiter
        await limiter.acquire()
        headers: Mapping[str, str] = self._headers
        if parent := current.traceparent.get():
            headers = {**headers, "traceparent": parent}
        try:
            started = monotonic()
            answer = await self.transport.post(self._url, headers, body, self.timeout)
            if answer.get("error"):
                raise self._failure(answer)
            response = self.decode(answer, request)
            limiter.succeeded(monotonic() - started)
            return response
        except ModelError as error:
            if error.status == _SLOWER or error.retry_after is not None:
                limiter.congested()
            elif error.status in _OVERLOADED or isinstance(error, AnswerTimeout):
                limiter.refused()
            raise
        finally:
            limiter.release()

    def _failure(self, answer: JSONObject) -> ModelError:
        """The `error` object of an answer that came with status 200."""
        message, code = server_error(orjson.dumps({"error": answer["error"]}))
        status = int(code) if code.isdigit() else 200
        retryable = is_retryable(status) or code in _TRANSIENT
        text = self.transport.clean(f"{code + ': ' if code else ''}{message}")
        kind = PromptTooLong if is_too_long(message, code) else ModelError
        return kind(f"the model failed: {text}", status=status, retryable=retryable)

    def merged(self, request: Request) -> JSONObject:
        """Parameters of a call: the request's, then the model's own. Fields set to None are left out."""
        merged = {k: v for k, v in request.params.items() if k not in _NOT_OURS} if request.params else {}
        merged.update(self.params)
        return {k: v for k, v in merged.items() if v is not None}

    def identity(self) -> JSONObject:
        return {"spec": self.spec, "base_url": self.base_url, "params": dict(self.params)}

    async def aclose(self) -> None:
        await self.transport.aclose()


async def _pause(policy: RetryPolicy, retry: int, error: ModelError) -> None:
    """Wait before another try, as the rollout's stage says meanwhile."""
    activity = current.activity.get()
    if activity is None:
        await policy.pause(retry, error)
        return
    activity.waits += 1
    activity.since = monotonic()
    try:
        await policy.pause(retry, error)
    finally:
        activity.waits -= 1
        activity.since = monotonic()


def broken(why: str) -> ModelError:
    """An answer that does not have the form of the API."""
    return ModelError(f"broken answer: {why}", status=200, retryable=True)


def is_openai(base_url: str) -> bool:
    """Whether a base URL is OpenAI's own, regional hosts included."""
    host = URL(base_url).host or ""
    return host == "api.openai.com" or host.endswith(".api.openai.com")


def split_credentials(base_url: str) -> tuple[URL, str]:
    """(URL without credentials, `user:password` or nothing); `UsageError` when it is no HTTP URL."""
    try:
        url = URL(base_url)
    except ValueError:
        url = URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise UsageError("--base-url: an http:// or https:// URL is expected, such as http://127.0.0.1:8000/v1")
    userinfo = "" if url.user is None and url.password is None else f"{url.user or ''}:{url.password or ''}"
    return url.with_user(None), userinfo


def public_url(url: URL) -> str:
    """A URL that may be written down: no credentials, no fragment, and of the query only what holds no secret."""
    query = {k: v for k, v in url.query.items() if k in _PUBLIC_QUERY}
    return str(url.with_user(None).with_query(query or None).with_fragment(None)).rstrip("/")

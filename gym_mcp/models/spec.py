"""From a model's spec (`openai/NAME`, `builtin/oracle`, ...) to the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson

from gym_mcp.errors import UsageError
from gym_mcp.models.base import Model
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.models.http import HTTPModel

CONCURRENCY: Final = 1_024
"""Calls at a time that one endpoint gets at most, unless told otherwise."""
_KEY: Final = "OPENAI_API_KEY, or --base-url (then GYM_MCP_API_KEY or OPENAI_API_KEY, if the server wants one)"
_ANTHROPIC_KEY: Final = "ANTHROPIC_API_KEY, or --base-url (then GYM_MCP_API_KEY or that one, if any)"
_CATALOGUE: Final = (
    ("openai/NAME", "a model behind the OpenAI Responses API", _KEY),
    ("openai-chat/NAME", "a model behind OpenAI Chat Completions: vLLM, SGLang, Ollama, OpenRouter, ...", _KEY),
    ("anthropic/NAME", "a model behind Anthropic Messages", _ANTHROPIC_KEY),
    ("builtin/oracle", "plays the environment's reference solution", "an environment with solution()"),
    (
        "builtin/noisy-oracle?p=0.7",
        "the oracle with probability p a rollout (per=turn: an answer), else it gives up",
        "an environment with solution()",
    ),
    ("builtin/random?turns=3", "random calls that fit the tools' schemas, then random words", "nothing"),
    ("builtin/null", "says nothing, calls nothing: the floor", "nothing"),
    ("replay/RUN_DIR", "plays back the answers of a recorded run", "the run's folder"),
)
_HTTP: Final = ("openai", "openai-chat", "anthropic")
PROVIDERS: Final = (*_HTTP, "builtin", "replay")


def catalogue() -> list[dict[str, str]]:
    """What exists: `spec`, `what` it is and what it `needs`."""
    return [{"spec": spec, "what": what, "needs": needs} for spec, what, needs in _CATALOGUE]


def make_model(
    spec: str,
    *,
    base_url: str | None = None,
    params: Mapping[str, Any] | None = None,
    timeout: float = 600.0,
    max_retries: int = 5,
    concurrency: int = CONCURRENCY,
    price: tuple[float, float] | None = None,
) -> Model:
    """The model that `spec` names; `UsageError` when there is none.

    The query part of a spec sets parameters (`openai-chat/NAME?temperature=0.7`), and `params` win over it.
    `timeout` is in seconds for one try, `concurrency` bounds the calls at a time, `price` is US dollars per
    million input and output tokens.
    """
    provider, slash, rest = spec.partition("/")
    if provider not in PROVIDERS:
        known = [entry["spec"] for entry in catalogue()]
        hint = did_you_mean(provider, PROVIDERS) if slash else f"; a model is one of {', '.join(known)}"
        raise UsageError(f"--model {spec}: no provider `{provider}`{hint}")
    if not rest:
        raise UsageError(f"--model {spec}: a name is missing after `{provider}/` (`gym-mcp list models`)")
    if provider not in _HTTP and base_url:
        raise UsageError(f"--base-url: `{spec}` runs in this process and calls no endpoint")
    if provider == "replay":
        return _replay(rest)
    name, query = _split(spec, rest)
    if provider == "builtin":
        return _builtin(spec, name, query, params or {})
    return _endpoint(
        provider, name, {**query, **(params or {})}, base_url, timeout, max_retries, concurrency, price
    )


def _split(spec: str, rest: str) -> tuple[str, JSONObject]:
    name, _, query = rest.partition("?")
    if not name:
        raise UsageError(f"--model {spec}: a name is missing before `?`")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise UsageError(f"--model {spec}: parameters are written ?name=value&name=value") from None
    return name, {key: parse_value(value) for key, value in pairs}


def parse_value(text: str) -> Any:
    """A number, boolean, null, list or object where `text` is JSON, else `text` itself."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _replay(directory: str) -> Model:
    from gym_mcp.models.replay import Replay

    return Replay(Path(directory))


def _builtin(spec: str, name: str, query: JSONObject, params: Mapping[str, Any]) -> Model:
    from gym_mcp.models import builtin

    makers: dict[str, tuple[str, ...]] = {
        "oracle": (),
        "noisy-oracle": ("p", "per"),
        "random": ("turns",),
        "null": (),
    }
    if name not in makers:
        raise UsageError(f"--model {spec}: no builtin model `{name}`{did_you_mean(name, makers)}")
    for key in query:
        if key not in makers[name]:
            raise UsageError(
                f"--model {spec}: `builtin/{name}` has no parameter `{key}`{did_you_mean(key, makers[name])}"
            )
    # `params` may hold sampling settings for other models of a sweep: what means nothing here is passed over.
    own = query | {key: value for key, value in params.items() if key in makers[name]}
    if name == "noisy-oracle":
        per = own.get("per", "rollout")
        if per not in ("rollout", "turn"):
            raise UsageError(f"--model {spec}: per is `rollout` or `turn`, not {per!r}")
        return builtin.NoisyOracle(spec, _number(spec, own, "p", 0.7, 0.0, 1.0), per)
    if name == "random":
        return builtin.RandomCalls(spec, int(_number(spec, own, "turns", 3, 0, 1_000_000)))
    return builtin.Oracle(spec) if name == "oracle" else builtin.Null(spec)


def _number(spec: str, settings: JSONObject, key: str, default: float, low: float, high: float) -> float:
    value = settings.get(key, default)
    fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    if not fits or (isinstance(default, int) and value != int(value)):
        kind = "a whole number" if isinstance(default, int) else "a number"
        raise UsageError(f"--model {spec}: {key} is {kind} from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _endpoint(
    provider: str,
    name: str,
    params: JSONObject,
    base_url: str | None,
    timeout: float,
    max_retries: int,
    concurrency: int,
    price: tuple[float, float] | None,
) -> Model:
    from gym_mcp.models.anthropic import ANTHROPIC, Anthropic, is_anthropic
    from gym_mcp.models.http import OPENAI, is_openai, split_credentials
    from gym_mcp.models.keys import find_key
    from gym_mcp.models.limiter import AdaptiveLimiter
    from gym_mcp.models.openai import OpenAIResponses
    from gym_mcp.models.openai_chat import OpenAIChat
    from gym_mcp.models.retry import RetryPolicy

    if concurrency < 1:
        raise UsageError(f"--concurrency {concurrency}: at least 1 is expected")
    url = base_url or (ANTHROPIC if provider == "anthropic" else OPENAI)
    split_credentials(url)
    kinds: dict[str, type[HTTPModel]] = {"openai": OpenAIResponses, "anthropic": Anthropic}
    kind = kinds.get(provider, OpenAIChat)
    if provider == "anthropic":
        key = find_key(own_endpoint=not is_anthropic(url), name="ANTHROPIC_API_KEY")
    else:
        key = find_key(own_endpoint=not is_openai(url))
    return kind(
        name,
        base_url=url,
        api_key=key,
        params=params,
        timeout=timeout,
        retry=RetryPolicy(max_retries=max_retries),
        limiter=AdaptiveLimiter(concurrency),
        price=price,
    )

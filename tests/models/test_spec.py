"""From a spec to a model."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.errors import UsageError
from gym_mcp.models.base import Request
from gym_mcp.models.builtin import NoisyOracle, Null, Oracle, RandomCalls
from gym_mcp.models.http import HTTPModel
from gym_mcp.models.openai import OpenAIResponses
from gym_mcp.models.openai_chat import OpenAIChat
from gym_mcp.models.spec import PROVIDERS, catalogue, make_model, parse_value
from gym_mcp.types import user_message
from tests.endpoint import Endpoint, fixed

LOCAL = "http://127.0.0.1:1/v1"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("GYM_MCP_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def endpoint_model(spec: str, **options: Any) -> HTTPModel:
    model = make_model(spec, base_url=LOCAL, **options)
    assert isinstance(model, HTTPModel)
    return model


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("builtin/oracle", Oracle),
        ("builtin/noisy-oracle", NoisyOracle),
        ("builtin/random?turns=1", RandomCalls),
        ("builtin/null", Null),
    ],
)
def test_builtin(spec: str, kind: type) -> None:
    model = make_model(spec)
    assert type(model) is kind
    assert model.spec == model.identity()["spec"] == spec


def test_endpoints() -> None:
    assert isinstance(endpoint_model("openai/m"), OpenAIResponses)
    assert isinstance(endpoint_model("openai-chat/m"), OpenAIChat)


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1:free", "accounts/x/models/y", "ft:gpt-4o:me::id"])
def test_names_hold_slashes_and_colons(name: str) -> None:
    assert endpoint_model(f"openai-chat/{name}").name == name
    assert endpoint_model(f"openai-chat/{name}").spec == f"openai-chat/{name}"


def test_a_query_sets_parameters() -> None:
    spec = (
        'openai/m?temperature=0.7&top_p=1&store=true&user=a%20b&reasoning={"effort":"low"}&seed=null&service_tier='
    )
    assert endpoint_model(spec).params == {
        "temperature": 0.7,
        "top_p": 1,
        "store": True,
        "user": "a b",
        "reasoning": {"effort": "low"},
        "seed": None,
        "service_tier": "",
    }
    assert endpoint_model("openai/m?temperature=0.7", params={"temperature": 0}).params == {"temperature": 0}


def test_options_arrive() -> None:
    model = endpoint_model("openai/m", timeout=7.0, max_retries=2, concurrency=9, price=(1.0, 2.0))
    assert (model.timeout, model.retry.max_retries, model.limiter.maximum, model.price) == (7.0, 2, 9, (1.0, 2.0))


def test_settings_of_embedded_models() -> None:
    model = make_model("builtin/noisy-oracle?p=0.25")
    assert isinstance(model, NoisyOracle)
    assert model.p == 0.25
    assert model.identity() != make_model("builtin/noisy-oracle").identity()
    other = make_model("builtin/noisy-oracle", params={"p": 1, "temperature": 0.5})
    assert isinstance(other, NoisyOracle)
    assert other.p == 1.0


BAD: list[tuple[str, str]] = [
    ("gpt-5", "no provider `gpt-5`; a model is one of openai/NAME"),
    ("opnai/gpt-5", "did you mean `openai`"),
    ("llama/3", "known: openai, openai-chat, anthropic, builtin, replay"),
    ("", "no provider"),
    ("openai/", "a name is missing"),
    ("openai/?temperature=1", "a name is missing"),
    ("openai/m?temperature", "name=value"),
    ("builtin/orcale", "did you mean `oracle`"),
    ("builtin/oracle?p=1", "no parameter `p`"),
    ("builtin/noisy-oracle?p=1.5", "p is a number from 0 to 1, not 1.5"),
    ("builtin/noisy-oracle?p=high", "p is a number from 0 to 1, not 'high'"),
    ("builtin/noisy-oracle?p=true", "p is a number"),
    ("builtin/random?turns=-1", "turns is a whole number"),
    ("builtin/random?turns=1.5", "turns is a whole number"),
    ("openai/m", "OPENAI_API_KEY"),
    ("openai-chat/m", "--base-url"),
    ("replay/nowhere", "nowhere"),
]


@pytest.mark.parametrize(("spec", "message"), BAD)
def test_mistakes_get_one_line(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_model(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_mistakes() -> None:
    with pytest.raises(UsageError, match="--base-url"):
        make_model("openai/m", base_url="localhost:8000")
    with pytest.raises(UsageError, match="--base-url"):
        make_model("builtin/null", base_url=LOCAL)
    with pytest.raises(UsageError, match="--concurrency 0"):
        make_model("openai/m", base_url=LOCAL, concurrency=0)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("1.0", 1.0), ("true", True), ("null", None), ("[1]", [1]), ("x", "x"), ("", "")]
)
def test_parse_value(text: str, value: Any) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


def test_a_key_of_the_environment_reaches_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GYM_MCP_API_KEY", "local-key")

    async def main() -> str:
        async with Endpoint(fixed("x"), record=True) as endpoint, asyncio.timeout(10):
            model = make_model("openai/m", base_url=endpoint.url)
            await model.respond(Request([user_message("hi")]))
            await model.aclose()
            return endpoint.headers[0]["Authorization"]

    assert asyncio.run(main()) == "Bearer local-key"


def test_the_catalogue_tells_of_every_provider() -> None:
    entries = catalogue()
    assert {e["spec"].split("/")[0] for e in entries} == set(PROVIDERS)
    assert all(e["what"] and e["needs"] for e in entries)
    for entry in entries:
        if entry["spec"].startswith("builtin/"):
            make_model(entry["spec"])


def test_embedded_models_load_no_http_client() -> None:
    code = (
        "import sys; from gym_mcp.models.spec import make_model; make_model('builtin/noisy-oracle?p=0.5');"
        "bad = {'aiohttp', 'openai', 'httpx2', 'jsonschema'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr

"""`respond` against a scripted endpoint: faults, retries, slots, cancellation, secrets; alike in both dialects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gym_mcp.errors import ModelError, UsageError
from gym_mcp.models.base import Request, Response
from gym_mcp.models.http import HTTPModel, is_openai, public_url, split_credentials
from gym_mcp.models.limiter import AdaptiveLimiter
from gym_mcp.models.openai import OpenAIResponses
from gym_mcp.models.openai_chat import OpenAIChat
from gym_mcp.models.retry import RetryPolicy
from gym_mcp.types import Transcript, user_message
from tests.endpoint import FAULTS, Answer, Endpoint, Fault, Raw, Script, faulty, fixed, in_turn, status

SECRET = "sk-very-secret-0123456789"
HELLO = Request([user_message("Say hello.")])
Use = Callable[[HTTPModel, Endpoint], Coroutine[Any, Any, Any]]


@pytest.fixture(params=[OpenAIResponses, OpenAIChat], ids=["responses", "chat"])
def kind(request: pytest.FixtureRequest) -> type[HTTPModel]:
    kind: type[HTTPModel] = request.param
    return kind


class Sleeps(list[float]):
    """A sleep that only takes note."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def using(kind: type[HTTPModel], script: Script, use: Use, **options: Any) -> Any:
    """Run `use(model, endpoint)` with retries that do not wait."""

    async def main() -> Any:
        async with Endpoint(script, record=True) as endpoint, asyncio.timeout(20):
            model = kind("m", **{"base_url": endpoint.url, "retry": RetryPolicy(sleep=Sleeps()), **options})
            try:
                return await use(model, endpoint)
            finally:
                assert model.limiter.in_flight == model.limiter.waiting == 0
                await model.aclose()

    return asyncio.run(main())


async def say_hello(model: HTTPModel, endpoint: Endpoint) -> Response:
    return await model.respond(HELLO)


async def failure(model: HTTPModel, endpoint: Endpoint) -> tuple[ModelError, int]:
    with pytest.raises(ModelError) as caught:
        await model.respond(HELLO)
    return caught.value, endpoint.requests


def test_an_answer(kind: type[HTTPModel]) -> None:
    response = using(kind, fixed("hello"), say_hello)
    assert Transcript(response.output).answer == "hello"
    assert (response.usage.input, response.usage.output, response.usage.calls) == (10, 5, 1)
    assert (response.status, response.incomplete, response.retries, response.model) == ("completed", None, 0, "m")
    assert response.latency > 0
    assert response.id


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"400"}))
def test_a_fault_that_passes_is_tried_again(kind: type[HTTPModel], fault: str) -> None:
    sleeps = Sleeps()
    retry = RetryPolicy(sleep=sleeps, draw=lambda: 0.5)
    script = faulty(fixed("hello"), FAULTS[fault], first=2)
    response = using(kind, script, say_hello, retry=retry, timeout=0.2)
    assert Transcript(response.output).answer == "hello"
    assert response.retries == 2
    assert sleeps == ([1.25, 1.5] if fault == "429" else [0.25, 0.5])


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_that_stays_is_the_models_error(kind: type[HTTPModel], fault: str) -> None:
    retry = RetryPolicy(max_retries=2, sleep=Sleeps())
    error, requests = using(kind, in_turn(FAULTS[fault]), failure, retry=retry, timeout=0.1)
    assert error.kind == "model"
    assert requests == (1 if fault == "400" else 3)
    assert ("3 tries" in str(error)) == (fault != "400")


def test_a_long_retry_after_fails_at_once(kind: type[HTTPModel]) -> None:
    error, requests = using(kind, in_turn(status(429, retry_after="121")), failure)
    assert requests == 1
    assert not error.retryable
    assert "121 s" in str(error)


ODD: list[tuple[Answer, bool]] = [
    (Raw(b'{"error": {"message": "try later", "code": "server_error"}}'), True),
    (Raw(b'{"error": {"message": "upstream busy", "code": 429}}'), True),
    (Raw(b'{"error": {"message": "too long", "code": "context_length_exceeded"}}'), False),
    (Raw(b'{"error": {"message": "no credit", "code": 402}}'), False),
]


@pytest.mark.parametrize(("answer", "retryable"), ODD)
def test_errors_that_come_as_200(kind: type[HTTPModel], answer: Raw, retryable: bool) -> None:
    error, requests = using(kind, in_turn(answer), failure)
    assert "the model failed" in str(error)
    assert requests == (6 if retryable else 1)


@pytest.mark.parametrize("fault", ["429", "503", "hang"])
def test_overload_lowers_the_limit_once_and_success_does_not_hide_it(kind: type[HTTPModel], fault: str) -> None:
    limiter = AdaptiveLimiter(100)
    using(kind, faulty(fixed("x"), FAULTS[fault], first=1), say_hello, limiter=limiter, timeout=0.2)
    assert 22 <= limiter.limit < 32


ASKS: list[tuple[Fault, int]] = [
    (status(429, "slow down"), 35),
    (status(503, "slow down", retry_after="0"), 35),
    (status(500, "slow down", retry_after="0"), 35),
    (status(503, "overloaded"), 52),
    (status(529, "overloaded"), 52),
    (status(500, "internal error"), 52),
]


@pytest.mark.parametrize(("fault", "limit"), ASKS)
def test_a_lone_refusal_lowers_the_limit_only_if_it_asks_for_that(
    kind: type[HTTPModel], fault: Fault, limit: int
) -> None:
    limiter = AdaptiveLimiter(100)
    for _ in range(19):
        limiter.succeeded()
    using(kind, faulty(fixed("x"), fault, first=1), say_hello, limiter=limiter)
    assert limiter.limit == limit


def test_no_slot_is_held_while_it_waits_to_try_again(kind: type[HTTPModel]) -> None:
    in_flight: list[int] = []

    async def sleep(seconds: float) -> None:
        in_flight.append(limiter.in_flight)

    limiter = AdaptiveLimiter(1)
    script = faulty(fixed("x"), FAULTS["500"], first=3)
    using(kind, script, say_hello, retry=RetryPolicy(sleep=sleep), limiter=limiter)
    assert in_flight == [0, 0, 0]


def test_no_more_calls_at_a_time_than_the_limit(kind: type[HTTPModel]) -> None:
    async def many(model: HTTPModel, endpoint: Endpoint) -> int:
        await asyncio.gather(*(model.respond(HELLO) for _ in range(40)))
        return endpoint.peak

    assert 1 <= using(kind, fixed("x"), many, limiter=AdaptiveLimiter(3)) <= 3


def test_cancelled_calls_leave_nothing_behind(kind: type[HTTPModel]) -> None:
    async def cancel(model: HTTPModel, endpoint: Endpoint) -> None:
        calls = [asyncio.create_task(model.respond(HELLO)) for _ in range(6)]
        await endpoint.arrived(2)
        for call in calls:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(o, asyncio.CancelledError) for o in outcomes)

    using(kind, in_turn(FAULTS["hang"]), cancel, limiter=AdaptiveLimiter(2))


def test_what_is_sent(kind: type[HTTPModel]) -> None:
    async def sent(model: HTTPModel, endpoint: Endpoint) -> tuple[dict[str, Any], dict[str, str]]:
        params = {"temperature": 0.1, "top_p": 0.9, "stream": True, "metadata": None}
        await model.respond(Request(HELLO.input, params=params))
        return endpoint.bodies[0], endpoint.headers[0]

    body, headers = using(kind, fixed("x"), sent, params={"temperature": 0.7, "background": True}, api_key=SECRET)
    assert (body["model"], body["temperature"], body["top_p"]) == ("m", 0.7, 0.9)
    assert not {"stream", "metadata", "background", "tools"} & set(body)
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == "application/json"


def test_a_request_that_is_not_json_fails_without_a_call(kind: type[HTTPModel]) -> None:
    async def send(model: HTTPModel, endpoint: Endpoint) -> int:
        with pytest.raises(ModelError, match="not JSON"):
            await model.respond(Request([user_message("\ud800")]))
        return endpoint.requests

    assert using(kind, fixed("x"), send) == 0


def test_the_callers_lists_stay_as_they_are(kind: type[HTTPModel]) -> None:
    items = [user_message("hi")]
    tools = [{"type": "function", "name": "add", "parameters": {"type": "object"}}]
    before = repr((items, tools))

    async def call(model: HTTPModel, endpoint: Endpoint) -> None:
        response = await model.respond(Request(items, tools))
        response.output.append({"type": "message"})

    using(kind, fixed("x"), call)
    assert repr((items, tools)) == before


def test_a_key_appears_nowhere(kind: type[HTTPModel]) -> None:
    echo = status(401, f"Incorrect API key provided: {SECRET}")
    error, _ = using(kind, in_turn(echo), failure, api_key=SECRET)
    model = kind("m", api_key=SECRET)
    shown = f"{error!r} {error} {error.detail} {model!r} {model.identity()} {model.transport!r}"
    assert SECRET not in shown
    assert "***" in str(error)


def test_credentials_in_a_url_are_used_and_not_shown(kind: type[HTTPModel]) -> None:
    async def sent(model: HTTPModel, endpoint: Endpoint) -> tuple[str, str]:
        private = endpoint.url.replace("//", "//me:hunter22@") + "?token=tok-secret&api-version=v1"
        other = kind("m", base_url=private, api_key=SECRET)
        await other.respond(HELLO)
        await other.aclose()
        return endpoint.headers[0]["Authorization"], str(other.identity())

    authorization, identity = using(kind, fixed("x"), sent)
    assert authorization == "Basic bWU6aHVudGVyMjI="
    assert "api-version=v1" in identity
    assert not any(secret in identity for secret in ("hunter22", "tok-secret", "me:", SECRET))


def test_a_query_of_the_base_url_goes_with_every_call(kind: type[HTTPModel]) -> None:
    model = kind("m", base_url="https://x.example/openai/v1/?api-version=preview")
    assert model._url.query == {"api-version": "preview"}
    assert model._url.path == "/openai/v1" + model.path


def test_identity_tells_what_decides_the_answers(kind: type[HTTPModel]) -> None:
    first = kind("m", params={"temperature": 0.0}).identity()
    assert first == {
        "spec": f"{kind.provider}/m",
        "base_url": "https://api.openai.com/v1",
        "params": {"temperature": 0.0},
    }
    assert first != kind("m", params={"temperature": 1.0}).identity()


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x/v1", "http://", "/v1", "http://[::1", "x"])
def test_a_base_url_that_is_none(url: str) -> None:
    with pytest.raises(UsageError, match="--base-url"):
        split_credentials(url)


def test_whose_endpoint_it_is() -> None:
    assert is_openai("https://api.openai.com/v1")
    assert is_openai("https://eu.api.openai.com/v1")
    assert not is_openai("https://api.openai.com.evil.example/v1")
    assert not is_openai("http://127.0.0.1:8000/v1")
    assert public_url(split_credentials("https://u:p@h.example/v1/?k=s#f")[0]) == "https://h.example/v1"

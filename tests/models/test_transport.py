"""Every way in which an HTTP call fails, as the error that it becomes."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from email.utils import formatdate
from typing import Any

import orjson
import pytest
from yarl import URL

from gym_mcp.errors import ModelError
from gym_mcp.models import transport
from gym_mcp.models.transport import MAX_BODY, AnswerTimeout, Transport, proxy_for, retry_after, server_error
from tests.endpoint import FAULTS, Answer, Cut, Endpoint, Hang, Raw, Slow, fixed, in_turn, status


@pytest.fixture(params=["own", "aiohttp"], autouse=True)
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both clients tell the same of everything."""
    if request.param == "aiohttp":
        monkeypatch.setattr("gym_mcp.models.transport._plain_address", lambda url: None)
    return str(request.param)


def post(answer: Answer, *, timeout: float = 5.0, secrets: tuple[str, ...] = ()) -> Any:
    """What one POST to an endpoint that gives `answer` comes to: the object, or the error."""

    async def main() -> Any:
        async with Endpoint(in_turn(answer)) as endpoint:
            transport = Transport(secrets)
            try:
                return await transport.post(URL(endpoint.url + "/responses"), {}, b"{}", timeout)
            except ModelError as e:
                return e
            finally:
                await transport.aclose()

    return asyncio.run(main())


def test_an_object_comes_back_as_it_was_sent() -> None:
    assert post(Raw(b'{"a": [1, null]}')) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("fault", "code", "retryable"),
    [("429", 429, True), ("500", 500, True), ("503", 503, True), ("400", 400, False)],
)
def test_refusals_carry_status_and_the_servers_words(fault: str, code: int, retryable: bool) -> None:
    answer = FAULTS[fault]
    assert isinstance(answer, Raw)
    error = post(answer)
    assert (error.status, error.retryable) == (code, retryable)
    assert str(code) in str(error)
    assert orjson.loads(answer.body)["error"]["message"] in str(error)


@pytest.mark.parametrize(
    ("code", "retryable"),
    [(408, True), (409, True), (425, True), (502, True), (529, True), (401, False), (404, False), (422, False)],
)
def test_which_statuses_are_tried_again(code: int, retryable: bool) -> None:
    assert post(status(code)).retryable is retryable


def test_spent_quota_is_no_rate_limit() -> None:
    error = post(status(429, "You exceeded your quota", code="insufficient_quota"))
    assert error.status == 429
    assert not error.retryable


def test_hang_is_a_timeout() -> None:
    error = post(FAULTS["hang"], timeout=0.1)
    assert isinstance(error, AnswerTimeout)
    assert error.retryable
    assert error.status is None
    assert "0.1 s" in str(error)


def test_an_answer_that_starts_and_stalls_is_a_timeout() -> None:
    assert isinstance(post(Hang(20), timeout=0.1), AnswerTimeout)


def test_an_answer_in_time_is_no_timeout() -> None:
    assert post(Slow(0.05, Raw(b"{}")), timeout=5) == {}


@pytest.mark.parametrize(("after", "where"), [(None, "before"), (0, "middle"), (20, "middle")])
def test_a_cut_connection_may_be_tried_again(after: int | None, where: str) -> None:
    error = post(Cut(after))
    assert error.retryable
    assert where in str(error)


def test_nobody_listens() -> None:
    async def main() -> ModelError:
        async with Endpoint(fixed("x")) as endpoint:
            url = endpoint.url
        transport = Transport()
        with pytest.raises(ModelError) as caught:
            await transport.post(URL(url), {}, b"{}", 5.0)
        await transport.aclose()
        return caught.value

    error = asyncio.run(main())
    assert error.retryable
    assert "cannot connect to 127.0.0.1" in str(error)
    assert str(error).endswith(": Connection refused")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"<html>", b'{"a": NaN}', b"\xff\xfe"])
def test_anything_but_an_object_is_a_broken_answer(body: bytes) -> None:
    error = post(Raw(body))
    assert error.retryable
    assert "broken answer" in str(error)


def test_messages_are_one_bounded_line() -> None:
    error = post(status(400, "line one\nline two " + "x" * 10_000))
    assert "line one line two" in str(error)
    assert len(str(error)) < 400


def test_secrets_are_masked_before_the_text_is_cut() -> None:
    secret = "sk-" + "s" * 60
    error = post(status(401, "x" * 280 + secret), secrets=(secret,))
    assert "sss" not in str(error) + error.detail
    error = post(Raw(f"you sent {secret}".encode()), secrets=(secret,))
    assert "sss" not in str(error) + error.detail
    assert "***" in error.detail


def test_redirects_are_not_followed() -> None:
    error = post(Raw(b"", 307, {"Location": "https://elsewhere.example/v1/responses?token=hidden"}))
    assert not error.retryable
    assert "https://elsewhere.example/v1/responses" in str(error)
    assert "hidden" not in str(error)


def test_an_endless_answer_is_refused() -> None:
    error = post(Raw(b" " * (MAX_BODY + 1)), timeout=30)
    assert "broken answer" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": ""}, None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    seconds = retry_after({"Retry-After": formatdate(time.time() + 60, usegmt=True)})
    assert seconds is not None
    assert 55 < seconds <= 60


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        (b'{"error": {"message": "no", "code": "c", "type": "t"}}', "no", "c"),
        (b'{"error": {"message": "no", "type": "t"}}', "no", "t"),
        (b'{"error": "no"}', "no", ""),
        (b'{"message": "no", "code": 400}', "no", "400"),
        (b'{"detail": "no"}', "no", ""),
        (b"no", "no", ""),
        (b"[]", "[]", ""),
    ],
)
def test_server_errors_in_the_forms_in_use(body: bytes, message: str, code: str) -> None:
    assert server_error(body) == (message, code)


def test_one_connection_serves_calls_in_a_row() -> None:
    async def main() -> int:
        async with Endpoint(in_turn(Raw(b"{}"))) as endpoint:
            transport = Transport()
            for _ in range(5):
                await transport.post(URL(endpoint.url + "/responses"), {}, b"{}", 5.0)
            await transport.aclose()
            return len(endpoint.peers)

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000/v1?a=%20b", True),
        ("http://inside.example/v1", True),
        ("http://outside.example/v1", False),
        ("https://inside.example/v1", False),
    ],
)
def test_which_urls_our_own_client_is_for(url: str, plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # of `client`
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert (transport._plain_address(URL(url)) is not None) is plain


def test_a_name_with_several_addresses_of_which_none_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]

        async def main() -> str:
            sender = Transport()
            with pytest.raises(ModelError) as error:
                await sender.post(URL(f"http://localhost:{port}/v1"), {}, b"{}", 5.0)
            await sender.aclose()
            return str(error.value)

        assert asyncio.run(main()) == f"cannot connect to localhost:{port}: Connection refused"


def test_an_answer_that_is_compressed_unasked_is_said_to_be(client: str) -> None:
    packed = Raw(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})
    if client == "aiohttp":
        assert post(packed) == {}
    else:
        assert str(post(packed)) == "broken answer: in gzip, which nobody asked for"


def test_a_header_stays_one_line(client: str) -> None:
    async def main() -> None:
        async with Endpoint(in_turn(Raw(b"{}"))) as endpoint:
            sender = Transport()
            try:
                await sender.post(URL(endpoint.url + "/responses"), {"X-A": "b\r\nX-C: d"}, b"{}", 5.0)
            finally:
                await sender.aclose()

    with pytest.raises((ModelError, ValueError), match="control character"):
        asyncio.run(main())


def test_proxies_come_from_the_environment_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_for("https://api.openai.com/v1") == "http://proxy.example:3128"
    assert proxy_for("https://inside.example/v1") is None
    assert proxy_for("http://127.0.0.1:8000/v1") is None

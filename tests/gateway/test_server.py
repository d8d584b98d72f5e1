"""The gateway's listener: who gets in, what is refused and how, clients that leave, many at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from gym_mcp.errors import ModelError, UsageError
from gym_mcp.gateway import Gateway, GatewaySession
from gym_mcp.gateway.messages_in import read
from gym_mcp.gateway.server import MAX_BODY
from tests.gateway.kit import Scripted, call, say, served, think
from tests.gateway.raw import APIS, Answer, ask
from tests.support import run

DIALECTS = sorted(APIS)


def words(dialect: str, answer: Answer) -> str:
    """The text of a whole answer."""
    body = answer.json
    if dialect == "messages":
        return "".join(block["text"] for block in body["content"] if block["type"] == "text")
    if dialect == "chat":
        return str(body["choices"][0]["message"]["content"])
    if dialect == "responses":
        return "".join(p["text"] for i in body["output"] if i["type"] == "message" for p in i["content"])
    return "".join(part.get("text", "") for part in body["candidates"][0]["content"]["parts"])


def message_of(answer: Answer) -> str:
    """The text of an error, which must have the dialect's own shape."""
    body = answer.json
    if "type" in body:
        assert body["type"] == "error"
        assert set(body["error"]) == {"type", "message"}
    elif "status" in body["error"]:
        assert body["error"]["code"] == answer.status
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
    return str(body["error"]["message"])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_answers(dialect: str) -> None:
    async def check() -> None:
        async with served(Scripted([say("hello")])) as session:
            answer = await ask(session, dialect)
            assert answer.status == 200
            assert words(dialect, answer) == "hello"
            assert [c.dialect for c in session.calls] == [dialect]

    run(check)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_malformed_requests_are_told_in_the_dialects_form(dialect: str) -> None:
    wrong = ["null", "[]", "{", '{"messages": 3, "input": 3, "contents": 3}', '{"messages": [1], "input": [1]}']
    roles = b'{"messages": [{"role": "king"}], "input": [{"role": "king"}], "contents": [3]}'

    async def check() -> None:
        model = Scripted([say("never")])
        async with served(model) as session:
            for data in (*(text.encode() for text in wrong), roles, b"\xff\xfe"):
                answer = await ask(session, dialect, data=data)
                assert answer.status == 400, data
                assert message_of(answer)
                assert answer.headers["x-should-retry"] == "false"
            assert not model.requests

    run(check)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_key_is_refused(dialect: str) -> None:
    async def check() -> None:
        model = Scripted([say("never")])
        async with served(model) as session:
            for key in ("", "sk-gym-wrong", session.key[:-1], session.key + "x"):
                answer = await ask(session, dialect, key=key)
                assert answer.status == 401
                assert message_of(answer) == "invalid API key"
                assert session.key not in answer.text
            assert not model.requests

    run(check)


@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": "K"}, {"Authorization": "Bearer K"}, {"authorization": "bearer K"}, {"x-goog-api-key": "K"}],
)
def test_a_key_counts_in_each_header(headers: dict[str, str]) -> None:
    async def check() -> None:
        async with served(Scripted([say("hi")])) as session, aiohttp.ClientSession() as client:
            given = {name: value.replace("K", session.key) for name, value in headers.items()}
            for api in APIS.values():
                async with client.post(session.base_url + api.path, json=api.body, headers=given) as answer:
                    assert answer.status == 200

    run(check)


def test_a_session_is_not_reached_by_anothers_key() -> None:
    async def check() -> None:
        one, other = Scripted([say("one")]), Scripted([say("other")])
        async with Gateway() as gateway:
            mine, theirs = gateway.open(one), gateway.open(other)
            assert mine.base_url != theirs.base_url
            assert (await ask(theirs, "chat", key=mine.key)).status == 401
            assert not other.requests

    run(check)


def test_unknown_paths_say_nothing() -> None:
    async def check() -> None:
        async with served(Scripted([say("hi")])) as session, aiohttp.ClientSession() as client:
            origin, headers = session.base_url.rpartition("/")[0], {"x-api-key": session.key}
            unknown = ["/", "/v1/messages", "/guess/v1/messages", f"/{session.secret[:-1]}/v1/messages"]
            unknown += [f"/{session.secret}/v1/nothing", f"/{session.secret}/", f"/x/{session.secret}/v1/messages"]
            answers = []
            for path in unknown:
                async with client.post(origin + path, json=APIS["messages"].body, headers=headers) as answer:
                    answers.append((answer.status, await answer.text()))
            assert answers == [(404, "not found\n")] * len(unknown)

    run(check)


def test_claude_codes_probes() -> None:
    async def check() -> None:
        async with served(Scripted([say("hi")])) as session, aiohttp.ClientSession() as client:
            for path in ("", "/api/hello"):
                async with client.head(session.base_url + path) as answer:
                    assert answer.status == 200

    run(check)


def test_models_are_listed_in_the_clients_form() -> None:
    async def check() -> None:
        async with served(Scripted([say("hi")])) as session, aiohttp.ClientSession() as client:
            headers = {"x-api-key": session.key}
            async with client.get(f"{session.base_url}/v1/models", headers=headers) as answer:
                assert [m["id"] for m in (await answer.json())["data"]] == [session.model_name]
            headers["anthropic-version"] = "2023-06-01"
            async with client.get(f"{session.base_url}/v1/models", headers=headers) as answer:
                assert (await answer.json())["first_id"] == session.model_name

    run(check)


def test_a_body_is_bounded() -> None:
    async def check() -> None:
        model = Scripted([say("never")])
        async with served(model) as session:
            answer = await ask(session, "messages", data=b" " * (MAX_BODY + 1))
            assert answer.status == 413
            assert answer.json["error"]["type"] == "request_too_large"
            assert not model.requests

    run(check)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_client_that_leaves_cancels_the_models_call(dialect: str, stream: bool) -> None:
    async def check() -> None:
        model = Scripted([say("late")], delay=60)
        async with served(model) as session:
            asking = asyncio.create_task(ask(session, dialect, stream=stream))
            await asyncio.wait_for(model.arrived.wait(), 10)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await asyncio.wait_for(model.gone.wait(), 10)
            assert model.cancelled == 1
            assert session.error is None

    run(check)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_closing_refuses_what_comes_and_cancels_what_runs(dialect: str) -> None:
    async def check() -> None:
        model = Scripted([say("late")], delay=60)
        async with served(model) as session:
            asking = asyncio.create_task(ask(session, dialect))
            await asyncio.wait_for(model.arrived.wait(), 10)
            await session.aclose()
            for answer in (await asking, await ask(session, dialect), await ask(session, dialect, stream=True)):
                assert answer.status == 400
                assert message_of(answer) == "this session is over"
            assert model.cancelled == 1
            assert len(model.requests) == 1

    run(check)


SIGNS = {"messages": ("ping", {"type": "ping"}), "chat": (None, ": waiting for the model")}
SIGNS["responses"] = SIGNS["chat"]


async def after_two_signs(model: Scripted, session: GatewaySession, dialect: str) -> Answer:
    """A streamed answer of a model that speaks once the stream has given two signs of life."""
    model.held = held = asyncio.Event()

    def begun(text: str) -> None:
        if text.count("\n\n") >= 2:
            held.set()

    return await ask(session, dialect, stream=True, begun=begun)


@pytest.mark.parametrize("dialect", sorted(SIGNS))
def test_a_silent_stream_gives_signs_of_life(dialect: str) -> None:
    async def check() -> None:
        model = Scripted([say("late")])
        async with served(model, keep_alive=0.02) as session:
            events = (await after_two_signs(model, session, dialect)).events
            assert events[0] == events[1] == SIGNS[dialect]
            rest = [event for event in events if event != SIGNS[dialect]]
            assert "late" in str(rest)

    run(check)


def test_gemini_gets_no_signs_of_life() -> None:
    async def check() -> None:
        async with served(Scripted([say("late")], delay=0.1), keep_alive=0.01) as session:
            events = (await ask(session, "gemini", stream=True)).events
            assert all(isinstance(data, dict) and "candidates" in data for _, data in events)

    run(check)


@pytest.mark.parametrize("dialect", sorted(SIGNS))
def test_a_failure_inside_a_stream_is_told_in_the_stream(dialect: str) -> None:
    async def check() -> None:
        model = Scripted(ModelError("it died"))
        async with served(model, keep_alive=0.02) as session:
            answer = await after_two_signs(model, session, dialect)
            assert answer.status == 200
            said = [(name, data) for name, data in answer.events if "it died" in str(data)]
            assert len(said) == 1
            name, data = said[0]
            shape: Any = {"messages": ("error", "error"), "responses": ("response.failed", "response.failed")}
            assert (name, data.get("type")) == shape.get(dialect, (None, None))

    run(check)


def test_many_streams_at_a_time() -> None:
    async def check() -> None:
        turn = [think("hm"), say("x" * 5_000), call("add", '{"amount": 1}')]
        model = Scripted(turn, delay=0.2)
        async with Gateway() as gateway, asyncio.TaskGroup() as group:
            sessions = [gateway.open(model) for _ in range(256)]
            tasks = [
                group.create_task(ask(s, DIALECTS[i % len(DIALECTS)], stream=True)) for i, s in enumerate(sessions)
            ]
            for task in tasks:
                assert "x" * 2_000 in (await task).text
            assert len(model.requests) == 256

    run(check)


def test_a_taken_port_is_a_users_mistake() -> None:
    async def check() -> None:
        async with Gateway() as gateway:
            session = gateway.open(Scripted([say("hi")]))
            port = int(session.base_url.rpartition("/")[0].rpartition(":")[2])
            with pytest.raises(UsageError, match=f"127.0.0.1:{port}: Address already in use"):
                await Gateway(port=port).start()

    run(check)


def test_it_listens_on_loopback_only() -> None:
    async def check() -> None:
        async with Gateway() as gateway:
            assert gateway.addresses and all(host == "127.0.0.1" for host, _ in gateway.addresses)

    run(check)


def test_an_answer_that_found_no_reader_is_given_again() -> None:
    """The model is not asked, and paid, twice."""

    async def check() -> None:
        model = Scripted([say("first")], [say("second")])
        async with served(model) as session:
            asked = read(orjson.loads(orjson.dumps(APIS["messages"].body)))
            response, record = await session.respond(asked, "messages")
            session.unread(asked, response, record)
            assert [c.delivered for c in session.calls] == [False]
            assert words("messages", await ask(session, "messages")) == "first"
            assert [c.delivered for c in session.calls] == [True]
            assert words("messages", await ask(session, "messages")) == "second"

    run(check)

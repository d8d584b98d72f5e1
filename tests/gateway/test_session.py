"""A session: budgets, failures, what comes back from the agent, and the transcript."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.meter import Meter
from gym_mcp.errors import ModelError, PromptTooLong
from gym_mcp.gateway.log import CallLog
from gym_mcp.harness import Limits
from gym_mcp.models.base import Response, Usage
from gym_mcp.types import Item, text_of
from tests.gateway.kit import TOOL, Scripted, call, say, served, think
from tests.gateway.raw import APIS, ask
from tests.gateway.test_server import DIALECTS, message_of, words
from tests.support import run

USE = {"name": "add", "description": "Add.", "input_schema": TOOL["parameters"]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_spent_budget_ends_the_agent_with_plain_words(dialect: str, stream: bool) -> None:
    async def check() -> None:
        model = Scripted([call("add", "{}")])
        async with served(Meter(model, Limits(turns=2)), final_text="That is all.") as session:
            for _ in range(2):
                await ask(session, dialect)
                assert session.stop is None
            for _ in range(3):
                answer = await ask(session, dialect, stream=stream)
                assert answer.status == 200
                assert "That is all." in answer.text
                assert "function_call" not in answer.text
                assert '"tool_calls"' not in answer.text
            if not stream:
                assert words(dialect, answer) == "That is all."
            assert session.stop == session.transcript().stop == "max_turns"
            assert len(model.requests) == len(session.calls) == 2
            assert all(item["type"] == "function_call" for item in session.transcript().items)

    run(check)


@pytest.mark.parametrize(("limits", "stop"), [(Limits(tokens=30), "max_tokens"), (Limits(cost=1e-9), "max_cost")])
def test_each_budget_is_named(limits: Limits, stop: str) -> None:
    async def check() -> None:
        model = Scripted([say("hi")])
        model.price = (1.0, 1.0)
        async with served(Meter(model, limits)) as session:
            for _ in range(2):
                await ask(session, "chat")
            assert session.stop == stop

    run(check)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failure_of_the_model_is_final(dialect: str, stream: bool) -> None:
    """Real agents repeat a 5xx ten times, a 400 never."""

    async def check() -> None:
        model = Scripted(ModelError("it answered 503 (6 tries)", status=503, retryable=True), [say("back")])
        async with served(model) as session:
            for _ in range(3):
                answer = await ask(session, dialect, stream=stream)
                assert answer.status == 400
                assert message_of(answer) == "it answered 503 (6 tries)"
                assert answer.headers["x-should-retry"] == "false"
            assert len(model.requests) == 1
            assert isinstance(session.error, ModelError)
            assert session.error.kind == "model"
            assert [(c.finish, c.dialect) for c in session.calls] == [("error", dialect)]

    run(check)


def test_by_hand_a_failure_does_not_settle_the_rest() -> None:
    async def check() -> None:
        async with served(Scripted(ModelError("no"), [say("back")]), keep_going=True) as session:
            assert (await ask(session, "chat")).status == 400
            assert words("chat", await ask(session, "chat")) == "back"
            assert session.error is None

    run(check)


@pytest.mark.parametrize(
    ("dialect", "sign"),
    [
        ("messages", "prompt is too long"),
        ("chat", "context_length_exceeded"),
        ("responses", "context_length_exceeded"),
        ("gemini", "INVALID_ARGUMENT"),
    ],
)
def test_an_agent_may_shorten_a_prompt_that_was_too_long(dialect: str, sign: str) -> None:
    async def check() -> None:
        model = Scripted(PromptTooLong("maximum context length is 4096 tokens", status=400), [say("shorter")])
        async with served(model) as session:
            answer = await ask(session, dialect)
            assert (answer.status, sign in answer.text) == (400, True)
            assert isinstance(session.error, PromptTooLong)
            assert words(dialect, await ask(session, dialect)) == "shorter"
            assert session.error is None

    run(check)


def turn(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": text}]}


def test_the_model_reads_its_own_words_as_it_said_them() -> None:
    """Agents serialize arguments anew; the tokens must be those that were sampled."""
    odd = '{ "amount" :1.0}'

    async def check() -> None:
        model = Scripted([think("hm"), say("Adding. "), call("add", odd)], [say("done")])
        async with served(model) as session:
            first = (await ask(session, "messages", body={"tools": [USE]})).json
            blocks = [b if b["type"] != "text" else {**b, "text": b["text"].strip()} for b in first["content"]]
            messages = [*APIS["messages"].body["messages"], turn(*blocks), result("call_1", "1")]
            await ask(session, "messages", body={"tools": [USE], "messages": messages})
            sent = list(model.requests[1].input)
            assert sent[1:4] == [think("hm"), say("Adding. "), call("add", odd)]
            assert sent[4] == {"type": "function_call_output", "call_id": "call_1", "output": "1"}

    run(check)


def test_arguments_that_are_no_json_come_back_as_they_were() -> None:
    async def check() -> None:
        model = Scripted([call("add", '{"amount": ')], [say("done")])
        async with served(model) as session:
            first = (await ask(session, "messages", body={"tools": [USE]})).json
            assert first["content"][0]["input"] == {"arguments": '{"amount": '}
            messages = [*APIS["messages"].body["messages"], turn(*first["content"]), result("call_1", "no")]
            await ask(session, "messages", body={"tools": [USE], "messages": messages})
            assert list(model.requests[1].input)[1] == call("add", '{"amount": ')

    run(check)


def test_side_conversations_are_kept_apart() -> None:
    async def check() -> None:
        model = Scripted([say("A title")], [call("add", "{}")], [say("Summary")], [say("done")])
        async with served(model) as session:
            hello = APIS["messages"].body["messages"]
            await ask(session, "messages", body={"system": "Make a title."})
            main = {"system": "You add.", "tools": [USE]}
            first = (await ask(session, "messages", body=main)).json
            await ask(session, "messages", body={"system": "Summarize."})
            more = [*hello, turn(*first["content"]), result("call_1", "3")]
            await ask(session, "messages", body={**main, "messages": more})
            transcript = session.transcript()
            assert [c.side for c in session.calls] == [True, False, True, False]
            kinds = [(i["type"], i.get("output") or text_of(i)) for i in transcript.items]
            assert kinds == [("function_call", ""), ("function_call_output", "3"), ("message", "done")]

    run(check)


def test_the_transcript_goes_on_after_a_compaction() -> None:
    async def check() -> None:
        model = Scripted([call("add", "{}", "c1")], [call("add", "{}", "c2")], [say("done")])
        async with served(model) as session:
            hello, main = APIS["messages"].body["messages"], {"tools": [USE]}
            first = (await ask(session, "messages", body=main)).json
            summary = {"role": "user", "content": "Summary: c1 was called and gave 3."}
            second = (await ask(session, "messages", body={**main, "messages": [summary]})).json
            more = [summary, turn(*second["content"]), result("c2", "6")]
            await ask(session, "messages", body={**main, "messages": more})
            assert first["content"] and hello
            items = session.transcript().items
            shown = [i.get("call_id") or text_of(i) for i in items]
            assert shown == ["c1", "Summary: c1 was called and gave 3.", "c2", "c2", "done"]

    run(check)


def test_results_that_an_agent_cuts_later_are_told_once() -> None:
    """Agents clear old results of tools to save room."""

    async def check() -> None:
        turns = [[call("add", "{}", f"c{i}")] for i in range(3)]
        model = Scripted(*turns, [say("done")])
        async with served(model) as session:
            messages, main = list(APIS["messages"].body["messages"]), {"tools": [USE]}
            for i in range(4):
                answer = (await ask(session, "messages", body={**main, "messages": messages})).json
                messages += [turn(*answer["content"]), result(f"c{i}", f"result {i}")]
                if i == 2:
                    messages[2] = result("c0", "[cleared]")
            outputs = [i["output"] for i in session.transcript().items if i["type"] == "function_call_output"]
            assert outputs == ["result 0", "result 1", "result 2"]

    run(check)


def test_sub_agents_are_apart_and_changed_instructions_are_not() -> None:
    async def check() -> None:
        async with served(Scripted([say("main")], [say("sub")], [say("more")])) as session:
            other = {"role": "user", "content": "Look into this."}
            await ask(session, "messages", body={"system": "Main.", "tools": [USE]})
            await ask(session, "messages", body={"system": "Sub.", "tools": [USE], "messages": [other]})
            await ask(session, "messages", body={"system": "Main, with a new tool.", "tools": [USE]})
            session.transcript()
            assert [c.side for c in session.calls] == [False, True, False]

    run(check)


def test_an_answer_that_was_asked_for_again_counts_once() -> None:
    """Claude Code repeats a request without `stream` when a stream broke."""

    async def check() -> None:
        async with served(Scripted([say("first")], [say("second")])) as session:
            await ask(session, "messages", stream=True)
            await ask(session, "messages")
            assert [text_of(i) for i in session.transcript().items] == ["second"]
            assert len(session.calls) == 2

    run(check)


@pytest.mark.parametrize(
    ("reason", "ends"),
    [
        ("max_output_tokens", {"messages": "max_tokens", "chat": "length", "gemini": "MAX_TOKENS"}),
        ("content_filter", {"messages": "refusal", "chat": "content_filter", "gemini": "SAFETY"}),
    ],
)
def test_cut_answers_say_so(reason: str, ends: dict[str, str]) -> None:
    def cut(request: object) -> Response:
        return Response([say("half")], Usage(1, 1, calls=1), "incomplete", reason)

    async def check() -> None:
        async with served(Scripted(cut)) as session:
            messages = (await ask(session, "messages")).json["stop_reason"]
            chat = (await ask(session, "chat")).json["choices"][0]["finish_reason"]
            gemini = (await ask(session, "gemini")).json["candidates"][0]["finishReason"]
            assert {"messages": messages, "chat": chat, "gemini": gemini} == ends
            whole = (await ask(session, "responses")).json
            assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": reason})
            events = (await ask(session, "responses", stream=True)).events
            assert events[-1][0] == "response.incomplete"
            assert session.transcript().stop == reason

    run(check)


def test_usage_is_counted_once() -> None:
    """Anthropic counts cached input beside the input, OpenAI inside it."""

    async def check() -> None:
        async with served(Scripted([say("hi")], usage=Usage(100, 7, 60, 2, 1))) as session:
            usage = (await ask(session, "messages")).json["usage"]
            assert usage["input_tokens"] + usage["cache_read_input_tokens"] == 100
            assert usage["cache_read_input_tokens"] == 60
            assert usage["cache_creation_input_tokens"] == 0
            chat = (await ask(session, "chat")).json["usage"]
            assert (chat["prompt_tokens"], chat["prompt_tokens_details"]["cached_tokens"]) == (100, 60)
            streamed = (await ask(session, "messages", stream=True)).events
            start, end = streamed[0][1]["message"]["usage"], streamed[-2][1]["usage"]
            assert (start["output_tokens"], end["output_tokens"]) == (0, 7)
            assert start["input_tokens"] == end["input_tokens"] == 40

    run(check)


def test_tokens_are_estimated_by_length() -> None:
    async def check() -> None:
        async with served(Scripted([say("never")])) as session:
            image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 9_000}}
            plain = {"role": "user", "content": "x" * 4_000}
            body: dict[str, Any] = {"messages": [plain]}
            path = "/v1/messages/count_tokens"
            text = (await ask(session, "messages", body=body, path=path)).json["input_tokens"]
            assert 1_000 <= text <= 1_030
            body = {"messages": [plain, {"role": "user", "content": [image]}]}
            both = (await ask(session, "messages", body=body, path=path)).json["input_tokens"]
            assert text + 1_600 <= both <= text + 1_650
            counted = await ask(session, "gemini", path="/v1beta/models/m:countTokens")
            assert counted.json["totalTokens"] > 0
            assert not session.calls

    run(check)


def test_embedded_models_call_tools_by_the_agents_names() -> None:
    async def check() -> None:
        model = Scripted([call("add", "{}")])
        model.spec = "builtin/oracle"
        tools = [{**USE, "name": name} for name in ("mcp__env__add", "mcp__env__read")]
        async with served(Meter(model, Limits())) as session:
            answer = await ask(session, "messages", body={"tools": tools})
            assert answer.json["content"][0]["name"] == "mcp__env__add"
            assert session.transcript().items[0]["name"] == "mcp__env__add"
            model.spec = "openai-chat/m"
            items: list[Item] = session.calls[0].items
            assert [i["name"] for i in items] == ["mcp__env__add"]
        async with served(Scripted([call("add", "{}")])) as session:
            answer = await ask(session, "messages", body={"tools": tools})
            assert answer.json["content"][0]["name"] == "add"  # a real model's mistake stays one

    run(check)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_call_that_cannot_be_recorded_is_not_answered() -> None:
    async def check() -> None:
        log = CallLog(Path("/dev/full"))
        try:
            async with served(Scripted([say("hi")]), keep_going=True, log=log) as session:
                answer = await ask(session, "chat")
                assert answer.status == 400
                assert message_of(answer).endswith("cannot record calls: /dev/full: No space left on device")
        finally:
            log.close()

    run(check)

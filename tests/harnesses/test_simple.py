"""The tool loop against a real endpoint and real episodes: what it sends, what it runs, when it stops."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from gym_mcp import hub
from gym_mcp.coordinator.meter import Meter
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.harness import Limits
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject, Task, Transcript, user_message
from tests.endpoint import (
    Body,
    Endpoint,
    Reply,
    Script,
    call,
    calling,
    fixed,
    in_turn,
    message,
    parallel,
    unknown_tool,
)
from tests.environments.ladder import PIXEL, Ladder
from tests.support import run

REASONING: JSONObject = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"}


@dataclass
class Played:
    transcript: Transcript
    bodies: list[Body]
    ledger: list[JSONObject] = field(default_factory=list)
    score: float = 0.0

    @property
    def outputs(self) -> list[Any]:
        return [i["output"] for i in self.transcript.items if i["type"] == "function_call_output"]


def play(
    script: Script,
    data: JSONObject | None = None,
    *,
    limits: Limits | None = None,
    cls: type[Environment[Any]] = Ladder,
    params: JSONObject | None = None,
    harness: str = "simple",
) -> Played:
    """One episode under the simple harness, or another one that does the same."""

    async def main() -> Played:
        _, loop, _ = hub.load_harness(harness)
        async with Endpoint(script, record=True) as endpoint, DirectClient(cls) as client:
            task: Task[Any] = Task("t", [user_message("Count.")], {"target": 3, **(data or {})}, params or {})
            episode = await client.open_episode(task, seed=1)
            model = make_model("openai/m", base_url=endpoint.url, price=(1.0, 1.0), max_retries=0)
            try:
                meter = Meter(model, limits or Limits())
                transcript = await loop.run(episode.agent, meter, meter._limits)
            finally:
                await model.aclose()
            verdict = await episode.verify(transcript)
            return Played(transcript, endpoint.bodies, verdict.ledger, verdict.reward.score)

    return run(main)


def said_in_reply(outcome: Played, turn: int) -> list[Any]:
    """Items that request `turn` has over the one before it."""
    before, now = outcome.bodies[turn - 1]["input"], outcome.bodies[turn]["input"]
    assert now[: len(before)] == before, "the conversation was rewritten"
    rest: list[Any] = now[len(before) :]
    return rest


# Replies of the ladder never end unless the agent says "bye".
BYE = "bye"


def test_calls_one_after_the_other() -> None:
    got = play(calling([("add", {"amount": 1}), ("add", {"amount": 2})], BYE))
    assert (got.score, got.outputs, got.transcript.stop) == (1.0, ["1", "3"], "completed")
    assert [i["type"] for i in got.transcript.items] == ["function_call", "function_call_output"] * 2 + ["message"]
    assert said_in_reply(got, 1) == got.transcript.items[:2]
    assert got.bodies[0]["input"] == [user_message("Count.")]


def test_calls_in_parallel_keep_their_order_and_ids() -> None:
    got = play(parallel([("add", {"amount": 1}), ("read", {}), ("add", {"amount": 2}), ("read", {})], BYE))
    assert got.outputs == ["1", "1", "3", "3"] and got.score == 1.0
    assert [e["seq"] for e in got.ledger] == [0, 1, 2, 3]
    answers = [i for i in said_in_reply(got, 1) if i["type"] == "function_call_output"]
    assert [a["call_id"] for a in answers] == ["call_0", "call_1", "call_2", "call_3"]
    assert len(got.bodies) == 2


def test_tools_and_sampling_of_the_task_are_sent() -> None:
    got = play(fixed(BYE), {"only": ["add"]}, params={"temperature": 0.5, "tool_choice": "required"})
    (tool,) = got.bodies[0]["tools"]
    assert (tool["type"], tool["name"]) == ("function", "add")
    assert tool["parameters"]["properties"]["amount"]["type"] == "integer"
    assert (got.bodies[0]["temperature"], got.bodies[0]["tool_choice"]) == (0.5, "required")


@pytest.mark.parametrize("arguments", ['{"amount": ', "amount=1", '{"amount": 1}}', "\x00", "[1", "{'amount': 1}"])
def test_arguments_that_are_no_json_are_told_to_the_model_and_reach_no_tool(arguments: str) -> None:
    got = play(calling([("add", arguments), ("add", {"amount": 3})], BYE))
    assert got.outputs[0].startswith("Invalid arguments for add: not valid JSON")
    assert got.outputs[1] == "3" and got.score == 1.0
    assert [e["name"] for e in got.ledger] == ["add"]


@pytest.mark.parametrize("arguments", ["[1]", "3", "null", '"amount"', "true"])
def test_arguments_that_are_no_object_are_told_to_the_model(arguments: str) -> None:
    got = play(calling([("add", arguments)], BYE))
    assert got.outputs == ["Invalid arguments for add: a JSON object is expected."] and got.ledger == []


def test_no_arguments_are_an_empty_object() -> None:
    assert play(calling([("read", "")], BYE)).outputs == ["0"]


def test_arguments_that_do_not_fit_and_unknown_tools_are_on_the_ledger() -> None:
    got = play(calling([("add", {"amount": "many"}), ("add", {}), ("no_such_tool", {"a": 1})], BYE))
    assert [e["error"] for e in got.ledger] == ["arguments", "arguments", "unknown_tool"]
    assert "amount" in got.outputs[0] and "Unknown tool `no_such_tool`. Available tools: add" in got.outputs[2]
    assert play(unknown_tool(BYE)).transcript.stop == "completed"


def test_reasoning_is_kept_and_sent_back() -> None:
    got = play(in_turn(Reply([REASONING, call("add", {"amount": 3})]), Reply([REASONING, message(BYE)])))
    assert said_in_reply(got, 1)[0] == REASONING
    assert [i["type"] for i in got.transcript.items] == [
        "reasoning",
        "function_call",
        "function_call_output",
        "reasoning",
        "message",
    ]


@pytest.mark.parametrize(
    ("limits", "stop", "requests"),
    [
        (Limits(turns=1), "max_turns", 1),
        (Limits(turns=3), "max_turns", 3),
        (Limits(turns=None, tokens=16), "max_tokens", 2),
        (Limits(turns=None, cost=16e-6), "max_cost", 2),
    ],
)
def test_a_spent_budget_ends_it_with_what_was_done(limits: Limits, stop: str, requests: int) -> None:
    got = play(calling([("add", {"amount": 1})] * 50, BYE), limits=limits)
    assert (got.transcript.stop, len(got.bodies), len(got.ledger)) == (stop, requests, requests)
    assert got.score == float(requests == 3)


def test_a_conversation_goes_on_until_the_user_has_nothing_to_say() -> None:
    got = play(
        in_turn(Reply([message("hello, "), message("you")]), Reply([message("again")]), Reply([message(BYE)]))
    )
    assert said_in_reply(got, 1)[-1] == user_message("you said hello, you")
    assert said_in_reply(got, 2)[-1] == user_message("you said again")
    roles = [i.get("role") for i in got.transcript.items]
    assert roles == ["assistant", "assistant", "user", "assistant", "user", "assistant"]
    assert (len(got.bodies), got.transcript.stop, got.transcript.answer) == (3, "completed", BYE)


def test_an_environment_that_ends_the_episode_ends_the_loop() -> None:
    got = play(parallel([("add", {"amount": 3}), ("submit", {}), ("add", {"amount": 1})], BYE))
    assert (got.transcript.stop, got.score, len(got.bodies)) == ("ended", 1.0, 1)
    assert got.outputs[2] == "This episode has ended and takes no more calls."
    assert [e["name"] for e in got.ledger] == ["add", "submit"]


def test_an_answer_that_was_cut_short_ends_the_loop() -> None:
    got = play(in_turn(Reply([message("I was about to")], incomplete="max_output_tokens")))
    assert (got.transcript.stop, len(got.bodies)) == ("max_output_tokens", 1)
    assert got.transcript.answer == "I was about to"


def test_an_answer_without_anything_is_a_last_word() -> None:
    class Silent(Ladder):
        def reply(self, message: str) -> str | None:
            assert message == ""
            return None

    got = play(in_turn(Reply([])), cls=Silent)
    assert (got.transcript.items, got.transcript.stop) == ([], "completed")


def test_single_turn_environments_are_asked_for_no_reply() -> None:
    class Single(Environment[Any]):
        """Say done."""

        def verify(self, transcript: Transcript) -> float:
            return float(transcript.answer == "done")

    got = play(fixed("done"), cls=Single)
    assert (got.score, len(got.bodies)) == (1.0, 1) and "tools" not in got.bodies[0]


@pytest.mark.parametrize("caption", ["", "a pixel"])
def test_images_go_out_as_parts(caption: str) -> None:
    got = play(calling([("picture", {"caption": caption})], BYE))
    *text, image = got.outputs[0]
    assert text == ([{"type": "input_text", "text": caption}] if caption else [])
    assert image["type"] == "input_image"
    head, _, data = image["image_url"].partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(data) == PIXEL
    assert said_in_reply(got, 1)[-1]["output"] == got.outputs[0]
    orjson.dumps(got.transcript.items)

"""The LangGraph harnesses on tools, on plain text and in conversations, with scripted models and an endpoint."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from gym_mcp import Call, Environment, Task, Transcript, tool
from gym_mcp.models.builtin import ASIDE, GIVES_UP
from gym_mcp.types import JSONObject
from tests.endpoint import Answer, Body, Reply, Script, call, calling, in_turn, message, tool_outputs
from tests.langgraph.kit import node_of, nodes, rollout, scripted

NAMES = ["react", "reflection", "orchestrator", "parallel_thinking", "rewoo"]


class Counter(Environment[Any]):
    """Raise a counter to the target and say it."""

    def open(self, task: Task[Any]) -> None:
        self.value, self.target = 0, task.data["target"]

    @tool
    def add(self, amount: int) -> int:
        """Add `amount`."""
        self.value += amount
        return self.value

    @tool(read_only=True)
    def read(self) -> int:
        """Read the counter."""
        return self.value

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == self.target and transcript.text == str(self.target))

    def solution(self) -> Generator[Any, Any, None]:
        first = yield Call("add", amount=self.target - 1)
        assert first == str(self.target - 1)
        yield [Call("add", amount=1), Call("read")]
        yield str(self.target)


class Question(Environment[Any]):
    """Say the word."""

    def open(self, task: Task[Any]) -> None:
        self.word = "seven"

    def verify(self, transcript: Transcript) -> float:
        return float(transcript.text == self.word)

    def solution(self) -> list[str]:
        return ["seven"]


class Dialogue(Environment[Any]):
    """Say the numbers that the user names, then goodbye."""

    def open(self, task: Task[Any]) -> None:
        self.said: list[str] = []

    def reply(self, message: str) -> str | None:
        self.said.append(message)
        return None if message == "goodbye" else f"say {len(self.said) * 2}"

    def verify(self, transcript: Transcript) -> float:
        return float(self.said == ["hello", "2", "4", "goodbye"])

    def solution(self) -> Generator[Any, Any, None]:
        heard = yield "hello"
        for _ in range(2):
            heard = yield heard.removeprefix("say ")
        yield "goodbye"


ENVIRONMENTS = {"tools": Counter, "text": Question, "conversation": Dialogue}


@pytest.mark.parametrize("cls", ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys())
@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_gets_full_marks_under_every_harness(name: str, cls: type[Environment[Any]]) -> None:
    row = rollout(f"langgraph_{name}", "builtin/oracle", cls=cls)
    assert (row["failure"], row["reward"], row["response"]["stop"]) == (None, 1.0, "completed")
    if cls is Counter:
        assert [e["name"] for e in row["ledger"]] == ["add", "add", "read"]


@pytest.mark.parametrize("name", NAMES)
def test_null_gets_nothing_and_budgets_hold(name: str) -> None:
    assert rollout(f"langgraph_{name}", "builtin/null", cls=Question)["reward"] == 0.0
    from gym_mcp.harness import Limits

    row = rollout(f"langgraph_{name}", "builtin/random?turns=1000", cls=Counter, limits=Limits(turns=7))
    assert (row["response"]["stop"], row["usage"]["model_calls"]) == ("max_turns", 7)


def test_react_takes_a_system_message() -> None:
    row, bodies = scripted("langgraph_react", calling([("add", {"amount": 3})], "bye"), options={"system": "Hm."})
    assert row["reward"] == 1.0 and bodies[0]["input"][0] == {
        "type": "message",
        "role": "system",
        "content": "Hm.",
    }


def is_aside(body: Body) -> bool:
    return str(body["input"][0]["content"]).startswith(ASIDE)


def critic(verdicts: list[str], answers: list[Reply]) -> Script:
    """Asides get `verdicts` in turn, everything else `answers`."""
    asides, turns = iter(verdicts), iter(answers)
    return lambda body, n: Reply([message(next(asides))]) if is_aside(body) else next(turns)


def test_reflection_sends_an_answer_back_with_the_critic_s_words() -> None:
    answers = [Reply([message("six")]), Reply([message("seven")])]
    row, bodies = scripted("langgraph_reflection", critic(["RETRY: higher", "OK"], answers), cls=Question)
    assert row["reward"] == 1.0  # the transcript holds the answer that stands, and nothing that was sent back
    assert "RETRY: higher" in bodies[2]["input"][-1]["content"]
    assert "[ai] six" in bodies[1]["input"][-1]["content"]
    assert [s["output"][0]["content"][0]["text"] for s in row["spans"] if "output" in s] == [
        "six",
        "RETRY: higher",
        "OK",
    ]
    assert [node_of(row, "model_calls", i) for i in range(4)] == ["agent", "critic", "agent", "critic"]


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_reflection_has_so_many_rounds(rounds: int) -> None:
    script = critic(["RETRY"] * 9, [Reply([message("six")])] * 9)
    row, _ = scripted("langgraph_reflection", script, cls=Question, options={"rounds": rounds})
    assert (row["reward"], row["usage"]["model_calls"]) == (0.0, 2 * rounds + 1)


def test_the_orchestrator_instructs_its_worker() -> None:
    answers = [Reply([call("add", {"amount": 2})]), Reply([message("It is 2.")]), Reply([message("3")])]
    verdicts = ["Add two.", "Say three.", "OK"]
    row, bodies = scripted("langgraph_orchestrator", critic(verdicts, answers), cls=Counter)
    asides = [body for body in bodies if is_aside(body)]
    assert "add, read" in asides[0]["input"][0]["content"] and "tools" not in asides[0]
    assert "It is 2." in asides[1]["input"][-1]["content"]
    assert "Add two." in bodies[1]["input"][0]["content"]
    assert "Say three." in bodies[4]["input"][0]["content"]
    texts = [i["content"][0]["text"] for i in row["response"]["output"] if i["type"] == "message"]
    assert texts == ["3"]
    known = {s["id"]: s for s in row["spans"]}
    assert {known[s["parent"]]["name"] for s in row["spans"] if s["name"] == "agent"} == {"worker"}


def test_parallel_thinking_takes_the_candidate_that_the_model_names() -> None:
    def script(body: Body, n: int) -> Answer:
        if is_aside(body):
            return Reply([message("I take 2.")])
        return Reply([message(["five", "seven", "six"][n])])

    row, bodies = scripted("langgraph_parallel_thinking", script, cls=Question)
    (asked,) = [body for body in bodies if is_aside(body)]
    listed = asked["input"][-1]["content"]
    assert all(f"Candidate {i}:\n" in listed for i in (1, 2, 3))
    chosen = listed.partition("Candidate 2:\n")[2].partition("\n")[0]
    assert [i["content"][0]["text"] for i in row["response"]["output"]] == [chosen]
    assert nodes(row) == ["think", "think", "think", "choose"]


def test_parallel_thinking_takes_the_majority_and_asks_nobody_where_all_agree() -> None:
    words = ["six", "seven", "seven", "five", "seven"]
    options = {"k": 5, "choose": "majority"}
    row, _ = scripted(
        "langgraph_parallel_thinking", lambda b, n: Reply([message(words[n])]), cls=Question, options=options
    )
    assert (row["reward"], row["usage"]["model_calls"]) == (1.0, 5)
    row, _ = scripted("langgraph_parallel_thinking", in_turn(Reply([message("seven")])), cls=Question)
    assert (row["reward"], row["usage"]["model_calls"]) == (1.0, 3)


def test_parallel_thinking_carries_out_the_chosen_call_once() -> None:
    def script(body: Body, n: int) -> Answer:
        done = len(tool_outputs(body))
        return Reply([call("add", {"amount": 3}, f"c{done}")] if not done else [message("3")])

    row, bodies = scripted("langgraph_parallel_thinking", script, cls=Counter)
    assert (row["reward"], len(row["ledger"]), len(bodies)) == (1.0, 1, 6)


PLAN = """Here is my plan:
#E1 = add {"amount": 1}
#E2 = add {"amount": "#E1"}
#E3 = read {}
#E4 = add {"amount": broken}
#E5 = no_such_tool {"note": "so far #E3, #E9"}"""


def test_rewoo_carries_out_a_plan_with_variables_without_asking_in_between() -> None:
    row, bodies = scripted(
        "langgraph_rewoo",
        critic([PLAN], [Reply([message("2")])]),
        cls=Counter,
        data={"target": 2},
    )
    assert (row["reward"], len(bodies)) == (1.0, 2)
    assert [(e["name"], e["arguments"]) for e in row["ledger"]] == [
        ("add", {"amount": 1}),
        ("add", {"amount": 1}),
        ("read", {}),
        ("no_such_tool", {"note": "so far 2, #E9"}),
    ]
    assert '"amount"' in bodies[0]["input"][0]["content"]
    outputs = tool_outputs(bodies[1])
    assert outputs[:3] == ["1", "2", "2"] and "Unknown tool" in outputs[3]
    kinds = [i["type"] for i in row["response"]["output"]]
    assert kinds == ["function_call", "function_call_output"] * 4 + ["message"]
    assert {node_of(row, "tool_calls", i) for i in range(4)} == {"worker"}


def test_rewoo_s_solver_may_be_kept_from_tools() -> None:
    script = critic(["no plan"], [Reply([message("3")])])
    _, bodies = scripted("langgraph_rewoo", script, cls=Counter, options={"act": False})
    assert "tools" not in bodies[1]


def passes(harness: str, cls: type[Environment[Any]], p: float, tries: int = 120) -> float:
    """Share of rollouts with full marks under a noisy oracle that draws for each answer."""
    spec = f"builtin/noisy-oracle?p={p}&per=turn"
    done: list[float] = [
        rollout(harness, spec, cls=cls, task=Task(f"t{i}", [], {"target": 3}))["reward"] for i in range(tries)
    ]
    return sum(done) / tries


@pytest.mark.slow
def test_asking_again_helps_where_mistakes_can_be_seen() -> None:
    """A rollout of Counter needs three answers; p = 0.7 gives 0.343 alone. 120 rollouts: sd at most 0.046."""
    assert passes("langgraph_react", Counter, 0.7) == pytest.approx(0.7**3, abs=0.15)
    assert passes("langgraph_parallel_thinking", Counter, 0.7) == pytest.approx((1 - 0.3**3) ** 3, abs=0.15)
    assert passes("langgraph_reflection", Question, 0.5) == pytest.approx(1 - 0.5**3, abs=0.15)


def test_a_scripted_model_that_gives_up_is_sent_back() -> None:
    row = rollout("langgraph_reflection", "builtin/noisy-oracle?p=0&per=turn", cls=Question)
    assert row["usage"]["model_calls"] == 5
    said: list[JSONObject] = row["response"]["output"]
    assert [i["content"][0]["text"] for i in said] == [GIVES_UP]

"""How a graph's rollout goes on and how it ends: users, interrupts, budgets, the environment, failures."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from gym_mcp import Environment, Transcript
from gym_mcp.harness import Limits
from gym_mcp.langgraph import model, tools
from gym_mcp.langgraph.play import as_text
from gym_mcp.models.base import Model, Request, Response, Usage
from gym_mcp.types import assistant_message, user_message
from tests.endpoint import Reply, call, calling, fixed, in_turn, message, parallel, status
from tests.langgraph.kit import REACT, played, rollout, scripted, write
from tests.support import run

BYE = "bye"
INTERRUPTED = """
from gym_mcp.langgraph import model
def ask(state: MessagesState):
    name = interrupt({"question": "Who are you?"})
    again = interrupt("Really?")
    return {"messages": [HumanMessage(f"{name}, {again}")]}
async def answer(state: MessagesState):
    return {"messages": [await model.ainvoke(state["messages"])]}
builder = StateGraph(MessagesState)
builder.add_node("ask", ask)
builder.add_node("answer", answer)
builder.add_edge(START, "ask")
builder.add_edge("ask", "answer")
"""
CHECKPOINTED = INTERRUPTED + "graph = builder.compile(checkpointer=InMemorySaver())"


class Single(Environment[Any]):
    """Say done."""

    def verify(self, transcript: Transcript) -> float:
        return float(transcript.answer == "done")


def graph(tmp_path: Path, source: str = REACT) -> str:
    return f"langgraph:{write(tmp_path, source)}:graph"


@pytest.mark.parametrize("checkpointer", ["", "checkpointer=InMemorySaver()"])
def test_a_conversation_goes_on_until_the_user_has_nothing_to_say(checkpointer: str, tmp_path: Path) -> None:
    source = REACT.replace("compile()", f"compile({checkpointer})")
    words = in_turn(Reply([message("hello")]), Reply([message("again")]), Reply([message(BYE)]))
    row, bodies = scripted(graph(tmp_path, source), words)
    said = [(i["role"], i.get("content")) for i in row["response"]["output"] if i["role"] == "user"]
    assert said == [("user", "you said hello"), ("user", "you said again")]
    assert [len(body["input"]) for body in bodies] == [1, 3, 5]
    assert [s["kind"] for s in row["spans"] if s["parent"] is None] == ["graph"] * 3


@pytest.mark.parametrize("source", [CHECKPOINTED, INTERRUPTED + "graph = builder"])
def test_the_user_answers_interrupts(source: str, tmp_path: Path) -> None:
    row, bodies = scripted(graph(tmp_path, source), fixed(BYE))
    texts = [i["content"] if i["role"] == "user" else i["content"][0]["text"] for i in row["response"]["output"]]
    assert texts == ["Who are you?", "you said Who are you?", "Really?", "you said Really?", BYE]
    assert bodies[0]["input"][-1]["content"] == "you said Who are you?, you said Really?"
    assert [s["kind"] for s in row["spans"] if s["parent"] is None] == [
        "graph",
        "interrupt",
        "graph",
        "interrupt",
        "graph",
    ]
    asked = [s for s in row["spans"] if s["name"] == "ask"]
    assert [s.get("interrupted", False) for s in asked] == [True, True, False]


def test_an_interrupt_that_nobody_answers_ends_the_episode_unless_an_answer_is_given(tmp_path: Path) -> None:
    row, _ = scripted(graph(tmp_path, CHECKPOINTED), fixed("done"), cls=Single)
    assert (row["reward"], row["usage"]["model_calls"]) == (0.0, 0)
    options = {"resume": "me"}
    row, bodies = scripted(graph(tmp_path, CHECKPOINTED), fixed("done"), cls=Single, options=options)
    assert row["reward"] == 1.0 and bodies[0]["input"][-1]["content"] == "me, me"
    row, bodies = scripted(graph(tmp_path, CHECKPOINTED), fixed("done"), cls=Single, options={"resume": True})
    assert bodies[0]["input"][-1]["content"] == "True, True"


def test_an_interrupt_without_a_checkpointer_says_what_to_do(tmp_path: Path) -> None:
    row, _ = scripted(graph(tmp_path, INTERRUPTED + "graph = builder.compile()"), fixed(BYE))
    assert row["failure"]["kind"] == "harness" and "checkpointer=InMemorySaver()" in row["failure"]["message"]


def test_breakpoints_are_passed(tmp_path: Path) -> None:
    source = REACT.replace("compile()", 'compile(checkpointer=InMemorySaver(), interrupt_before=["tools"])')
    row, _ = scripted(graph(tmp_path, source), calling([("add", {"amount": 3})], BYE))
    assert (row["reward"], row["response"]["stop"]) == (1.0, "completed")


@pytest.mark.slow
def test_checkpoints_do_not_pile_up(tmp_path: Path) -> None:
    path = write(tmp_path, CHECKPOINTED)

    async def main() -> int:
        for _ in range(3):
            await played(f"langgraph:{path}:graph", Scripted())
        savers = [o for o in gc.get_objects() if isinstance(o, InMemorySaver)]
        return sum(len(saver.storage) for saver in savers)

    assert run(main) == 0


class Scripted(Model):
    """Says bye; where it waits for `parties` calls, once so many are there at a time."""

    spec = "test/scripted"

    def __init__(self, parties: int = 1) -> None:
        self._barrier = asyncio.Barrier(parties)
        self.came, self.given_up = asyncio.Event(), asyncio.Event()

    async def respond(self, request: Request) -> Response:
        self.came.set()
        try:
            await self._barrier.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        return Response([assistant_message(BYE)], Usage(calls=1))


def test_sync_nodes_of_many_rollouts_wait_side_by_side(tmp_path: Path) -> None:
    path = graph(tmp_path)

    async def main() -> list[Any]:
        model = Scripted(40)  # a handful of threads would never get so many calls together
        async with asyncio.timeout(30):
            return await asyncio.gather(*(played(path, model) for _ in range(40)))

    assert {row["outcome"] for row in run(main)} == {"scored"}


def test_a_rollout_that_passes_its_deadline_leaves_no_call_behind(tmp_path: Path) -> None:
    async def main() -> Any:
        model = Scripted(2)
        row = await played(graph(tmp_path), model, limits=Limits(seconds=1.0))
        async with asyncio.timeout(10):
            await model.came.wait()
            await model.given_up.wait()
        return row

    assert run(main)["failure"]["kind"] == "timeout"


@pytest.mark.parametrize(
    ("limits", "stop", "requests"),
    [
        (Limits(turns=1), "max_turns", 1),
        (Limits(turns=3), "max_turns", 3),
        (Limits(turns=None, tokens=16), "max_tokens", 2),
        (Limits(turns=None, cost=16e-6), "max_cost", 2),
    ],
)
def test_a_spent_budget_ends_it_with_what_was_done(
    limits: Limits, stop: str, requests: int, tmp_path: Path
) -> None:
    row, bodies = scripted(graph(tmp_path), calling([("add", {"amount": 1})] * 50, BYE), limits=limits)
    assert (row["response"]["stop"], len(bodies), len(row["ledger"])) == (stop, requests, requests)
    assert row["reward"] == float(requests == 3)
    assert len(row["response"]["output"]) == 2 * requests


def test_a_budget_that_a_graph_swallows_still_says_why_it_stopped(tmp_path: Path) -> None:
    source = """
    from gym_mcp.langgraph import model
    async def chat(state: MessagesState):
        try:
            return {"messages": [await model.ainvoke(state["messages"])]}
        except Exception:
            return {"messages": [AIMessage("I give up.")]}
    builder = StateGraph(MessagesState)
    builder.add_node("chat", chat)
    builder.add_edge(START, "chat")
    graph = builder.compile()
    """
    row, _ = scripted(graph(tmp_path, source), fixed("more"), limits=Limits(turns=2))
    assert row["response"]["stop"] == "max_turns"


def test_an_environment_that_ends_the_episode_ends_the_graph(tmp_path: Path) -> None:
    calls = parallel([("add", {"amount": 3}), ("submit", {}), ("add", {"amount": 1})], BYE)
    row, bodies = scripted(graph(tmp_path), calls)
    assert (row["response"]["stop"], row["reward"], len(bodies)) == ("ended", 1.0, 1)
    outputs = [i["output"] for i in row["response"]["output"] if i["type"] == "function_call_output"]
    assert outputs[2] == "This episode has ended and takes no more calls."


def test_a_graph_that_goes_round_for_ever_is_stopped_and_scored(tmp_path: Path) -> None:
    source = """
    builder = StateGraph(MessagesState)
    builder.add_node("spin", lambda state: {})
    builder.add_edge(START, "spin")
    builder.add_edge("spin", "spin")
    graph = builder.compile().with_config(recursion_limit=7)
    """
    row, _ = scripted(graph(tmp_path, source), fixed(BYE))
    assert (row["outcome"], row["response"]["stop"]) == ("scored", "max_steps")
    assert len([s for s in row["spans"] if s["kind"] == "node"]) == 7


def test_an_answer_that_was_cut_short_ends_it(tmp_path: Path) -> None:
    row, bodies = scripted(graph(tmp_path), in_turn(Reply([message("I was")], incomplete="max_output_tokens")))
    assert (row["response"]["stop"], len(bodies)) == ("max_output_tokens", 1)


FAILURES = {
    "the endpoint's": ("model", status(400, "bad"), REACT),
    "the environment's": ("environment", Reply([call("crash", {})]), REACT),
    "a node's": (
        "harness",
        Reply([message(BYE)]),
        REACT.replace("    return {", "    raise KeyError('x')\n    return {"),
    ),
}


@pytest.mark.parametrize(("kind", "answer", "source"), FAILURES.values(), ids=FAILURES.keys())
def test_failures_keep_their_owner(kind: str, answer: Any, source: str, tmp_path: Path) -> None:
    row, _ = scripted(graph(tmp_path, source), in_turn(answer))
    assert row["failure"]["kind"] == kind


def test_a_sync_call_on_the_loop_says_how_to_mend_it(tmp_path: Path) -> None:
    source = REACT.replace("def agent", "async def agent")
    row, _ = scripted(graph(tmp_path, source), fixed(BYE))
    assert row["failure"]["kind"] == "harness" and "await model.ainvoke" in row["failure"]["message"]


def test_a_graph_without_messages_is_refused(tmp_path: Path) -> None:
    source = """
    class State(TypedDict):
        text: str
    builder = StateGraph(State)
    builder.add_node("say", lambda state: {"text": "hi"})
    builder.add_edge(START, "say")
    graph = builder.compile()
    """
    row, _ = scripted(graph(tmp_path, source), fixed(BYE))
    assert "no `messages`" in row["failure"]["message"]


def test_answers_that_do_not_stand_are_in_their_spans_only(tmp_path: Path) -> None:
    source = """
    from gym_mcp.langgraph import model
    async def think(state: MessagesState):
        await model.ainvoke([HumanMessage("think")])
        return {"messages": [await model.bind(temperature=0.25).ainvoke(state["messages"])]}
    builder = StateGraph(MessagesState)
    builder.add_node("think", think)
    builder.add_edge(START, "think")
    graph = builder.compile()
    """
    words = in_turn(Reply([message("a thought")]), Reply([message(BYE)]))
    row, bodies = scripted(graph(tmp_path, source), words)
    assert [i["content"][0]["text"] for i in row["response"]["output"]] == [BYE]
    hidden = [s["output"] for s in row["spans"] if "output" in s]
    assert [items[0]["content"][0]["text"] for items in hidden] == ["a thought"]
    assert "temperature" not in bodies[0] and bodies[1]["temperature"] == 0.25


def test_an_answer_that_the_graph_writes_itself_is_the_answer(tmp_path: Path) -> None:
    source = """
    from gym_mcp.langgraph import model
    async def chat(state: MessagesState):
        said = await model.ainvoke(state["messages"])
        return {"messages": [AIMessage(said.content.upper())]}
    builder = StateGraph(MessagesState)
    builder.add_node("chat", chat)
    builder.add_edge(START, "chat")
    graph = builder.compile()
    """
    row, _ = scripted(graph(tmp_path, source), fixed("done"), cls=Single)
    assert [i["content"][0]["text"] for i in row["response"]["output"]] == ["DONE"]


def test_the_input_may_hold_more_than_messages(tmp_path: Path) -> None:
    source = """
    class State(MessagesState):
        words: list[str]
    builder = StateGraph(State)
    builder.add_node("say", lambda state: {"messages": [("ai", " ".join(state["words"]))]})
    builder.add_edge(START, "say")
    graph = builder.compile()
    """
    options = {"state": {"words": ["do", "ne"]}}
    row, _ = scripted(graph(tmp_path, source), fixed(BYE), cls=Single, options=options)
    assert row["response"]["output"][0]["content"][0]["text"] == "do ne"


def test_nothing_is_sent_to_langsmith(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.setenv(name, "true")
    source = REACT.replace(
        "def agent(state: MessagesState):",
        "def agent(state: MessagesState):\n"
        "    from langsmith.utils import tracing_is_enabled\n    assert not tracing_is_enabled()",
    )
    assert rollout(graph(tmp_path, source), "builtin/null", cls=Single)["failure"] is None


def test_outside_a_rollout_there_are_no_tools_and_the_model_says_where_it_works() -> None:
    from langgraph.prebuilt import ToolNode

    from gym_mcp.errors import UsageError

    ToolNode(tools)
    bound = model.bind_tools(tools)
    assert (list(tools), len(tools), [*tools, 1]) == ([], 0, [1])
    with pytest.raises(UsageError, match="inside a rollout only"):
        run(lambda: bound.ainvoke("hello"))


def test_an_interrupt_s_value_becomes_words() -> None:
    assert as_text("Who?") == "Who?"
    assert as_text({"question": "Who?", "options": [1]}) == "Who?"
    assert as_text({"options": [1]}) == '{"options":[1]}'
    assert user_message(as_text(3))["content"] == "3"

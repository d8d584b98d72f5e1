"""Graphs that make their own model run unchanged: the gateway stands where their client looks for an endpoint."""

from __future__ import annotations

import asyncio
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from gym_mcp import hub
from gym_mcp.harness import Limits
from gym_mcp.models.spec import make_model
from tests.endpoint import Endpoint, calling, fixed, parallel, status
from tests.endpoint import in_turn as answers
from tests.langgraph.kit import WIRING, node_of, played, scripted, write
from tests.support import run

# Nobody closes the connections of the graph's own client.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
BYE = "bye"
OWN = (
    """
from langchain_openai import ChatOpenAI
from gym_mcp.langgraph import tools
class State(MessagesState):
    steps: int
llm = ChatOpenAI(model="gpt-4o-mini", temperature=0).bind_tools(list(tools))
def agent(state: State):
    return {"messages": [llm.invoke(state["messages"])], "steps": state.get("steps", 0) + 1}
"""
    + WIRING.replace("MessagesState", "State")
    + "graph = builder.compile()\n"
)
RESPONSES = OWN.replace("temperature=0", "use_responses_api=True")
FACTORY = """
def graph(tools):
    from langchain_openai import ChatOpenAI
    llm = ChatOpenAI(model="gpt-4o-mini").bind_tools(tools)
    async def agent(state: MessagesState):
        return {"messages": [await llm.ainvoke(state["messages"])]}
""" + textwrap.indent(WIRING + "return builder\n", "    ")


@pytest.mark.parametrize("source", [OWN, RESPONSES, FACTORY], ids=["chat", "responses", "function"])
def test_a_graph_with_its_own_client_runs_unchanged(source: str, tmp_path: Path) -> None:
    before = dict(os.environ)
    script = calling([("add", {"amount": 1}), ("add", {"amount": 2})], BYE)
    row, bodies = scripted(f"langgraph:{write(tmp_path, source)}:graph", script, spec="openai-chat/m")
    assert (row["failure"], row["reward"], row["response"]["stop"]) == (None, 1.0, "completed")
    assert (row["usage"]["model_calls"], row["usage"]["input_tokens"], len(bodies)) == (3, 30, 3)
    kinds = [item["type"] for item in row["response"]["output"]]
    assert kinds == ["function_call", "function_call_output"] * 2 + ["message"]
    assert [node_of(row, "model_calls", seq) for seq in range(3)] == ["agent"] * 3
    assert [node_of(row, "tool_calls", seq) for seq in range(2)] == ["tools"] * 2
    assert dict(os.environ) == before


def test_rollouts_side_by_side_do_not_mix(tmp_path: Path) -> None:
    path = f"langgraph:{write(tmp_path, OWN)}:graph"

    async def main() -> list[Any]:
        calls = parallel([("add", {"amount": 3})], BYE)
        async with Endpoint(calls) as endpoint:
            made = [make_model("openai/m", base_url=endpoint.url) for _ in range(6)]
            return await asyncio.gather(*(played(path, model) for model in made))

    rows = run(main)
    assert [(row["reward"], row["usage"]["model_calls"]) for row in rows] == [(1.0, 2)] * 6


def test_budgets_and_ends_and_failures_are_what_they_are_elsewhere(tmp_path: Path) -> None:
    path = f"langgraph:{write(tmp_path, OWN)}:graph"
    row, bodies = scripted(path, calling([("add", {"amount": 1})] * 9, BYE), limits=Limits(turns=2))
    assert (row["response"]["stop"], len(bodies), len(row["ledger"])) == ("max_turns", 2, 2)
    row, bodies = scripted(path, parallel([("add", {"amount": 3}), ("submit", {})], BYE))
    assert (row["response"]["stop"], row["reward"], len(bodies)) == ("ended", 1.0, 1)
    row, _ = scripted(path, answers(status(400, "bad")))
    assert row["failure"]["kind"] == "model"


def test_the_key_of_the_user_is_not_what_the_graph_s_client_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-the-user-s-own")
    source = OWN + "import os\nassert os.environ['OPENAI_API_KEY'] != 'sk-the-user-s-own'\n"
    row, _ = scripted(f"langgraph:{write(tmp_path, source)}:graph", fixed(BYE))
    assert row["failure"] is None and os.environ["OPENAI_API_KEY"] == "sk-the-user-s-own"


def test_the_gateway_closes_with_the_run(tmp_path: Path) -> None:
    async def main() -> None:
        _, harness, _ = hub.load_harness(f"langgraph:{write(tmp_path, OWN)}:graph")
        await harness.aclose()  # type: ignore[attr-defined]

    run(main)

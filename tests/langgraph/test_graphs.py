"""Graph files of every form run unchanged, and their mistakes are one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gym_mcp import hub
from gym_mcp.errors import UsageError
from gym_mcp.http import HTTPClient
from gym_mcp.mcp_client import MemoryClient
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject
from tests.endpoint import Endpoint, Script, calling, in_turn, parallel
from tests.endpoint import Reply as Said
from tests.endpoint import call as a_call
from tests.endpoint import message as a_message
from tests.environments.ladder import Ladder
from tests.environments.odd import Odd
from tests.langgraph.kit import REACT, node_of, nodes, played, scripted, write
from tests.servers import running
from tests.support import run

BYE = "bye"  # the ladder's user has nothing to say to that
PLAY: Script = calling([("add", {"amount": 1}), ("add", {"amount": 2})], BYE)
CUSTOM = """
from gym_mcp.langgraph import model, tools
class State(TypedDict):
    messages: Annotated[list, add_messages]
    steps: int
    seen: Annotated[list[str], operator.add]
bound = model.bind_tools(tools)
def agent(state: State):
    answer = bound.invoke([SystemMessage("Count."), *state["messages"]])
    return {"messages": [answer], "steps": state.get("steps", 0) + 1, "seen": [answer.id]}
def route(state: State) -> str:
    if state["messages"][-1].tool_calls and state["steps"] < 9:
        return "act"
    return "end"
builder = StateGraph(State)
builder.add_node("agent", agent)
builder.add_node("act", ToolNode(tools))
builder.set_entry_point("agent")
builder.add_conditional_edges("agent", route, {"act": "act", "end": END})
builder.add_edge("act", "agent")
graph = builder.compile()
"""
FORMS: dict[str, str] = {
    "placeholders": REACT,
    "a custom state and a conditional edge": CUSTOM,
    "an uncompiled builder": REACT.replace("graph = builder.compile()", "graph = builder"),
    "a function of model and tools": """
        def graph(model, tools):
            from langgraph.prebuilt import create_react_agent
            return create_react_agent(model, tools)
        """,
    "an async function with names of its own": """
        async def graph(chat, kit):
            bound = chat.bind_tools(kit)
            async def agent(state):
                return {"messages": [await bound.ainvoke(state["messages"])]}
            builder = StateGraph(MessagesState)
            builder.add_node("agent", agent)
            builder.add_node("tools", ToolNode(kit))
            builder.add_edge(START, "agent")
            builder.add_conditional_edges("agent", tools_condition)
            builder.add_edge("tools", "agent")
            return builder
        """,
    "a function of config": """
        def graph(config: RunnableConfig):
            from langgraph.prebuilt import create_react_agent
            parts = config["configurable"]
            return create_react_agent(parts["model"], parts["tools"])
        """,
    "config in the nodes, no tools node, a list without a reducer": """
        class State(TypedDict):
            messages: list
        async def chat(state: State, config: RunnableConfig):
            parts = config["configurable"]
            answer = await parts["model"].bind_tools(parts["tools"]).ainvoke(state["messages"])
            return {"messages": [*state["messages"], answer]}
        builder = StateGraph(State)
        builder.add_node("chat", chat)
        builder.add_edge(START, "chat")
        graph = builder.compile()
        """,
    "a reducer that adds, a checkpointer, no tools node": """
        from gym_mcp.langgraph import model, tools
        class State(TypedDict):
            messages: Annotated[list, operator.add]
        async def chat(state: State):
            return {"messages": [await model.bind_tools(tools).ainvoke(state["messages"])]}
        builder = StateGraph(State)
        builder.add_node("chat", chat)
        builder.add_edge(START, "chat")
        graph = builder.compile(checkpointer=InMemorySaver())
        """,
    "a context schema": """
        from dataclasses import dataclass
        from langgraph.runtime import Runtime
        @dataclass
        class Context:
            model: Any
            tools: Any
        async def chat(state: MessagesState, runtime: Runtime[Context]):
            bound = runtime.context.model.bind_tools(runtime.context.tools)
            return {"messages": [await bound.ainvoke(state["messages"])]}
        builder = StateGraph(MessagesState, context_schema=Context)
        builder.add_node("chat", chat)
        builder.add_edge(START, "chat")
        graph = builder.compile()
        """,
    "nodes that call the session": """
        from gym_mcp.langgraph import model, session, tools
        bound = model.bind_tools(tools)
        async def agent(state: MessagesState):
            return {"messages": [await bound.ainvoke(state["messages"])]}
        async def act(state: MessagesState):
            from langchain_core.messages import ToolMessage
            calls = state["messages"][-1].tool_calls
            texts = [(await session().call(c["name"], c["args"])).text for c in calls]
            return {"messages": [ToolMessage(t, tool_call_id=c["id"]) for t, c in zip(texts, calls)]}
        builder = StateGraph(MessagesState)
        builder.add_node("agent", agent)
        builder.add_node("tools", act)
        builder.add_edge(START, "agent")
        builder.add_conditional_edges("agent", tools_condition)
        builder.add_edge("tools", "agent")
        graph = builder.compile()
        """,
    "a subgraph as a node": REACT.replace("graph = builder.compile()", "inner = builder.compile()")
    + """
outer = StateGraph(MessagesState)
outer.add_node("team", inner)
outer.add_edge(START, "team")
graph = outer.compile()
""",
    "a subgraph that a node invokes": REACT.replace("graph = builder.compile()", "inner = builder.compile()")
    + """
async def team(state: MessagesState):
    done = await inner.ainvoke({"messages": state["messages"]})
    return {"messages": done["messages"][len(state["messages"]):]}
outer = StateGraph(MessagesState)
outer.add_node("team", team)
outer.add_edge(START, "team")
graph = outer.compile()
""",
}


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("spec", ["openai/m", "openai-chat/m"])
def test_a_graph_file_runs_unchanged(form: str, spec: str, tmp_path: Path) -> None:
    row, bodies = scripted(f"langgraph:{write(tmp_path, form)}:graph", PLAY, spec=spec)
    assert (row["failure"], row["reward"], row["response"]["stop"]) == (None, 1.0, "completed")
    assert [e["result"] for e in row["ledger"]] == ["1", "3"]
    assert row["usage"]["model_calls"] == len(bodies) == 3 and row["usage"]["input_tokens"] == 30
    assert row["components"]["answered"] == 0.0
    outputs = [i["output"] for i in row["response"]["output"] if i["type"] == "function_call_output"]
    assert outputs[-2:] == ["1", "3"]
    names = {t.get("name") or t["function"]["name"] for t in bodies[0]["tools"]}
    assert {"add", "read", "submit"} <= names


def test_spans_name_the_nodes_of_calls_and_the_edges_that_were_taken(tmp_path: Path) -> None:
    row, _ = scripted(f"langgraph:{write(tmp_path, CUSTOM)}", PLAY)
    assert nodes(row) == ["agent", "act", "agent", "act", "agent"]
    assert [node_of(row, "model_calls", seq) for seq in range(3)] == ["agent"] * 3
    assert [node_of(row, "tool_calls", seq) for seq in range(2)] == ["act"] * 2
    (graph,) = [span for span in row["spans"] if span["kind"] == "graph"]
    turn = [["agent", "act"], ["act", "agent"]]
    assert graph["edges"] == [["__start__", "agent"], *turn, *turn, ["agent", "__end__"]]
    assert [s["step"] for s in row["spans"] if s["kind"] == "node"] == [0, 1, 2, 3, 4]


def test_a_subgraph_s_nodes_lie_in_the_node_that_holds_it(tmp_path: Path) -> None:
    for form in ("a subgraph as a node", "a subgraph that a node invokes"):
        row, _ = scripted(f"langgraph:{write(tmp_path, FORMS[form])}", PLAY)
        known = {span["id"]: span for span in row["spans"]}
        inner = [s for s in row["spans"] if s["kind"] == "node" and s["name"] == "agent"]
        assert [known[s["parent"]]["name"] for s in inner] == ["team"] * 3
        (team,) = [s for s in row["spans"] if s["name"] == "team"]
        assert team["edges"][:2] == [["__start__", "agent"], ["agent", "tools"]]


def test_parallel_branches_are_told_apart(tmp_path: Path) -> None:
    source = """
    from gym_mcp.langgraph import model, session
    async def left(state: MessagesState):
        return {"messages": [("ai", (await session().call("meet", {"parties": 2})).text)]}
    async def right(state: MessagesState):
        return {"messages": [("ai", (await session().call("meet", {"parties": 2})).text)]}
    async def join(state: MessagesState):
        return {"messages": [await model.ainvoke(state["messages"])]}
    builder = StateGraph(MessagesState)
    for node in (left, right, join):
        builder.add_node(node.__name__, node)
    builder.add_edge(START, "left")
    builder.add_edge(START, "right")
    builder.add_edge(["left", "right"], "join")
    graph = builder.compile()
    """
    row, _ = scripted(f"langgraph:{write(tmp_path, source)}", in_turn(Said([a_message(BYE)])))
    assert [e["result"] for e in row["ledger"]] == ["met", "met"]  # alone, each would time out
    assert {node_of(row, "tool_calls", seq) for seq in (0, 1)} == {"left", "right"}
    assert node_of(row, "model_calls", 0) == "join"
    (graph,) = [span for span in row["spans"] if span["kind"] == "graph"]
    assert graph["edges"][2:] == [["left", "join"], ["right", "join"], ["join", "__end__"]]


@pytest.mark.parametrize("rung", ["memory", "http"])
def test_spans_add_up_and_branches_are_told_apart_on_every_rung(rung: str, tmp_path: Path) -> None:
    path = write(tmp_path, REACT)
    calls: list[tuple[str, JSONObject]] = [("read", {}), ("add", {"amount": 3}), ("read", {})]

    async def main() -> JSONObject:
        async with Endpoint(parallel(calls, BYE)) as endpoint, running(tmp_path) as server:
            client = HTTPClient(server.url, server.key) if rung == "http" else MemoryClient(Ladder)
            return await played(path, make_model("openai/m", base_url=endpoint.url), client=client)

    path = f"langgraph:{path}"
    row = run(main)
    assert (row["reward"], [e["result"] for e in row["ledger"]]) == (1.0, ["0", "3", "3"])
    assert [node_of(row, "tool_calls", seq) for seq in range(3)] == ["tools"] * 3


def test_calls_of_one_turn_keep_their_order(tmp_path: Path) -> None:
    calls: list[tuple[str, JSONObject]] = [("add_later", {"amount": i, "seconds": 0.02 / i}) for i in (1, 2, 3)]
    row, _ = scripted(f"langgraph:{write(tmp_path, REACT)}", parallel(calls, BYE))
    assert [e["arguments"]["amount"] for e in row["ledger"]] == [1, 2, 3]


def test_what_the_model_gets_wrong_it_reads_from_the_environment(tmp_path: Path) -> None:
    wrong = [("add", {"amount": "two"}), ("add", '{"amount": '), ("picture", {"caption": "x"})]
    row, bodies = scripted(f"langgraph:{write(tmp_path, REACT)}", calling(wrong, BYE))
    assert [e["error"] for e in row["ledger"]] == ["arguments", None]
    assert row["ledger"][0]["arguments"] == {"amount": "two"}
    outputs = [i["output"] for i in bodies[-1]["input"] if i["type"] == "function_call_output"]
    assert outputs[0] == row["ledger"][0]["result"]
    assert outputs[1].startswith("Invalid arguments for add: not valid JSON")
    assert [part["type"] for part in outputs[2]] == ["input_text", "input_image"]
    sent = [i for i in bodies[-1]["input"] if i["type"] == "function_call"]
    assert sent[1]["arguments"] == '{"amount": '
    assert [i for i in row["response"]["output"] if i["type"] == "function_call_output"][1]["output"] == outputs[1]


def test_tools_may_be_called_anything(tmp_path: Path) -> None:
    row, _ = scripted(
        f"langgraph:{write(tmp_path, REACT)}",
        calling([("odd", {"config": "a", "run_manager": "b", "callbacks": "c"})], BYE),
        cls=Odd,
    )
    assert (row["ledger"][0]["error"], row["ledger"][0]["result"]) == (None, "abc")


def test_reasoning_goes_back_to_the_model(tmp_path: Path) -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "c2VjcmV0"}
    answers = in_turn(Said([thought, a_call("add", {"amount": 3})]), Said([thought, a_message(BYE)]))
    row, bodies = scripted(f"langgraph:{write(tmp_path, REACT)}", answers)
    assert bodies[1]["input"][1] == thought
    assert [i["type"] for i in row["response"]["output"]].count("reasoning") == 2


BAD: dict[str, tuple[str, str, str]] = {
    "no such file": ("", "nowhere.py:graph", "no such file"),
    "no such name": ("graph = 1", ":grph", "no `grph`; did you mean `graph`"),
    "no graph": ("graph = 1", ":graph", "not int"),
    "none at all": ("x = 1", "", "no graph in it is called `graph`; write .*:NAME"),
    "two of them": (
        "one = StateGraph(MessagesState)\ntwo = StateGraph(MessagesState)",
        "",
        "which graph.*found one, two",
    ),
    "a file that raises": ("raise ValueError('oh no')", "", "raised ValueError when imported: oh no"),
}


@pytest.mark.parametrize(("source", "rest", "words"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_line_before_anything_runs(source: str, rest: str, words: str, tmp_path: Path) -> None:
    spec = rest if rest.endswith("py:graph") else write(tmp_path, source) + rest
    with pytest.raises(UsageError, match=words) as caught:
        hub.load_harness(f"langgraph:{spec}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", ["langgraph", "langgraph:"])
def test_no_file_at_all_is_asked_for(spec: str) -> None:
    with pytest.raises(UsageError, match=r"which graph\? write langgraph:FILE\.py:GRAPH"):
        hub.load_harness(spec)


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "my_graph.py").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="raised SyntaxError when imported"):
        hub.load_harness(f"langgraph:{tmp_path / 'my_graph.py'}")


def test_identity_follows_the_file_and_what_it_imports(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("WORD = 'one'\n")
    path = write(tmp_path, "from helper import WORD\n" + REACT)
    before = hub.load_harness(f"langgraph:{path}")[1].identity()  # type: ignore[attr-defined]
    assert {"langgraph", "my_graph.py", "helper.py"} == set(before)
    (tmp_path / "helper.py").write_text("WORD = 'two'\n")
    after = hub.load_harness(f"langgraph:{path}")[1].identity()  # type: ignore[attr-defined]
    assert {k for k in before if before[k] != after[k]} == {"helper.py"}


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("langgraph", "langchain_core"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
sys.meta_path.insert(0, Blocked())
from gym_mcp.cli.main import main
sys.exit(main(["eval", "run", "-e", "mcqa", "-m", "builtin/oracle", "-H", sys.argv[1]]))
"""


@pytest.mark.parametrize("harness", ["langgraph_react", "langgraph:GRAPH"])
def test_without_langgraph_one_line_says_what_to_install(harness: str, tmp_path: Path) -> None:
    harness = harness.replace("GRAPH", write(tmp_path, REACT))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, harness], capture_output=True, text=True, timeout=50, cwd=tmp_path
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "pip install 'gym-mcp[langgraph]'" in done.stderr

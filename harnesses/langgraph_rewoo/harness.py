"""ReWOO as a LangGraph graph: a plan with variables, its calls without the model in between, then the answer."""

from __future__ import annotations

import re
from typing import Any, Literal, TypedDict

import orjson
from langchain_core.messages import AIMessage, ToolCall
from langgraph.graph import END, START, StateGraph

from gym_mcp.harness import Harness
from gym_mcp.langgraph import GraphHarness, run_calls
from gym_mcp.langgraph.messages import text_of_message
from gym_mcp.langgraph.parts import Acting, act_loop, aside, quoted
from gym_mcp.options import Options as BaseOptions

PLANNER = """plan. You see a task. Write all tool calls that it needs, one a line, in the form
#E1 = tool_name {{"argument": "value"}}
where #E1, #E2, ... in an argument stands for the result of that line. Write nothing else. The tools:
{}"""
STEP = re.compile(r"^\s*#E(\d+)\s*=\s*([\w.-]+)\s*(\{.*\})\s*$", re.MULTILINE)
VARIABLE = re.compile(r"#E(\d+)")


class Options(BaseOptions):
    """`act`: whether the solver may call tools itself where the plan's results do not suffice."""

    act: bool = True


class Step(TypedDict):
    """One line of a plan."""

    number: str
    tool: str
    arguments: str


class State(Acting):
    """`plan`: the steps that the planner wrote; none when it wrote nothing of that form."""

    plan: list[Step]


def filled(value: Any, results: dict[str, str]) -> Any:
    """`value` with each variable replaced by its result; one that stands alone keeps a result's JSON type."""
    if isinstance(value, dict):
        return {k: filled(v, results) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, results) for v in value]
    if not isinstance(value, str):
        return value
    alone = VARIABLE.fullmatch(value.strip())
    if alone and alone[1] in results:
        try:
            return orjson.loads(results[alone[1]])
        except orjson.JSONDecodeError:
            return results[alone[1]]
    return VARIABLE.sub(lambda found: results.get(found[1], found[0]), value)


def graph(model: Any, tools: Any, options: Options) -> Any:
    """planner -> worker -> solver -> END; `solver` is a graph of its own."""
    listed = "\n".join(f"- {t.name}: {t.description} {orjson.dumps(t.args_schema).decode()}" for t in tools)

    async def planner(state: State) -> dict[str, Any]:
        if not listed:
            return {"plan": []}
        said = await aside(model, PLANNER.format(listed), quoted(state["messages"]))
        return {"plan": [Step(number=n, tool=t, arguments=a) for n, t, a in STEP.findall(said)]}

    async def worker(state: State) -> dict[str, Any]:
        results: dict[str, str] = {}
        made: list[Any] = []
        for step in state["plan"]:
            try:
                arguments = filled(orjson.loads(step["arguments"]), results)
            except orjson.JSONDecodeError as e:
                results[step["number"]] = f"not called: its arguments are not JSON ({e})"
                continue
            call = ToolCall(name=step["tool"], args=arguments, id=f"E{len(state['messages']) + len(made)}")
            message = AIMessage("", tool_calls=[call])
            made += [message, *(outputs := await run_calls(message))]
            results[step["number"]] = text_of_message(outputs[0])
        return {"messages": made}

    def after(state: State) -> Literal["worker", "solver"]:
        return "worker" if state["plan"] else "solver"

    builder = StateGraph(State)
    builder.add_node("planner", planner)
    builder.add_node("worker", worker)
    builder.add_node("solver", act_loop(model, tools if options.act else []))
    builder.add_edge(START, "planner")
    builder.add_conditional_edges("planner", after)
    builder.add_edge("worker", "solver")
    builder.add_edge("solver", END)
    return builder.compile()


def create(options: Options) -> Harness:
    """The harness."""
    return GraphHarness(lambda model, tools: graph(model, tools, options), name="rewoo")

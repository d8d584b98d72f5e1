"""What `langgraph_react` costs over `simple` on three-tool episodes: `python perf/langgraph.py`.

The same environment and model endpoint as in `overhead.py`; CPU-seconds per 1,000 episodes (start-up subtracted)
and their ratio, wall time of a run, then where the time goes, from a profile of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import io
import json
import pstats
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not this folder, where `langgraph` is this file
from perf.overhead import CALLS, background, cpu_of, evaluation, per_thousand  # noqa: E402

HARNESSES = ("simple", "langgraph_react")
GROUPS = {
    "/langgraph/": "langgraph",
    "/langchain_core/": "langchain_core",
    "/langsmith/": "langsmith",
    "/pydantic": "pydantic",
    "/uuid": "uuid",
    "/gym_mcp/langgraph/": "gym_mcp.langgraph",
    "/gym_mcp/http1": "gym_mcp.http1",
    "/gym_mcp/models/": "gym_mcp.models",
    "/gym_mcp/coordinator/": "gym_mcp.coordinator",
    "/gym_mcp/observe/": "gym_mcp.observe",
    "/gym_mcp/": "gym_mcp, the rest",
    "/asyncio/": "asyncio",
    "/aiohttp/": "aiohttp",
}


def profiled(
    environment: str, tasks: Path, url: str, count: int, concurrency: int, harness: str = "langgraph_react"
) -> tuple[float, dict[str, float]]:
    """(seconds, own seconds by package) of one run under the profiler, in this process, second run of two."""
    from gym_mcp.cli.main import main

    profile = cProfile.Profile()
    for warm in (True, False):
        out = tempfile.mkdtemp(prefix="gym-mcp-perf-")
        words = ["eval", "run", "-q", "--json", "-e", environment, "-H", harness, "--out", out]
        words += ["-m", "openai/scripted", "--base-url", url, "--input", str(tasks), "--limit", str(count)]
        with contextlib.redirect_stdout(io.StringIO()):
            if not warm:
                profile.enable()
            main([*words, "--concurrency", str(concurrency)])
    profile.disable()
    found: dict[str, float] = defaultdict(float)
    stats = pstats.Stats(profile)
    for (file, _, _), (_, _, own, _, _) in stats.stats.items():  # type: ignore[attr-defined]
        group = next((g for part, g in reversed(GROUPS.items()) if part in file), "")
        ours = next((g for part, g in GROUPS.items() if part.startswith("/gym_mcp") and part in file), "")
        found[ours or group or ("built-ins" if file == "~" else "the rest")] += own
    return stats.total_tt, found  # type: ignore[attr-defined]


def bare(count: int, concurrency: int) -> float:
    """CPU-seconds per 1,000 runs of the same graph by itself: a chat model and a tool that do nothing."""
    import asyncio

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.prebuilt import tools_condition

    class Nothing(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "nothing"

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            done = len(messages) // 2
            call = {"name": "add", "args": {"amount": 1}, "id": f"c{done}", "type": "tool_call"}
            answer = AIMessage("done", tool_calls=[call] if done < 3 else [])
            return ChatResult(generations=[ChatGeneration(message=answer)])

        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
            return self._generate(messages)

    model = Nothing()

    async def agent(state: Any) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def act(state: Any) -> dict[str, Any]:
        return {"messages": [ToolMessage("1", tool_call_id=c["id"]) for c in state["messages"][-1].tool_calls]}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("tools", act)
    builder.add_edge(START, "agent")
    builder.add_conditional_edges("agent", tools_condition)
    builder.add_edge("tools", "agent")
    graph = builder.compile()

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(concurrency)

        async def one() -> None:
            async with gate:
                await graph.ainvoke({"messages": [("user", "Go.")]})

        await asyncio.gather(*(one() for _ in range(count)))

    asyncio.run(all_of_them())
    before = time.process_time()
    asyncio.run(all_of_them())
    return (time.process_time() - before) / count * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=64)
    args = parser.parse_args()
    n, runs, c = args.episodes, args.runs, args.concurrency
    tasks = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-")) / "tasks.jsonl"
    rows = [{"id": f"t{i}", "prompt": "Go.", "target": 3, "expected": "done"} for i in range(n)]
    tasks.write_text("".join(json.dumps(row) + "\n" for row in rows))
    counter = "perf/environments/counter.py"
    endpoint = [sys.executable, "tests/endpoint.py", "--fast", "--final", "done", "--calls", CALLS]
    print(f"{n} three-tool episodes, concurrency {c}, median of {runs} runs")
    with background(endpoint) as (_, ready):
        url = ready.split()[-1]
        base = evaluation(counter, tasks, url, c)

        def command(name: str) -> Callable[[int], list[str]]:
            return lambda count: [*base(count), "-H", name]

        costs = {}
        for name in HARNESSES:
            costs[name] = per_thousand(command(name), n, runs)
            wall = cpu_of(command(name)(n))[1]
            print(f"{name:16} {costs[name]:7.3f} CPU-s per 1,000 episodes  {wall:6.2f} s a run, start-up included")
        print(
            f"bare LangGraph   {bare(n, c):7.3f} CPU-s per 1,000 runs of the same graph, its model and tool empty"
        )
        print(f"ratio            {costs['langgraph_react'] / costs['simple']:7.2f}")
        total, shares = profiled(counter, tasks, url, n, c)
    print(f"where langgraph_react's time goes (profiled, {total:.2f} s, own time):")
    for group, seconds in sorted(shares.items(), key=lambda item: -item[1])[:9]:
        print(f"  {group:18} {100 * seconds / total:5.1f} %")


if __name__ == "__main__":
    main()

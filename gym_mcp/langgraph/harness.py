"""Graphs as harnesses: one compiled graph for each list of tools, played once a rollout."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.client import AgentSession
from gym_mcp.harness import Limits
from gym_mcp.langgraph.graphs import Graph, compiled, load_graph_file
from gym_mcp.langgraph.play import Play
from gym_mcp.langgraph.served import NOWHERE, Desk, addresses, makes_its_own_model
from gym_mcp.langgraph.stage import Stage
from gym_mcp.models.base import Model
from gym_mcp.types import JSONObject, ToolSpec, Transcript

_KEPT: Final = 64
"""Compiled graphs that are kept, each for one list of tools."""


class GraphHarness:
    """A harness made of what builds a graph: `build(model, tools)`, or anything else that a graph file may hold.

    `state` is what the graph's input holds besides `messages`; `resume` answers interrupts where the environment
    has no user.
    """

    def __init__(
        self,
        build: Callable[..., Any],
        *,
        name: str = "graph",
        state: Mapping[str, Any] | None = None,
        resume: Any = None,
        files: Sequence[Path] = (),
    ) -> None:
        self._find: Callable[[], Any] = lambda: build
        self._name = name
        self._state = dict(state or {})
        self._resume = resume
        self._files = files
        self._graphs: OrderedDict[bytes, Graph] = OrderedDict()
        self._desk: Desk | None = None

    @classmethod
    def of_file(
        cls, path: Path, attribute: str, state: Mapping[str, Any] | None = None, resume: Any = None
    ) -> GraphHarness:
        """The harness of a user's graph file. `UsageError` now for a file that cannot be imported."""
        own_model = makes_its_own_model(path)
        with addresses(*NOWHERE) if own_model else nullcontext():
            found = load_graph_file(path, attribute)
        made = cls(found, name=attribute or path.stem, state=state, resume=resume, files=[path])
        made._find = lambda: load_graph_file(path, attribute)
        made._desk = Desk() if own_model else None
        return made

    async def run(self, session: AgentSession, model: Model, limits: Limits) -> Transcript:
        """Play one episode."""
        stage = Stage(session, model, await session.list_tools())
        stage.enter()
        if self._desk is not None:
            return await self._served(self._desk, stage)
        return await self._play(await self._graph(stage), stage)

    async def _play(self, graph: Graph, stage: Stage) -> Transcript:
        return await Play(graph, stage, self._name, self._state, self._resume).run()

    async def _served(self, desk: Desk, stage: Stage) -> Transcript:
        """A rollout of a graph that makes its own model, and is made anew with the rollout's address for it."""
        async with desk.open(stage) as gate:
            async with desk.making:
                with addresses(gate.base_url, gate.key):
                    graph = await compiled(self._find(), stage, self._name)
            try:
                return await self._play(graph, stage)
            except Exception:
                if gate.error is not None:  # the graph was told of it in its client's words
                    raise gate.error from None
                raise

    async def aclose(self) -> None:
        """Close the gateway, where there is one."""
        if self._desk is not None:
            await self._desk.aclose()

    async def _graph(self, stage: Stage) -> Graph:
        key = digest(stage.specs)
        graph = self._graphs.get(key)
        if graph is None:
            graph = self._graphs[key] = await compiled(self._find(), stage, self._name)
            if len(self._graphs) > _KEPT:
                self._graphs.popitem(last=False)
        return graph

    def identity(self) -> JSONObject:
        """LangGraph's version, and the content of the graph's file and what it imports beside it."""
        from importlib.metadata import version

        from gym_mcp.identity import path_digest
        from gym_mcp.sources import neighbours

        found: JSONObject = {"langgraph": version("langgraph")}
        for file in sorted({f for path in self._files for f in neighbours(path)}):
            found[file.name] = path_digest(file)
        return found


def digest(specs: Sequence[ToolSpec]) -> bytes:
    """Equal for equal lists of tools."""
    listed = [[s.name, s.description, s.input_schema, s.read_only] for s in specs]
    return blake2b(orjson.dumps(listed, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()

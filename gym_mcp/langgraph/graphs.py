"""Finds the graph of a user's file, however the file makes it, and compiles it for the tools of an episode."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from gym_mcp.errors import UsageError
from gym_mcp.langgraph.chat import ChatModel
from gym_mcp.langgraph.stage import Stage, StagedSession
from gym_mcp.langgraph.toolbox import EnvironmentTool
from gym_mcp.suggest import did_you_mean

Graph = Pregel[Any, Any, Any, Any]
_MODEL: Final = ("model", "llm", "chat_model")
_KEPT: Final = 256
_numbers = itertools.count(1)
_loaded: deque[str] = deque()


def load_graph_file(path: Path, attribute: str) -> Any:
    """What `path` calls `attribute`: a graph, a builder, or a function that makes one.

    The file is executed anew each time: what it makes of `tools` when it is imported fits one list of tools.
    `UsageError` in one line when it cannot be, or has no such thing.
    """
    module = _execute(path)
    if not attribute:
        attribute = _only_graph(module, path)
    found = getattr(module, attribute, None)
    if found is None:
        hint = did_you_mean(attribute, [n for n in vars(module) if not n.startswith("_")])
        raise UsageError(f"graph {path}:{attribute}: the file has no `{attribute}`{hint}")
    if not isinstance(found, Pregel | StateGraph) and not callable(found):
        kind = type(found).__name__
        raise UsageError(
            f"graph {path}:{attribute}: a graph, or a function that makes one, is expected, not {kind}"
        )
    return found


def _execute(path: Path) -> ModuleType:
    name = f"gym_mcp_graph_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"graph {path}: not a Python file")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints of its state are looked up there
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except (Exception, SystemExit) as e:
        text = " ".join(str(e).split())[:300]
        raise UsageError(f"graph {path}: raised {type(e).__name__} when imported: {text}") from e
    _loaded.append(name)
    while len(_loaded) > _KEPT:  # where each task has tools of its own, modules must not pile up
        sys.modules.pop(_loaded.popleft(), None)
    return module


def _only_graph(module: ModuleType, path: Path) -> str:
    if hasattr(module, "graph"):
        return "graph"
    names = [n for n, v in vars(module).items() if isinstance(v, Pregel | StateGraph)]
    if not names:
        raise UsageError(f"graph {path}: no graph in it is called `graph`; write {path}:NAME for what makes one")
    if len(names) > 1:
        raise UsageError(f"graph {path}: which graph? write {path}:NAME; found {', '.join(names)}")
    return names[0]


async def compiled(found: Any, stage: Stage, where: str) -> Graph:
    """The compiled graph of what a file holds; must be called on the stage that the graph is made for."""
    if not isinstance(found, Pregel | StateGraph):
        found = found(*_arguments(found, stage, where))
        if inspect.isawaitable(found):
            found = await found
    if isinstance(found, StateGraph):
        from langgraph.checkpoint.memory import InMemorySaver

        # Checkpoints cost as much as a step; a graph that cannot be interrupted does without.
        found = found.compile(checkpointer=InMemorySaver() if _interrupts(found) else None)
    if not isinstance(found, Pregel):
        raise UsageError(f"graph {where}: it made {type(found).__name__}, which is no graph")
    if "messages" not in found.channels:
        raise UsageError(f"graph {where}: its state has no `messages`; it has {', '.join(_shown(found))}")
    return found


def _arguments(factory: Callable[..., Any], stage: Stage, where: str) -> list[Any]:
    """Arguments of a factory: by their names; those of other names are the model and the tools, in that order."""
    model, tools = ChatModel(), [EnvironmentTool.of(spec) for spec in stage.specs]
    session = StagedSession(stage)
    config = {"configurable": {"model": model, "llm": model, "tools": tools, "session": session}}
    named = {**dict.fromkeys(_MODEL, model), "tools": tools, "config": config, "session": session}
    left = [model, tools]
    arguments: list[Any] = []
    for parameter in inspect.signature(factory).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.KEYWORD_ONLY):
            continue
        value = named.get(parameter.name)
        if value is None and parameter.default is not parameter.empty:
            break
        if value is None and not left:
            raise UsageError(
                f"graph {where}: what is its parameter `{parameter.name}`? a function that makes a graph takes "
                "`model`, `tools`, `config` or `session`"
            )
        value = left[0] if value is None else value
        left = [other for other in left if other is not value]
        arguments.append(value)
    return arguments


def _interrupts(builder: StateGraph[Any, Any, Any, Any]) -> bool:
    """Whether a node's code mentions `interrupt`."""
    for node in builder.nodes.values():
        for function in (getattr(node.runnable, "func", None), getattr(node.runnable, "afunc", None)):
            code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
            if code is not None and "interrupt" in code.co_names:
                return True
    return False


def _shown(graph: Graph) -> list[str]:
    return [n for n in graph.channels if not n.startswith(("__", "branch:", "join:"))] or ["nothing"]

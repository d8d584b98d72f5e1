"""`gym-mcp harness`: write a new harness."""

from __future__ import annotations

import click

from gym_mcp.cli.lazy import LazyGroup, Verb

VERBS = {
    "new": Verb("gym_mcp.cli.harness_new:new", "Write a new harness that works, to change step by step."),
}


@click.group("harness", cls=LazyGroup, verbs=VERBS)
def harness_group() -> None:
    """Write harnesses.

    A harness turns a model into an agent: `async def run(session, model, limits)`, or a LangGraph graph.
    """

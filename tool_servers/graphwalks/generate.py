"""Writes `tasks.jsonl`: random directed graphs, and questions about parents and breadth-first searches."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from gym_mcp.types import JSONObject

SEED: Final = 20250612
SIZES: Final = (6, 8, 10, 12, 16, 20, 30, 40, 60, 80, 100, 150, 200, 300)
"""Nodes in the graph of each task; parents and searches take turns."""
Graph: TypeAlias = Mapping[str, Sequence[str]]

_RULES: Final = (
    "Below is a directed graph as a list of edges; `a -> b` means that there is an edge from a to b. Carry out "
    "the operation at the end. The last line of your reply must be `Final Answer: [n1, n2, ...]`, with the names "
    "of the nodes found in any order and without quotes; `Final Answer: []` if there are none."
)


def make_graph(rng: random.Random, size: int) -> dict[str, list[str]]:
    """About two edges out of each node; the first node has no edge into it."""
    names = [f"{value:06x}" for value in rng.sample(range(16**6), size)]
    return {name: rng.sample([n for n in names[1:] if n != name], rng.randint(1, 3)) for name in names}


def parents(graph: Graph, node: str) -> set[str]:
    """The nodes with an edge to `node`."""
    return {name for name, targets in graph.items() if node in targets}


def reached(graph: Graph, node: str, depth: int) -> set[str]:
    """The nodes whose shortest path from `node` has exactly `depth` edges."""
    seen, frontier = {node}, {node}
    for _ in range(depth):
        frontier = {target for name in frontier for target in graph[name]} - seen
        seen |= frontier
    return frontier


def make_task(rng: random.Random, number: int, size: int) -> JSONObject:
    """Every fourth question about parents is about a node that has none."""
    graph = make_graph(rng, size)
    names = list(graph)
    if number % 2:
        node = names[0] if number % 8 == 1 else rng.choice(names[1:])
        kind, gold = "parents", parents(graph, node)
        operation = f"Find all parents of {node}: the nodes with an edge to it."
    else:
        node, depth = names[0], rng.randint(1, 4)
        kind, gold = "bfs", reached(graph, node, depth)
        operation = (
            f"Search breadth-first from {node} and find all nodes at depth {depth}: those whose shortest path "
            f"from {node} has exactly {depth} edge{'' if depth == 1 else 's'}."
        )
    edges = [f"{name} -> {target}" for name, targets in graph.items() for target in targets]
    rng.shuffle(edges)
    prompt = "\n\n".join((_RULES, "\n".join(edges), f"Operation: {operation}"))
    data = {"expected_answer": sorted(gold), "problem_type": kind, "nodes": size}
    return {"id": f"{kind}-{size}", "prompt": prompt, "data": data}


def main() -> None:
    """Write the file beside this one."""
    rng = random.Random(SEED)
    with Path(__file__).with_name("tasks.jsonl").open("w", encoding="utf-8") as file:
        for number, size in enumerate(SIZES, 1):
            file.write(json.dumps(make_task(rng, number, size)) + "\n")


if __name__ == "__main__":
    main()

"""YAML with safe tags only, within bounds: depth and what aliases expand to are known before anything is built."""

from __future__ import annotations

from typing import Any, Final

import yaml

from verifiers.structured.bounds import MAX_DEPTH, MAX_NODES, OutOfBounds

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """The one document in `text`. Raises `yaml.YAMLError`, or `OutOfBounds` before memory or stack are spent."""
    _check_events(text)
    return yaml.load(text, _LOADER)


def _check_events(text: str) -> None:
    """Bounds by the stream of events, which needs no stack, unlike composing."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    size = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            if len(open_nodes) >= MAX_DEPTH:
                raise OutOfBounds(f"nested deeper than {MAX_DEPTH}")
            open_nodes.append((event.anchor, size))
            size += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor is not None:
                sizes[anchor] = size - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise OutOfBounds("an alias inside of what it names, or of nothing")
            size += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        if size > MAX_NODES:
            raise OutOfBounds(f"more than {MAX_NODES} parts")

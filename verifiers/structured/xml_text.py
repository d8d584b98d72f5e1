"""XML as dicts, within bounds and without document types, so that there are no entities to expand."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from verifiers.structured.bounds import MAX_DEPTH, MAX_NODES, OutOfBounds


def read_xml(text: str) -> dict[str, Any]:
    """`{root: content}`, in the form that xmltodict made common.

    An element with only text is that text, an empty one None, any other a dict of its children by name: several of
    one name are a list, attributes are `@name`, text beside them is `#text`. Texts are stripped.
    Raises `expat.ExpatError`, or `OutOfBounds`, also for a document type.
    """
    builder = _Builder()
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.Parse(text.encode("utf-8", "replace"), True)
    return builder.top


class _Builder:
    def __init__(self) -> None:
        self.top: dict[str, Any] = {}
        self._open: list[tuple[dict[str, Any], list[str]]] = [(self.top, [])]
        self._nodes = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._nodes += 1 + len(attributes)
        if self._nodes > MAX_NODES:
            raise OutOfBounds(f"more than {MAX_NODES} parts")
        if len(self._open) > MAX_DEPTH:
            raise OutOfBounds(f"nested deeper than {MAX_DEPTH}")
        self._open.append(({f"@{key}": value for key, value in attributes.items()}, []))

    def text(self, text: str) -> None:
        self._open[-1][1].append(text)

    def end(self, name: str) -> None:
        children, texts = self._open.pop()
        text = "".join(texts).strip()
        content: Any = children if children else text or None
        if children and text:
            children["#text"] = text
        parent = self._open[-1][0]
        if name not in parent:
            parent[name] = content
        elif isinstance(parent[name], list):
            parent[name].append(content)
        else:
            parent[name] = [parent[name], content]

    def doctype(self, *_: Any) -> None:
        raise OutOfBounds("a document type is not allowed")

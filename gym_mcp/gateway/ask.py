"""What an agent asked, whatever its dialect: items, function tools, parameters, and what had no place."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from gym_mcp.calls import digest
from gym_mcp.errors import GymError
from gym_mcp.types import Item, JSONObject

Kind = Literal["bad_request", "unauthorized", "not_found", "too_large", "too_long", "model", "over"]
_SEAL: Final = "gym-mcp:"
_UNSEALED: Final = 2**24
_NAME: Final = 64
"""Characters that endpoints allow in a function's name."""
_PIECE: Final = 2_000
"""Characters of one delta."""


class Refused(GymError):
    """A request that gets an error, which each dialect says in its own form. `kind` decides its status."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind


@dataclass(slots=True)
class Ask:
    """One request of an agent.

    `params` mean the same to every endpoint; `own` are those that only endpoints of one kind know, by the provider
    in a model's spec (`anthropic`, `openai`, `openai-chat`). `names` are functions that were flattened out of a
    namespace: the name that the model sees to (namespace, name). `dropped` says what had no place.
    """

    items: list[Item] = field(default_factory=list)
    tools: list[Item] = field(default_factory=list)
    params: JSONObject = field(default_factory=dict)
    own: dict[str, JSONObject] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)
    stream: bool = False
    usage: bool = True
    """Whether a stream ends with the usage."""
    model: str = ""
    dropped: list[str] = field(default_factory=list)

    def drop(self, what: str) -> None:
        """Note something that has no place; once."""
        if what not in self.dropped:
            self.dropped.append(what)


def flat_name(namespace: str, name: str) -> str:
    """The name of a namespace's function for models that know no namespaces; at most 64 characters."""
    flat = f"{namespace}__{name}"
    return flat if len(flat) <= _NAME else f"{flat[: _NAME - 9]}_{digest(flat)[:8]}"


def seal(item: Item) -> str:
    """A reasoning item as an opaque string, for dialects that carry one unread beside the reasoning's text."""
    return _SEAL + base64.b64encode(zlib.compress(orjson.dumps(item), 1)).decode()


def unseal(text: Any) -> Item | None:
    """The item in a sealed string; None for any other string."""
    if not isinstance(text, str) or not text.startswith(_SEAL):
        return None
    try:
        data = base64.b64decode(text[len(_SEAL) :], validate=True)
        item = orjson.loads(zlib.decompressobj().decompress(data, _UNSEALED))
    except (ValueError, zlib.error):
        return None
    return item if isinstance(item, dict) and item.get("type") == "reasoning" else None


def pieces(text: str) -> Iterator[str]:
    """`text` in the pieces that a stream sends; none for no text."""
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def objects(value: Any, what: str) -> list[JSONObject]:
    """A list of JSON objects, or a refusal that names the field."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise Refused("bad_request", f"`{what}` must be a list of objects")
    return value


def function(name: Any, description: Any, parameters: Any, strict: Any = None) -> Item:
    """A function tool in the form of the Responses API."""
    if not isinstance(name, str) or not name:
        raise Refused("bad_request", "a tool without a name")
    return {
        "type": "function",
        "name": name,
        "description": description if isinstance(description, str) else "",
        "parameters": parameters if isinstance(parameters, dict) else {"type": "object", "properties": {}},
        "strict": bool(strict),
    }

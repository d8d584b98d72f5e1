"""The ledger: a server's own record of every tool call of an episode."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from gym_mcp.types import JSONObject, ToolResult

CallError = Literal["tool", "arguments", "unknown_tool", "too_large", "timeout", "exception", "cancelled"]


@dataclass(slots=True)
class LedgerEntry:
    """The server's own record of one tool call. Times are seconds since the episode was opened.

    `error` is None, or why the result was an error: the tool's own `ToolError` (`tool`), arguments that did not
    fit, an unknown tool, an oversized result, a timeout, an exception (a bug of the environment), or a client
    that gave up on it (`cancelled`: it may have been carried out in part).
    """

    seq: int
    name: str
    arguments: JSONObject
    result: str
    error: CallError | None
    start: float
    end: float
    images: tuple[str, ...] = ()
    """SHA-256 of each image of the result."""
    detail: str = ""
    caller: str = ""
    """The client's own name for the part of it that called: a branch of a graph, a sub-agent."""

    def as_json(self) -> JSONObject:
        out: JSONObject = {
            "seq": self.seq,
            "name": self.name,
            "arguments": self.arguments,
            "result": self.result,
            "error": self.error,
            "start": self.start,
            "end": self.end,
        }
        if self.images:
            out["images"] = list(self.images)
        if self.detail:
            out["detail"] = self.detail
        if self.caller:
            out["caller"] = self.caller
        return out


@dataclass(slots=True)
class Outcome:
    """What came of one call: what the model reads, and what only the ledger says."""

    result: ToolResult
    error: CallError | None = None
    detail: str = ""

    @classmethod
    def failed(cls, error: CallError, text: str, *, ended: bool = False, detail: str = "") -> Outcome:
        return cls(ToolResult(text, is_error=True, ended=ended), error, detail)


def entry(seq: int, name: str, arguments: JSONObject, outcome: Outcome, start: float, end: float) -> LedgerEntry:
    """The entry of a call that ran from `start` to `end`."""
    images = tuple(hashlib.sha256(image.data).hexdigest() for image in outcome.result.images)
    return LedgerEntry(
        seq,
        name,
        arguments,
        outcome.result.text,
        outcome.error,
        round(start, 6),
        round(end, 6),
        images,
        outcome.detail,
    )

"""What the model calls of a rollout were: one record a call, and every message once, in a graph.

Conversations are append-only, so a call's messages are a path: a node holds one item and points at the item before
it, and a call names the last node of its input and of its output. The size grows with the conversation, not with
its square.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from gym_mcp.models.base import TOKEN_FIELDS, Request, Response, Tokens, Usage
from gym_mcp.types import Item, JSONObject

_UNHEARD: Final = frozenset({"id", "status", "annotations", "logprobs", *TOKEN_FIELDS})
"""Fields that do not change what the model reads."""
_TEXT: Final = frozenset({"text", "input_text", "output_text"})
_BYTES: Final = 12
"""Of a node's hash."""


def digest(*parts: str | bytes) -> str:
    """A short content hash, in hexadecimal."""
    found = hashlib.blake2b(digest_size=_BYTES)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()


def content_bytes(value: Any) -> bytes:
    """JSON with sorted keys, for hashing."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers past 64 bits, lone surrogates
        return json.dumps(value, sort_keys=True, default=str).encode()


def heard(item: Item) -> JSONObject:
    """`item` as the model reads it: what only numbers or dates it left out, plain text in one form."""
    found = {k: v for k, v in item.items() if k not in _UNHEARD}
    if item.get("type", "message") == "message":
        found["type"] = "message"
    for key in ("content", "output"):
        if isinstance(found.get(key), list):
            found[key] = _parts(found[key])
    return found


def _parts(parts: list[Any]) -> Any:
    if all(isinstance(p, dict) and p.get("type") in _TEXT and isinstance(p.get("text"), str) for p in parts):
        return "".join(p["text"] for p in parts)
    return [{k: v for k, v in p.items() if k not in _UNHEARD} if isinstance(p, dict) else p for p in parts]


def fingerprint(item: Item) -> str:
    """The same for items that read the same."""
    return digest(content_bytes(heard(item)))


@dataclass(slots=True)
class MessageGraph:
    """Nodes by id: (id of the item before, or "" at the start; the item)."""

    nodes: dict[str, tuple[str, Item]] = field(default_factory=dict)

    def add(self, items: Iterable[Item], parent: str = "") -> str:
        """Put `items` behind `parent`, those that are not there yet; the id of the last one."""
        for item in items:
            node = digest(parent, content_bytes(heard(item)))
            if node not in self.nodes:
                self.nodes[node] = (parent, without_tokens(item))
            parent = node
        return parent

    def path(self, node: str, until: str = "") -> list[Item]:
        """The items from behind `until` to `node`."""
        return [self.nodes[step][1] for step in self.steps(node, until)]

    def steps(self, node: str, until: str = "") -> list[str]:
        """The nodes from behind `until` to `node`. Where two conversations have a node in common, they have all
        before it in common."""
        found: list[str] = []
        while node and node != until:
            found.append(node)
            node = self.nodes[node][0]
        return found[::-1]


def without_tokens(item: Item) -> Item:
    """`item` without the token ids that some endpoints put on it; itself when there are none."""
    if TOKEN_FIELDS.isdisjoint(item):
        return item
    return {k: v for k, v in item.items() if k not in TOKEN_FIELDS}


@dataclass(slots=True)
class CallRecord:
    """One model call. `input` and `output` are nodes of the graph; `output` equals `input` when nothing came."""

    seq: int
    started: float
    """Unix time."""
    latency: float = 0.0
    """Seconds, waits and retries included."""
    usage: Usage = field(default_factory=Usage)
    finish: str = "completed"
    """`completed`, why the answer was cut short, or `error`."""
    input: str = ""
    output: str = ""
    tools: str = ""
    """Hash of the tools that were offered."""
    params: JSONObject = field(default_factory=dict)
    retries: int = 0
    id: str = ""
    model: str = ""
    tokens: Tokens | None = None
    error: str | None = None
    dialect: str = ""
    """Of the agent, when it came through the gateway."""
    side: bool = False
    """Outside the main conversation: a title, a summary, a sub-agent."""
    delivered: bool = True
    """False when the agent had gone before it got the answer."""
    dropped: list[str] = field(default_factory=list)
    """What of the agent's request had no place in ours."""
    items: list[Item] = field(default_factory=list)
    """The output, as sampled."""


class Recorder:
    """The calls of one rollout."""

    def __init__(self) -> None:
        self.calls: list[CallRecord] = []
        self.graph = MessageGraph()
        self.toolsets: dict[str, list[Item]] = {}

    def answered(self, request: Request, response: Response, started: float) -> CallRecord:
        """Record a call that was answered; `started` is Unix time."""
        record = self._new(request, response.seq, started)
        record.latency, record.usage, record.retries = response.latency, response.usage, response.retries
        record.finish = response.incomplete or response.status
        record.output = self.graph.add(response.output, record.input)
        record.id, record.model, record.tokens = response.id, response.model, response.tokens
        record.items = response.output
        return record

    def failed(self, request: Request, error: Exception, seq: int, started: float, latency: float) -> CallRecord:
        """Record a call that got no answer."""
        record = self._new(request, seq, started)
        record.latency, record.finish, record.error = latency, "error", str(error)
        return record

    def _new(self, request: Request, seq: int, started: float) -> CallRecord:
        record = CallRecord(seq if seq >= 0 else len(self.calls), started)
        record.input = record.output = self.graph.add(request.input)
        if request.tools:
            record.tools = digest(content_bytes(list(request.tools)))
            self.toolsets.setdefault(record.tools, list(request.tools))
        record.params = dict(request.params)
        self.calls.append(record)
        return record

    def find(self, seq: int) -> CallRecord | None:
        """The record of call `seq`."""
        return next((record for record in reversed(self.calls) if record.seq == seq), None)

    def as_json(self) -> JSONObject:
        """The fields `calls` and `messages` of a rollout row."""
        records = sorted(self.calls, key=lambda record: record.seq)
        nodes = [{"id": n, "parent": p, "item": item} for n, (p, item) in self.graph.nodes.items()]
        return {"calls": calls_json(records), "messages": {"nodes": nodes, "tools": self.toolsets}}


def calls_json(records: Sequence[CallRecord]) -> list[JSONObject]:
    """Records as they stand in a row. A prompt that continues an earlier call's tokens names that call."""
    out: list[JSONObject] = []
    for i, record in enumerate(records):
        row: JSONObject = {
            "seq": record.seq,
            "started": round(record.started, 6),
            "latency": round(record.latency, 6),
            "usage": record.usage.as_json(),
            "finish": record.finish,
            "input": record.input,
            "output": record.output,
            "tools": record.tools,
            "params": record.params,
            "retries": record.retries,
        }
        for name in ("id", "model", "error", "dialect", "dropped"):
            if getattr(record, name):
                row[name] = getattr(record, name)
        if record.side:
            row["side"] = True
        if not record.delivered:
            row["delivered"] = False
        if record.tokens is not None:
            row |= _tokens(record.tokens, records[:i])
        out.append(row)
    return out


def _tokens(tokens: Tokens, earlier: Sequence[CallRecord]) -> JSONObject:
    row: JSONObject = {}
    prompt = tokens.prompt
    for record in reversed(earlier):
        if record.tokens is None or not record.tokens.prompt:
            continue
        before = len(record.tokens.prompt) + len(record.tokens.generation)
        if prompt[:before] == record.tokens.prompt + record.tokens.generation:
            row["prompt_continues"], prompt = record.seq, prompt[before:]
            break
    row["prompt_token_ids"] = prompt
    row["generation_token_ids"] = tokens.generation
    row["generation_log_probs"] = tokens.log_probs
    return row


def prompt_token_ids(calls: Sequence[JSONObject], seq: int) -> list[int]:
    """The whole prompt of call `seq` out of a row's `calls`."""
    by_seq = {call["seq"]: call for call in calls}
    parts: list[list[int]] = []
    call = by_seq[seq]
    while True:
        parts.append(call["prompt_token_ids"])
        if "prompt_continues" not in call:
            return [token for part in reversed(parts) for token in part]
        call = by_seq[call["prompt_continues"]]
        parts.append(call["generation_token_ids"])

"""A run's spans for OpenTelemetry: run, episode, opening, model call, tool call, verification; a graph's nodes.

Names and attributes are those of the semantic conventions for generative AI (opentelemetry-semantic-conventions
0.66, in development), and `gym_mcp.*` for what they have no name for.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from gym_mcp.errors import RolloutError, one_line
from gym_mcp.observe import current
from gym_mcp.observe.messages import as_messages
from gym_mcp.observe.stages import MODEL, OPEN, TOOL, VERIFY, Activity, Step, Watcher
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.coordinator.rollout import Arm, Attempt
    from gym_mcp.observe.export import Exporter

INTERNAL, CLIENT = 1, 3
_PROVIDERS: Final = {"openai-chat": "openai"}
_PARAMS: Final = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_output_tokens": "gen_ai.request.max_tokens",
}
_WORDS: Final = 300
"""Characters of an error's text."""


@dataclass(slots=True)
class Span:
    """One span. Times are nanoseconds since 1970; `error` is the text of a failed one."""

    name: str
    parent: int
    start: int
    end: int = 0
    kind: int = INTERNAL
    id: int = field(default_factory=lambda: random.getrandbits(64) or 1)
    attributes: dict[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(slots=True)
class _Episode:
    """An attempt's span, and those of its parts, which wait for it: a graph's nodes are known at its end only."""

    span: Span
    parts: list[tuple[Step, Span]] = field(default_factory=list)


def trace_of(run_id: str) -> int:
    """The trace of a run: the same whoever computes it, so that a row's run leads to its spans."""
    return int.from_bytes(hashlib.blake2b(run_id.encode(), digest_size=16).digest())


class Tracer(Watcher):
    """Makes spans of what it hears. `run` is the id of the run's own span."""

    def __init__(self, exporter: Exporter, arm: Arm, run: int, *, content: bool = False) -> None:
        self.exporter = exporter
        self.run = run
        self._arm = arm
        self._trace = f"00-{trace_of(arm.run_id):032x}"
        self._content = content
        provider, _, name = arm.model.spec.partition("/")
        self._model = name.partition("?")[0]
        self._about: dict[str, Any] = {
            "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
            "gen_ai.request.model": self._model,
        }
        self._server: dict[str, Any] = {}
        place = urlsplit(getattr(arm.model, "base_url", ""))
        if place.hostname:
            self._server = {"server.address": place.hostname}
            self._server["server.port"] = place.port or (443 if place.scheme == "https" else 80)

    def attempt_started(self, activity: Activity) -> None:
        arm = self._arm
        span = Span(f"invoke_agent {arm.harness_name}", self.run, time_ns())
        span.attributes = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": arm.harness_name,
            **self._about,
            "gym_mcp.run_id": arm.run_id,
            "gym_mcp.rollout_id": f"{arm.run_id}/{activity.task_id}/{activity.repeat}",
            "gym_mcp.environment": arm.environment,
            "gym_mcp.task_id": activity.task_id,
            "gym_mcp.repeat": activity.repeat,
            "gym_mcp.attempt": activity.attempt + 1,
        }
        activity.span = _Episode(span)
        self._send_with(span)

    def _send_with(self, span: Span) -> None:
        """Have requests that go out from here say whose they are."""
        current.traceparent.set(f"{self._trace}-{span.id:016x}-01")

    def step_started(self, step: Step) -> None:
        episode: _Episode = step.activity.span
        span = step.span = Span(_NAMES[step.kind], episode.span.id, step.at)
        if step.kind == MODEL:
            span.name = f"chat {self._model}"
            span.kind = CLIENT
        elif step.kind == TOOL:
            span.name = f"execute_tool {step.name}"
        self._send_with(span)

    def step_ended(self, step: Step) -> None:
        episode: _Episode = step.activity.span
        span: Span = step.span
        span.end = step.at + int(step.seconds * 1e9)
        if step.kind == MODEL:
            self._describe_model_call(step, span)
        elif step.kind == TOOL:
            self._describe_tool_call(step, span)
        if step.error is not None:
            _fail(span, step.error)
        episode.parts.append((step, span))
        self._send_with(episode.span)

    def _describe_model_call(self, step: Step, span: Span) -> None:
        found = span.attributes
        found.update(self._about, **self._server)
        found["gen_ai.operation.name"] = "chat"
        found.update(
            (name, step.request.params[key]) for key, name in _PARAMS.items() if key in step.request.params
        )
        response = step.answer
        if response is None:
            return
        usage = response.usage
        found["gen_ai.usage.input_tokens"] = usage.input
        found["gen_ai.usage.output_tokens"] = usage.output
        if usage.cached:
            found["gen_ai.usage.cache_read.input_tokens"] = usage.cached
        if usage.reasoning:
            found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning
        if response.model:
            found["gen_ai.response.model"] = response.model
        if response.id:
            found["gen_ai.response.id"] = response.id
        calls = any(item.get("type") == "function_call" for item in response.output)
        reason = response.incomplete or ("tool_calls" if calls else "stop")
        found["gen_ai.response.finish_reasons"] = [reason]
        if response.retries:
            found["gym_mcp.retries"] = response.retries
        if self._content:
            # The harness's list has grown since: by what this call answered, and only behind what it asked.
            found["gen_ai.input.messages"] = as_messages(step.request.input[: step.size])
            found["gen_ai.output.messages"] = as_messages(response.output, finish=reason)

    def _describe_tool_call(self, step: Step, span: Span) -> None:
        found = span.attributes
        found["gen_ai.operation.name"] = "execute_tool"
        found["gen_ai.tool.name"] = step.name
        found["gen_ai.tool.type"] = "function"
        if self._content:
            found["gen_ai.tool.call.arguments"] = _json(step.arguments)
        if step.answer is None:
            return
        if self._content:
            found["gen_ai.tool.call.result"] = step.answer.text
        if step.answer.is_error and step.error is None:
            found["error.type"] = "tool_error"
            span.error = "the tool answered with an error"

    def attempt_ended(self, activity: Activity, attempt: Attempt | None) -> None:
        episode: _Episode = activity.span
        span, found = episode.span, episode.span.attributes
        span.end = time_ns()
        nodes: list[Span] = []
        if attempt is None:
            found["error.type"], span.error = "cancelled", "given up"
        else:
            nodes = self._graph(episode, attempt.transcript.spans)
            found["gym_mcp.stop"] = attempt.transcript.stop
            if attempt.verdict is not None:
                found["gym_mcp.reward"] = attempt.verdict.reward.score
                for step, part in episode.parts:
                    if step.kind == VERIFY:
                        part.attributes["gen_ai.evaluation.score.value"] = attempt.verdict.reward.score
            if attempt.error is not None:
                _fail(span, attempt.error)
        self.exporter.put([span, *nodes, *(part for _, part in episode.parts)])
        activity.span = None

    def _graph(self, episode: _Episode, spans: Sequence[JSONObject]) -> list[Span]:
        """The graph's and nodes' spans of a LangGraph harness; calls that nodes made move below them."""
        if not spans:
            return []
        models = {step.seq: part for step, part in episode.parts if step.kind == MODEL}
        tools = {step.caller: part for step, part in episode.parts if step.kind == TOOL and step.caller}
        calls = {s["id"]: models.get(s["model_calls"][0]) for s in spans if s.get("model_calls")}
        calls.update((s["id"], tools.get(s["id"])) for s in spans if s["kind"] == "tool")
        first = next(((s, found) for s in spans if (found := calls.get(s["id"])) is not None), None)
        zero = first[1].start - int(first[0]["start"] * 1e9) if first else episode.span.start
        made: dict[str, Span] = {}
        for s in spans:
            if s["kind"] in ("graph", "node"):
                node = Span(f"{s['kind']} {s['name']}", episode.span.id, zero + int(s["start"] * 1e9))
                node.end = zero + int(s["end"] * 1e9)
                node.attributes = {"gym_mcp.span": s["id"], "gym_mcp.kind": s["kind"]}
                made[s["id"]] = node
        for s in spans:
            own = made.get(s["id"]) or calls.get(s["id"])
            above = made.get(s["parent"] or "")
            if own is not None and above is not None:
                own.parent = above.id
        return list(made.values())

    def run_ended(self, start: int, facts: dict[str, Any], *, complete: bool) -> None:
        """Send the run's own span."""
        arm = self._arm
        span = Span(f"evaluate {arm.environment}", 0, start, time_ns(), id=self.run)
        span.attributes = {**self._about, "gym_mcp.run_id": arm.run_id, "gym_mcp.environment": arm.environment}
        span.attributes.update({"gym_mcp.harness": arm.harness_name, **facts})
        if not complete:
            span.error = "not complete"
        self.exporter.put([span])


_NAMES: Final = {OPEN: "open_episode", VERIFY: "verify", MODEL: "chat", TOOL: "execute_tool"}


def _fail(span: Span, error: BaseException) -> None:
    span.attributes["error.type"] = error.kind if isinstance(error, RolloutError) else type(error).__name__
    span.error = one_line(error)[:_WORDS]


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode("utf-8", "replace")

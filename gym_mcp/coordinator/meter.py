"""Counts what a rollout's model calls cost, and stops them when a budget is spent, whatever the harness."""

from __future__ import annotations

import time
from collections.abc import Callable

from gym_mcp.calls import Recorder
from gym_mcp.errors import LimitReached, ModelError
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model, Request, Response, Usage
from gym_mcp.observe.stages import Activity, Stages
from gym_mcp.types import Item, JSONObject


class Meter(Model):
    """One rollout's view of the model. Keeps the output of every call, so that failures have a transcript too."""

    def __init__(self, model: Model, limits: Limits, activity: Activity | None = None) -> None:
        self.spec = model.spec
        self.price = model.price
        self.usage = Usage()
        self.seconds = 0.0
        self.retries = 0
        self.output: list[Item] = []
        self.recorder: Recorder | None = None
        self.facts: Callable[[], JSONObject] | None = None
        """What the harness has to say of the rollout should it fail."""
        self._started = 0
        self._model = model
        self._limits = limits
        self._activity = activity or Stages().begin("", 0)

    @property
    def cost(self) -> float | None:
        """US dollars so far; None when the price is unknown."""
        if self.price is None:
            return None
        return (self.usage.input * self.price[0] + self.usage.output * self.price[1]) / 1e6

    async def respond(self, request: Request) -> Response:
        self._check()
        seq = self._started
        self._started += 1  # counted at the start: a harness may make several calls at once
        recorder, activity = self.recorder, self._activity
        activity.called()
        try:
            response = await (self._model.respond(request) if recorder is None else self._recorded(request, seq))
        finally:
            activity.answered()
        response.seq = seq
        if recorder is None and response.tokens is not None:
            self.record_calls().answered(request, response, time.time() - response.latency)
        self.usage.calls += 1
        self.usage.input += response.usage.input
        self.usage.output += response.usage.output
        self.usage.cached += response.usage.cached
        self.usage.reasoning += response.usage.reasoning
        self.seconds += response.latency
        self.retries += response.retries
        self.output += response.output
        return response

    def record_calls(self) -> Recorder:
        """Record every call from now on. Calls whose endpoint gives token ids are recorded unasked."""
        if self.recorder is None:
            self.recorder = Recorder()
        return self.recorder

    async def _recorded(self, request: Request, seq: int) -> Response:
        recorder, started = self.record_calls(), time.time()
        try:
            response = await self._model.respond(request)
        except ModelError as error:
            recorder.failed(request, error, seq, started, time.time() - started)
            raise
        response.seq = seq
        recorder.answered(request, response, started)
        return response

    def _check(self) -> None:
        limits = self._limits
        if limits.turns is not None and self._started >= limits.turns:
            raise LimitReached("max_turns")
        if limits.tokens is not None and self.usage.total >= limits.tokens:
            raise LimitReached("max_tokens")
        if limits.cost is not None and (self.cost or 0.0) >= limits.cost:
            raise LimitReached("max_cost")

    def as_json(self) -> JSONObject:
        """The `usage` field of a rollout row."""
        return {**self.usage.as_json(), "retries": self.retries, "cost": self.cost}

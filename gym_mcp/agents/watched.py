"""One agent's view of its model: notes what it was offered and how it failed, and ends with the episode."""

from __future__ import annotations

import asyncio
from typing import Any

from gym_mcp.agents.activation import Activation
from gym_mcp.agents.agent import Agent
from gym_mcp.agents.observations import Join, Names
from gym_mcp.agents.relay import Relayed
from gym_mcp.errors import LimitReached, ModelError, PromptTooLong, RolloutError
from gym_mcp.models.base import Model, Request, Response

_EMBEDDED = "builtin/"


class Watched(Model):
    """In front of a rollout's meter, behind the gateway.

    `asked` counts requests, `offered` says whether one of them offered the environment's tools. `failed` is set
    with `error` once the model has failed for good, `spent` once a budget or the episode has come to its end.
    `activation` is told what passes, where skills are in play.
    """

    def __init__(
        self, agent: Agent, model: Model, relayed: Relayed, *, plain: bool, activation: Activation | None = None
    ) -> None:
        self.spec, self.price = model.spec, model.price
        self.asked = 0
        self.offered = False
        self.error: RolloutError | None = None
        self.failed, self.spent = asyncio.Event(), asyncio.Event()
        self.names = Names(relayed.tools)
        self._agent = agent
        self._model = model
        self._relayed = relayed
        self._plain = plain
        self._activation = activation
        if hasattr(model, "record_calls"):
            self.record_calls = model.record_calls

    async def respond(self, request: Request) -> Response:
        self.asked += 1
        offered = self.names.offered(request.tools)
        self.offered = self.offered or bool(offered)
        as_sent, turn = request, self.asked
        if self._relayed.ended:
            self.spent.set()
            raise LimitReached("ended")
        when = self._activation.moment(turn) if self._activation is not None else {}
        if self._plain:
            join = Join(self.names, self._relayed.calls)
            request = Request(join.plain(request.input), request.tools, request.params)
        try:
            response = await self._model.respond(request)
        except ModelError as e:
            if not self.failed.is_set():
                self.error = e
            if not isinstance(e, PromptTooLong):  # an agent may shorten its conversation and go on
                self.failed.set()
            raise
        except LimitReached:
            self.spent.set()
            raise
        if not self.failed.is_set():  # agents ask several things at a time: one that went well mends nothing
            self.error = None
        if self._activation is not None:
            self._activation.answered(as_sent, response.output, when)
        if self.spec.startswith(_EMBEDDED):
            response.output = self._agent.embedded(response.output, offered)
        return response

    def identity(self) -> dict[str, Any]:
        return self._model.identity()

"""Embedded models that need no key and no network: they play a script, and play the same one for the same seed."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

import orjson

from gym_mcp.errors import EnvironmentFailure, ModelError
from gym_mcp.models.base import Model, Request, Response, RolloutContext, Usage
from gym_mcp.models.sampler import Sampler
from gym_mcp.types import Item, JSONObject, assistant_message, text_of

GIVES_UP: Final = "I do not know."
WORDS: Final = (
    "amber basin cedar delta ember fjord grove harbor island jasper kettle lantern meadow north orchid pebble "
    "quarry river summit timber umber valley willow yonder zephyr"
).split()


class Embedded(Model):
    """Common ground: a rollout gets an instance of its own, which numbers its items from 1."""

    price = (0.0, 0.0)
    context: RolloutContext | None = None

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self._turns = 0
        self._items = 0
        self._calls = 0

    def for_rollout(self, context: RolloutContext) -> Model:
        model = self.fresh(context)
        model.context = context
        return model

    def fresh(self, context: RolloutContext) -> Embedded:
        """A new instance for one rollout."""
        return type(self)(self.spec)

    @abstractmethod
    async def turn(self, request: Request) -> list[Item]:
        """Output items of the next turn."""

    async def respond(self, request: Request) -> Response:
        output = await self.turn(request)
        self._turns += 1
        return Response(output, Usage(calls=1), id=f"resp_{self._turns:04}", model=self.spec)

    def message(self, text: str) -> Item:
        """An assistant message item."""
        self._items += 1
        return {"id": f"msg_{self._items:04}", **assistant_message(text)}

    def call(self, name: str, arguments: JSONObject) -> Item:
        """A function call item."""
        self._items += 1
        self._calls += 1
        try:
            text = orjson.dumps(arguments).decode()
        except orjson.JSONEncodeError as e:
            raise EnvironmentFailure(f"solution(): arguments of `{name}` are not JSON: {e}") from None
        return {
            "type": "function_call",
            "id": f"fc_{self._items:04}",
            "call_id": f"call_{self._calls:04}",
            "name": name,
            "arguments": text,
            "status": "completed",
        }


class Oracle(Embedded):
    """`builtin/oracle`: plays the environment's reference solution."""

    def __init__(self, spec: str = "builtin/oracle") -> None:
        super().__init__(spec)
        self._pending: list[str] = []

    async def turn(self, request: Request) -> list[Item]:
        if self.context is None:
            raise ModelError(f"{self.spec} plays an environment's solution: it works inside a rollout only")
        results = outputs_of(self._pending, request.input) if self._pending else _reply(request.input)
        step = await self.context.episode.reference_step(self._turns, results)
        items = [self.call(call.name, call.arguments) for call in step.calls]
        self._pending = [item["call_id"] for item in items]
        if step.say is not None or not items:
            items.insert(0, self.message(step.say or ""))
        return items


def _reply(items: Sequence[Item]) -> list[str]:
    """What the user said to the last message, if that is where the conversation stands."""
    if len(items) < 2 or items[-1].get("role") != "user" or items[-2].get("role") != "assistant":
        return []
    return [text_of(items[-1])]


def outputs_of(call_ids: Sequence[str], items: Sequence[Item]) -> list[str]:
    """Texts of the function_call_output items that answer `call_ids`, in that order; empty for a missing one."""
    found: dict[str, str] = {}
    for item in reversed(items):
        if len(found) == len(call_ids):
            break
        if item.get("type") == "function_call_output" and item.get("call_id") in call_ids:
            output = item.get("output")
            found.setdefault(item["call_id"], output if isinstance(output, str) else text_of({"content": output}))
    return [found.get(call_id, "") for call_id in call_ids]


class NoisyOracle(Oracle):
    """`builtin/noisy-oracle?p=0.7`: the oracle with probability `p` in a rollout, else it gives up at once."""

    def __init__(self, spec: str = "builtin/noisy-oracle", p: float = 0.7) -> None:
        super().__init__(spec)
        self.p = p
        self.plays = True

    def fresh(self, context: RolloutContext) -> Embedded:
        model = NoisyOracle(self.spec, self.p)
        # A stream of its own: the environment draws from Random(seed), and success must not hang on what it drew.
        model.plays = random.Random(f"{context.seed} noisy-oracle").random() < self.p
        return model

    async def turn(self, request: Request) -> list[Item]:
        return await super().turn(request) if self.plays else [self.message(GIVES_UP)]

    def identity(self) -> JSONObject:
        return {"spec": self.spec, "p": self.p}


class RandomCalls(Embedded):
    """`builtin/random?turns=3`: a random call that fits its tool's schema for `turns` turns, then random words."""

    def __init__(self, spec: str = "builtin/random", turns: int = 3, seed: int = 0) -> None:
        super().__init__(spec)
        self.turns = turns
        self._rng = random.Random(f"{seed} random")

    def fresh(self, context: RolloutContext) -> Embedded:
        return RandomCalls(self.spec, self.turns, context.seed)

    async def turn(self, request: Request) -> list[Item]:
        if self._turns >= self.turns or not request.tools:
            return [self.message(" ".join(self._rng.choices(WORDS, k=self._rng.randint(1, 8))))]
        tool = self._rng.choice(request.tools)
        schema = tool.get("parameters") or {"type": "object"}
        value = Sampler(schema, self._rng).sample()
        return [self.call(tool["name"], value if isinstance(value, dict) else {})]

    def identity(self) -> JSONObject:
        return {"spec": self.spec, "turns": self.turns}


class Null(Embedded):
    """`builtin/null`: says nothing and calls nothing."""

    def __init__(self, spec: str = "builtin/null") -> None:
        super().__init__(spec)

    async def turn(self, request: Request) -> list[Item]:
        return [self.message("")]

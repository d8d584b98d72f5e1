"""Embedded models that need no key and no network: they play a script, and play the same one for the same seed."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from gym_mcp.errors import EnvironmentFailure, ModelError
from gym_mcp.models.base import Model, Request, Response, RolloutContext, Usage
from gym_mcp.models.sampler import Sampler
from gym_mcp.types import Item, JSONObject, assistant_message, text_of

GIVES_UP: Final = "I do not know."
ASIDE: Final = "Side task:"
"""How the system message of a question on the side begins: to review, plan or choose, not to act or answer."""
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
    """`builtin/oracle`: plays the environment's reference solution.

    Its place is the step after the last one that stands in the conversation. So an answer that a harness drops
    (one of some samples, a draft) is given again, and a question on the side does not move it.
    """

    def __init__(self, spec: str = "builtin/oracle") -> None:
        super().__init__(spec)
        self._played: dict[str, _Played] = {}
        """What it answered, by the ids of its items."""
        self._last: _Played | None = None

    async def turn(self, request: Request) -> list[Item]:
        if self.context is None:
            raise ModelError(f"{self.spec} plays an environment's solution: it works inside a rollout only")
        question = aside_of(request.input)
        if question is not None:
            return [self.message(answer_aside(question))]
        before = self._place(request.input)
        index = before.step + 1 if before else 0
        calls = before.calls if before else []
        results = outputs_of(calls, request.input) if calls else _reply(request.input)
        step = await self.context.episode.reference_step(index, results)
        items = [self.call(call.name, call.arguments) for call in step.calls]
        played = _Played(index, [item["call_id"] for item in items], step.say or "")
        if step.say is not None or not items:
            items.insert(0, self.message(step.say or ""))
        self._last = played
        self._played |= {item["id"]: played for item in items} | {call_id: played for call_id in played.calls}
        return items

    def _place(self, items: Sequence[Item]) -> _Played | None:
        """The last of its answers that stands in the conversation."""
        for item in reversed(items):
            found = self._played.get(item.get("call_id") or item.get("id") or "")
            if found is not None:
                return found
            if self._last and not self._last.calls and item.get("role") == "assistant":
                if "id" not in item and text_of(item) == self._last.say:  # a dialect without ids of messages
                    return self._last
        return None


class _Played(NamedTuple):
    """A step as it was played: its number, the ids of its calls, and what it said."""

    step: int
    calls: list[str]
    say: str


def aside_of(items: Sequence[Item]) -> str | None:
    """The text of a question on the side: its first message, the system's, begins with `ASIDE`. Else None."""
    if not items or items[0].get("role") not in ("system", "developer"):
        return None
    return "\n".join(map(text_of, items[1:])) if text_of(items[0]).startswith(ASIDE) else None


def answer_aside(question: str) -> str:
    """What a scripted model says as reviewer, planner or chooser. It knows one thing: whether an answer gave up.

    Of numbered candidates it takes the first that did not give up; else it asks for another try when the last
    line gives up, and has no objection otherwise.
    """
    candidates: list[tuple[str, str]] = re.findall(r"^Candidate (\d+):\n(.*)$", question, re.MULTILINE)
    if candidates:
        return next((number for number, text in candidates if text != GIVES_UP), candidates[0][0])
    return "RETRY" if question.endswith(GIVES_UP) else "OK"


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
    """`builtin/noisy-oracle?p=0.7`: the oracle with probability `p` in a rollout, else it gives up at once.

    With `per=turn` it is drawn anew for each answer, so that asking again can help.
    """

    def __init__(self, spec: str = "builtin/noisy-oracle", p: float = 0.7, per: str = "rollout") -> None:
        super().__init__(spec)
        self.p = p
        self.per = per
        self.plays = True
        self._rng = random.Random(0)

    def fresh(self, context: RolloutContext) -> Embedded:
        model = NoisyOracle(self.spec, self.p, self.per)
        # A stream of its own: the environment draws from Random(seed), and success must not hang on what it drew.
        model._rng = random.Random(f"{context.seed} noisy-oracle")
        model.plays = self.per == "turn" or model._rng.random() < self.p
        return model

    async def turn(self, request: Request) -> list[Item]:
        plays = self.plays
        if self.per == "turn" and aside_of(request.input) is None:
            plays = self._rng.random() < self.p
        return await super().turn(request) if plays else [self.message(GIVES_UP)]

    def identity(self) -> JSONObject:
        return {"spec": self.spec, "p": self.p} | ({} if self.per == "rollout" else {"per": self.per})


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

"""The judge: a model that `verify` may ask. Its failures and its tokens are its own, never the agent's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from gym_mcp.errors import JudgeError, ModelError, UsageError
from gym_mcp.models.base import Model, Request, Usage
from gym_mcp.types import Item, JSONObject, Transcript, user_message

if TYPE_CHECKING:
    from gym_mcp.judge_cache import JudgeCache


@dataclass(slots=True)
class Hearing:
    """What one `verify` or `verify_group` has to do with the judge.

    `cached` calls were answered from disk and cost nothing.
    """

    task_id: str
    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0
    """US dollars; None once the price of a call was not known."""
    cached: int = 0

    def add(self, usage: Usage, price: tuple[float, float] | None) -> None:
        """Count one call that was made; `price` is US dollars per million input and output tokens."""
        usage.calls = usage.calls or 1
        self.usage.add(usage)
        if price is None:
            self.cost = None
        elif self.cost is not None:
            self.cost += (usage.input * price[0] + usage.output * price[1]) / 1e6

    @property
    def judge_usage(self) -> JSONObject | None:
        """`judge_usage` of a rollout row; None when the judge was not asked."""
        if not self.usage.calls and not self.cached:
            return None
        return {**self.usage.as_json(), "cost": self.cost, "cached_calls": self.cached}


hearing: ContextVar[Hearing | None] = ContextVar("hearing", default=None)
"""Set while author code scores."""


class Judge:
    """What an environment sees as `self.judge`. Without a model, asking it is a `JudgeError`."""

    spec: str | None = None

    async def ask(self, prompt: str | Sequence[Item], *, vote: int = 0, **params: Any) -> str:
        """The judge's reply to `prompt`, as text. `params` are Responses-API fields (`temperature`, ...).

        `vote` numbers the times that the same thing is asked: each has a reply of its own in the cache. Raises
        `JudgeError` when there is no judge or it cannot be reached; what to make of an odd reply is the verifier's
        business.
        """
        raise JudgeError("this environment needs a judge model: give one with --judge SPEC")

    async def aclose(self) -> None:
        """Close connections."""
        return None


class ModelJudge(Judge):
    """A judge behind any `Model`. With a cache, the same question is asked once."""

    def __init__(self, model: Model, cache: JudgeCache | None = None) -> None:
        self.spec = model.spec
        self.model = model
        self._cache = cache
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def ask(self, prompt: str | Sequence[Item], *, vote: int = 0, **params: Any) -> str:
        items = [user_message(prompt)] if isinstance(prompt, str) else prompt
        if self._cache is None:
            return (await self._respond(items, params))[0]
        key = self._cache.key(self.model.identity(), items, params, vote)
        async with self._asking.setdefault(key, asyncio.Lock()):
            known = self._cache.get(key)
            if known is not None:
                current = hearing.get()
                if current is not None:
                    current.cached += 1
                return str(known["reply"])
            reply, usage, whole = await self._respond(items, params)
            if not whole:
                return reply
            entry = self._cache.put(key, {"reply": reply, "judge": self.spec, "usage": usage.as_json()})
            return str(entry["reply"])

    async def _respond(self, items: Sequence[Item], params: JSONObject) -> tuple[str, Usage, bool]:
        """(reply, its tokens, whether it is one: neither cut short nor empty)."""
        try:
            response = await self.model.respond(Request(items, params=params))
        except ModelError as e:
            raise JudgeError(f"judge {self.spec}: {e}", detail=e.detail) from e
        current = hearing.get()
        if current is not None:
            current.add(response.usage, self.model.price)
        text = Transcript(response.output).text
        return text, response.usage, response.status == "completed" and bool(text.strip())

    async def aclose(self) -> None:
        await self.model.aclose()


class RecordedJudge(Judge):
    """Replies recorded earlier, by task: rows with `task` and `reply` (or `replies`), used up in order.

    Rollout rows of NeMo Gym, which hold the judge's replies as `judge_evaluations`, may stand there too: these
    are heard when that very rollout is scored (`rehear`).
    """

    def __init__(self, path: Path) -> None:
        from gym_mcp.datasets import Rows

        self.spec = f"replay:{path}"
        self._replies: dict[str, list[str]] = {}
        for where, row in Rows(path):
            if "response" in row:
                continue
            replies = row.get("replies", row.get("reply"))
            texts = [replies] if isinstance(replies, str) else replies
            if "task" not in row or not isinstance(texts, list):
                raise UsageError(
                    f"{where}: a judge's row has `task` and `reply` (a text) or `replies` (a list), or is a "
                    "rollout with its `response`"
                )
            self._replies.setdefault(str(row["task"]), []).extend(map(str, texts))

    def rehear(self, task_id: str, rollout: JSONObject) -> None:
        """Let what the judge said of a rollout, if its row holds that, be all that is left for its task."""
        if "judge_evaluations" in rollout:
            self._replies[task_id] = evaluations(rollout["judge_evaluations"])

    async def ask(self, prompt: str | Sequence[Item], *, vote: int = 0, **params: Any) -> str:
        current = hearing.get()
        replies = self._replies.get(current.task_id) if current is not None else None
        if not replies:
            task = "" if current is None else f" {current.task_id}"
            raise JudgeError(f"{self.spec}: no recorded reply is left for task{task}")
        return replies.pop(0)


def evaluations(recorded: Any) -> list[str]:
    """The judge's replies in NeMo Gym's `judge_evaluations`, in order; null where no judge was asked."""
    listed = recorded if isinstance(recorded, list) else []
    responses = [one.get("response") for one in listed if isinstance(one, dict)]
    outputs = [one.get("output") for one in responses if isinstance(one, dict)]
    return [Transcript(items).text for items in outputs if isinstance(items, list)]


def make_judge(spec: str, *, base_url: str | None = None, cached: bool = True, **settings: Any) -> Judge:
    """The judge of `--judge SPEC`: a model spec, or `replay:FILE.jsonl` with recorded replies.

    `cached`: keep its replies where GYM_MCP_JUDGE_CACHE says. `settings` are those of `make_model`.
    """
    if spec.startswith("replay:"):
        return RecordedJudge(Path(spec.removeprefix("replay:")))
    from gym_mcp.judge_cache import JudgeCache
    from gym_mcp.models.spec import make_model

    return ModelJudge(make_model(spec, base_url=base_url, **settings), JudgeCache.default() if cached else None)

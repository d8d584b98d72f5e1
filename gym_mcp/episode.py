"""Episodes: leased instances of an environment, each with a lock, a ledger and an unguessable handle."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import math
import secrets
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gym_mcp.bounded import Runner
from gym_mcp.environment import Environment
from gym_mcp.errors import EnvironmentFailure, EpisodeGone, JudgeError, ToolError, VerifierError
from gym_mcp.judge import Hearing, hearing
from gym_mcp.tools import Tool, render, storable
from gym_mcp.types import Call, JSONObject, Reward, Task, ToolResult, Transcript

CallError = Literal["tool", "arguments", "unknown_tool", "too_large", "timeout", "exception", "cancelled"]
FINISHED: Final = "This episode has ended and takes no more calls."
_CLOSE_TIMEOUT: Final = 10.0
_JUDGED_TIMEOUT: Final = 900.0
"""Seconds for a `verify` that asks a judge: an endpoint's retries take their time."""


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
    detail: str = ""

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
        return out


@dataclass(slots=True)
class Step:
    """One step of the reference solution: calls to make (in parallel) or something to say."""

    calls: list[Call] = field(default_factory=list)
    say: str | None = None
    done: bool = False


class Episode:
    """One live episode. All calls are serialised; nothing gets in after `verify` or `close`."""

    def __init__(self, cls: type[Environment[Any]], task: Task[Any], seed: int, handle: str, ttl: float) -> None:
        self.handle = handle
        self.task = task
        self.seed = seed
        self.ledger: list[LedgerEntry] = []
        self.tools: dict[str, Tool] = {}
        self.ttl = ttl
        self.opened_at = time.time()
        self.reward: Reward | None = None
        self.judge_usage: JSONObject | None = None
        self.broken: EnvironmentFailure | None = None
        self.seen = False
        """Whether an agent has listed the tools."""
        self.closed = False
        self.frozen = False
        self._cls = cls
        self._start = time.monotonic()
        self.expires = self._start + ttl
        self._lock = asyncio.Lock()
        self._run = Runner(cls)
        self._solution: Any = None
        self._steps: list[Step] = []
        self.environment = cls()
        self.environment.seed = seed
        self.environment.task = task

    @property
    def environment_type(self) -> type[Environment[Any]]:
        return self._cls

    @property
    def ended(self) -> bool:
        """Whether the agent can do nothing more."""
        return self.frozen or self.closed or self.broken is not None or self.environment.done

    async def open(self) -> None:
        """Run the author's `open` and settle the tools of this task."""
        await self._author("open", self.environment.open, self.task)
        self.tools = await self._settle_tools()

    async def _settle_tools(self) -> dict[str, Tool]:
        declared = self._cls.tools()
        wanted = await self._author("tools_for", self.environment.tools_for, self.task)
        if wanted is None:
            return declared
        tools: dict[str, Tool] = {}
        for entry in wanted:
            if isinstance(entry, Tool):
                tools[entry.name] = entry
            elif entry in declared:
                tools[entry] = declared[entry]
            else:
                raise EnvironmentFailure(f"task {self.task.id}: it allows tool `{entry}`, which does not exist")
        return tools

    async def _author(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """An author's method under the time limit; whatever goes wrong in it is the environment's failure."""
        try:
            return await self._run(function, *args, timeout=self._cls.call_timeout)
        except TimeoutError:
            failure = EnvironmentFailure(f"{self._cls.name}.{what} took longer than {self._cls.call_timeout:g} s")
        except EnvironmentFailure as e:
            failure = e
        except Exception as e:
            failure = EnvironmentFailure(
                f"{self._cls.name}.{what} raised {_one_line(e)}", retryable=True, detail=traceback.format_exc()
            )
        self.broken = failure
        raise failure

    # -- agent plane -----------------------------------------------------------------------------------------

    async def call(self, name: str, arguments: JSONObject) -> ToolResult:
        """Run one tool call and enter it into the ledger. Never raises on what an agent sends."""
        async with self._lock:
            if self.ended:
                return ToolResult(FINISHED, is_error=True, ended=True)
            self.expires = time.monotonic() + self.ttl
            if len(self.ledger) >= self._cls.max_calls:
                return ToolResult(f"The limit of {self._cls.max_calls} tool calls is reached.", is_error=True)
            start = time.monotonic() - self._start
            name, arguments = storable(name), storable(arguments)
            try:
                result, error, detail = await self._execute(name, arguments)
            except asyncio.CancelledError:  # half of it may have happened: the ledger must say so
                self._record(name, arguments, ToolResult("", is_error=True), "cancelled", start)
                raise
            result.text = storable(result.text)
            if self.environment.done:
                result.ended = True
            self._record(name, arguments, result, error, start, detail)
            return result

    def _record(
        self,
        name: str,
        arguments: JSONObject,
        result: ToolResult,
        error: CallError | None,
        start: float,
        detail: str = "",
    ) -> None:
        images = tuple(hashlib.sha256(i.data).hexdigest() for i in result.images)
        end = time.monotonic() - self._start
        self.ledger.append(
            LedgerEntry(
                len(self.ledger),
                name,
                arguments,
                result.text,
                error,
                round(start, 6),
                round(end, 6),
                images,
                detail,
            )
        )

    async def _execute(self, name: str, arguments: JSONObject) -> tuple[ToolResult, CallError | None, str]:
        tool = self.tools.get(name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return (
                ToolResult(f"Unknown tool `{name}`. Available tools: {known}.", is_error=True),
                "unknown_tool",
                "",
            )
        try:
            valid = tool.validate(arguments)
        except ToolError as e:
            return ToolResult(str(e), is_error=True), "arguments", ""
        except Exception as e:  # a schema that came with the task and is none
            return self._crashed(name, e)
        limit = self._cls.call_timeout
        try:
            value = await self._run(tool.invoke, self.environment, valid, timeout=limit)
            result = render(value)
        except ToolError as e:
            return ToolResult(str(e), is_error=True), "tool", ""
        except TimeoutError:
            self.broken = EnvironmentFailure(f"tool `{name}` took longer than {limit:g} s")
            return ToolResult("The tool timed out.", is_error=True, ended=True), "timeout", ""
        except Exception as e:
            return self._crashed(name, e)
        if len(result.text) > self._cls.max_result_chars:
            text = f"The result is too large: {len(result.text)} characters, {self._cls.max_result_chars} allowed."
            return ToolResult(text, is_error=True), "too_large", ""
        return result, None, ""

    def _crashed(self, name: str, error: Exception) -> tuple[ToolResult, CallError | None, str]:
        # Its text may hold the answer: the agent learns only that it happened.
        detail = "".join(traceback.format_exception(error))
        self.broken = EnvironmentFailure(f"tool `{name}` raised {_one_line(error)}", retryable=True, detail=detail)
        return ToolResult("The tool failed.", is_error=True, ended=True), "exception", detail

    # -- operator plane --------------------------------------------------------------------------------------

    async def reply(self, message: str) -> str | None:
        """The next user message after the agent said `message`; None ends the conversation."""
        async with self._lock:
            self._refuse_if_over()
            self.expires = time.monotonic() + self.ttl
            if self.environment.done:
                return None
            value = await self._author("reply", self.environment.reply, message)
            return None if value is None else str(value)

    def _refuse_if_over(self) -> None:
        if self.broken is not None:
            raise self.broken
        if self.closed or self.frozen:
            raise EpisodeGone(FINISHED)

    async def verify(self, transcript: Transcript) -> Reward:
        """Freeze the episode and score it, once: later calls return the same reward."""
        async with self._lock:
            if self.reward is not None:
                return self.reward
            if self.closed:
                raise EpisodeGone(FINISHED)
            self.frozen = True  # before the author's code runs, so that nothing lands after scoring
            if self.broken is not None:
                raise self.broken
            self.reward = check_reward(self._cls, await self._verify(transcript))
            return self.reward

    async def _verify(self, transcript: Transcript) -> Any:
        name, judged = self._cls.name, self._cls.judge.spec is not None
        limit = max(self._cls.call_timeout, _JUDGED_TIMEOUT if judged else 0.0)
        current = Hearing(self.task.id)
        token = hearing.set(current)
        try:
            return await self._run(self.environment.verify, transcript, timeout=limit)
        except (JudgeError, VerifierError):
            raise
        except TimeoutError:
            raise VerifierError(f"{name}.verify took longer than {limit:g} s") from None
        except Exception as e:
            raise VerifierError(f"{name}.verify raised {_one_line(e)}", detail=traceback.format_exc()) from None
        finally:
            hearing.reset(token)
            if current.usage.calls:
                self.judge_usage = current.usage.as_json()

    async def reference_step(self, index: int, results: Sequence[str]) -> Step:
        """Step `index` of the reference solution; `results` are what the step before it brought back."""
        async with self._lock:
            self._refuse_if_over()
            if not self._cls.has("solution"):
                raise EnvironmentFailure(f"{self._cls.name} has no solution()")
            while len(self._steps) <= index:
                self._steps.append(await self._author("solution", self._advance, list(results)))
            return self._steps[index]

    def _advance(self, results: list[str]) -> Any:
        if self._solution is None:
            self._solution = _as_iterator(self.environment.solution())
        elif self._steps and self._steps[-1].done:
            return Step(done=True)
        previous = self._steps[-1] if self._steps else None
        solution = self._solution
        sent: Any = None
        if previous is not None and results:
            sent = results if len(previous.calls) > 1 else results[0]
        if inspect.isasyncgen(solution):
            return _advance_async(solution, sent)
        try:
            step = solution.send(sent) if inspect.isgenerator(solution) else next(solution)
        except StopIteration as end:
            return Step(say=end.value if isinstance(end.value, str) else None, done=True)
        return _as_step(step)

    async def close(self) -> None:
        """Free the episode. Errors in the author's `close` are swallowed: the outcome is already known."""
        async with self._lock:
            if self.closed:
                return
            self.closed = True
            if not self._cls.has("close"):
                return
            try:
                await self._run(self.environment.close, timeout=_CLOSE_TIMEOUT)
            except Exception:
                return


def check_reward(cls: type[Environment[Any]], value: Any) -> Reward:
    """`value` as a `Reward` inside the declared range; anything else is the verifier's error, not a score."""
    score: Any = value.score if isinstance(value, Reward) else value
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise VerifierError(f"{cls.name}.verify returned {score!r:.200}, which is no score")
    low, high = cls.reward_range
    if not low <= score <= high:
        raise VerifierError(f"{cls.name}.verify returned {score:g}, outside its range [{low:g}, {high:g}]")
    if isinstance(value, Reward):
        for part, number in value.components.items():
            if not isinstance(number, int | float) or not math.isfinite(number):
                raise VerifierError(f"{cls.name}.verify returned {number!r:.200} as component `{part}`")
        return Reward(float(score), {k: float(v) for k, v in value.components.items()}, value.notes)
    return Reward(float(score))


def _as_iterator(solution: Any) -> Any:
    if inspect.isgenerator(solution) or inspect.isasyncgen(solution):
        return solution
    if isinstance(solution, str | Call):
        return iter([solution])
    return iter(solution)


def _as_step(step: Any) -> Step:
    if isinstance(step, Call):
        return Step(calls=[step])
    if isinstance(step, str):
        return Step(say=step)
    if isinstance(step, list) and all(isinstance(c, Call) for c in step):
        return Step(calls=step)
    raise TypeError(f"solution() gave {step!r}: a step is a Call, a list of Calls or a str")


async def _advance_async(solution: Any, sent: Any) -> Step:
    try:
        return _as_step(await solution.asend(sent))
    except StopAsyncIteration:
        return Step(done=True)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class EpisodeStore:
    """All live episodes of one environment type: bounded in number, leased, collected.

    `open` is idempotent by key; the verdict of a closed episode stays readable for a while, so that a client
    that lost the answer may ask again.
    """

    def __init__(
        self,
        cls: type[Environment[Any]],
        *,
        max_episodes: int = 16_384,
        ttl: float = 3_600.0,
        remember: int = 1_024,
    ) -> None:
        self.environment_type = cls
        self.max_episodes = max_episodes
        self.ttl = ttl
        self._live: dict[str, Episode] = {}
        self._opening: dict[str, asyncio.Future[Episode]] = {}
        self._by_key: OrderedDict[str, str] = OrderedDict()
        self._finished: OrderedDict[str, Episode] = OrderedDict()
        self._remember = remember

    def __len__(self) -> int:
        return len(self._live)

    def __iter__(self) -> Iterator[Episode]:
        return iter(list(self._live.values()))

    async def open(
        self, task: Task[Any], seed: int, *, key: str | None = None, ttl: float | None = None
    ) -> Episode:
        """A new episode of `task`, or the one already opened under `key`."""
        if key is None:
            return await self._open(task, seed, ttl)
        pending = self._opening.get(key)
        if pending is not None:
            return await asyncio.shield(pending)
        handle = self._by_key.get(key)
        if handle is not None and handle in self._live:
            return self._live[handle]
        pending = self._opening[key] = asyncio.get_running_loop().create_future()
        try:
            episode = await self._open(task, seed, ttl)
        except BaseException as e:
            pending.set_exception(e if isinstance(e, Exception) else EnvironmentFailure("open was cancelled"))
            pending.exception()  # retrieved: nobody else may be waiting
            raise
        else:
            pending.set_result(episode)
            self._by_key[key] = episode.handle
            while len(self._by_key) > 2 * self.max_episodes:
                self._by_key.popitem(last=False)
            return episode
        finally:
            del self._opening[key]

    async def _open(self, task: Task[Any], seed: int, ttl: float | None) -> Episode:
        if len(self._live) >= self.max_episodes:
            await self.collect()
            if len(self._live) >= self.max_episodes:
                raise EnvironmentFailure(f"{self.max_episodes} episodes are open already", retryable=True)
        lease = self.ttl if ttl is None else min(ttl, self.ttl)
        try:
            episode = Episode(self.environment_type, task, seed, secrets.token_urlsafe(24), lease)
        except (Exception, SystemExit) as e:
            raise EnvironmentFailure(
                f"{self.environment_type.name}() raised {_one_line(e)}", detail=traceback.format_exc()
            ) from None
        self._live[episode.handle] = episode
        try:
            await episode.open()
        except BaseException:
            self._live.pop(episode.handle, None)
            await episode.close()
            raise
        return episode

    def get(self, handle: str) -> Episode:
        """The live episode; `EpisodeGone` when it is unknown, closed or expired."""
        episode = self._live.get(handle)
        if episode is None or episode.expires < time.monotonic():
            raise EpisodeGone("no such episode: never opened, closed or expired")
        return episode

    def finished(self, handle: str) -> Episode | None:
        """A closed episode that is still remembered, for its verdict and ledger."""
        return self._finished.get(handle)

    async def close(self, handle: str) -> None:
        """Close an episode; closing one that is gone does nothing."""
        episode = self._live.pop(handle, None)
        if episode is None:
            return
        self._finished[handle] = episode
        while len(self._finished) > self._remember:
            self._finished.popitem(last=False)
        await episode.close()

    async def collect(self) -> int:
        """Close what has outlived its lease; how many that were."""
        now = time.monotonic()
        expired = [e.handle for e in self._live.values() if e.expires < now]
        for handle in expired:
            await self.close(handle)
        return len(expired)

    async def close_all(self) -> None:
        """Close every episode."""
        for handle in list(self._live):
            await self.close(handle)

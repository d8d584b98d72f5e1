"""Episodes: leased instances of an environment, each with a lock, a ledger and an unguessable handle."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from pydantic_core import to_jsonable_python

from gym_mcp.bounded import Runner, TimeUp
from gym_mcp.environment import Environment
from gym_mcp.errors import (
    EnvironmentFailure,
    EpisodeGone,
    JudgeError,
    RolloutError,
    ToolError,
    UsageError,
    one_line,
)
from gym_mcp.judge import Hearing
from gym_mcp.ledger import LedgerEntry, Outcome, entry
from gym_mcp.reward import check_reward
from gym_mcp.slots import Slots
from gym_mcp.solution import SolutionSteps, Step
from gym_mcp.tools import InvalidArguments, Tool, render, storable
from gym_mcp.turns import Turns
from gym_mcp.types import Image, JSONObject, Reward, Task, ToolResult, Transcript
from gym_mcp.verdict import hear

FINISHED: Final = "This episode has ended and takes no more calls."
MAX_CALLER: Final = 200
"""Characters of a caller's name that the ledger keeps."""
_CLOSE_TIMEOUT: Final = 10.0


class Episode:
    """One live episode. Calls are serialised, but for those of tools that only read, which may overlap each other.

    Nothing gets in after `verify` or `close`.
    """

    environment: Environment[Any]
    """The author's instance, from `open` on; emptied by `close`."""

    def __init__(
        self,
        cls: type[Environment[Any]],
        task: Task[Any],
        seed: int,
        handle: str,
        ttl: float,
        slots: Slots | None = None,
    ) -> None:
        self.handle = handle
        self.task = task
        self.seed = seed
        self.key: str | None = None
        self.ledger: list[LedgerEntry] = []
        self.tools: dict[str, Tool] = {}
        self.ttl = ttl
        self.opened_at = time.time()
        self.reward: Reward | None = None
        self.judge_usage: JSONObject | None = None
        self.broken: RolloutError | None = None
        self.seen = False
        """Whether an agent has listed the tools."""
        self.closed = False
        self.frozen = False
        self._cls = cls
        self._start = time.monotonic()
        self.expires = self._start + ttl
        self._lock = Turns()
        self._slots = slots
        self._run = Runner(cls)
        self._solution: SolutionSteps | None = None
        self._unscored: RolloutError | None = None

    @property
    def environment_type(self) -> type[Environment[Any]]:
        return self._cls

    @property
    def ended(self) -> bool:
        """Whether the agent can do nothing more."""
        return self.frozen or self.closed or self.broken is not None or self.environment.done

    @property
    def expired(self) -> bool:
        """Whether the lease has run out. A call in progress keeps it."""
        return self.expires < time.monotonic() and not self._lock.locked()

    async def open(self) -> None:
        """Make the environment, run the author's `open` and settle the tools of this task."""
        async with self._lock:
            await self._author("open", self._open)
            self.tools = await self._settle_tools()
            self.expires = time.monotonic() + self.ttl

    def _open(self) -> Any:
        self.environment = self._cls()
        self.environment.seed = self.seed
        self.environment.task = self.task
        return self.environment.open(self.task)

    async def _settle_tools(self) -> dict[str, Tool]:
        declared = self._cls.tools()
        wanted = await self._author("tools_for", self.environment.tools_for, self.task)
        if wanted is None:
            return declared
        tools: dict[str, Tool] = {}
        for tool in await self._author("tools_for", list, wanted):  # it may be a generator, author code too
            if isinstance(tool, Tool):
                tools[tool.name] = tool
            elif isinstance(tool, str) and tool in declared:
                tools[tool] = declared[tool]
            else:
                raise EnvironmentFailure(f"task {self.task.id}: it allows tool `{tool}`, which does not exist")
        return tools

    async def _author(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """An author's method under the time limit; whatever goes wrong in it is the environment's failure."""
        failure: RolloutError
        try:
            return await self._run(function, *args, timeout=self._cls.call_timeout)
        except TimeUp:
            failure = EnvironmentFailure(f"{self._cls.name}.{what} took longer than {self._cls.call_timeout:g} s")
        except (EnvironmentFailure, JudgeError) as e:
            failure = e
        except Exception as e:
            failure = EnvironmentFailure(
                f"{self._cls.name}.{what} raised {one_line(e)}", retryable=True, detail=traceback.format_exc()
            )
        self.broken = failure
        raise failure

    # -- agent plane -----------------------------------------------------------------------------------------

    async def call(self, name: str, arguments: JSONObject, caller: str = "") -> ToolResult:
        """Run one tool call and enter it into the ledger. Never raises on what an agent sends.

        `caller` is the client's name for the part of it that calls (a branch, a sub-agent); the ledger keeps it.
        """
        tool = self.tools.get(name)
        make = self._call if self._slots is None else self._call_in_turn
        if tool is not None and tool.spec.read_only:
            await self._lock.enter_shared()
            try:
                return await make(name, arguments, caller)
            finally:
                self._lock.leave_shared()
        async with self._lock:
            return await make(name, arguments, caller)

    async def _call_in_turn(self, name: str, arguments: JSONObject, caller: str) -> ToolResult:
        """`_call`, when the environment makes only so many at a time. The wait does not use up the lease."""
        assert self._slots is not None
        lease = self.expires - time.monotonic()
        await self._slots.enter(self.handle)
        try:
            self.expires = time.monotonic() + lease
            return await self._call(name, arguments, caller)
        finally:
            self._slots.leave()

    async def _call(self, name: str, arguments: JSONObject, caller: str) -> ToolResult:
        now = time.monotonic()
        if self.ended or self.expires < now:
            return ToolResult(FINISHED, is_error=True, ended=True)
        if len(self.ledger) + max(0, self._lock.readers - 1) >= self._cls.max_calls:
            return ToolResult(f"The limit of {self._cls.max_calls} tool calls is reached.", is_error=True)
        name, kept = storable(name), storable(arguments)
        try:
            if arguments and not kept:
                outcome = Outcome.failed("arguments", f"Invalid arguments for {name}: nested too deeply")
            else:
                outcome = await self._execute(name, kept)
        except asyncio.CancelledError:  # half of it may have happened: the ledger must say so
            self._record(name, kept, Outcome.failed("cancelled", ""), now, caller)
            raise
        outcome.result.text = storable(outcome.result.text)
        outcome.result.ended = outcome.result.ended or self.environment.done
        self._record(name, kept, outcome, now, caller)
        return outcome.result

    def _record(self, name: str, arguments: JSONObject, outcome: Outcome, started: float, caller: str) -> None:
        now = time.monotonic()
        self.expires = now + self.ttl
        start, end = started - self._start, now - self._start
        made = entry(len(self.ledger), name, arguments, outcome, start, end)
        if caller:
            made.caller = storable(caller)[:MAX_CALLER]
        self.ledger.append(made)

    async def _execute(self, name: str, arguments: JSONObject) -> Outcome:
        tool = self.tools.get(name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            return Outcome.failed("unknown_tool", f"Unknown tool `{name}`. Available tools: {known}.")
        limit = self._cls.call_timeout
        try:
            value = await self._run(_invoke, tool, self.environment, arguments, timeout=limit)
            result = value if type(value) is ToolResult else render(value)
        except InvalidArguments as e:
            return Outcome.failed("arguments", str(e))
        except ToolError as e:
            return Outcome.failed("tool", str(e))
        except TimeUp:
            self.broken = EnvironmentFailure(f"tool `{name}` took longer than {limit:g} s")
            return Outcome.failed("timeout", "The tool timed out.", ended=True)
        except Exception as e:
            # Its text may hold the answer: the agent learns only that it happened.
            detail = traceback.format_exc()
            self.broken = EnvironmentFailure(f"tool `{name}` raised {one_line(e)}", retryable=True, detail=detail)
            return Outcome.failed("exception", "The tool failed.", ended=True, detail=detail)
        if len(result.text) > self._cls.max_result_chars:
            text = f"The result is too large: {len(result.text)} characters, {self._cls.max_result_chars} allowed."
            return Outcome.failed("too_large", text)
        size = sum(len(image.data) for image in result.images)
        if size > self._cls.max_image_bytes:
            text = f"The result is too large: {size} bytes of images, {self._cls.max_image_bytes} allowed."
            return Outcome.failed("too_large", text)
        return Outcome(result, "tool" if result.is_error else None)

    async def resources(self) -> Mapping[str, str | bytes | Image]:
        """The files that the author shows the agent. `EpisodeGone` once the episode is over."""
        async with self._lock:
            if self.closed or self.frozen:
                raise EpisodeGone(FINISHED)
            found = await self._run(self.environment.resources, timeout=self._cls.call_timeout)
            return dict(found)

    # -- operator plane --------------------------------------------------------------------------------------

    async def reply(self, message: str) -> str | None:
        """The next user message after the agent said `message`; None ends the conversation."""
        async with self._lock:
            self._refuse_if_over()
            if self.environment.done:
                return None
            value = await self._author("reply", self.environment.reply, message)
            self.expires = time.monotonic() + self.ttl
            return None if value is None else str(value)

    def _refuse_if_over(self) -> None:
        if self.broken is not None:
            raise self.broken.with_traceback(None)
        if self.closed or self.frozen or self.expires < time.monotonic():
            raise EpisodeGone(FINISHED)

    async def verify(self, transcript: Transcript) -> Reward:
        """Freeze the episode and score it, once: asked again, it gives the same reward or the same failure.

        Only a judge that could not be reached is asked anew, as long as the episode is open.
        """
        async with self._lock:
            if self.reward is not None:
                return self.reward
            if self._unscored is not None and (self.closed or not isinstance(self._unscored, JudgeError)):
                raise self._unscored.with_traceback(None)
            if self.closed:
                raise EpisodeGone(FINISHED)
            self.frozen = True  # before the author's code runs, so that nothing lands after scoring
            try:
                if self.broken is not None:
                    raise self.broken.with_traceback(None)
                self.reward = check_reward(self._cls, await self._verify(transcript))
            except RolloutError as e:
                self._unscored = e
                raise
            return self.reward

    async def _verify(self, transcript: Transcript) -> Any:
        about = Hearing(self.task.id)
        try:
            return await hear(self._cls, self._run, about, self.environment.verify, transcript, name="verify")
        finally:
            self.judge_usage = about.judge_usage or self.judge_usage

    async def state(self) -> JSONObject:
        """What the author shows the operator of the state, as JSON. It may be read after `verify`."""
        async with self._lock:
            if self.closed:
                raise EpisodeGone(FINISHED)
            try:
                state: JSONObject = await self._run(self._state, timeout=self._cls.call_timeout)
                return state
            except Exception as e:
                raise EnvironmentFailure(f"{self._cls.name}.state raised {one_line(e)}") from None

    def _state(self) -> Any:
        return to_jsonable_python(self.environment.state())

    async def reference_step(self, index: int, results: Sequence[str]) -> Step:
        """Step `index` of the reference solution; `results` are what the step before it brought back."""
        async with self._lock:
            self._refuse_if_over()
            if not self._cls.has("solution"):
                raise EnvironmentFailure(f"{self._cls.name} has no solution()")
            if self._solution is None:
                self._solution = SolutionSteps(self.environment.solution)
            steps = self._solution.steps
            if index < len(steps):
                return steps[index]
            if steps and steps[-1].done:
                return Step(done=True)
            if index > len(steps):
                raise UsageError(f"reference_solution: step {index} was asked for before step {len(steps)}")
            steps.append(await self._author("solution", self._solution.advance, results))
            return steps[index]

    def close_at_once(self) -> bool:
        """Close if that takes no author code and no waiting; whether it did."""
        if not self._lock.locked() and (self.closed or not self._cls.has("close")):
            self._free()
        return self.closed

    async def close(self) -> None:
        """Free the episode. Errors in the author's `close` are swallowed: the outcome is already known."""
        async with self._lock:
            if self.closed:
                return
            try:
                if self._cls.has("close") and hasattr(self, "environment"):
                    await self._run(self.environment.close, timeout=_CLOSE_TIMEOUT)
            except Exception:
                return
            finally:
                self._free()

    def _free(self) -> None:
        self.closed = True
        self._solution = None
        if hasattr(self, "environment"):  # a closed episode is remembered for its verdict, not for its state
            vars(self.environment).clear()


def _invoke(tool: Tool, environment: Any, arguments: JSONObject) -> Any:
    """Validation and rendering run author code too (validators, iterators): it belongs under the time limit."""
    value = tool.invoke(environment, tool.validate(arguments))
    return value if isinstance(value, Awaitable) else render(value)

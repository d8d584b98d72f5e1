"""A seat: the place of one person's agent at an environment, one episode after the other under one handle.

The agent can act in the episode, submit once, and go on to the next task. Every attempt that was handed out ends
in one row of the seat's book: submitted and scored, or failed with its kind.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gym_mcp.client import Verdict
from gym_mcp.connect.record import Book
from gym_mcp.episode import Episode
from gym_mcp.errors import EnvironmentFailure, RolloutCancelled, RolloutError, UsageError
from gym_mcp.server.service import Service
from gym_mcp.suggest import did_you_mean
from gym_mcp.types import Item, JSONObject, Task, ToolResult, ToolSpec, Transcript, assistant_message, user_message

LEASE: Final = 10 * 365 * 86_400.0
"""Seconds that the store may keep an episode: the seat itself ends what is idle."""
NO_MORE: Final = "That was the last task."


@dataclass(slots=True)
class Turn:
    """One attempt at one task, from its handing out to its row."""

    task: Task[Any]
    index: int
    repeat: int
    episode: Episode | None = None
    specs: tuple[ToolSpec, ...] = ()
    items: list[Item] = field(default_factory=list)
    row: JSONObject | None = None
    """The terminal row, once there is one."""
    talk_over: bool = False
    started: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    active: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        return self.row is not None


class Seat:
    """The current episode of one agent, and what comes after it.

    `tasks` are handed out in order; `hide_score` keeps verdicts from the agent; `may_go_on` lets the agent take
    the next task itself. Its handle opens the agent's plane for as long as the seat stands, whatever the episode.
    """

    def __init__(
        self,
        service: Service,
        tasks: Sequence[Task[Any]],
        book: Book,
        *,
        handle: str | None = None,
        hide_score: bool = False,
        may_go_on: bool = True,
    ) -> None:
        if not tasks:
            raise UsageError(f"environment {service.name} has no tasks: give some with --input FILE.jsonl")
        self.service = service
        self.tasks = {task.id: task for task in tasks}
        self.book = book
        self.handle = handle or secrets.token_urlsafe(24)
        self.hide_score = hide_score
        self.may_go_on = may_go_on
        self.turn: Turn | None = None
        self._moving = asyncio.Lock()
        self._ending: asyncio.Task[JSONObject] | None = None

    @property
    def multi_turn(self) -> bool:
        return self.service.environment_type.has("reply")

    @property
    def current(self) -> Turn:
        assert self.turn is not None  # a seat is shown to nobody before its first turn
        return self.turn

    @property
    def unfinished(self) -> bool:
        return self.turn is not None and not self.turn.over

    # -- the person's side -----------------------------------------------------------------------------------

    async def take(self, task_id: str | None = None, *, skip: bool = False) -> Turn:
        """Hand out `task_id`, or the next task in order; `UsageError` where there is none or one is unfinished.

        With `skip` an unfinished episode is given up, and recorded as cancelled.
        """
        async with self._moving:
            if self.unfinished and not skip:
                name = self.current.task.id
                raise UsageError(f"task {name} is unfinished: let the agent submit it, or give it up with --skip")
            task = self._choose(task_id)
            if self.unfinished:
                await self._give_up("skipped")
            await self._open(task)
            return self.current

    def _choose(self, task_id: str | None) -> Task[Any]:
        if task_id is not None:
            if task_id not in self.tasks:
                hint = did_you_mean(task_id, self.tasks)
                raise UsageError(f"environment {self.service.name}: no task `{task_id}`{hint}")
            return self.tasks[task_id]
        task = self._next_in_order()
        if task is None:
            count = len(self.tasks)
            raise UsageError(f"no task is left: all {count} were handed out; name one to do again with --task ID")
        return task

    def _next_in_order(self) -> Task[Any] | None:
        """The first task after the current one that was never handed out, then those before it."""
        tried = self.book.tried()
        ids = list(self.tasks)
        start = ids.index(self.current.task.id) + 1 if self.turn is not None else 0
        return next((self.tasks[i] for i in (*ids[start:], *ids[:start]) if i not in tried), None)

    @property
    def has_next(self) -> bool:
        return self._next_in_order() is not None

    async def _open(self, task: Task[Any]) -> None:
        index, repeat, seed = self.book.hand_out(task)
        self.turn = Turn(task, index, repeat)
        self._ending = None
        try:
            episode = await self.service.store.open(task, seed, ttl=LEASE)
            self.turn.episode = episode
            self.turn.specs = tuple(tool.spec for tool in episode.tools.values())
        except RolloutError as e:
            self._record(e, "completed")
            raise
        except BaseException:
            self._record(RolloutCancelled("interrupted while the episode was opened"), "completed")
            raise

    async def give_up(self, why: str) -> None:
        """End an unfinished episode: recorded as cancelled, or scored where the environment had ended it."""
        async with self._moving:
            if self.unfinished:
                await self._give_up(why)

    async def _give_up(self, why: str) -> None:
        turn = self.current
        if self._ending is not None:
            await asyncio.wait([self._ending])
            return
        if turn.episode is not None and _ended_by_itself(turn.episode):
            self._ending = asyncio.ensure_future(self._end("", stop="ended"))
            await asyncio.wait([self._ending])
            return
        if turn.episode is not None:
            await self.service.store.close(turn.episode.handle)
        self._record(RolloutCancelled(why), "completed")

    async def sweep(self, idle: float) -> None:
        """Give up an episode in which nothing happened for `idle` seconds."""
        if self.unfinished and time.monotonic() - self.current.active > idle and self._ending is None:
            await self.give_up(f"nothing happened for {idle:g} s")

    # -- the agent's side ------------------------------------------------------------------------------------

    async def call(self, name: str, arguments: JSONObject) -> ToolResult | None:
        """The result of one of the environment's tools; None once the attempt is over."""
        turn = self.current
        if turn.over or self._ending is not None or turn.episode is None:
            return None
        turn.active = time.monotonic()
        result = await turn.episode.call(name, arguments)
        turn.active = time.monotonic()
        call_id = f"call_{len(turn.items)}"
        call = {"type": "function_call", "call_id": call_id, "name": name, "arguments": _json(arguments)}
        output = {"type": "function_call_output", "call_id": call_id, "output": result.text}
        turn.items += [{**call, "status": "completed"}, output]
        return result

    async def say(self, message: str) -> str | None:
        """The user's answer to what the agent says; None when the conversation, or the attempt, is over.

        Raises `RolloutError` when the environment fails.
        """
        turn = self.current
        if turn.over or self._ending is not None or turn.episode is None or turn.talk_over:
            return None
        turn.active = time.monotonic()
        turn.items.append(assistant_message(message))
        answer = await turn.episode.reply(message)
        turn.active = time.monotonic()
        if answer is None:
            turn.talk_over = True
        else:
            turn.items.append(user_message(answer))
        return answer

    async def submit(self, answer: str) -> JSONObject:
        """Score and close the episode, once; the terminal row. Asked again it gives the same row.

        A client that leaves meanwhile changes nothing: the verdict is reached and recorded without it.
        """
        async with self._moving:
            if self.turn is not None and self.turn.row is not None:
                return self.turn.row
            if self._ending is None:
                self._ending = asyncio.ensure_future(self._end(answer))
            ending = self._ending
        return await asyncio.shield(ending)

    async def _end(self, answer: str, stop: str = "completed") -> JSONObject:
        turn = self.current
        episode = turn.episode
        assert episode is not None  # a turn without an episode has its row already
        if answer:
            turn.items.append(assistant_message(answer))
        if stop == "completed" and _ended_by_itself(episode):
            stop = "ended"
        outcome: Verdict | RolloutError
        try:
            reward = await episode.verify(Transcript(turn.items, stop))
            outcome = Verdict(reward, [e.as_json() for e in episode.ledger], episode.judge_usage)
        except RolloutError as e:
            outcome = e
        except Exception as e:  # a bug of ours must not leave the attempt without a row
            outcome = EnvironmentFailure(f"internal error: {type(e).__name__}: {e}")
        await self.service.store.close(episode.handle)
        return self._record(outcome, stop)

    def _record(self, outcome: Verdict | RolloutError, stop: str) -> JSONObject:
        turn = self.current
        ledger = [] if turn.episode is None else [e.as_json() for e in turn.episode.ledger]
        turn.row = self.book.record(
            (turn.index, turn.repeat),
            turn.task,
            turn.items,
            ledger,
            outcome,
            stop=stop,
            started=turn.started,
            seconds=time.monotonic() - turn.clock,
        )
        turn.episode = None
        return turn.row

    async def aclose(self) -> None:
        """Record what is unfinished, and close the book."""
        await self.give_up("disconnected before the agent submitted")
        self.book.close()


def _ended_by_itself(episode: Episode) -> bool:
    """Whether the environment ended the episode, and not a failure or a verdict."""
    alive = not episode.closed and not episode.frozen and episode.broken is None
    return alive and episode.environment.done


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

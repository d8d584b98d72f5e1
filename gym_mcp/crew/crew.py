"""A run on worker processes: hands out what is missing, counts what comes back, replaces who dies.

Rows never pass through here: each process journals its own before it tells of them. What one had journalled but
not told when it died is found in the journal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import (
    AttemptFailed,
    EnvironmentFull,
    MemoryShort,
    RolloutFinished,
    RunFinished,
    WorkerDied,
)
from gym_mcp.coordinator.journal import JournalError
from gym_mcp.coordinator.rollout import Arm, failed_row
from gym_mcp.crew.hand import Hand
from gym_mcp.crew.orders import Order
from gym_mcp.crew.process import ENDING, MEMBER, WorkerProcess, how_it_ended
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.crew.suspects import Suspects
from gym_mcp.crew.waiting import WaitingRoom
from gym_mcp.errors import EnvironmentFailure, GymError, UsageError
from gym_mcp.lag import LagProbe
from gym_mcp.metrics.tally import Tally
from gym_mcp.observe.status import Lost
from gym_mcp.types import JSONObject, Task

STILLBORN: Final = 10
"""Processes in a row that die before they are ready; then the run ends."""

Setup = Callable[[int], JSONObject]
"""The first message to a process that runs so many rollouts at a time."""


class Crew(Coordinator):
    """One run in progress on several processes."""

    def __init__(
        self,
        arm: Arm,
        journal: SharedJournal,
        tally: Tally,
        shares: list[int],
        *,
        setup: Setup,
        lock: int | None,
        task_at: Callable[[int], Task[Any]],
        waiting: WaitingRoom | None = None,
    ) -> None:
        super().__init__(arm, journal, tally, sum(shares))
        self._rows = journal
        self._shares = shares
        self._setup = setup
        self._lock = lock
        self._task_at = task_at
        self._waiting = waiting
        self._suspects = Suspects(arm.max_attempts)
        self._orders: Iterator[Order] = iter(())
        self._returned: deque[Order] = deque()
        """Orders that were lost with a machine: nobody's fault, so anybody may have them."""
        self._over = self._full = False
        self._stopped = False
        self._stillborn = 0
        self._error: Exception | None = None
        self._hands: set[Hand] = set()
        self._standing: JSONObject = {}
        """What was changed since the start, for processes that start later."""

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [hand.process.pid for hand in self._hands]

    @property
    def waiting(self) -> int:
        return sum(hand.waiting for hand in self._hands)

    def _tell_full(self, message: str) -> None:
        if not self._full:
            self._full = True
            self.emit(EnvironmentFull(message))

    def drain(self, reason: str) -> None:
        super().drain(reason)
        self._standing["pause"] = False
        self._broadcast({"drain": True})
        self._perhaps_over()

    def pause(self) -> None:
        super().pause()
        self._standing["pause"] = True
        self._broadcast({"pause": True})

    def unpause(self) -> None:
        super().unpause()
        self._standing["pause"] = False
        self._broadcast({"pause": False})
        self._feed_all()

    def set_concurrency(self, count: int) -> None:
        self.concurrency = count
        shares = shares_of(count, len(self._shares))
        self._shares = shares + [0] * (len(self._shares) - len(shares))
        for hand in self._hands:
            hand.share = self._shares[hand.place]
            hand.channel.send({"share": hand.share})
        self._feed_all()

    def set_model_limit(self, maximum: int) -> None:
        super().set_model_limit(maximum)
        self._standing["model_limit"] = maximum
        self._broadcast({"model_limit": maximum})

    @property
    def workers(self) -> int:
        return len(self._hands)

    def tell_processes(self, message: JSONObject) -> None:
        self._standing.update(message)

    @property
    def model_calls(self) -> int:
        found: int = sum(report["model_calls"] for report in self.reports())
        return found

    def reports(self) -> list[JSONObject]:
        gone = {**self.arm.stages.report(), "limit": None}
        return [gone, *({**hand.report, "worker": True} for hand in self._hands if hand.report is not None)]

    def _count_calls_of(self, gone: Hand) -> None:
        """What a process that is gone had called counts on."""
        if gone.report is not None:
            self.arm.stages.model_calls += gone.report["model_calls"]
            self.arm.stages.tool_calls += gone.report["tool_calls"]

    def _feed_all(self) -> None:
        for hand in list(self._hands):
            self._feed(hand)

    def stop(self) -> None:
        self._draining = self._stopped = True
        self.paused = False
        self._let_go()

    def _let_go(self) -> None:
        """Have all processes end; those that do not hear it are killed."""
        self._broadcast({"end": True})
        asyncio.get_running_loop().call_later(ENDING, self._kill)

    def _kill(self) -> None:
        for hand in self._hands:
            hand.process.kill()

    def _broadcast(self, message: JSONObject) -> None:
        for hand in self._hands:
            hand.channel.send(message)

    async def run_orders(self, orders: Iterator[Order]) -> bool:
        """Run `orders`; whether all is terminal now. `JournalError` when the disk gave out."""
        self._orders = orders
        self.journal.start_syncing()
        probe = LagProbe(self.lags)
        self._workers = [asyncio.create_task(place) for place in self._places()]
        try:
            await asyncio.gather(*self._workers)
        finally:
            probe.stop()
            self._kill()
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
            await self.journal.aclose()
            if self._waiting is not None:
                self._waiting.close()
        if self.broken is not None:
            raise self.broken
        if self._error is not None:
            raise self._error
        complete = self.tally.done == self.tally.expected
        self.emit(RunFinished(complete))
        return complete

    def _places(self) -> list[Coroutine[None, None, None]]:
        """What keeps each place manned."""
        return [self._keep_manned(place) for place in range(len(self._shares))]

    async def _keep_manned(self, place: int) -> None:
        """Keep one place manned as long as there is work."""
        while not self._ended():
            try:
                hand = await self._hire(place)
            except OSError as e:
                self._fail("usage", f"--workers: no process can be started: {e.strerror}")
                return
            try:
                await self._lead(hand)
                hand.gone = True
                await hand.channel.aclose()
                status = await hand.process.ended()
            finally:
                self._count_calls_of(hand)
                self._hands.discard(hand)  # not before: what it ran is under way until it is taken up below
            self._salvage(hand)
            if not self._ended():
                self._gone(hand, status)

    def _ended(self) -> bool:
        return self._over or self._stopped

    async def _hire(self, place: int) -> Hand:
        at = self._rows.size()
        process = WorkerProcess(MEMBER, [] if self._lock is None else [self._lock])
        share = self._shares[place]
        hand = Hand(process, await process.connect(), place, share, at)
        self._hands.add(hand)
        hand.channel.send({**self._setup(max(1, share)), **self._standing})
        if self._stopped:
            hand.channel.send({"end": True})
        return hand

    async def _lead(self, hand: Hand) -> None:
        """Hear what a process has to say, until it ends."""
        async for message in hand.channel.messages():
            if "id" in message:
                self._hear(hand, message)
            elif "ready" in message:
                self._welcome(hand, message)
            elif "lags" in message:
                self.lags.merge(message["lags"], message["greatest"])
                hand.waiting, hand.report = message["waiting"], message["report"]
                if "numbers" in message and self.arm.stages.numbers is not None:
                    self.arm.stages.numbers.merge(message["numbers"])
            elif "spans" in message:
                self.lost_spans.add(Lost(*message["spans"]))
            elif "retry" in message:
                self.emit(AttemptFailed(*message["retry"]))
            elif "full" in message:
                self._tell_full(message["full"])
            elif "memory" in message:
                self.emit(MemoryShort(*message["memory"]))
            elif "error" in message:
                self._fail(message["error"], message["message"])
            else:
                self._heard(hand, message)
            self._feed(hand)
            self._perhaps_over()

    def _heard(self, hand: Hand, message: JSONObject) -> None:
        """A message of a kind that some crews have."""

    def _welcome(self, hand: Hand, message: JSONObject) -> None:
        """A process is ready."""
        hand.ready = True
        self._stillborn = 0

    def _fail(self, kind: str, message: str) -> None:
        if kind == "disk":
            self.broken = self.broken or JournalError(message)
        elif self._error is None:
            self._error = (
                UsageError(message) if kind == "usage" else GymError(f"a worker process failed: {message}")
            )
        self.stop()

    def _hear(self, hand: Hand, message: JSONObject) -> None:
        order = hand.orders.get(message["id"])
        if order is None:
            return
        if "rows" in message:
            self._take_rows(hand, order, message)
        if "kept" in message and self._waiting is not None:
            self._take_kept(self._waiting, order, message)
        if message.get("over"):
            del hand.orders[message["id"]]
            self.in_flight -= len(order.repeats)
            self._take_up_group(order)

    def _take_rows(self, hand: Hand, order: Order, message: JSONObject) -> None:
        """Rows that the process has journalled."""
        hand.at = message["at"]
        self._rows.touched()
        self._settle(order, message["rows"])

    def _take_kept(self, waiting: WaitingRoom, order: Order, message: JSONObject) -> None:
        """A row that waits for its group, which the process has journalled."""
        waiting.kept(order.index, message["kept"])

    def _settle(self, order: Order, rows: list[JSONObject]) -> None:
        """Count rows, whose rollouts their order then lacks no more."""
        self._count(order, rows)
        self.in_flight -= sum(order.settle(row["repeat"]) for row in rows)

    def _count(self, order: Order, rows: list[JSONObject]) -> None:
        for row in rows:
            self.tally.add(row)
            self.emit(RolloutFinished(row))
        if self._waiting is not None and rows:
            self._waiting.scored(order.index)

    def _take_up_group(self, order: Order) -> None:
        """A group that was run in parts is scored once no part of it is missing any more."""
        waits = self._waiting is not None and self._waiting.holds(order.index)
        due = self._suspects.has(order.index) or any(order.index == other.index for other in self._returned)
        if waits and not self._draining and not due and not self._is_run(order.index):
            self._suspects.again(Order(order.index, order.offset, list(range(self.tally.repeats))))

    def _is_run(self, index: int) -> bool:
        return any(order.index == index for hand in self._hands for order in hand.orders.values())

    def _feed(self, hand: Hand) -> None:
        """Give a process as much as it has room for; what is suspect only when it has nothing else."""
        if hand.gone or not hand.ready or self._draining or self.paused or (hand.confined and hand.orders):
            return
        hand.confined = False
        while not hand.orders and (batch := self._suspects.next()) is not None:
            hand.confined = True
            self._give(hand, self._with_rows(batch))
        if hand.orders and hand.confined:
            return
        self._give(hand, self._draw(hand))

    def _draw(self, hand: Hand) -> list[Order]:
        """As many orders as a process has room for."""
        orders: list[Order] = []
        room = hand.room
        while room > 0 and (order := self._next()) is not None:
            orders.append(order)
            room -= order.size
        return orders

    def _next(self) -> Order | None:
        """What anybody may run."""
        if self._returned:
            return self._returned.popleft()
        order = None if self._exhausted else next(self._orders, None)
        self._exhausted = order is None
        return order

    def _with_rows(self, batch: list[Order]) -> list[Order]:
        if self._waiting is None:
            return batch
        rests: list[Order] = []
        for order in map(self._waiting.rest_of, batch):
            # Two processes that both had all of a group would both score it.
            elsewhere = self._is_run(order.index) or any(order.index == other.index for other in rests)
            if order.repeats or not elsewhere:
                rests.append(order)
        return rests

    def _give(self, hand: Hand, orders: list[Order]) -> None:
        hand.give(orders)
        self.in_flight += sum(len(order.repeats) for order in orders)

    def _perhaps_over(self) -> None:
        """Let the processes go once nothing is left for them."""
        if (self._suspects or self._returned) and not self._draining:
            self._feed_all()
        idle = not any(hand.orders for hand in self._hands)
        nothing_left = self._draining or (self._exhausted and not self._suspects and not self._returned)
        if idle and nothing_left and not self._over:
            self._over = True
            self._let_go()

    def _gone(self, hand: Hand, status: int | None) -> None:
        """A process went without being told to."""
        if status is None:
            raise ValueError("a process of this machine has an exit status")
        self._died(hand, how_it_ended(status))

    def _died(self, hand: Hand, how: str) -> None:
        """Find whom to blame for the death of a process."""
        if not hand.ready:
            self._is_stillborn(how)
            return
        orders = self._unfinished(hand)
        self.emit(WorkerDied(hand.process.pid, how, len(orders)))
        guilty = self._suspects.died(orders)
        if guilty is not None:
            self._condemn(guilty, how)
        self._perhaps_over()

    def _is_stillborn(self, how: str, limit: int = STILLBORN) -> None:
        self._stillborn += 1
        if self._stillborn >= limit:
            self._fail("usage", f"{limit} worker processes in a row died as they started ({how})")

    def _unfinished(self, hand: Hand) -> list[Order]:
        """Take from a process that is gone what it had not finished."""
        orders = list(hand.orders.values())
        hand.orders.clear()
        self.in_flight -= sum(len(order.repeats) for order in orders)
        return orders if self._waiting is None else [self._waiting.rest_of(order) for order in orders]

    def _salvage(self, hand: Hand) -> None:
        """Count the rows that a process had journalled but not told of."""
        by_place = {(o.index, r): o for o in hand.orders.values() for r in self._lacking(o)}
        for row in self._rows.rows_since(hand.at) if by_place else ():
            order = by_place.pop((row["task_index"], row["repeat"]), None)
            if order is not None:
                self._settle(order, [row])
        # It may have died between its last row and the word that the order is over.
        for number, order in list(hand.orders.items()):
            if not self._lacking(order):
                del hand.orders[number]

    def _lacking(self, order: Order) -> list[int]:
        """Repeats whose rows an order may still bring."""
        if self._waiting is None:
            return list(order.repeats)
        return [r for r in range(self.tally.repeats) if r not in order.terminal]

    def _condemn(self, order: Order, how: str) -> None:
        """The failure of a rollout that ends every process that runs it."""
        task = self._task_at(order.index)
        error = EnvironmentFailure(f"the worker process died ({how})")
        rows = [failed_row(self.arm, task, order.index, r, error, order.deaths) for r in order.repeats]
        if self._waiting is None:
            if self._written(self.journal.append, *rows):
                self._count(order, rows)
        elif rows:
            if self._written(self._waiting.add, *rows):
                self._take_up_group(order)
        elif not self._waiting.is_whole(order.index):
            self._take_up_group(order)
        else:
            group = self._waiting.condemned(order, f"the worker process died while it scored the group ({how})")
            if self._written(self.journal.append, *group):
                self._count(order, group)


def shares_of(concurrency: int, workers: int) -> list[int]:
    """How many rollouts at a time each process gets; no process without any."""
    count = min(workers, concurrency)
    return [concurrency // count + (i < concurrency % count) for i in range(count)]

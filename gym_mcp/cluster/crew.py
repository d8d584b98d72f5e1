"""A crew on the nodes of a cluster: their rows come here as lines, and are journalled here and nowhere else.

What a lost node had not handed over runs again elsewhere. A row counts when it is in the journal, once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gym_mcp.cluster.fleet import Fleet
from gym_mcp.cluster.needs import in_words, room_for
from gym_mcp.cluster.remote import Places, RemoteProcess
from gym_mcp.cluster.session import Session
from gym_mcp.coordinator.connect import differences
from gym_mcp.coordinator.events import ActorLost, ActorsWait
from gym_mcp.coordinator.rollout import Arm
from gym_mcp.crew.crew import STILLBORN, Crew, shares_of
from gym_mcp.crew.hand import Hand
from gym_mcp.crew.orders import Order
from gym_mcp.crew.process import how_it_ended
from gym_mcp.crew.shared_journal import SharedJournal
from gym_mcp.crew.waiting import WaitingRoom
from gym_mcp.metrics.tally import Tally
from gym_mcp.types import JSONObject, Task

_LOOK: Final = 2.0
_PATIENCE: Final = 6.0
"""Seconds that an actor may take to find a node before it is said that it waits for one."""
_LOSSES: Final = 3
"""Nodes that may be lost with an order until it is suspected of losing them."""


class ClusterCrew(Crew):
    """One run in progress on a cluster. `asked` actors; None: as many as there is room for, new nodes included."""

    def __init__(
        self,
        arm: Arm,
        journal: SharedJournal,
        tally: Tally,
        concurrency: int,
        *,
        session: Session,
        places: Places,
        needs: Mapping[str, float],
        reserved: Mapping[str, float],
        asked: int | None,
        identity: JSONObject,
        tasks: Path,
        task_at: Callable[[int], Task[Any]],
        waiting: WaitingRoom | None = None,
        fleet: Fleet | None = None,
        config: JSONObject,
    ) -> None:
        # A member takes as many rollouts as it is told to run: what each is told changes with their number.
        super().__init__(
            arm, journal, tally, [concurrency], setup=lambda _: {}, lock=None, task_at=task_at, waiting=waiting
        )
        self._session = session
        self._cluster = places
        self._needs = needs
        self._reserved = reserved
        self._asked = asked
        self._identity = identity
        self._tasks = tasks.open("rb")
        self._journalled = bytearray(tally.expected)
        self._fits: dict[Hand, int] = {}
        self._waits_since = time.monotonic()
        self._fleet = fleet
        self._config = config
        self._server: dict[Hand, int] = {}

    async def run_orders(self, orders: Iterator[Order]) -> bool:
        try:
            return await super().run_orders(orders)
        finally:
            self._tasks.close()
            self._cluster.close()

    # -- actors -------------------------------------------------------------------------------------------------

    def _wanted(self) -> int:
        """How many actors there should be."""
        limit = min(self.concurrency, max(1, self.tally.expected - self.tally.done))
        if self._asked is not None:
            return min(self._asked, limit)
        return max(1, min(room_for(self._needs, self._session.capacity(), self._reserved), limit))

    def _places(self) -> list[Coroutine[None, None, None]]:
        return [self._manage()]

    async def _manage(self) -> None:
        """Man a place for each actor that there is room for, also of nodes that come while the run goes on."""
        places: list[asyncio.Task[None]] = []
        servers = self._fleet.begin(self) if self._fleet is not None else []
        try:
            while not self._ended():
                wanted = await asyncio.to_thread(self._wanted)
                places += [asyncio.create_task(self._keep_manned(0)) for _ in range(wanted - len(places))]
                self._perhaps_tell_that_actors_wait()
                done, _ = await asyncio.wait(
                    [*places, *servers], timeout=_LOOK, return_when=asyncio.FIRST_EXCEPTION
                )
                for place in done:
                    place.result()
            await asyncio.gather(*places, *servers)
        finally:
            for task in (*places, *servers):
                task.cancel()
            await asyncio.gather(*places, *servers, return_exceptions=True)

    def _perhaps_tell_that_actors_wait(self) -> None:
        missing = sum(not self._process(hand).where for hand in self._hands)
        if not missing:
            self._waits_since = time.monotonic()
        elif time.monotonic() - self._waits_since > _PATIENCE:
            self._waits_since = float("inf")  # said once, until all have found a node
            needs = in_words(self._needs)
            if self._reserved:
                needs += f"; environment servers, all of them: {in_words(self._reserved)}"
            self.emit(ActorsWait(missing, len(self._hands), needs))

    async def _hire(self, place: int) -> Hand:
        if self._fleet is None:
            hand = Hand(*self._cluster.start(), place, 0, 0)
        else:
            server = self._fleet.take()
            hand = Hand(*self._cluster.start(self._fleet.settings(server, self._config)), place, 0, 0)
            self._server[hand] = server
        self._hands.add(hand)
        return hand

    def server_lost(self, server: int, where: str, why: str) -> None:
        """What ran there runs again, with another."""
        self.emit(ActorLost(where, f"environment server: {why}", 0))
        for hand in self._hands:
            if self._server.get(hand) == server:
                self._unserved(hand)

    def server_failed(self, message: str) -> None:
        self._fail("usage", message)

    def _heard(self, hand: Hand, message: JSONObject) -> None:
        if "unserved" in message:  # it knows before the run does
            self._unserved(hand)

    def _unserved(self, hand: Hand) -> None:
        process = self._process(hand)
        process.lost = process.lost or "with its environment server"
        process.kill()

    @staticmethod
    def _process(hand: Hand) -> RemoteProcess:
        assert isinstance(hand.process, RemoteProcess)
        return hand.process

    def _welcome(self, hand: Hand, message: JSONObject) -> None:
        process = self._process(hand)
        changed = differences(self._identity, message["identity"])
        if changed:
            self._fail("usage", f"--ray: node {process.where} has another version: {'; '.join(changed)}")
            return
        process.pid = message["ready"]
        super()._welcome(hand, message)
        self._fits[hand] = message["fits"]
        if self._standing:
            hand.channel.send(self._standing)
        self._share_out()

    def set_concurrency(self, count: int) -> None:
        self.concurrency = count
        self._standing["share"] = count
        self._broadcast({"share": count})
        self._share_out()
        self._feed_all()

    def _share_out(self) -> None:
        """Give each actor that is ready its part of the run's concurrency; of its node's memory, too."""
        ready = [hand for hand in self._hands if hand.ready and not hand.gone]
        nodes = [self._process(hand).where for hand in ready]
        for hand, share in zip(ready, shares_of(self.concurrency, len(ready)) if ready else (), strict=False):
            fits = self._fits[hand] // nodes.count(self._process(hand).where)
            hand.share = max(1, min(share, fits))

    def _feed(self, hand: Hand) -> None:
        """Feed a hand, and then the others: those that came late wait for what the first ones let go."""
        super()._feed(hand)
        if self.in_flight < self.concurrency and (self._returned or not self._exhausted):
            for other in self._hands:
                super()._feed(other)

    def _draw(self, hand: Hand) -> list[Order]:
        """As many orders as the actor and the run have room for. A group may be more than an actor's part."""
        orders: list[Order] = []
        room, left = hand.room, self.concurrency - self.in_flight
        while min(room, left) > 0 and (order := self._next()) is not None:
            if order.size > left and (orders or self.in_flight):
                self._returned.appendleft(order)
                break
            orders.append(order)
            room -= order.size
            left -= order.size
        return orders

    def _let_go(self) -> None:
        super()._let_go()
        if self._fleet is not None:
            self._fleet.close()
        for hand in self._hands:
            if not hand.ready:  # it would begin only to end
                hand.process.kill()

    # -- rows ---------------------------------------------------------------------------------------------------

    def _give(self, hand: Hand, orders: list[Order]) -> None:
        for order in orders:
            self._tasks.seek(order.offset)
            order.task = self._tasks.readline().rstrip()
        super()._give(hand, orders)

    def _take_rows(self, hand: Hand, order: Order, message: JSONObject) -> None:
        fresh = [pair for pair in zip(message["rows"], message["lines"], strict=True) if self._is_new(pair[0])]
        if fresh and self._written(lambda *lines: self._rows.write(lines), *(line for _, line in fresh)):
            self._settle(order, [row for row, _ in fresh])

    def _is_new(self, row: JSONObject) -> bool:
        """Whether the row is the first of its rollout, which is noted."""
        slot = row["task_index"] * self.tally.repeats + row["repeat"]
        new = not self._journalled[slot]
        self._journalled[slot] = 1
        return new

    def _take_kept(self, waiting: WaitingRoom, order: Order, message: JSONObject) -> None:
        self._written(lambda *lines: waiting.take(order.index, message["kept"], lines), *message["lines"])

    # -- who is gone --------------------------------------------------------------------------------------------

    def _salvage(self, hand: Hand) -> None:
        """All that it handed over is counted: what it had besides is nowhere."""
        for number, order in list(hand.orders.items()):
            if not self._lacking(order):
                del hand.orders[number]

    def _gone(self, hand: Hand, status: int | None) -> None:
        self._leave_server(hand)
        self._fits.pop(hand, None)
        self._share_out()
        if status is not None:
            self._died(hand, how_it_ended(status))
        elif not hand.ready:
            # A node takes all actors along that start there: that is one loss.
            self._is_stillborn(self._process(hand).lost, STILLBORN * (len(self._hands) + 1))
        else:
            self._lost(hand)

    def _leave_server(self, hand: Hand) -> None:
        if self._fleet is not None and hand in self._server:
            self._fleet.leave(self._server.pop(hand))

    def _lost(self, hand: Hand) -> None:
        """A node, or the actor on it: what ran there runs again. Only what is lost again and again is suspect."""
        orders, process = self._unfinished(hand), self._process(hand)
        self.emit(ActorLost(process.where, process.lost, len(orders)))
        for order in orders:
            order.losses += 1
        suspect = [order for order in orders if order.losses > _LOSSES]
        innocent = [order for order in orders if order.losses <= _LOSSES]
        if hand.confined and innocent:
            self._suspects.back(innocent)
        else:
            self._returned += innocent
        guilty = self._suspects.died(suspect)
        if guilty is not None:
            self._condemn(guilty, f"lost with its node or its environment server, {guilty.losses} times")
        self._perhaps_over()

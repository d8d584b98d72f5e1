"""How much memory the processes of agents take, and an end for the one that takes too much."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from gym_mcp.errors import HarnessError

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20


@dataclass(slots=True, eq=False)
class Watch:
    """One program: the process above all of its own, and why it was ended from here, if it was."""

    pid: int | None = None
    error: HarnessError | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, why: str) -> None:
        """Have the program ended; its rollout fails."""
        self.error = HarnessError(why)
        self.ended.set()


class Processes:
    """The programs of a harness that run now."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        watch = Watch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    async def sizes(self) -> list[tuple[Watch, int]]:
        """MiB of each, the largest first. Reads `/proc`, in a thread: a thousand processes take some 20 ms."""
        running = [watch for watch in self._watches if watch.pid is not None and watch.error is None]
        if not running:
            return []
        taken = await asyncio.to_thread(tree_sizes, [watch.pid for watch in running if watch.pid is not None])
        found = [(watch, taken.get(watch.pid or 0, 0) // _MIB) for watch in running]
        return sorted(found, key=lambda pair: -pair[1])


def tree_sizes(roots: Iterable[int]) -> dict[int, int]:
    """Bytes that each root's process and all below it hold alone: what they share with files is not theirs."""
    parents = _parents()
    sizes = dict.fromkeys(roots, 0)
    owner: dict[int, int | None] = {root: root for root in sizes}
    for pid in parents:
        root = _owner(pid, parents, owner)
        if root is not None:
            sizes[root] += _private(pid)
    return sizes


def _owner(pid: int, parents: dict[int, int], owner: dict[int, int | None]) -> int | None:
    """The root that `pid` is below; what is found on the way is kept in `owner`."""
    path: list[int] = []
    while pid not in owner and pid in parents:
        path.append(pid)
        pid = parents[pid]
    found = owner.get(pid)
    owner.update(dict.fromkeys(path, found))
    return found


def _parents() -> dict[int, int]:
    found: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):  # it has ended meanwhile
                continue
    return found


def _private(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared = file.read().split()[:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * _PAGE

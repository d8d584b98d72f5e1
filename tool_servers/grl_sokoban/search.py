"""Shortest solutions (A*), and levels made backwards from their solution."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Final

from .level import DIRECTIONS, STEPS, Cell, Direction, Level, State, after

MAX_STATES: Final = 300_000
"""States that a search may visit."""
_MAX_BACKWARD: Final = 20_000
"""States of one room that the generator looks at."""
_ROOMS, _TRIES = 6, 200
"""Rooms to choose from, and rooms to dig until there are so many."""


def solve(level: Level) -> list[Direction] | None:
    """A shortest solution in moves; None when there is none, or none was found in `MAX_STATES` states."""
    far = _pushes_to_target(level)
    order = count()
    start = level.start
    if not start.boxes <= far.keys():
        return None
    queue = [(_estimate(start, far), next(order), start)]
    cost = {start: 0}
    came: dict[State, tuple[State, Direction]] = {}
    while queue and len(cost) < MAX_STATES:
        guess, _, state = heapq.heappop(queue)
        if level.solved(state):
            return _path(state, came)
        if guess > cost[state] + _estimate(state, far):
            continue  # a shorter way to it was found since
        for direction in DIRECTIONS:
            following = level.move(state, direction)
            new = cost[state] + 1
            if new < cost.get(following, MAX_STATES) and all(box in far for box in following.boxes):
                cost[following] = new
                came[following] = state, direction
                heapq.heappush(queue, (new + _estimate(following, far), next(order), following))
    return None


def _path(state: State, came: dict[State, tuple[State, Direction]]) -> list[Direction]:
    moves: list[Direction] = []
    while state in came:
        state, direction = came[state]
        moves.append(direction)
    return moves[::-1]


def _estimate(state: State, far: dict[Cell, int]) -> int:
    """A lower bound of the moves left: each push moves one box by one cell."""
    return sum(far[box] for box in state.boxes)


def _pushes_to_target(level: Level) -> dict[Cell, int]:
    """Least pushes from each cell to a target for a box alone; a cell that is absent is a dead end."""
    far = dict.fromkeys(level.targets, 0)
    queue = deque(level.targets)
    while queue:
        cell = queue.popleft()
        for row, column in STEPS.values():
            box = after(cell, (-row, -column))
            pusher = after(box, (-row, -column))
            if box in level.floor and pusher in level.floor and box not in far:
                far[box] = far[cell] + 1
                queue.append(box)
    return far


def generate(seed: int, rows: int, columns: int, boxes: int, longest: int) -> Level:
    """A level that `seed` decides, solvable in at most `longest` moves: the longest of a few random rooms.

    The start of each room is the state farthest from being solved that backward search finds, with all boxes off
    their targets. Raises `ValueError` when no such room is found.
    """
    rng = random.Random(f"sokoban {seed} {rows}x{columns} {boxes} {longest}")
    best: tuple[int, Level] | None = None
    found = 0
    for _ in range(_TRIES):
        floor = _dig(rng, rows, columns, rng.uniform(0.5, 1.0))
        if len(floor) < 2 * boxes + 1:
            continue
        targets = frozenset(rng.sample(sorted(floor), boxes))
        moves, start = _farthest(floor, targets, longest, rng)
        if start is not None:
            found += 1
            if best is None or moves > best[0]:
                best = moves, Level(rows, columns, floor, targets, start)
            if found == _ROOMS:
                break
    if best is None:
        raise ValueError(f"no solvable level of {rows} by {columns} with {boxes} boxes was found")
    return best[1]


def _dig(rng: random.Random, rows: int, columns: int, share: float) -> frozenset[Cell]:
    """A connected room inside the outer walls: a random walk that digs until `share` of the inside is floor."""
    inside = [(r, c) for r in range(1, rows - 1) for c in range(1, columns - 1)]
    cell = rng.choice(inside)
    floor = {cell}
    while len(floor) < share * len(inside):
        onward = after(cell, rng.choice(list(STEPS.values())))
        if 0 < onward[0] < rows - 1 and 0 < onward[1] < columns - 1:
            cell = onward
            floor.add(cell)
    return frozenset(floor)


def _farthest(
    floor: frozenset[Cell], targets: frozenset[Cell], longest: int, rng: random.Random
) -> tuple[int, State | None]:
    """(moves to the solution, state) for a state that needs the most moves, no box being on a target."""
    layer = [State(player, targets) for player in sorted(floor - targets)]
    seen = set(layer)
    best: tuple[int, list[State]] = (0, [])
    for moves in range(1, longest + 1):
        following: list[State] = []
        for state in layer:
            for before in _before(floor, state):
                if before not in seen:
                    seen.add(before)
                    following.append(before)
        layer = following
        off = [state for state in layer if not state.boxes & targets]
        if off:
            best = moves, off
        if not layer or len(seen) > _MAX_BACKWARD:
            break
    return best[0], rng.choice(sorted(best[1], key=_key)) if best[1] else None


def _key(state: State) -> tuple[Cell, list[Cell]]:
    return state.player, sorted(state.boxes)


def _before(floor: frozenset[Cell], state: State) -> Iterator[State]:
    """The states from which one move leads here: the player steps back, alone or pulling the box in front."""
    for step in STEPS.values():
        back = after(state.player, (-step[0], -step[1]))
        if back not in floor or back in state.boxes:
            continue
        yield State(back, state.boxes)
        ahead = after(state.player, step)
        if ahead in state.boxes:
            yield State(back, state.boxes - {ahead} | {state.player})

"""Sokoban boards: reading, drawing, and what a move does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

Cell: TypeAlias = tuple[int, int]
"""(row, column), from the top left."""
Direction = Literal["Up", "Down", "Left", "Right"]
DIRECTIONS: Final = get_args(Direction)
STEPS: Final[dict[Direction, Cell]] = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
LEGEND: Final = "# wall, _ floor, O target, X box, √ box on a target, P player, S player on a target"
_SYMBOLS: Final = "#_OX√PS"


@dataclass(frozen=True, slots=True)
class State:
    """What moves: the player and the boxes."""

    player: Cell
    boxes: frozenset[Cell]


@dataclass(frozen=True, slots=True)
class Level:
    """What stays: the size, the floor (targets included) and the targets; and how it starts."""

    rows: int
    columns: int
    floor: frozenset[Cell]
    targets: frozenset[Cell]
    start: State

    def solved(self, state: State) -> bool:
        """Whether every box is on a target."""
        return state.boxes <= self.targets

    def move(self, state: State, direction: Direction) -> State:
        """The state after a move; the same one when a wall, or a box that cannot move, is in the way."""
        step = STEPS[direction]
        ahead = after(state.player, step)
        if ahead not in self.floor:
            return state
        if ahead not in state.boxes:
            return State(ahead, state.boxes)
        beyond = after(ahead, step)
        if beyond not in self.floor or beyond in state.boxes:
            return state
        return State(ahead, state.boxes - {ahead} | {beyond})

    def draw(self, state: State) -> str:
        """The board, a line a row."""
        return "\n".join(
            "".join(self._symbol(state, (row, column)) for column in range(self.columns))
            for row in range(self.rows)
        )

    def _symbol(self, state: State, cell: Cell) -> str:
        if cell not in self.floor:
            return "#"
        target = cell in self.targets
        if cell == state.player:
            return "S" if target else "P"
        if cell in state.boxes:
            return "√" if target else "X"
        return "O" if target else "_"


def after(cell: Cell, step: Cell) -> Cell:
    """The neighbour of `cell` one step on."""
    return cell[0] + step[0], cell[1] + step[1]


def read(board: str) -> Level:
    """The level that a drawing shows. Raises `ValueError` for one that is no puzzle."""
    lines = board.strip("\n").split("\n")
    cells = {(r, c): symbol for r, line in enumerate(lines) for c, symbol in enumerate(line)}
    unknown = {symbol for symbol in cells.values() if symbol not in _SYMBOLS}
    if unknown:
        raise ValueError(f"a board is drawn with {_SYMBOLS}, not {''.join(sorted(unknown))!r}")
    players = [cell for cell, symbol in cells.items() if symbol in "PS"]
    boxes = frozenset(cell for cell, symbol in cells.items() if symbol in "X√")
    targets = frozenset(cell for cell, symbol in cells.items() if symbol in "OS√")
    if len(players) != 1 or not boxes or len(boxes) > len(targets):
        raise ValueError("a board has one player, a box at least, and no more boxes than targets")
    floor = frozenset(cell for cell, symbol in cells.items() if symbol != "#")
    return Level(len(lines), max(map(len, lines)), floor, targets, State(players[0], boxes))

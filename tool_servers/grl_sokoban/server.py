"""Sokoban in conversation: see the board, say one move."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Annotated, Any, Final, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gym_mcp import Environment, Options, Reward, Task, Transcript
from gym_mcp.types import JSONObject, text_of
from verifiers.extract import spoken_turns

from .level import DIRECTIONS, LEGEND, Direction, Level, read
from .search import generate, solve

STEP, ON, OFF, SOLVED = -0.1, 1.0, -1.0, 10.0
"""Rewards: of each move, for a box that comes to a target or leaves one, and for the last one."""
TASK: Final = (
    "Solve the Sokoban puzzle: push every box onto a target. Each of your messages makes one move, given as "
    "<action>Up</action>, <action>Down</action>, <action>Left</action> or <action>Right</action>; you are then "
    "shown the board. You have {moves} moves."
)
_PUBLISHED: Final = "Sokoban board:\n"
_TAG: Final = re.compile(r"<action>\s*(\w+)\s*</action>", re.IGNORECASE)
_WORD: Final = re.compile(r"\b(up|down|left|right)\b", re.IGNORECASE)
_SIZES: Final = ((5, 5, 1), (5, 6, 1), (6, 6, 1), (6, 6, 2), (7, 7, 1), (7, 7, 2), (6, 8, 2), (8, 8, 2))


def _readable(board: str) -> str:
    read(board)
    return board


class Row(BaseModel):
    """A level: drawn as `board`, or made from `seed` with `dim_room` (rows and columns, walls included)."""

    model_config = ConfigDict(extra="ignore")
    seed: int = 0
    dim_room: tuple[Annotated[int, Field(ge=3, le=16)], Annotated[int, Field(ge=3, le=16)]] = (6, 6)
    num_boxes: int = Field(default=1, ge=1, le=4)
    board: Annotated[str, AfterValidator(_readable)] | None = None
    max_steps: int = Field(default=20, ge=1, le=500)

    @model_validator(mode="after")
    def _makes_a_level(self) -> Row:
        level_of(self)
        return self


class GrlSokoban(Environment[Row]):
    """Push every box onto a target, one move a message."""

    domain = "games"
    tags = ("multi-turn", "planning", "puzzles")

    class Options(Options):
        """How many `levels` to make, from the seeds from `first_seed` on."""

        levels: int = Field(default=16, ge=1)
        first_seed: int = 0

    @classmethod
    def tasks(cls) -> Iterable[JSONObject]:
        for seed in range(cls.options.first_seed, cls.options.first_seed + cls.options.levels):
            rows, columns, boxes = _SIZES[seed % len(_SIZES)]
            data: JSONObject = {"seed": seed, "dim_room": [rows, columns], "num_boxes": boxes}
            level = level_of(cls.parse_row(data))
            prompt = f"{TASK.format(moves=20)}\n\n{shown(level, level.draw(level.start))}"
            yield {"id": f"level-{seed}", "prompt": prompt, "data": data}

    def open(self, task: Task[Row]) -> None:
        told = "\n".join(map(text_of, task.prompt))
        self._level = _published(told) or level_of(task.data)
        # A published prompt does not show the board: its first answer brings it. That of a recorded rollout does.
        self._unseen = self._level.draw(self._level.start) not in told
        self.said: list[str] = []

    def reply(self, message: str) -> str | None:
        self.said.append(message)
        play = self._played(self.said)
        self.done = play.over
        return None if play.over else shown(self._level, self._level.draw(play.state))

    def verify(self, transcript: Transcript) -> Reward:
        play = self._played(max(self.said, spoken_turns(transcript.items), key=len))
        parts = {"return": round(play.total, 9), "moves": float(play.moves), "unread": float(play.unread)}
        note = f"solved in {play.moves} moves" if play.solved else f"not solved in {play.moves} moves"
        return Reward(float(play.solved), parts, note)

    def _played(self, answers: list[str]) -> Play:
        """The level after the agent's answers."""
        play = Play(self._level, self.task.data.max_steps)
        for message in answers[1 if self._unseen else 0 :]:
            play.move(move_of(message))
        return play

    def solution(self) -> Iterator[str]:
        if self._unseen:
            yield "Show me the board."
        for direction in solve(self._level) or ():
            yield f"<action>{direction}</action>"


class Play:
    """A level that is played: its state and what it paid so far."""

    def __init__(self, level: Level, limit: int) -> None:
        self.level, self.limit = level, limit
        self.state = level.start
        self.total = 0.0
        self.moves = self.unread = 0

    @property
    def solved(self) -> bool:
        return self.level.solved(self.state)

    @property
    def over(self) -> bool:
        return self.solved or self.moves >= self.limit

    def move(self, direction: Direction | None) -> None:
        """Make a move; None stands for a message without one, which costs a move and does nothing."""
        if self.over:
            return
        before = len(self.state.boxes & self.level.targets)
        if direction is None:
            self.unread += 1
        else:
            self.state = self.level.move(self.state, direction)
        change = len(self.state.boxes & self.level.targets) - before
        self.moves += 1
        self.total += STEP + ON * max(change, 0) + OFF * max(-change, 0) + SOLVED * self.solved


@lru_cache(maxsize=4_096)
def _level(seed: int, rows: int, columns: int, boxes: int, longest: int) -> Level:
    return generate(seed, rows, columns, boxes, longest)


def level_of(row: Row) -> Level:
    """The level of a row; `ValueError` when none can be made of its size."""
    if row.board is not None:
        return read(row.board)
    return _level(row.seed, *row.dim_room, row.num_boxes, row.max_steps)


def _published(told: str) -> Level | None:
    """The board that the prompt of a recorded rollout of the published server shows."""
    board = told.partition(_PUBLISHED)[2].partition("\n\n")[0]
    try:
        return read(board) if board else None
    except ValueError:
        return None


def shown(level: Level, board: str) -> str:
    """What the player sees."""
    return f"{board}\n\n({LEGEND})"


def move_of(message: str) -> Direction | None:
    """The direction in the last action tag, else the first word that is one; None when there is neither."""
    tags = _TAG.findall(message)
    words = [tag for tag in tags[-1:] if tag.capitalize() in DIRECTIONS] if tags else _WORD.findall(message)[:1]
    return cast(Direction, words[0].capitalize()) if words else None


__all__: list[Any] = ["GrlSokoban", "Row"]

"""The numbers of a run in columns: one slot an expected rollout, so that the order of rows cannot matter."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isnan, nan
from operator import eq
from typing import Final

from gym_mcp.metrics.scores import Bounds, TaskScores
from gym_mcp.metrics.tally import is_full, worst_score
from gym_mcp.types import JSONObject

MISSING, SCORED, FAILED = 0, 1, 2
NO_ANSWER: Final = 0
"""The code of a blank answer."""
_NESTED: Final = ("components", "usage", "judge_usage", "timing", "harness_facts")
_NO_NUMBERS: Final = frozenset({"timing.started"})
MOST_COLUMNS: Final = 200
"""A harness may put what it likes into its facts; memory must not follow."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rollouts of a sheet, as one process hands them to another: parallel columns over `slots`."""

    slots: array[int]
    state: bytes
    answers: array[int]
    columns: dict[str, array[float]]
    counters: tuple[Counter[str], Counter[str], Counter[str]]
    failure_examples: dict[str, str]
    doubled: int


class Sheet:
    """A run's rollouts by (task, repeat). Slot = task index * repeats + repeat."""

    def __init__(self, tasks: int, repeats: int, bounds: Bounds, *, higher_is_better: bool = True) -> None:
        self.tasks = tasks
        self.repeats = repeats
        self.bounds = bounds
        self.higher_is_better = higher_is_better
        self.best = bounds[1] if higher_is_better else bounds[0]
        self.worst = worst_score(bounds, higher_is_better=higher_is_better)
        self.state = bytearray(tasks * repeats)
        self.columns: dict[str, array[float]] = {}
        """Numbers by dotted name (`reward`, `components.x`, `usage.output_tokens`, `tool_calls`); NaN: none."""
        self.answers = array("Q", bytes(8 * tasks * repeats))
        self.answer_sources: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.failure_examples: dict[str, str] = {}
        self.stops: Counter[str] = Counter()
        self.doubled = 0
        self._passes: array[float] | None = None
        self._ignored: array[float] | None = None
        self._kept: dict[tuple[str, bool], TaskScores] = {}
        self._groups: list[tuple[str, dict[str, array[float]]]] = [(group, {}) for group in _NESTED]
        self._rewards = self._column("reward")
        self._calls, self._errors = self._column("tool_calls"), self._column("tool_errors")
        self._attempts = self._column("attempts")

    def slot(self, row: JSONObject) -> int | None:
        """The place of a row; None when it is not one of this run's."""
        index, repeat = row["task_index"], row["repeat"]
        if type(index) is not int or type(repeat) is not int:
            return None
        inside = 0 <= index < self.tasks and 0 <= repeat < self.repeats
        return index * self.repeats + repeat if inside else None

    def add(self, row: JSONObject) -> bool:
        """Enter a row; False when it is none of this run's. Of a doubled row the first counts."""
        slot = self.slot(row)
        if slot is None:
            return False
        self._kept.clear()
        self._passes = None
        if self.state[slot]:
            self.doubled += 1
            return True
        if row["outcome"] == "scored":
            self.state[slot] = SCORED
            self._rewards[slot] = row["reward"]
            self.answers[slot] = self._answer(row)
        else:
            self.state[slot] = FAILED
            self._fail(row["failure"])
        if row.get("stop"):
            self.stops[row["stop"]] += 1
        ledger = row.get("ledger") or ()
        self._calls[slot] = len(ledger)
        self._errors[slot] = [entry["error"] is None for entry in ledger].count(False) if ledger else 0
        self._attempts[slot] = row.get("attempts", 1)
        for group, columns in self._groups:
            for key, value in (row.get(group) or {}).items():
                column = columns.get(key)
                if column is None:
                    column = columns[key] = self._column(f"{group}.{key}")
                try:
                    column[slot] = value
                except TypeError:  # no number
                    continue
        return True

    def part(self) -> Part:
        """What was entered, without the empty slots."""
        slots = array("q", (i for i, state in enumerate(self.state) if state))
        return Part(
            slots,
            bytes(self.state[i] for i in slots),
            array("Q", (self.answers[i] for i in slots)),
            {name: array("d", map(column.__getitem__, slots)) for name, column in self.columns.items()},
            (self.answer_sources, self.failed, self.stops),
            self.failure_examples,
            self.doubled,
        )

    def merge(self, part: Part) -> bool:
        """Enter what another process read; False, and nothing done, when a rollout is there already."""
        if any(map(self.state.__getitem__, part.slots)):
            return False
        self._kept.clear()
        self._passes = None
        for name, values in part.columns.items():
            column = self._column(name)
            for slot, value in zip(part.slots, values, strict=True):
                column[slot] = value
        for slot, state, answer in zip(part.slots, part.state, part.answers, strict=True):
            self.state[slot], self.answers[slot] = state, answer
        self.doubled += part.doubled
        for ours, theirs in zip((self.answer_sources, self.failed, self.stops), part.counters, strict=True):
            ours.update(theirs)
        for kind, message in part.failure_examples.items():
            self.failure_examples[kind] = min(message, self.failure_examples.get(kind, message))
        return True

    def _fail(self, failure: JSONObject) -> None:
        kind, message = failure["kind"], failure["message"]
        self.failed[kind] += 1
        self.failure_examples[kind] = min(message, self.failure_examples.get(kind, message))

    def _answer(self, row: JSONObject) -> int:
        """A code for what the rollout answered: what the verifier read, else what the agent said last."""
        given = row.get("answer")
        if given is not None:
            self.answer_sources["declared"] += 1
        else:
            given = row.get("text")
            self.answer_sources["text" if given is not None else "none"] += 1
        text = " ".join(given.split()).casefold() if isinstance(given, str) else ""
        if not text:
            return NO_ANSWER
        return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()) or 1

    def _column(self, name: str) -> array[float]:
        """A new column; what is no number of a rollout, or one too many, shares one that nobody reads."""
        if name in self.columns:
            return self.columns[name]
        column = array("d", [nan]) * len(self.state)
        if name not in _NO_NUMBERS and len(self.columns) < MOST_COLUMNS:
            self.columns[name] = column
            return column
        if self._ignored is None:
            self._ignored = column
        return self._ignored

    # -- what it says ----------------------------------------------------------------------------------------

    @property
    def scored(self) -> int:
        return self.state.count(SCORED)

    @property
    def failed_slots(self) -> list[int]:
        """The slots of the failed rollouts."""
        found, at = [], self.state.find(FAILED)
        while at >= 0:
            found.append(at)
            at = self.state.find(FAILED, at + 1)
        return found

    def field(self, name: str) -> array[float]:
        """A column; `pass` is 1 where the reward is a full score. `KeyError` when no row has it."""
        return self.passes if name == "pass" else self.columns[name]

    @property
    def passes(self) -> array[float]:
        """1 where the reward is a full score, else 0; NaN without a score."""
        if self._passes is None:
            best, rewards = self.best, self.columns["reward"]
            self._passes = array("d", (nan if r != r else float(is_full(r, best)) for r in rewards))
        return self._passes

    def task_values(self, column: array[float], failed_as: float | None = None) -> Iterator[list[float]]:
        """The values of each task's scored rollouts; failed ones count as `failed_as` when it is given."""
        n, state = self.repeats, self.state
        whole = bytes([SCORED]) * n
        for start in range(0, self.tasks * n, n):
            states, values = state[start : start + n], list(column[start : start + n])
            if states != whole:
                values = [v for v, s in zip(values, states, strict=True) if s == SCORED]
            if not all(map(eq, values, values)):  # NaN: the rollout has no such number
                values = [v for v in values if v == v]
            if failed_as is not None:
                values += [failed_as] * states.count(FAILED)
            yield values

    def scores(self, metric: str, *, failed_as_worst: bool = False) -> TaskScores:
        """Task summaries of `pass`, `reward` or any column, failed rollouts left out or counted as the worst."""
        key = metric, failed_as_worst and bool(self.failed)
        if key not in self._kept:
            values = self.metric_values(metric, failed_as_worst=failed_as_worst)
            self._kept[key] = TaskScores.of(values, self.field_bounds(metric))
        return self._kept[key]

    def metric_values(self, metric: str, *, failed_as_worst: bool = False) -> Iterator[list[float]]:
        """`task_values` of `pass`, `reward` or any column. Only of these three a failure can be the worst:
        passes, reward, components."""
        known = metric in ("pass", "reward") or metric.startswith("components.")
        failed_as = (self.worst if metric == "reward" else 0.0) if failed_as_worst and known else None
        return self.task_values(self.field(metric), failed_as)

    def field_bounds(self, metric: str) -> Bounds:
        """The range of a metric: declared for the reward, 0 to 1 for passes, and observed to be so for others."""
        if metric == "pass":
            return 0.0, 1.0
        if metric == "reward":
            return self.bounds
        component = metric.startswith("components.")
        if component and all(isnan(v) or 0.0 <= v <= 1.0 for v in self.columns[metric]):
            return 0.0, 1.0
        return -inf, inf

"""Labelled examples for a judge, and how its replies are read as one of their labels."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from gym_mcp import hub
from gym_mcp.datasets import Rows
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

Label: TypeAlias = "str | float"
Kind = Literal["pair", "equality", "score", "grade"]
PAIR: Final = ("second", "tie", "first")
EQUALITY: Final = ("different", "equal")
_READ: Final = "auto, equality, grade, pair or score:LOW-HIGH"


def verifiers(module: str) -> Any:
    """A module of the hub's `verifiers`; the last hub root that has it wins."""
    if "verifiers" not in sys.modules:
        for root in [*hub.roots()]:
            if (root / "verifiers" / "__init__.py").is_file() and str(root) not in sys.path:
                sys.path.insert(0, str(root))
    return import_module(f"verifiers.{module}")


@dataclass(frozen=True, slots=True)
class Example:
    """What the judge is shown, and the labels that people gave it (None: that person gave none)."""

    id: str
    fields: Mapping[str, str]
    labels: tuple[Label | None, ...]

    @property
    def label(self) -> Label | None:
        """What most people said; for numbers their mean. None in a tie."""
        given = [label for label in self.labels if label is not None]
        if all(isinstance(label, float) for label in given):
            return sum(map(float, given)) / len(given)
        most = max(map(given.count, given))
        leaders = {label for label in given if given.count(label) == most}
        return leaders.pop() if len(leaders) == 1 else None


def load_examples(path: Path, wanted: frozenset[str]) -> list[Example]:
    """The examples of a JSONL file; `wanted` are the fields that the prompt asks for.

    A row has those, `label` or `labels` (a list, null where a person gave none), and may have an `id`.
    """
    examples = [_example(where, row, wanted, number) for number, (where, row) in enumerate(Rows(path), 1)]
    if not examples:
        raise UsageError(f"{path}: no examples in it")
    return examples


def _example(where: str, row: JSONObject, wanted: frozenset[str], number: int) -> Example:
    missing = sorted(wanted - row.keys())
    if missing:
        raise UsageError(
            f"{where}: no `{missing[0]}`, which the prompt asks for (its fields: {', '.join(sorted(wanted))})"
        )
    raw = row["labels"] if "labels" in row else [row.get("label")]
    labels = tuple(map(_label, raw)) if isinstance(raw, list) else ()
    if not any(label is not None for label in labels):
        raise UsageError(f"{where}: `label` (a text, number or boolean) or `labels` (a list of them) is expected")
    fields = {name: value if isinstance(value, str) else str(value) for name, value in row.items()}
    return Example(str(row.get("id", number)), fields, labels)


def _label(value: Any) -> Label | None:
    if isinstance(value, bool):
        return EQUALITY[value]
    if isinstance(value, int | float):
        return float(value)
    return value if isinstance(value, str) and value else None


@dataclass(frozen=True, slots=True)
class Reading:
    """How replies become labels. `classes` are in order where `ordered`; none for scores."""

    kind: Kind
    classes: tuple[str, ...]
    ordered: bool
    read: Callable[[str], Label | None]
    low: float = 0.0
    high: float = 1.0


def reading(how: str, examples: Sequence[Example], which: Literal["first", "last"], ordered: bool) -> Reading:
    """The reading that `--read` names; `auto` goes by the labels and fields of the examples."""
    given = {label for example in examples for label in example.labels if label is not None}
    kind, _, span = how.partition(":")
    if kind == "auto":
        kind = _guess(given, examples)
    judge = verifiers("judge")
    if kind == "pair" and given <= set(PAIR):
        preference = verifiers("judging").preference
        return Reading("pair", PAIR, True, lambda reply: preference(reply, which=which))
    if kind == "equality" and given <= set(EQUALITY):
        return Reading("equality", EQUALITY, True, lambda reply: _equal(judge.equality(reply, which=which)))
    if kind == "grade" and all(isinstance(label, str) for label in given):
        classes = tuple(sorted(map(str, given)))
        return Reading("grade", classes, ordered, lambda reply: judge.grade(reply, classes, which=which))
    if kind == "score" and all(isinstance(label, float) for label in given):
        return _score(span, given, which)
    shown = ", ".join(sorted(map(str, given))[:5])
    raise UsageError(f"--read {how}: does not fit the labels ({shown}); one of {_READ} is expected")


def _guess(given: set[Label], examples: Sequence[Example]) -> str:
    if all(isinstance(label, float) for label in given):
        return "score"
    if given <= set(PAIR) and all({"first", "second"} <= example.fields.keys() for example in examples):
        return "pair"
    return "equality" if given <= set(EQUALITY) else "grade"


def _equal(verdict: Any) -> str | None:
    return None if verdict.equal is None else EQUALITY[verdict.equal]


def _score(span: str, given: set[Label], which: Literal["first", "last"]) -> Reading:
    low, dash, high = span.partition("-")
    try:
        bounds = (float(low), float(high)) if dash else None
    except ValueError:
        bounds = None
    if bounds is None:
        raise UsageError(f"--read score:{span or '?'}: give the judge's scale, e.g. --read score:1-10")
    least, most = bounds
    numbers = [float(label) for label in given]
    if not (least < most and least <= min(numbers) and max(numbers) <= most):
        raise UsageError(f"--read score:{span}: the labels lie between {min(numbers):g} and {max(numbers):g}")
    absolute = verifiers("judge").absolute

    def read(reply: str) -> float | None:
        scaled = absolute(reply, least, most, which=which)
        return None if scaled is None else least + scaled * (most - least)

    whole = all(n.is_integer() for n in (*numbers, least, most)) and most - least <= 20
    classes = tuple(f"{n:g}" for n in range(int(least), int(most) + 1)) if whole else ()
    return Reading("score", classes, True, read, least, most)

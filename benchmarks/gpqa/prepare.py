"""GPQA's rows name the right answer and three wrong ones: here they become options in a fixed random order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

COLUMNS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def rows(raw: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows with `choices` and the index `answer`, in an order that the record's id decides."""
    for row in raw:
        order = [0, 1, 2, 3]
        random.Random(f"gpqa {row['Record ID']}").shuffle(order)
        choices = [str(row[COLUMNS[i]]).strip() for i in order]
        yield {**row, "Question": str(row["Question"]).strip(), "choices": choices, "answer": order.index(0)}

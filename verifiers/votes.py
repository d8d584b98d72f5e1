"""Several votes on one thing: a majority with its ties, or a mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Votes(Generic[T]):
    """What each vote said, in order; None for a reply that could not be read."""

    cast: tuple[T | None, ...]

    @property
    def readable(self) -> list[T]:
        return [vote for vote in self.cast if vote is not None]

    @property
    def unreadable(self) -> int:
        """Replies that said nothing that counts. They are no votes against anything."""
        return len(self.cast) - len(self.readable)

    @property
    def counts(self) -> dict[T, int]:
        """Votes by value, most first."""
        return dict(Counter(self.readable).most_common())

    @property
    def leaders(self) -> list[T]:
        """The values with the most votes: several in a tie, none without a readable vote."""
        counts = self.counts
        most = max(counts.values(), default=0)
        return [value for value, count in counts.items() if count == most]

    @property
    def majority(self) -> T | None:
        """The value with the most votes; None in a tie (`tied`) and without any."""
        return self.leaders[0] if len(self.leaders) == 1 else None

    @property
    def tied(self) -> bool:
        return len(self.leaders) > 1

    @property
    def agreement(self) -> float | None:
        """The share of the readable votes that the most frequent value has; None without any."""
        counts = self.counts
        return max(counts.values()) / sum(counts.values()) if counts else None


def mean_of(votes: Iterable[float | None]) -> float | None:
    """The mean of the readable grades; None without any."""
    grades = [vote for vote in votes if vote is not None]
    return fmean(grades) if grades else None


def repeat_agreement(items: Iterable[Sequence[Hashable | None]]) -> float | None:
    """Test-retest: over items, the mean share of pairs of readable votes that agree; None without a pair."""
    rates: list[float] = []
    for cast in items:
        readable = Counter(vote for vote in cast if vote is not None)
        n = readable.total()
        if n > 1:
            rates.append(sum(c * (c - 1) for c in readable.values()) / (n * (n - 1)))
    return fmean(rates) if rates else None

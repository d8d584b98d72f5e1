"""A day's calendar: what a time constraint means, whether a calendar keeps to all of them, and one that does."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

_CLOCK: Final = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*([ap])\.?m\.?", re.IGNORECASE)
_HOURS: Final = re.compile(r"(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Window:
    """What an event must keep to: its length, and bounds of its start and end, in minutes after midnight."""

    duration: int
    earliest: int
    latest_end: int
    at: int | None = None

    @property
    def latest(self) -> int:
        """The latest start."""
        return self.latest_end - self.duration


def minutes(text: str) -> int:
    """Minutes after midnight of `13:45`. Raises `ValueError` for anything else."""
    match = _HOURS.fullmatch(text.strip())
    if match is None or int(match.group(1)) > 24 or int(match.group(2)) > 59:
        raise ValueError(f"`{text:.40}` is no time of the form HH:MM")
    return 60 * int(match.group(1)) + int(match.group(2))


def clock(minute: int) -> str:
    """`13:45` of minutes after midnight."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def spoken(text: str) -> int:
    """Minutes after midnight of `1:45pm` or `10 am`. Raises `ValueError` for anything else."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None or not 1 <= int(match.group(1)) <= 12 or int(match.group(2) or 0) > 59:
        raise ValueError(f"`{text:.40}` is no time such as 1:45pm")
    return 60 * (int(match.group(1)) % 12 + 12 * (match.group(3).lower() == "p")) + int(match.group(2) or 0)


def window(duration: int, constraint: str | None, min_time: str, max_time: str) -> Window:
    """The bounds of an event: `before X` (ends by X), `after X` (starts at X or later), `between X and Y`, `at X`.

    None is no constraint. Raises `ValueError` for another form.
    """
    earliest, latest_end = minutes(min_time), minutes(max_time)
    if constraint is None or not constraint.strip():
        return Window(duration, earliest, latest_end)
    kind, _, rest = constraint.strip().partition(" ")
    match kind.lower():
        case "before":
            return Window(duration, earliest, min(latest_end, spoken(rest)))
        case "after":
            return Window(duration, max(earliest, spoken(rest)), latest_end)
        case "between":
            first, _, second = rest.partition(" and ")
            return Window(duration, max(earliest, spoken(first)), min(latest_end, spoken(second)))
        case "at":
            return Window(duration, earliest, latest_end, spoken(rest))
        case _:
            raise ValueError(f"`{constraint:.60}` is none of: before X, after X, between X and Y, at X")


def violation(calendar: Sequence[Any], windows: Mapping[str, Window]) -> str | None:
    """What is wrong with a calendar as a list of events, or None. Of two entries with one id the later counts."""
    events: dict[str, tuple[int, int]] = {}
    for entry in calendar:
        try:
            name, start, duration = str(entry["event_id"]), minutes(entry["start_time"]), entry["duration"]
            if isinstance(duration, bool) or duration != int(duration):
                raise ValueError("the duration is no whole number")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
            return f"an entry cannot be read: {type(e).__name__}: {e}"[:200]
        events[name] = (start, start + int(duration))
    if events.keys() != windows.keys():
        return f"events {', '.join(sorted(events)):.200} instead of {', '.join(sorted(windows))}"
    return _conflict(events) or _misplaced(events, windows)


def _conflict(events: Mapping[str, tuple[int, int]]) -> str | None:
    placed = sorted((start, end, name) for name, (start, end) in events.items())
    for (_, end, name), (start, _, following) in itertools.pairwise(placed):
        if end > start:
            return f"events {name} and {following} overlap"
    return None


def _misplaced(events: Mapping[str, tuple[int, int]], windows: Mapping[str, Window]) -> str | None:
    for name, (start, end) in events.items():
        bounds = windows[name]
        if end - start != bounds.duration:
            return f"event {name} takes {end - start} minutes, not {bounds.duration}"
        if bounds.at is not None and start != bounds.at:
            return f"event {name} starts at {clock(start)}, not at {clock(bounds.at)}"
        if start < bounds.earliest:
            return f"event {name} starts at {clock(start)}, before {clock(bounds.earliest)}"
        if end > bounds.latest_end:
            return f"event {name} ends at {clock(end)}, after {clock(bounds.latest_end)}"
    return None


def schedule(windows: Mapping[str, Window]) -> dict[str, int] | None:
    """A start for each event that keeps to all windows, or None if there is none.

    Searches the orders of events, each started as early as its order allows: if any schedule exists, the one with
    the same order and earliest starts does too.
    """
    fixed = {
        n: w if w.at is None else Window(w.duration, w.at, w.at + w.duration, w.at) for n, w in windows.items()
    }
    if any(w.at is not None and not w.earliest <= w.at <= w.latest for w in windows.values()):
        return None
    return next(_orders(fixed, 0, frozenset(fixed)), None)


def _orders(windows: Mapping[str, Window], now: int, left: frozenset[str]) -> Iterator[dict[str, int]]:
    if not left:
        yield {}
        return
    starts = {name: max(now, windows[name].earliest) for name in left}
    if any(start > windows[name].latest for name, start in starts.items()):
        return
    for name in sorted(left, key=lambda n: (windows[n].latest, n)):
        for rest in _orders(windows, starts[name] + windows[name].duration, left - {name}):
            yield {name: starts[name], **rest}

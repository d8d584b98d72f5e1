"""What a comparison shows, in plain words; above all when it shows nothing."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, isinf

from gym_mcp.types import JSONObject

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on. Differences are B minus A."""

    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    equivalence: tuple[float, float] | None
    """The interval of the two one-sided tests: 1 - 2 * level (Schuirmann 1987)."""
    p: float
    """Adjusted for `contrasts` comparisons."""
    contrasts: int
    margin: float
    percent: bool
    higher_is_better: bool
    detectable: float | None
    tasks_needed: int | None
    repeats_needed: float | None
    tasks: int
    alike: bool
    """No task differs."""


def verdict(e: Evidence) -> JSONObject:
    """`code`: `b_better`, `a_better`, `equivalent`, or `cannot_tell`; `text`: a sentence or two.

    A winner needs both the adjusted p-value below 0.05 and an interval without 0; p alone where all tasks differ
    by the same amount of a metric without a range: there is no interval then. A winner's lead is positive, and so
    is its interval. `equivalent`: any difference larger than the margin is ruled out. Everything else cannot be
    told.
    """
    if e.p < LEVEL and (e.low is None or e.high is None or e.low > 0.0 or e.high < 0.0):
        better_b = (e.difference > 0.0) == e.higher_is_better
        winner, loser = (e.b, e.a) if better_b else (e.a, e.b)
        lower = "" if e.higher_is_better else "lower is better; "
        lead = _interval(e, down=e.difference < 0.0)
        text = f"{winner} is better than {loser} by {_amount(e, abs(e.difference))} ({lower}{lead}, p {_p(e)})."
        return {"code": "b_better" if better_b else "a_better", "text": text}
    if e.equivalence is not None and -e.margin < e.equivalence[0] and e.equivalence[1] < e.margin:
        text = (
            f"No difference larger than {_amount(e, e.margin)}: {e.b} less {e.a} is {_signed(e, e.difference)} "
            f"({_interval(e)})."
        )
        return {"code": "equivalent", "text": text}
    if e.alike:
        tasks = "the one task" if e.tasks == 1 else f"each of {e.tasks:,} tasks"
        text = f"Cannot tell: {e.b} and {e.a} came out the same on {tasks} ({_interval(e)}, p {_p(e)})."
    else:
        text = f"Cannot tell: {e.b} less {e.a} is {_signed(e, e.difference)} ({_interval(e)}, p {_p(e)})."
    return {"code": "cannot_tell", "text": f"{text}{_room(e)}{_remedy(e)}"}


def _room(e: Evidence) -> str:
    if e.low is None or e.high is None:
        return ""
    return f" A difference larger than {_amount(e, max(-e.low, e.high))} is ruled out, a smaller one is not."


def _remedy(e: Evidence) -> str:
    """What would settle it, if the difference is what it seems to be."""
    parts = []
    if e.alike and e.equivalence is not None and e.margin > 0.0:
        # The interval of tasks that never differ is the narrower the more there are, by their number plus 2.
        enough = floor(e.equivalence[1] * (e.tasks + 2) / e.margin - 2) + 1
        parts.append(f" {enough:,} tasks that come out the same would rule out {_amount(e, e.margin)}.")
    if e.detectable is not None:
        found = _amount(e, e.detectable)
        parts.append(f" With these {e.tasks} tasks a true difference of {found} would be found 4 times in 5.")
    if e.tasks_needed is not None and e.tasks_needed > e.tasks:
        more = f" One as small as this would take about {e.tasks_needed:,} tasks"
        if e.repeats_needed is not None and not isinf(e.repeats_needed):
            more += f", or {e.repeats_needed:,.0f} rollouts of each of these"
        elif e.repeats_needed is not None:
            more += "; more rollouts of these would not do"
        parts.append(f"{more}.")
    return "".join(parts)


def _amount(e: Evidence, value: float) -> str:
    return f"{100 * value:.1f} points" if e.percent else f"{value:.3g}"


def _signed(e: Evidence, value: float) -> str:
    return f"{100 * value:+.1f} points" if e.percent else f"{value:+.3g}"


def _interval(e: Evidence, *, down: bool = False) -> str:
    """The interval of the difference; of its opposite when `down`."""
    if e.low is None or e.high is None:
        return "no interval"
    low, high = (-e.high, -e.low) if down else (e.low, e.high)
    if e.percent:
        return f"95% CI {100 * low:+.1f} to {100 * high:+.1f}"
    return f"95% CI {low:+.3g} to {high:+.3g}"


def _p(e: Evidence) -> str:
    return p_text(e.p) + (" after Holm" if e.contrasts > 1 else "")


def p_text(p: float) -> str:
    """A p-value as people write it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"

"""What failed under the agent: lost rollouts, broken tools, harnesses that show something else than was said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.diagnosis.finding import SHOWN, Finding, Label, Scale, finding
from gym_mcp.diagnosis.scan import OTHERS, Cluster, Scan

OUTAGE: Final = re.compile(
    r"tim(?:ed|e)[ -]?out|unavailable|connection|refused|reset by peer|internal (?:server )?error|bad gateway"
    r"|\b50[0-4]\b|rate.?limit|too many requests|temporar|overloaded|traceback|unreachable|no space left"
    r"|service is down|try again later|deadline|(?:not|n['’]t) respond|please retry|retry later"
    r"|backend|upstream|gateway"
    r"|unauthori[sz]ed|token (?:has |is )?expired|invalid api.?key|quota|\bdns\b|\bssl\b|econn\w+|out of memory",
    re.IGNORECASE,
)
_OWNERS: Final[dict[str, Label]] = {"verifier": "TI", "judge": "TI"}
FEW: Final = 3
OFTEN: Final = 0.5
BROKEN: Final = 0.95
"""Share of erring calls from which on it is hardly the agent's arguments."""


def infrastructure(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Findings that are not the agent's."""
    expected = len(s.rollouts)
    missing = s.rollouts.count(None)
    if missing:
        yield finding(
            scale,
            "missing_rollouts",
            "IR",
            "Rollouts without a row: the run is not finished",
            (),
            expected,
            count=missing,
            suspect=True,
            advice="resume the run before quoting its score",
        )
    yield from _failures(s, scale, expected)
    yield from _tools(s, scale)
    yield from _harness(s, scale)


def _failures(s: Scan, scale: Scale, expected: int) -> Iterator[Finding]:
    for (kind, form), cluster in sorted(_frequent(s.failures).items()):
        rows = s.at(cluster.slots)
        yield finding(
            scale,
            f"failed_{kind}",
            _OWNERS.get(kind, "IR"),
            f"Rollouts failed ({kind}): {form or 'no message'}",
            rows,
            expected,
            key=form,
            suspect=True,
            details={"template": form, "example": cluster.example},
        )
    if s.retried.slots:
        yield finding(
            scale,
            "retried",
            "IR",
            "Rollouts that failed at first and came through when tried again",
            s.at(s.retried.slots),
            expected,
            confidence="medium",
            details={"example": s.retried.example},
        )


def _frequent(clusters: dict[tuple[str, str], Cluster]) -> dict[tuple[str, str], Cluster]:
    """The `SHOWN` most frequent templates; the others together, by kind."""
    found: dict[tuple[str, str], Cluster] = {}
    for (kind, form), c in sorted(clusters.items(), key=lambda kv: (kv[0][1] == OTHERS, -kv[1].count, kv[0])):
        merged = found.setdefault((kind, form if len(found) < SHOWN else OTHERS), Cluster())
        merged.count += c.count
        merged.slots |= c.slots
        merged.example = min(filter(None, (merged.example, c.example)), default="")
    return found


def _tools(s: Scan, scale: Scale) -> Iterator[Finding]:
    calls = sum(u.calls for u in s.tools.values())
    wrong = sum(sum(u.errors.values()) for u in s.tools.values())
    out: dict[str, set[int]] = {}
    kinds: dict[str, dict[str, int]] = {}
    for (tool, error, form), cluster in s.tool_errors.items():
        if error in ("timeout", "exception", "too_large") or (error == "tool" and OUTAGE.search(form)):
            out.setdefault(tool, set()).update(cluster.slots)
            kinds.setdefault(tool, {})[f"{error}: {form}"] = cluster.count
    for tool, slots in sorted(out.items()):
        rows = s.at(slots)
        use = s.tools.get(tool)
        yield finding(
            scale,
            "tool_outage",
            "IR",
            f"`{tool}` failed in its own right (timeouts, crashes, outages)",
            rows,
            sum(1 for _ in s.present),
            key=tool,
            suspect=True,
            details={"tool": tool, "calls": use.calls if use else 0, "errors": dict(sorted(kinds[tool].items()))},
        )
    for tool, use in sorted(s.tools.items()):
        bad = use.errors.get("tool", 0)
        rest_calls, rest_bad = calls - use.calls, wrong - sum(use.errors.values())
        elsewhere = rest_bad / rest_calls if rest_calls else 0.0
        if tool in out or use.calls < 5 or bad / use.calls < OFTEN or elsewhere > 0.2 or rest_calls < 5:
            continue
        rows = s.at(use.error_slots)
        if len({f.task for f in rows}) < FEW:
            continue
        yield finding(
            scale,
            "tool_errs_often",
            "IR",
            f"`{tool}` answers most calls with an error, other tools do not",
            rows,
            sum(1 for _ in s.present),
            key=tool,
            suspect=bad >= BROKEN * use.calls,
            confidence="medium",
            details={"tool": tool, "calls": use.calls, "errors": bad, "error_rate_of_others": round(elsewhere, 4)},
        )


def _harness(s: Scan, scale: Scale) -> Iterator[Finding]:
    used = [f for f in s.present if f.calls]
    for flag, title in (
        ("error_not_shown", "A tool's error never reached the transcript: the harness dropped or replaced it"),
        ("result_not_shown", "A tool's result never reached the transcript as it was"),
        ("no_results_in_transcript", "Tools were called, and the transcript holds no result at all"),
    ):
        rows = [f for f in used if flag in f.flags]
        if rows:
            yield finding(scale, flag, "IR", title, rows, len(used), suspect=True)
    rows = [f for f in s.present if "calls_unsaid" in f.flags]
    if rows:
        yield finding(
            scale,
            "calls_not_in_transcript",
            "IR",
            "The environment saw calls that the transcript does not have: sent twice, or by the harness itself",
            rows,
            len(used),
            suspect=True,
            confidence="medium",
        )
    rows = [f for f in s.present if "calls_unseen" in f.flags]
    if rows:
        yield finding(
            scale,
            "calls_not_in_ledger",
            "IR",
            "The transcript has calls that the environment never saw",
            rows,
            sum(1 for _ in s.present),
            suspect=True,
            confidence="medium",
        )

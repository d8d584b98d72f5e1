"""What tools answered: errors that came as results, nothing where there was something, one answer to all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import fsum
from typing import Final

from gym_mcp.diagnosis.finding import Finding, Scale, finding
from gym_mcp.diagnosis.infrastructure import OUTAGE
from gym_mcp.diagnosis.scan import EMPTY, LIKE_AN_ERROR, SAME, Scan

_NOTHING: Final = re.compile(r"\b(?:no|none|not|nothing|0|empty|null)\b|^\W*$", re.IGNORECASE)
FEW: Final = 3
RARE: Final = 0.34
USUAL: Final = 0.6
SEVERAL: Final = 5


def results(s: Scan, scale: Scale) -> Iterator[Finding]:
    """Suspects among the results of tools."""
    yield from _errors_as_results(s, scale)
    yield from _varying(s, scale)
    yield from _one_answer(s, scale)


def _errors_as_results(s: Scan, scale: Scale) -> Iterator[Finding]:
    for tool, use in sorted(s.tools.items()):
        slots = {slot for c in use.soft.values() for slot in c.slots}
        if not slots:
            continue
        down = any(OUTAGE.search(c.example) for c in use.soft.values())
        yield finding(
            scale,
            "error_as_result",
            "IR",
            f"`{tool}` says in a result that something failed: no error, as far as the protocol is concerned",
            s.at(slots),
            sum(1 for _ in s.present),
            key=tool,
            suspect=down,
            confidence="high" if down else "low",
            details={
                "tool": tool,
                "calls": use.calls,
                "results": {form: c.count for form, c in sorted(use.soft.items())[:10]},
            },
            advice="let the tool answer with an error, and repair what failed behind it",
        )


def _varying(s: Scan, scale: Scale) -> Iterator[Finding]:
    """The same calls from the beginning of a task, and another result: by right where a game is dealt anew."""
    agree: dict[str, int] = {}
    differ: dict[str, int] = {}
    slots: dict[str, set[int]] = {}
    empty: dict[str, set[int]] = {}
    alike: dict[str, list[float]] = {}
    kept: dict[str, set[int]] = {}
    names = {hash(name): name for name in s.tools}
    reads = _reading(s)
    repeats = s.run.sheet.repeats
    for index in range(len(s.tasks)):
        seen: dict[int, dict[int, set[int]]] = {}
        kinds: dict[int, int] = {}
        of_call: dict[int, str] = {}
        for f in s.of_task(index):
            for at in range(0, len(f.results), 4):
                call, result, name, kind = f.results[at : at + 4]
                of_call[call] = names.get(name, "")
                seen.setdefault(call, {}).setdefault(result, set()).add(f.task * repeats + f.repeat)
                kinds[result] = kind
        for call, by_result in seen.items():
            rows = {slot for of in by_result.values() for slot in of}
            tool = of_call[call]
            if len(rows) < 2 or not tool:
                continue
            if len(by_result) == 1:
                agree[tool] = agree.get(tool, 0) + 1
                continue
            differ[tool] = differ.get(tool, 0) + 1
            usual = max(by_result, key=lambda r: (len(by_result[r]), -min(by_result[r])))
            void = {r for r in by_result if kinds[r] in (EMPTY, LIKE_AN_ERROR)}
            if void and len(void) < len(by_result):
                empty.setdefault(tool, set()).update(*(by_result[r] for r in void))
            slots.setdefault(tool, set()).update(*(of for r, of in by_result.items() if r != usual))
            alike.setdefault(tool, []).append(len(by_result[usual]) / len(rows))
            kept.setdefault(tool, set()).update(by_result)
    for tool in sorted(differ):
        nothing = tool in empty
        rare = agree.get(tool, 0) >= FEW and differ[tool] <= RARE * (agree.get(tool, 0) + differ[tool])
        # A die shows each side as often; a tool that reads, and is sometimes wrong, has a usual result.
        usual_one = len(alike[tool]) >= FEW and fsum(alike[tool]) >= USUAL * len(alike[tool])
        odd = tool in reads and usual_one and len(kept[tool]) > SEVERAL
        if not nothing and not rare and not odd:
            continue
        yield finding(
            scale,
            "same_call_different_result",
            "IR",
            f"`{tool}` answered the same call in the same state differently"
            + (", with nothing or with an error in some rollouts" if nothing else ""),
            s.at(empty[tool] if nothing else slots[tool]),
            sum(1 for f in s.present if f.calls),
            key=tool,
            suspect=True,
            confidence="high" if nothing else "low",
            details={"tool": tool, "places_that_differ": differ[tool], "places_that_agree": agree.get(tool, 0)},
        )


def _reading(s: Scan) -> set[str]:
    return {t["name"] for t in s.run.manifest["environment"].get("tools") or () if t.get("readOnly")}


def _one_answer(s: Scan, scale: Scale) -> Iterator[Finding]:
    """A tool that reads, and says the same whatever it is asked."""
    reads = _reading(s)
    for tool, use in sorted(s.tools.items()):
        if tool not in reads or len(use.asked) < SAME or len(use.said) != 1:
            continue
        rows = [f for f in s.present if tool in f.tools]
        if len({f.task for f in rows}) < FEW:
            continue
        nothing = _NOTHING.search(min(use.said)[:200])  # who asks at random finds nothing
        yield finding(
            scale,
            "tool_says_one_thing",
            "IR",
            f"`{tool}` gave one result to all that it was asked",
            rows,
            sum(1 for f in s.present if f.calls),
            key=tool,
            suspect=not nothing,
            confidence="low" if nothing else "medium",
            details={"tool": tool, "calls": use.calls, "result": min(use.said)[:200]},
        )

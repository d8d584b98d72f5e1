"""Which way a sentence says that something went, and which of two runs it speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.evidence import Shown
from gym_mcp.claims.figures import same
from gym_mcp.claims.numerals import CLAUSE, Number, numbers


def sides(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """Where a sentence and its claims take sides differently: (kind of problem, what it is)."""
    yield from _arms(bare, shown)
    yield from _directions(bare, shown)


_OLD: Final = prose.words(
    r"earlier|before|previous(?:ly)?|old(?:er)?|baseline|former|prior|used to|last (?:run|time)"
)
_NEW: Final = prose.words(r"new(?:er)?|now|current(?:ly)?|later|this (?:run|time|one)|present|after|latest")
_AGAINST: Final = re.compile(
    r"\b(?:than|from|since|against|with|to|over|versus|vs\.?|of|on|in|for|as)\s+(?:\w+\s+){0,2}$", re.IGNORECASE
)


def _arms(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """What the sentence gives to the other run than its claims do."""
    old_only = bool(shown) and all(_arm_of(c) < 0 for c in shown)
    if old_only and not _OLD.search(bare):
        yield "direction", "the queries are about the earlier run, the sentence does not say so"
    if shown and _OLD_RUN.search(bare) and not any("before(" in c.claim.query for c in shown):
        yield "direction", "the sentence is about the earlier run, no query is"
    if not any("before(" in c.claim.query for c in shown):
        return
    for n in numbers(bare):
        arms = _arms_of(n, shown)
        if n.bound or len(arms) != 1 or 0 in arms:
            continue
        start = max((m.end() for m in CLAUSE.finditer(bare[: n.at])), default=0)
        clause = bare[start : n.at] + CLAUSE.split(bare[n.at :])[0]
        old, new = bool(_OLD.search(clause)), bool(_NEW.search(clause))
        if old != new and (-1 if old else 1) not in arms:
            yield "direction", f"{n.text}: the sentence gives it to the other run"
    for m in re.finditer(r"\bfrom\b(.{0,60}?)\bto\b(.*)", bare):
        then, now = (numbers(part)[:1] for part in m.groups())
        if then and now and _arms_of(then[0], shown) == {1} and _arms_of(now[0], shown) == {-1}:
            yield "direction", "from the earlier run to this one, not the other way"


def _arms_of(n: Number, shown: list[Shown]) -> set[int]:
    return {_arm_of(c) for c in shown if not isinstance(c.stated.value, bool | str) and same(n, c)}


_OLD_RUN: Final = prose.words(
    r"(?:earlier|previous|old|baseline|former|prior|last|first) (?:run|version|model|arm|agent)|baseline"
    r"|previously"
)


def _arm_of(c: Shown) -> int:
    """-1: of the earlier run; 1: of this one; 0: of both."""
    query = c.claim.query
    if "before(" not in query:
        return 1
    return -1 if query.startswith("before(") and not re.search(r"\)\s*[-+*/<>=]", query) else 0


def _old_first(bare: str) -> bool:
    """Whether the sentence is about the earlier run: it names it first, and not to compare with it."""
    old, new = _OLD.search(bare), _NEW.search(bare)
    if old is None or (new is not None and new.start() < old.start()):
        return False
    return not _AGAINST.search(bare[: old.start()]) and old.group().lower() not in ("before", "previously")


def _directions(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    said = prose.direction(bare)
    asked = {-c.direction if _before_first(c) else c.direction for c in shown if c.direction}
    if not asked and len(shown) == 2:
        turned = bool(re.search(r"\bfrom\b.*\bto\b", bare)) and not any("before(" in c.claim.query for c in shown)
        asked = {-sign if turned else sign for sign in _of_two(shown[0], shown[1])}
    if said and any("before(" in c.claim.query for c in shown) and _old_first(bare):
        said = -said
    moved = re.search(r"\bfrom\b(.{0,60}?)\bto\b(.*)", bare)
    then, now = (numbers(part)[:1] for part in moved.groups()) if moved else ([], [])
    up_from = re.search(r"\b(?:up|down) from\b(.*)", bare)
    if up_from and not then:
        then, now = numbers(up_from.group(1))[:1], numbers(bare[: up_from.start()])[-1:]
    if said and then and now and (now[0].value - then[0].value) * prose.direction(bare) < 0:
        yield "direction", f"from {then[0].text} to {now[0].text} it went the other way"
    if prose.no_change(bare) and not said and any(c.direction for c in shown):
        yield "direction", "the sides that are shown are not alike"
    top = _TOP.search(bare)
    if top and not said and len(shown) == 2 and (1 if top.group("up") else -1) not in (_of_two(*shown) or {1, -1}):
        yield "direction", f"`{top.group()}`: the other one is, as far as the claims show"
    if said and asked and said not in asked:
        yield "direction", "the sentence says that it went the other way"
    elif said and not asked and not _SAYS_NO_CHANGE.search(bare):
        yield "direction", "it compares: show both sides, or their difference"


_TOP: Final = re.compile(r"\b(?:(?P<up>easiest|strongest|best)|hardest|weakest|worst)\b", re.IGNORECASE)


def _before_first(c: Shown) -> bool:
    """Whether a comparison has the earlier run on its left."""
    return bool(re.match(r"\s*before\(.*\)\s*[<>]", c.claim.query))


_SAYS_NO_CHANGE: Final = prose.words(r"lost|loses?")


def _of_two(a: Shown, b: Shown) -> set[int]:
    """Which way two claims of one thing go: now and before, or one kind and another."""
    if isinstance(a.actual, bool | str) or isinstance(b.actual, bool | str) or a.actual == b.actual:
        return set()
    first = "before(" in a.claim.query and "before(" not in b.claim.query
    now, then = (b.actual, a.actual) if first else (a.actual, b.actual)
    return {1 if now > then else -1}

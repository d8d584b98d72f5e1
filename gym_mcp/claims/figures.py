"""The numbers of a sentence held against those of its claims: values, what they count, bounds, fractions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.evidence import Shown
from gym_mcp.claims.numerals import CLAUSE, Fraction, Number, fractions, limit, numbers, rounds_to
from gym_mcp.claims.syntax import Sentence
from gym_mcp.diagnosis.facts import Facts


def figures(s: Sentence, bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    """What does not agree between the numbers of a sentence and its claims: (kind of problem, what it is)."""
    yield from _said(s, bare, shown, cited)
    yield from _fractions(bare, shown)
    yield from _counted(s, bare, shown)
    yield from _bounds(bare, shown, cited)


def _said(s: Sentence, bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    asked = {b for c in shown for b in c.bounds} | {float(f.repeat) for f in cited}
    values = [c for c in shown if not isinstance(c.stated.value, bool | str)]
    bounds = [n for n in numbers(bare) if n.sense]
    said = [
        n
        for n in numbers(bare)
        if not n.bound
        or (
            n.weak
            and n.scaled not in asked
            and n.value not in asked
            and not any(_holds(n, c) for c in values)
            and n.value != 1
        )
    ]
    fitting = [f for f in fractions(bare) if _fits(f, shown)]
    denied = any(c.negatives for c in shown)
    quoted = " ".join(c.quoted for c in s.citations)
    matched: list[int] = []
    for n in said:
        at = next((i for i, c in enumerate(values) if i not in matched and same(n, c)), None)
        if at is None and any(same(n, c) for c in values):
            continue  # the same number again
        if at is not None:
            matched.append(at)
        elif any(f.start <= n.at < f.end for f in fitting) or (n.value == 0 and denied):
            continue
        elif n.value in {k for c in shown for k in c.tries} and _TRIES.search(bare):
            continue
        elif not re.search(r"(?<![\d.])" + re.escape(n.text.rstrip("% ")) + r"(?![\d.]|\.\d)", quoted):
            yield "number", f"{n.text}: no claim of the sentence has this value"
    twice = re.search(r"(?<![\w.])(\d+)\s+(?:\w+\s+){0,2}?(?:out )?of\s+(?:the\s+)?\1(?!\w|\.\d)", bare)
    if twice and sum(1 for c in values if c.stated.value == float(twice.group(1))) < 2:
        yield "number", f"{twice.group()}: two claims of that value are needed"
    if matched != sorted(matched):
        yield "order", "claims stand in the order of the numbers that they show: these do not"
    for i, c in enumerate(values):
        if i in matched or any(same(n, c) for n in said) or _worded(bare, c) or any(_holds(n, c) for n in bounds):
            continue
        if not any(_fits(f, [c]) or _fits(f, shown) for f in fitting):
            yield "number", f"{c.claim.source}: the sentence does not say {c.claim.value}"


def _counted(s: Sentence, bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """Numbers that count something else than their claim does."""
    values = [c for c in shown if not isinstance(c.stated.value, bool | str) and c.measures]
    for n in numbers(bare):
        if n.bound or n.measure is None or n.percent:
            continue
        fitting = [c for c in values if same(n, c)]
        erring = n.measure == "call" and re.search(r"\berr|\bfail", bare) is not None
        if erring and any("error" in c.measures for c in fitting):
            continue
        if fitting and not any(n.measure in c.measures for c in fitting):
            yield "measure", f"{n.text}: the sentence counts {n.measure}s, the query something else"
    for n in numbers(bare):
        rate = n.measure is None and not n.percent and bool(_RATE.search(bare[: n.at]))
        fitting = [c for c in values if same(n, c)]
        if rate and fitting and all(_counts(c) for c in fitting):
            yield "measure", f"{n.text}: the sentence speaks of a rate, the query counts"
        of = [c for c in shown if not isinstance(c.stated.value, bool | str) and same(n, c)]
        if n.points and of and not any(" - " in c.claim.query for c in of):
            yield "measure", f"{n.text}: points are a difference, the query has none"
        if n.percent and of and all(c.stated.points and " - " in c.claim.query for c in of):
            yield "measure", f"{n.text}: the difference is in points"
        shares = [c for c in of if re.match(r"\s*share\(", c.claim.query)]
        if n.percent and n.measure not in (None, "rollout", "reward") and shares == of and of:
            yield "measure", f"{n.text}: the sentence counts {n.measure}s, the query rollouts"
    nouns = {name for name, pattern in _NOUNS.items() if pattern.search(bare)}
    counted = {m for c in shown for m in c.measures & {"rollout", "task"}} | {
        "rollout" for c in shown if re.match(r"\s*share\(", c.claim.query)
    }
    if nouns and counted and all(_counts(c) or "share(" in c.claim.query for c in shown) and not nouns & counted:
        yield (
            "measure",
            f"the sentence speaks of {', '.join(sorted(nouns))}, the query of {', '.join(sorted(counted))}s",
        )
    queries = " ".join(c.claim.query for c in shown)
    for sign, own, other in (("@", "pass_at(", "pass_hat("), ("^", "pass_hat(", "pass_at(")):
        if f"pass{sign}" in bare and other in queries and own not in queries:
            yield "measure", f"the sentence speaks of pass{sign}k, the query is {other}k)"
    tries = {int(k) for k in re.findall(r"pass[@^](\d+)", bare)}
    ran = {k for c in shown for k in c.tries}
    if tries and ran and tries != ran:
        yield "measure", f"pass@k with k = {sorted(tries)}, the queries have {sorted(ran)}"
    yield from _of_what(s, shown)
    for n in numbers(bare):
        start = max((m.end() for m in CLAUSE.finditer(bare[: n.at])), default=0)
        told = prose.aggregates(bare[start : n.at] + CLAUSE.split(bare[n.at :])[0])
        summed = [c for c in values if same(n, c) and c.aggregates]
        if told and summed and not any(told & c.aggregates for c in summed):
            yield "measure", f"{n.text}: the sentence calls it the {', '.join(sorted(told))}, the query does not"
    said, asked = prose.aggregates(bare), {a for c in shown for a in c.aggregates}
    if said and asked and not said & asked:
        yield (
            "measure",
            f"the sentence speaks of {', '.join(sorted(said))}, the query of {', '.join(sorted(asked))}",
        )


def _of_what(s: Sentence, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """`x% of the A are B` of a share of A: not of B."""
    for m in _PART_OF.finditer(s.text):
        for c in shown:
            parted = _SHARE_OF.fullmatch(c.claim.query.strip())
            if parted is None:
                continue
            part, whole = parted.groups()
            for name in c.names:
                if name in part and name not in whole and name.casefold() in m.group(1).casefold():
                    yield "measure", f"the sentence takes a share of `{name}`, the query a share in which it is"


_PART_OF: Final = re.compile(
    r"(?:%|percent|half|thirds?|quarters?)\s+of\s+(?:the\s+|all\s+)?((?:[\w`./-]+\s+){1,5}?)"
    r"(?:are|is|were|was|did|do|have|had|made|call\w*|used?)\b",
    re.IGNORECASE,
)
_SHARE_OF: Final = re.compile(r"share\((.*), ?of=(.*)\)(?:\s*[<>]=?\s*[\d.]+)?", re.DOTALL)
_NOUNS: Final = {
    "rollout": prose.words(
        r"rollouts?|episodes?|trajector(?:y|ies)|times?|tries|attempts?|repeats?|runs?|agents?|it|they"
    ),
    "task": prose.words(r"tasks?|questions?|problems?"),
    "users": prose.words(r"users?|people|customers?|files?|messages?|models"),
}
_RATE: Final = re.compile(
    r"\b(?:rate|accuracy|share|fraction|proportion|percentage)\b(?:\s+\w+){0,4}?\s*"
    r"(?:\b(?:is|was|at|of|to|reach\w*|stands at)|[=:])\s*$",
    re.IGNORECASE,
)


def _counts(c: Shown) -> bool:
    return (
        bool(re.match(r"\s*(?:rollouts|tasks|calls|errors|bucket|finding)\(", c.claim.query))
        and "/" not in c.claim.query
    )


def _fractions(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    for f in fractions(bare):
        if not f.loose and not _fits(f, shown) and shown:
            yield "number", f"{f.text}: no claim of the sentence shows that share"


def _fits(f: Fraction, shown: list[Shown]) -> bool:
    """Whether a share that is shown, the ratio of two counts, or a bound of a query is this fraction."""
    values = [float(c.actual) for c in shown if not isinstance(c.actual, bool | str)]
    ratios = [min(a, b) / max(a, b) for a in values for b in values if max(a, b) > 0 and a != b]
    bounds = [b for c in shown for b in c.bounds if 0.0 < b < 1.0]
    return any(f.fits(v) for v in [*values, *ratios]) or any(abs(f.value - b) <= 0.01 for b in bounds)


_TRIES: Final = prose.words(r"tries|attempts|repeats|samples|times")


def same(n: Number, c: Shown) -> bool:
    value = abs(float(c.stated.value))
    mine = abs(n.value) / (100 if n.percent or n.points else 1)
    if n.points and not c.stated.percent and value > 1.0:
        mine = abs(n.value)
    if n.percent and not c.stated.percent and value > 1.0:
        return False
    step = 10.0**-n.decimals / (100 if n.percent or n.points else 1)
    exact = n.decimals == 0 and not n.percent and not n.points and not c.stated.percent and value.is_integer()
    if c.stated.percent and not n.percent and not n.points:
        return abs(abs(n.value) - 100 * value) <= 1e-6 or abs(mine - value) <= 1e-9
    return abs(mine - value) <= 1e-9 if exact else rounds_to(mine, value, step)


def _worded(bare: str, c: Shown) -> bool:
    said = prose.quantifiers(bare)
    if isinstance(c.actual, str):
        return False
    return bool(said - {"all"}) or bool("all" in said and c.actual == 1) or c.actual in (0, 1) or bool(c.direction)


def _bounds(bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    parts = [f.value for f in fractions(bare)]
    said = [n for n in numbers(bare) if n.bound and not (n.value in {f.repeat for f in cited} and not n.sense)]
    asked = {b for c in shown for b in c.limits}
    values = [c for c in shown if not isinstance(c.stated.value, bool | str)]
    for n in said:
        told = any(same(n, c) for c in values)
        if n.sense in ("", "=="):
            other = cited and not shown and re.search(r"\brepeat\s*$", bare[: n.at]) is not None
            fits = (
                told or (n.value in (0.0, 1.0) and not other) or n.scaled in {b for c in shown for b in c.bounds}
            )
        else:
            across = told and n.text.isdigit() and re.search(r"\b(?:over|up to)\s*$", bare[: n.at], re.IGNORECASE)
            held = any(_holds(n, c) for c in values)
            fits = limit(n.sense, n.scaled) in asked or held or bool(across) or (n.value == 1 and n.sense == ">=")
        if not fits:
            yield "bound", f"the sentence compares with {n.value:g}, no query does so"
    told_limits = {limit(n.sense, n.scaled) for n in said}
    plain = {n.value for n in numbers(bare) if not n.sense} | {n.scaled for n in numbers(bare) if not n.sense}
    halves = bool(prose.quantifiers(bare) & {"most", "few", "half"})
    for side, b in sorted(asked - told_limits):
        near = {b, b - 1, b + 1} if float(b).is_integer() else {b}
        known = (
            near & {0.0, 1.0} or near & plain or any(abs(b - f) <= 0.01 for f in parts) or (halves and b == 0.5)
        )
        if not known:
            yield "bound", f"the query compares with {b:g} ({side}), the sentence does not"


def _holds(n: Number, c: Shown) -> bool:
    """Whether the value of a claim is as much more or less as the sentence says."""
    if isinstance(c.actual, bool | str) or (n.percent or n.points) != c.stated.percent:
        return False
    side, edge = limit(n.sense, n.scaled)
    value = float(c.actual)
    return value >= edge if side == "least" else value <= edge

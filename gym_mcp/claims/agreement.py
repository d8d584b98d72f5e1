"""A sentence held against its evidence: one rule a kind of problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.evidence import Shown
from gym_mcp.claims.names import Names
from gym_mcp.claims.syntax import Sentence
from gym_mcp.diagnosis.facts import Facts


def disagreements(
    s: Sentence, bare: str, mentioned: list[str], shown: list[Shown], cited: list[Facts], names: Names
) -> Iterator[tuple[str, str]]:
    """What does not agree between a sentence and its evidence: (kind of problem, what it is)."""
    if not s.fragment and not prose.well_formed(s.text):
        yield "prose", "this is no sentence"
    yield from _numbers(s, bare, shown)
    yield from _measures(bare, shown)
    yield from _bounds(bare, shown)
    yield from _negations(bare, shown, cited)
    yield from _outcomes(bare, shown, cited)
    yield from _directions(bare, shown)
    yield from _quantifiers(bare, shown)
    yield from _entities(s, mentioned, shown, cited, names)
    if prose.causal(bare) and not cited:
        yield "causal", "it names a cause: quote what shows it"


def _numbers(s: Sentence, bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    asked = {b for c in shown for b in c.bounds}
    said = [n for n in prose.numbers(bare) if not n.bound or (n.weak and n.value not in asked)]
    values = [c for c in shown if not isinstance(c.stated.value, bool | str)]
    quoted = " ".join(c.quoted for c in s.citations)
    matched: list[int] = []
    for n in said:
        at = next((i for i, c in enumerate(values) if i not in matched and _same(n, c)), None)
        if at is None and any(_same(n, c) for c in values):
            continue  # the same number again
        if at is not None:
            matched.append(at)
        elif n.value in {k for c in shown for k in c.tries} and _TRIES.search(bare):
            continue
        elif not re.search(r"(?<![\d.])" + re.escape(n.text.rstrip("% ")) + r"(?![\d.]|\.\d)", quoted):
            yield "number", f"{n.text}: no claim of the sentence has this value"
    if matched != sorted(matched):
        yield "order", "claims stand in the order of the numbers that they show: these do not"
    for i, c in enumerate(values):
        if i not in matched and said and not any(_same(n, c) for n in said) and not _worded(bare, c):
            yield "number", f"{c.claim.source}: the sentence does not say {c.claim.value}"


def _measures(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """Numbers that count something else than their claim does."""
    values = [c for c in shown if not isinstance(c.stated.value, bool | str) and c.measures]
    for n in prose.numbers(bare):
        if n.bound or n.measure is None or n.percent:
            continue
        fitting = [c for c in values if _same(n, c)]
        if fitting and not any(n.measure in c.measures for c in fitting):
            yield "measure", f"{n.text}: the sentence counts {n.measure}s, the query something else"
    tries = {int(k) for k in re.findall(r"pass[@^](\d+)", bare)}
    ran = {k for c in shown for k in c.tries}
    if tries and ran and tries != ran:
        yield "measure", f"pass@k with k = {sorted(tries)}, the queries have {sorted(ran)}"
    said, asked = prose.aggregates(bare), {a for c in shown for a in c.aggregates}
    if said and asked and not said & asked:
        yield (
            "measure",
            f"the sentence speaks of {', '.join(sorted(said))}, the query of {', '.join(sorted(asked))}",
        )


_TRIES: Final = prose.words(r"tries|attempts|repeats|samples|times")


def _same(n: prose.Number, c: Shown) -> bool:
    value = abs(float(c.stated.value))
    mine = abs(n.value) / (100 if n.percent else 1)
    if n.percent and not c.stated.percent and value > 1.0:
        return False
    step = 0.5 * 10.0**-n.decimals / (100 if n.percent else 1)
    exact = n.decimals == 0 and not n.percent and not c.stated.percent and value.is_integer()
    if c.stated.percent and not n.percent:
        return abs(abs(n.value) - 100 * value) <= 1e-6 or abs(mine - value) <= 1e-9
    return abs(mine - value) <= (1e-9 if exact else step * (1 + 1e-6))


def _worded(bare: str, c: Shown) -> bool:
    return bool(prose.quantifiers(bare)) or c.actual == 0 or bool(c.direction)


def _bounds(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    said = {n.value for n in prose.numbers(bare) if n.bound}
    asked = {b for c in shown for b in c.bounds if b not in (0.0, 1.0)}
    if prose.quantifiers(bare) & {"most", "few", "half"}:
        asked -= {0.5}
    values = {
        abs(float(c.stated.value)) * (100 if c.stated.percent else 1)
        for c in shown
        if not isinstance(c.stated.value, str)
    }
    unsaid = {b for b in asked if b not in said and b - 1 not in said and b + 1 not in said}
    unasked = {
        n
        for n in said
        if n not in asked and not asked & {n - 1, n + 1} and n not in values and n / 100 not in asked
    }
    plain = {n.value for n in prose.numbers(bare)}
    for b in sorted(unsaid - plain):
        yield "bound", f"the query compares with {b:g}, the sentence does not"
    for n in sorted(unasked - {0.0, 1.0}):
        yield "bound", f"the sentence compares with {n:g}, no query does"
    yield from _bound_sense(bare, shown)


def _bound_sense(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    queries = " ".join(c.claim.query for c in shown)
    more = re.search(r"\b(?:more than|over|above|at least|no fewer than)\s+(\d+)|(\d+)\s+(?:\w+\s+)?or more", bare)
    less = re.search(
        r"\b(?:fewer than|less than|under|below|at most|no more than)\s+(\d+)"
        r"|(\d+)\s+(?:\w+\s+)?or (?:fewer|less)",
        bare,
    )
    for found, wanted, other in ((more, ">", "<"), (less, "<", ">")):
        compared = found and float(next(g for g in found.groups() if g)) in {b for c in shown for b in c.bounds}
        if found and compared and other in queries and wanted not in queries:
            yield "bound", f"`{found.group().strip()}`: the query looks the other way"


def _negations(bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    said = prose.negations(bare)
    zeros = sum(1 for n in prose.numbers(bare) if n.value == 0)
    budget = max([sum(1 for c in shown if c.negatives), *(c.negatives for c in shown)])
    used = said + zeros + (prose.failures(bare) if shown else 0)
    if prose.denies_outright(bare):
        yield "negation", "the sentence takes back what it says"
    elif said and used > budget:
        reason = "a quotation shows what is there, not what is not" if cited and not shown else "no query does"
        yield "negation", f"the sentence denies something, {reason}"
    elif budget and not said and not zeros:
        strong = [c for c in shown if c.negatives]
        empty = any(c.actual == 0 and not isinstance(c.actual, bool | str) for c in strong)
        words = _NOTHING_WORDS if empty else _NEGATIVE_WORDS
        if len(strong) == len(shown) and not words.search(bare):
            yield "negation", f"{strong[0].claim.source}: the query denies, the sentence does not"


_NEGATIVE_WORDS: Final = prose.words(
    r"fail\w*|miss\w*|unable|empty|silen\w*|other\w*|except|differ\w*|rest|remain\w*|unscored|idle|wrong|zero|"
    r"absent|un\w+ed|short of|lost|gave up|gives? up|dropped|clean|free of"
)
_NOTHING_WORDS: Final = prose.words(r"absent|empty|clean|free of|missing from|lacks?")


def _outcomes(bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    said = prose.outcomes(bare)
    every = "all" in prose.quantifiers(bare)
    asked = [c.outcome != _turned(c, every) for c in shown if c.outcome is not None]
    if not said:
        return
    if asked:
        if not set(said) & set(asked) or (len(said) == len(asked) and said != asked):
            yield "outcome", "the sentence and its queries disagree on what passed and what did not"
    elif cited and not shown:
        known = {f.passed for f in cited}
        if not set(said) <= known:
            yield "outcome", "the rollouts that are quoted did not end like this"


def _turned(c: Shown, every: bool) -> bool:
    """Whether that there are none turns what is said; `every failing rollout gave up` is about failing ones."""
    nothing = c.actual == 0 and not isinstance(c.actual, str)
    return nothing and not (every and c.among)


def _directions(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    said = prose.direction(bare)
    asked = {c.direction for c in shown if c.direction}
    if not asked and len(shown) == 2:
        asked = _of_two(shown[0], shown[1])
    if said and asked and said not in asked:
        yield "direction", "the sentence says that it went the other way"
    elif said and not asked and not _SAYS_NO_CHANGE.search(bare):
        yield "direction", "it compares: show both sides, or their difference"


_SAYS_NO_CHANGE: Final = prose.words(r"lost|loses?")


def _of_two(a: Shown, b: Shown) -> set[int]:
    """Which way two claims of one thing go: now and before, or one kind and another."""
    if isinstance(a.actual, bool | str) or isinstance(b.actual, bool | str) or a.actual == b.actual:
        return set()
    first = "before(" in a.claim.query and "before(" not in b.claim.query
    now, then = (b.actual, a.actual) if first else (a.actual, b.actual)
    return {1 if now > then else -1}


def _quantifiers(bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    said = prose.quantifiers(bare)
    if not said or not shown:
        return
    share = _share(shown)
    zero = any(c.actual == 0 and not isinstance(c.actual, str) for c in shown)
    never = any(c.negatives for c in shown)
    one = share == 1.0 or any(c.actual is True for c in shown)
    always = any(
        "always" in c.names or "pass_hat(" in c.claim.query or ("where=" in c.claim.query and c.actual == 1)
        for c in shown
    )
    tests = {
        "all": one or always or zero,
        "none": zero or never,
        "most": share is not None and share > 0.5,
        "half": share is not None and 0.4 <= share <= 0.6,
        "few": share is not None and share < 0.5,
    }
    for name in sorted(said):
        if not tests[name]:
            yield "quantifier", f"`{name}` is not what the claims show"


def _share(shown: list[Shown]) -> float | None:
    """The share that claims show: one that is a share, else the smaller of two counts in the larger."""
    shares = [
        float(c.actual)
        for c in shown
        if re.match(r"\s*(?:share|pass_rate|pass_at|pass_hat)\(", c.claim.query) and not isinstance(c.actual, str)
    ]
    if shares:
        return shares[0]
    counts = [float(c.actual) for c in shown if not isinstance(c.actual, bool | str)]
    return min(counts) / max(counts) if len(counts) >= 2 and max(counts) > 0 else None


def _entities(
    s: Sentence, mentioned: list[str], shown: list[Shown], cited: list[Facts], names: Names
) -> Iterator[tuple[str, str]]:
    asked = [n for c in shown for n in c.names]
    for name in dict.fromkeys(asked):
        if not _names(s.text, name, names):
            yield "entity", f"the query is about `{name}`, which the sentence does not name"
    evident = " ".join([*(c.claim.query for c in shown), *(c.source for c in s.citations)])
    ids = {part for f in cited for part in (f.id, f.id.split("/", 1)[1].rsplit("/", 1)[0])}
    for name in dict.fromkeys(mentioned):
        if name not in ids and name.casefold() not in evident.casefold():
            yield "entity", f"`{name}` is named, and no evidence of the sentence is about it"
    known = [n for n in dict.fromkeys(asked) if n in mentioned]
    said = [n for n in dict.fromkeys(mentioned) if n in known]
    if len(known) > 1 and said != known:
        yield "entity", "names stand in another order than in the evidence"
    if cited and not shown and not any(n in ids for n in mentioned):
        yield "entity", "name the task or the rollout that is quoted"


def _names(text: str, name: str, names: Names) -> bool:
    if not name:
        return True
    plain, low = name.replace("_", " ").replace("-", " ").casefold(), text.casefold()
    if name in names.tasks or name in names.tools or name in names.rollouts or name in names.categories:
        return re.search(r"(?<![\w-])" + re.escape(name.casefold()) + r"(?![\w-])", low) is not None
    words = [w for w in re.findall(r"[a-z]{3,}", plain) if w not in ("max", "the")]
    return any(w[:4] in low for w in words) if words else plain in low

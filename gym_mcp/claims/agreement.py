"""A sentence held against its evidence: one rule a kind of problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.evidence import Shown
from gym_mcp.claims.names import Names
from gym_mcp.claims.numerals import Fraction, Number, fractions, limit, numbers, rounds_to
from gym_mcp.claims.syntax import Sentence
from gym_mcp.claims.topics import off_topic
from gym_mcp.diagnosis.facts import Facts


def disagreements(
    s: Sentence, bare: str, mentioned: list[str], shown: list[Shown], cited: list[Facts], names: Names
) -> Iterator[tuple[str, str]]:
    """What does not agree between a sentence and its evidence: (kind of problem, what it is)."""
    if not s.fragment and not prose.well_formed(s.text, item=s.item):
        yield "prose", "this is no sentence"
    yield from _numbers(s, bare, shown, cited)
    yield from _fractions(bare, shown)
    yield from _arms(bare, shown)
    yield from _measures(s, bare, shown)
    yield from _bounds(bare, shown, cited)
    yield from _negations(bare, shown, cited)
    yield from _outcomes(bare, shown, cited)
    yield from _directions(bare, shown)
    yield from _quantifiers(bare, shown, names)
    yield from _entities(s, mentioned, shown, cited, names)
    yield from off_topic(s, bare, shown, cited)
    yield from _quotations(s, names)
    if prose.causal(bare) and not cited:
        yield "causal", "it names a cause: quote what shows it"


def _numbers(s: Sentence, bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    asked = {b for c in shown for b in c.bounds} | {float(f.repeat) for f in cited}
    values = [c for c in shown if not isinstance(c.stated.value, bool | str)]
    bounds = [n for n in numbers(bare) if n.sense]
    said = [
        n
        for n in numbers(bare)
        if not n.bound
        or (n.weak and n.value not in asked and not any(_holds(n, c) for c in values) and n.value != 1)
    ]
    fitting = [f for f in fractions(bare) if _fits(f, shown)]
    denied = any(c.negatives for c in shown)
    quoted = " ".join(c.quoted for c in s.citations)
    matched: list[int] = []
    for n in said:
        at = next((i for i, c in enumerate(values) if i not in matched and _same(n, c)), None)
        if at is None and any(_same(n, c) for c in values):
            continue  # the same number again
        if at is not None:
            matched.append(at)
        elif any(f.start <= n.at < f.end for f in fitting) or (n.value == 0 and denied):
            continue
        elif n.value in {k for c in shown for k in c.tries} and _TRIES.search(bare):
            continue
        elif not re.search(r"(?<![\d.])" + re.escape(n.text.rstrip("% ")) + r"(?![\d.]|\.\d)", quoted):
            yield "number", f"{n.text}: no claim of the sentence has this value"
    if matched != sorted(matched):
        yield "order", "claims stand in the order of the numbers that they show: these do not"
    for i, c in enumerate(values):
        if i in matched or any(_same(n, c) for n in said) or _worded(bare, c) or any(_holds(n, c) for n in bounds):
            continue
        if not any(_fits(f, [c]) or _fits(f, shown) for f in fitting):
            yield "number", f"{c.claim.source}: the sentence does not say {c.claim.value}"


def _measures(s: Sentence, bare: str, shown: list[Shown]) -> Iterator[tuple[str, str]]:
    """Numbers that count something else than their claim does."""
    values = [c for c in shown if not isinstance(c.stated.value, bool | str) and c.measures]
    for n in numbers(bare):
        if n.bound or n.measure is None or n.percent:
            continue
        fitting = [c for c in values if _same(n, c)]
        erring = n.measure == "call" and re.search(r"\berr|\bfail", bare) is not None
        if erring and any("error" in c.measures for c in fitting):
            continue
        if fitting and not any(n.measure in c.measures for c in fitting):
            yield "measure", f"{n.text}: the sentence counts {n.measure}s, the query something else"
    for n in numbers(bare):
        rate = n.measure is None and not n.percent and bool(_RATE.search(bare[: n.at]))
        fitting = [c for c in values if _same(n, c)]
        if rate and fitting and all(_counts(c) for c in fitting):
            yield "measure", f"{n.text}: the sentence speaks of a rate, the query counts"
        of = [c for c in shown if not isinstance(c.stated.value, bool | str) and _same(n, c)]
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
    tries = {int(k) for k in re.findall(r"pass[@^](\d+)", bare)}
    ran = {k for c in shown for k in c.tries}
    if tries and ran and tries != ran:
        yield "measure", f"pass@k with k = {sorted(tries)}, the queries have {sorted(ran)}"
    yield from _of_what(s, shown)
    for n in numbers(bare):
        start = max((m.end() for m in _CLAUSE.finditer(bare[: n.at])), default=0)
        told = prose.aggregates(bare[start : n.at] + _CLAUSE.split(bare[n.at :])[0])
        summed = [c for c in values if _same(n, c) and c.aggregates]
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


def _quotations(s: Sentence, names: Names) -> Iterator[tuple[str, str]]:
    """Words between quotation marks, where a quotation is given: they are part of it."""
    if not s.citations:
        return
    evident = _flat(" ".join([*(c.quoted for c in s.citations), *(c.query for c in s.claims)]))
    for text in prose.quotes(s.text):
        core = _flat(text).rstrip(".,;:!?")
        if core and core not in evident and text not in names.every:
            yield "quotation", f'"{text[:60]}" is not in what is cited'


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())


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
        start = max((m.end() for m in _CLAUSE.finditer(bare[: n.at])), default=0)
        clause = bare[start : n.at] + _CLAUSE.split(bare[n.at :])[0]
        old, new = bool(_OLD.search(clause)), bool(_NEW.search(clause))
        if old != new and (-1 if old else 1) not in arms:
            yield "direction", f"{n.text}: the sentence gives it to the other run"
    for m in re.finditer(r"\bfrom\b(.{0,60}?)\bto\b(.*)", bare):
        then, now = (numbers(part)[:1] for part in m.groups())
        if then and now and _arms_of(then[0], shown) == {1} and _arms_of(now[0], shown) == {-1}:
            yield "direction", "from the earlier run to this one, not the other way"


def _arms_of(n: Number, shown: list[Shown]) -> set[int]:
    return {_arm_of(c) for c in shown if not isinstance(c.stated.value, bool | str) and _same(n, c)}


_OLD_RUN: Final = prose.words(
    r"(?:earlier|previous|old|baseline|former|prior|last|first) (?:run|version|model|arm|agent)|baseline"
    r"|previously"
)
_CLAUSE: Final = re.compile(r"[,;:()]|\b(?:and|but|while|whereas|than|against|versus)\b")


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


_TRIES: Final = prose.words(r"tries|attempts|repeats|samples|times")


def _same(n: Number, c: Shown) -> bool:
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
        told = any(_same(n, c) for c in values)
        if n.sense in ("", "=="):
            fits = told or n.value in (0.0, 1.0) or n.scaled in {b for c in shown for b in c.bounds}
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


def _negations(bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    said = prose.negations(bare)
    zeros = sum(1 for n in numbers(bare) if n.value == 0)
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
        whole = len(strong) == len(shown) or (not prose.failures(bare) and not prose.direction(bare))
        if whole and not words.search(bare):
            yield "negation", f"{strong[0].claim.source}: the query denies, the sentence does not"


_NEGATIVE_WORDS: Final = prose.words(
    r"fail\w*|miss\w*|unable|empty|silen\w*|other\w*|except|differ\w*|rest|remain\w*|unscored|idle|wrong|zero|"
    r"absent|un\w+ed|short of|lost|gave up|gives? up|dropped|clean|free of|reject\w*|less than|fewer|under"
    r"|below|only"
)
_NOTHING_WORDS: Final = prose.words(r"absent|empty|clean|free of|missing from|lacks?")


def _outcomes(bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    said = prose.outcomes(bare)
    every = "all" in prose.quantifiers(bare)
    asked = [c.outcome != _turned(c, every) for c in shown if c.outcome is not None]
    if not said:
        return
    both = any(len(c.outcomes) == 2 for c in shown)
    if asked and both:
        if set(said) != {True, False}:
            yield "outcome", "the query compares what passed with what did not, the sentence does not"
    elif asked:
        if not set(said) & set(asked) or (len(said) == len(asked) and said != asked):
            yield "outcome", "the sentence and its queries disagree on what passed and what did not"
    elif cited and not shown:
        known = {f.passed for f in cited}
        if not set(said) <= known:
            yield "outcome", "the rollouts that are quoted did not end like this"


def _turned(c: Shown, every: bool) -> bool:
    """Whether that there are none turns what is said; `every failing rollout gave up` is about failing ones."""
    nothing = not isinstance(c.actual, str) and c.actual == 0 and bool(_COUNTS.match(c.claim.query))
    return nothing and not (every and c.among)


_COUNTS: Final = re.compile(r"\s*(?:before\()?(?:rollouts|tasks|share|bucket|finding|pass_\w+)\(")


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
    if said and asked and said not in asked:
        yield "direction", "the sentence says that it went the other way"
    elif said and not asked and not _SAYS_NO_CHANGE.search(bare):
        yield "direction", "it compares: show both sides, or their difference"


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


def _quantifiers(bare: str, shown: list[Shown], names: Names) -> Iterator[tuple[str, str]]:
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
    whole = any(_is_whole(c, names) for c in shown)
    tests = {
        "all": one or always or whole or (zero and prose.negations(bare) > 0),
        "none": zero or never,
        "most": share is not None and share > 0.5,
        "half": share is not None and 0.4 <= share <= 0.6,
        "few": share is not None and share < 0.5,
    }
    for name in sorted(said):
        if not tests[name]:
            yield "quantifier", f"`{name}` is not what the claims show"


def _is_whole(c: Shown, names: Names) -> bool:
    """Whether a count is that of all rollouts or tasks of the run, or how often each task was run."""
    whole = re.match(r"\s*(rollouts|tasks)\(", c.claim.query)
    if whole and c.actual == names.totals[whole.group(1)] and not isinstance(c.actual, bool):
        return not re.search(r"\)\s*[-+*/<>=]", c.claim.query)
    return bool(re.fullmatch(r"\s*rollouts\(\) ?/ ?tasks\(\)\s*", c.claim.query))


def _share(shown: list[Shown]) -> float | None:
    """The share that claims show: one that is a share, else the smaller of two counts in the larger."""
    shares = [
        float(c.actual)
        for c in shown
        if re.match(r"\s*(?:share|pass_rate|pass_at|pass_hat)\(", c.claim.query) and not isinstance(c.actual, str)
    ]
    shares += [
        float(c.actual)
        for c in shown
        if not isinstance(c.actual, bool | str) and " / " in c.claim.query and 0 <= c.actual <= 1
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
    for span in re.findall(r"`([^`]+)`", s.text):
        if span.split("/", 1)[0] in names.runs and span not in names.every:
            yield "entity", f"`{span[:80]}` is no rollout of the run"
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
    if name in _OTHER_WORDS and _OTHER_WORDS[name].search(text):
        return True
    words = [w for w in re.findall(r"[a-z]{3,}", plain) if w not in ("max", "the")]
    return any(w[:4] in low for w in words) if words else plain in low


_OTHER_WORDS: Final = {
    "always": prose.words(
        r"always|every (?:time|repeat|try|attempt|rollout)|each time|in all|all (?:of their )?\w+ (?:tries"
        r"|repeats)|reliably"
    ),
    "sometimes": prose.words(
        r"sometimes|unstable|flaky|in some|inconsistent\w*|mixed|occasionally|now and then|not always"
    ),
    "never": prose.words(r"never|in no|no (?:repeat|rollout|attempt|try)|not once|unsolved|nobody"),
    "max_output_tokens": prose.words(r"truncat\w*|cut (?:off|short)|output limit"),
    "timeout": prose.words(r"tim(?:ed|es|e|ing)[- ]?out\w*|hung|hangs?"),
    "max_turns": prose.words(r"turns?"),
}

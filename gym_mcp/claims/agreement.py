"""A sentence held against its evidence: one rule a kind of problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.evidence import Shown
from gym_mcp.claims.figures import figures
from gym_mcp.claims.names import Names
from gym_mcp.claims.numerals import numbers
from gym_mcp.claims.sides import sides
from gym_mcp.claims.syntax import Sentence
from gym_mcp.claims.topics import off_topic
from gym_mcp.diagnosis.facts import Facts


def disagreements(
    s: Sentence, bare: str, mentioned: list[str], shown: list[Shown], cited: list[Facts], names: Names
) -> Iterator[tuple[str, str]]:
    """What does not agree between a sentence and its evidence: (kind of problem, what it is)."""
    if not s.fragment and not prose.well_formed(s.text, item=s.item):
        yield "prose", "this is no sentence"
    yield from figures(s, bare, shown, cited)
    yield from _negations(bare, shown, cited)
    yield from _outcomes(bare, shown, cited)
    yield from sides(bare, shown)
    yield from _quantifiers(bare, shown, cited, names)
    yield from _entities(s, mentioned, shown, cited, names)
    yield from off_topic(s, bare, shown, cited)
    yield from _quotations(s, names)
    if prose.causal(bare) and not cited:
        yield "causal", "it names a cause: quote what shows it"


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
    r"absent|unsuccessful\w*|un\w+ed|"
    r"short of|lost|gave up|gives? up|dropped|clean|free of|reject\w*|less than|fewer|under"
    r"|below|only"
)
_NOTHING_WORDS: Final = prose.words(r"absent|empty|clean|free of|missing from|lacks?")


def _outcomes(bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    said = prose.outcomes(bare)
    every = "all" in prose.quantifiers(bare)
    asked = [c.outcome != _turned(c, every) for c in shown if c.outcome is not None]
    if not said:
        return
    one_sided = re.search(r"\bboth\b", bare, re.IGNORECASE) and len(set(said)) < len(set(asked))
    made = [c for c in shown if "call" in c.measures]
    if one_sided or (_OF_SOME.search(bare) and made and all(c.outcome is None for c in made)):
        yield "outcome", "the queries are not only about what the sentence is about"
    both = any(len(c.outcomes) == 2 for c in shown)
    if asked and both:
        if set(said) != {True, False}:
            yield "outcome", "the query compares what passed with what did not, the sentence does not"
        elif any(_other_way(said, bare, c) for c in shown if len(c.outcomes) == 2):
            yield "outcome", "the sentence compares them the other way"
    elif asked:
        if not set(said) & set(asked) or (len(said) == len(asked) and said != asked):
            yield "outcome", "the sentence and its queries disagree on what passed and what did not"
    elif cited and not shown:
        known = {f.passed for f in cited}
        if not set(said) <= known:
            yield "outcome", "the rollouts that are quoted did not end like this"


_OF_SOME: Final = re.compile(
    r"\b(?:failing|failed|passing|passed|successful|unsuccessful)\s+(?:rollouts?|ones|attempts?)\s+"
    r"(?:ma[dk]es?|call(?:s|ed)?|used?|needs?|needed)\b",
    re.IGNORECASE,
)


def _other_way(said: list[bool], bare: str, c: Shown) -> bool:
    """Whether `more A than B` is asked the other way round."""
    way = prose.direction(bare)
    return bool(way and c.direction) and (said[0] == c.outcomes[0]) != (way == c.direction)


def _turned(c: Shown, every: bool) -> bool:
    """Whether that there are none turns what is said; `every failing rollout gave up` is about failing ones."""
    nothing = not isinstance(c.actual, str) and c.actual == 0 and bool(_COUNTS.match(c.claim.query))
    return nothing and not (every and c.among)


_COUNTS: Final = re.compile(r"\s*(?:before\()?(?:rollouts|tasks|share|bucket|finding|pass_\w+)\(")


def _quantifiers(bare: str, shown: list[Shown], cited: list[Facts], names: Names) -> Iterator[tuple[str, str]]:
    said = prose.quantifiers(bare)
    if said & {"all", "most", "half", "few"} and cited and not shown:
        yield "quantifier", "a quotation shows one rollout, not how many"
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
        "many": not zero or prose.negations(bare) > 0,
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
    "completed": prose.words(r"complet\w*|by (?:it|them)sel(?:f|ves)|finish\w*|ended"),
    "timeout": prose.words(r"tim(?:ed|es|e|ing)[- ]?out\w*|hung|hangs?"),
    "same_transcript_different_reward": prose.words(r"flaky|transcripts?|non-?deterministic"),
    "max_turns": prose.words(r"turns?"),
}

"""What a sentence is about, held against what its evidence is about: timeouts, loops, tool calls, outcomes, ..."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.evidence import Shown
from gym_mcp.claims.prose import words
from gym_mcp.claims.syntax import Sentence
from gym_mcp.diagnosis.facts import Facts

_SAID: Final = {
    "timeouts": (words(r"tim(?:ed|es|ing|e)[- ]?outs?(?! of)|hung|hangs?"), r"time|outage|fail|finding"),
    "crashes": (words(r"crash\w*"), r"exception|fail|crash|outage"),
    "truncation": (words(r"truncat\w*|cut (?:off|short)|output limit"), r"max_output|truncat|cut|stop"),
    "loops": (words(r"loop\w*"), r"loop"),
    "refusals": (words(r"refus\w*"), r"refus|answer|sorry|can(?:no|')t"),
    "giving up": (words(r"g[ai]ve[sn]? up|giving up"), r"calls|answer|attempt|stock|says|know|cannot|can't"
        r"|sorry|give"),
    "errors": (words(r"err(?:s|ed|ing)?|errors?"), r"err|fail|exception|timeout|unknown|argument|outage|finding"),
    "tool calls": (words(r"calls?|called|tool use|us(?:e[sd]?|ing) (?:\w+ )?tools?"), r"call|used\(|err"
        r"|tool|attempt|loop|argument"),
    "turns": (words(r"out of turns|turn limit"), r"turn|stop"),
    "money": (words(r"dollars?|usd|(?<!per )cents?|money"), r"cost"),
    "tokens": (words(r"tokens?"), r"token"),
    "time": (words(r"(?:milli)?seconds?|minutes?|hours?|slower|slowest|faster|fastest"), r"seconds"),
    "leaks": (words(r"leak\w*"), r"leak"),
    "duplicates": (words(r"duplicat\w*"), r"duplicate|cop(?:y|ies)|identical"),
    "infrastructure": (words(r"infrastructure|technical\w*"), r"fail|missing|outage|err|retried"),
    "malformed arguments": (words(r"malformed"), r"argument"),
    "unknown tools": (words(r"hallucinat\w*|unknown tools?"), r"unknown"),
    "which try it was": (words(r"(?:first|second|third|last|final|1st|2nd) (?:try|attempt"
        r"|repeat)"), r"repeat|pass_at|/\d"),
    "chance": (words(r"luck\w*|by chance|by accident|coinciden\w*"), r"luck|chance"),
    "other runs": (words(r"so far|to date|on record|in history"), r"before\("),
    "abortion": (words(r"abort\w*|interrupt\w*|kill(?:s|ed)"), r"fail|stop|exception|timeout"),
}  # fmt: skip
"""Words, and what a query or a quotation about the same looks like."""
_ASKED: Final = {
    "what passed": (
        r"\bpassed\b|pass_|bucket\(",
        words(
            r"(?:un)?pass\w*|(?:un)?succe\w+|(?:un)?solv\w+|(?:in)?correct\w*|right|accura\w+|complet\w+|accomplish\w*|"
            r"achiev\w+|fail\w*|accept\w*|reject\w*|reward\w*|scor\w+|zero|marks?|work(?:s|ed)?|manag\w+|made it|"
            r"los[et]s?|miss\w*|wrong|eas(?:y|ier|iest)|hard(?:er|est)?|better|worse|best|worst|ahead|behind|"
            r"g[ai]ve[sn]? up|always|never|sometimes|(?:un)?stable|flaky|reach\w*|(?:un)?reliab\w+|points?|gap|"
            r"attempts?|tries|try|retr\w+|strong\w*|weak\w*|won|wins?|rate|helps?|hurts?|every (?:time"
            r"|repeat|rollout)"
        ),
    ),
    "tool calls": (
        r"\bcalls\b",
        words(
            r"call\w*|tools?|attempt\w*|idle|acts?|acted|acting|actions?|us(?:e[sd]?|ing)|busi\w+|longest|shortest|"
            r"nothing|steps?|tried|try|g[ai]ve[sn]? up|work(?:s|ed)?"
        ),
    ),
    "errors": (r"\berrors\b", words(r"err\w*|fail\w*|crash\w*|clean\w*|broke\w*|problems?|trouble|sound")),
    "cost": (r"\bcost\b", words(r"cost\w*|dollars?|usd|cents?|money|spen[dt]\w*|price\w*|cheap\w*|expensive"
        r"|free|paid")),
    "tokens": (r"\btokens\b", words(r"tokens?")),
    "time": (
        r"\bseconds\b",
        words(r"seconds?|minutes?|hours?|time|times|long\w*|slow\w*|fast\w*|quick\w*|short\w*|took|takes?|duration|last\w*"),
    ),
}  # fmt: skip


_SUPERLATIVE: Final = words(r"best|worst|strongest|weakest|hardest|easiest|most (?:successful|reliable|difficult)")


def off_topic(s: Sentence, bare: str, shown: list[Shown], cited: list[Facts]) -> Iterator[tuple[str, str]]:
    """What only one of the two speaks of."""
    queries = " ".join(c.claim.query for c in shown)
    evidence = f"{queries} {' '.join(map(_about, cited))} {' '.join(c.quoted for c in s.citations)}".lower()
    for topic, (said, asked) in _SAID.items():
        if said.search(bare) and not re.search(asked, evidence):
            yield "topic", f"the sentence speaks of {topic}, its evidence does not"
    if not shown:
        return
    said_outcomes = set(prose.outcomes(bare))
    for good, asked in (
        (True, r"pass|bucket|reward|score|answer|fail"),
        (False, r"pass|fail|bucket|err|reward|answer|exception|timeout|missing|outage|finding"),
    ):
        if good in said_outcomes and not re.search(asked, evidence):
            yield "topic", f"the sentence says what {'passed' if good else 'failed'}, its evidence does not"
    if (
        _SUPERLATIVE.search(bare)
        and len(shown) < 2
        and not cited
        and not re.search(r"[<>]|most\(|least\(| - ", queries)
    ):
        yield "topic", "the sentence ranks: show what it ranks"
    text = f"{s.text} {s.context}"
    for topic, (query, named) in _ASKED.items():
        if re.search(query, queries) and not named.search(text):
            yield "topic", f"the queries are about {topic}, the sentence is not"


def _about(f: Facts) -> str:
    return " ".join(
        [*sorted(f.flags), f.stop, f.failure, *(["calls"] if f.calls else ()), *(["error"] if f.errors else ())]
    )

"""Is a report true? Every query is run again, every quotation looked up, every sentence held against them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from gym_mcp.claims import prose
from gym_mcp.claims.agreement import disagreements
from gym_mcp.claims.evidence import Shown, check_citation, run_claim
from gym_mcp.claims.names import Names
from gym_mcp.claims.numerals import numbers
from gym_mcp.claims.query import Data, OutOfTime
from gym_mcp.claims.syntax import Sentence, read_text, sentences
from gym_mcp.diagnosis.analyze import analysis_of
from gym_mcp.diagnosis.facts import Facts
from gym_mcp.diagnosis.scan import Scan, scan
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

ENOUGH: Final = 8
"""Distinct true claims from which on a report is no longer shallow."""
LONGEST: Final = 2_000
"""Characters of a sentence: what is asked of one takes time that grows with their square."""


LONGEST_REPORT: Final = 2_000_000
"""Characters of a report."""
PATIENCE: Final = 120.0
"""Seconds of CPU time for a report."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`kind`: `malformed`, `false_claim`, `false_citation`, `uncited`, `causal`, `number`, `order`, `bound`,
    `negation`, `outcome`, `direction`, `measure`, `quantifier`, `entity`, `topic`, `quotation`, `prose`."""

    line: int
    kind: str
    text: str
    detail: str


@dataclass(slots=True)
class Verdict:
    """The check of a report. `docs/analysis.md` has the formula of `grade`."""

    problems: list[Problem] = field(default_factory=list)
    sentences: int = 0
    supported: int = 0
    weighty: int = 0
    claims: int = 0
    claims_true: int = 0
    citations: int = 0
    citations_true: int = 0
    queries: set[str] = field(default_factory=set)
    """Of the supported sentences, as written."""

    @property
    def soundness(self) -> float:
        """(supported / weighty sentences)^2; 0 where none says anything."""
        return (self.supported / self.weighty) ** 2 if self.weighty else 0.0

    @property
    def grade(self) -> float:
        """`soundness` times the share of `ENOUGH` distinct true claims that there are."""
        return self.soundness * min(1.0, len(self.queries) / ENOUGH)

    def as_json(self) -> JSONObject:
        return {
            "schema": 1,
            "kind": "report_check",
            "grade": round(self.grade, 6),
            "sentences": self.sentences,
            "weighty": self.weighty,
            "supported": self.supported,
            "claims": {"total": self.claims, "true": self.claims_true, "distinct_supported": len(self.queries)},
            "citations": {"total": self.citations, "true": self.citations_true},
            "problems": [asdict(p) for p in self.problems],
        }


def check_paths(report: Path, run: Path, before: Path | None = None, seconds: float = PATIENCE) -> Verdict:
    """Check the report in a file against a run, and an earlier one for `before(...)`."""
    text = read_text(report)
    try:
        return check(text, open_data(run, before), seconds)
    except TooMuch as e:
        raise UsageError(f"{report}: {e}") from None


def open_data(run: Path, before: Path | None = None) -> Data:
    """Runs as queries see them, with the findings of the first."""
    earlier = data_of(scan(before)) if before else None
    return data_of(scan(run), earlier)


def data_of(s: Scan, before: Data | None = None) -> Data:
    """The same of runs that were read already."""
    return Data(s, before, counts_of(analysis_of(s, before.scan if before else None)))


def counts_of(analysis: JSONObject) -> dict[str, int]:
    """What `finding(...)` looks up."""
    return {f["id"]: f["count"] for f in analysis["findings"]}


def check(report: str, data: Data, seconds: float = PATIENCE) -> Verdict:
    """The verdict on a report; `UsageError` when it takes more than `seconds` of CPU time, or is too long."""
    if len(report) > LONGEST_REPORT:
        raise TooMuch(f"{len(report):,} characters; at most {LONGEST_REPORT:,}: split the report")
    verdict = Verdict()
    names = Names(data)
    with data.within(seconds):
        _check(report, data, names, verdict)
    return verdict


def _check(report: str, data: Data, names: Names, verdict: Verdict) -> None:
    for sentence in sentences(report):
        try:
            data.tick()
            _one(sentence, data, names, verdict)
        except OutOfTime as e:
            raise TooMuch(f"line {sentence.line}: {e}: split the report, or allow more (--max-seconds)") from None


class TooMuch(UsageError):
    """A report that is too long, or takes too long."""


def _one(sentence: Sentence, data: Data, names: Names, verdict: Verdict) -> None:
    label = sentence.heading and not sentence.claims and not sentence.citations
    verdict.sentences += not label
    if len(sentence.text) > LONGEST:
        detail = f"a sentence of {len(sentence.text)} characters; at most {LONGEST}"
        _flag(verdict, sentence, "malformed", detail)
    elif not label:
        _sentence(sentence, data, names, verdict)
    elif not _plain_heading(sentence, names):
        _flag(verdict, sentence, "uncited", "a heading that claims")


def _flag(verdict: Verdict, s: Sentence, kind: str, detail: str) -> None:
    verdict.weighty += 1
    verdict.problems.append(Problem(s.line, kind, s.text, detail))


def _plain_heading(s: Sentence, names: Names) -> bool:
    text = s.text
    numbered = re.sub(r"^(?:\d{1,2}(?:\.\d{1,2})+\.?(?=\s+[A-Z])|\d{1,2}[.)]|\d{1,2}(?=\s+[A-Z]))\s+", "", text)
    if prose.disguised(text):
        return False
    bare = prose.bare(numbered, tuple(names.mentioned(numbered)))
    if numbers(re.sub(r"pass@\d+", "", bare)) or prose.causal(bare) or prose.direction(bare):
        return False
    counts = prose.quantifiers(bare) & {"all", "most", "half", "few"}
    if counts and prose.outcomes(bare) and not re.search(r"\b(?:that|which|who)\b", bare):
        return False
    if re.match(r"(?:why|what|how|where|when|which|can|could|is|are|did|does|should)\b", bare, re.IGNORECASE):
        return len(bare.split()) <= 14
    return len(bare.split()) <= 10 and not re.search(r"\b(?:is|are|was|were|did|does|has|have)\b", bare)


def _sentence(s: Sentence, data: Data, names: Names, verdict: Verdict) -> None:
    mentioned = names.mentioned(s.text)
    quoted = " ".join([*(c.quoted for c in s.citations), *(c.query for c in s.claims)])
    bare = prose.bare(s.text, tuple(mentioned), quoted)
    problems: list[tuple[str, str]] = [("malformed", f"`{mark}` cannot be read") for mark in s.broken]
    if word := prose.disguised(s.text):
        problems.append(("prose", f"`{word}` is not what it looks like"))
    shown: list[Shown] = []
    cited: list[Facts] = []
    for claim in s.claims:
        verdict.claims += 1
        found, wrong = run_claim(claim, data)
        if wrong:
            problems.append(("false_claim", f"{claim.source}: {wrong}"))
        else:
            verdict.claims_true += 1
        if found is not None:
            shown.append(found)
    for citation in s.citations:
        verdict.citations += 1
        facts, wrong = check_citation(citation, data)
        if wrong:
            problems.append(("false_citation", wrong))
        else:
            verdict.citations_true += 1
        if facts is not None:
            cited.append(facts)
    evident = bool(s.claims or s.citations or s.broken)
    if evident:
        problems += disagreements(s, bare, mentioned, shown, cited, names)
    elif mentioned or prose.weighty(bare):
        problems.append(("uncited", "it says something of the run, and nothing shows it"))
    if not evident and not problems:
        return
    verdict.weighty += 1
    if not problems:
        verdict.supported += 1
        verdict.queries |= {c.claim.query for c in shown}
    verdict.problems += [Problem(s.line, kind, s.text, detail) for kind, detail in problems]

"""Numbers in prose: digits, words, fractions; and what they count."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ONES: Final = "one|two|three|four|five|six|seven|eight|nine"
_TEENS: Final = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_TENS: Final = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_BIG: Final = "hundred|thousand|million"
_SMALL: Final = rf"(?:(?:{_TENS})(?:[-\s](?:{_ONES}))?|{_TEENS}|{_ONES}|zero|dozen)"
_WORDS: Final = {word: float(n) for n, word in enumerate(f"zero|{_ONES}|{_TEENS}".split("|"))} | {
    word: 10.0 * n for n, word in enumerate(_TENS.split("|"), 2)
}
_TIMES: Final = {"twice": 2.0, "doubl": 2.0, "thric": 3.0, "tripl": 3.0}
_SCALES: Final = {
    "dozen": 12.0,
    "hundred": 100.0,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "m": 1e6,
    "billion": 1e9,
}
_UNITS: Final = r"(?:rollouts?|tasks?|calls?|times?|errors?|failures?|tools?|repeats?|answers?|of|in|out)\b"
_NUMBER: Final = re.compile(
    r"(?<![\w.@^-])(?P<digits>[-+]?\d[\d,]*(?:\.\d+)?)(?P<scale>[kM]\b|\s+(?:thousand|million|billion)\b)?"
    r"(?P<percent>\s?%|\s+(?:percent|per cent)\b(?!age))?(?P<points>\s+(?:percentage |percent )?points?\b"
    r"|\s?pp\b)?"
    r"(?![\w@]|\.\d)"
    rf"|\b(?P<word>(?:a\s+|{_SMALL}\s+)(?:{_BIG})(?:\s+(?:and\s+)?{_SMALL}(?:\s+(?:{_BIG}))?)*"
    rf"|(?!one\b){_SMALL}|hundred|dozen|twice|thrice|double[ds]?|triple[ds]?)\b"
    rf"|(?<!every )(?<!each )(?<!not )(?<!no )(?<!any )\b(?P<one>one)(?=\s+{_UNITS})",
    re.IGNORECASE,
)
_BOUND: Final = re.compile(
    r"(?:more than|over|above|at least|no fewer than|fewer than|less than|under|below|at most|no more than|up to|"
    r"exactly|repeat|k =|within|after|first|top)\s*$",
    re.IGNORECASE,
)
_MAYBE_BOUND: Final = re.compile(
    r"(?:over|above|under|below|up to|at most|at least|within|after|first|top|exactly|repeat)\s*$", re.IGNORECASE
)
_SENSES: Final = tuple(
    (re.compile(rf"\b(?:{pattern})\s*$", re.IGNORECASE), sense)
    for pattern, sense in (
        (r"(?:no|not) (?:more|greater) than|at most|up to", "<="),
        (r"(?:no|not) (?:fewer|less) than|at least", ">="),
        (r"more than|over|above|greater than", ">"),
        (r"fewer than|less than|under|below", "<"),
        (r"exactly", "=="),
    )
)
_BOUND_AFTER: Final = re.compile(r"^\s*(?:\w+\s+)?or (?:more|fewer|less)\b", re.IGNORECASE)
_MEASURES: Final = {
    "rollout": r"rollouts?|episodes?|trajector(?:y|ies)", "task": r"tasks?|questions?|problems?",
    "call": r"(?:tool )?calls?", "error": r"(?:tool )?errors?",
    "cost": r"dollars?|USD|cents?", "tokens": r"tokens?", "seconds": r"seconds?|minutes?|hours?|days?|ms"
        r"|milliseconds?",
    "reward": r"rewards?",
    "other": r"users|agents|models|prompts|e?-?mails|messages|people|files|environments|verifiers|seeds"
        r"|categories|kinds",
}  # fmt: skip
_MEASURE: Final = re.compile(
    r"^\W*(?:(?:of|the|these|such|tool|other|failing|passing|more|all|scored|"
    r"output|model|\d[\d,.]*%?|or)\W+){0,4}?(?:"
    + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _MEASURES.items())
    + r")\b",
    re.IGNORECASE,
)
_FRACTION: Final = re.compile(
    r"\b(?P<above>a|an|"
    + _ONES
    + r")[-\s](?P<part>third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth)s?\b"
    r"(?!\s+(?:time|try|attempt|repeat|rollout|task|call|run)\b)",
    re.IGNORECASE,
)
_PAIR: Final = re.compile(
    rf"(?<![\w./-])(?P<above>\d{{1,2}}|{_ONES})(?:\s*/\s*|\s+in(?:\s+every)?\s+|\s+out of(?:\s+every)?\s+)"
    rf"(?P<below>\d{{1,3}}|{_ONES}|ten|hundred)(?![\w/]|\.\d)",
    re.IGNORECASE,
)
_BELOW: Final = {
    "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10,
}  # fmt: skip
_ABOUT: Final = re.compile(
    r"(?:about|around|roughly|approximately|some|close to|just|a little|a bit|slightly|well)\s*"
    r"(?:over|under|above|below|more than|less than)?\s*$"
    r"|(?:nearly|almost|not quite|over|under|above|below|more than|less than|fewer than)\s*$",
    re.IGNORECASE,
)
_ABOVE: Final = re.compile(r"(?:more than|over|above)\s*$", re.IGNORECASE)
_UNDER: Final = re.compile(r"(?:less than|fewer than|under|below|nearly|almost|not quite)\s*$", re.IGNORECASE)


CLAUSE: Final = re.compile(r"[,;:()]|\b(?:and|but|while|whereas|than|against|versus)\b")
"""What parts the clauses of a sentence."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in prose. `bound`: it says how much is counted (`more than 5 calls`), not how many there are."""

    value: float
    percent: bool
    decimals: int
    bound: bool
    text: str
    weak: bool = False
    """Bound only where no claim has it: `over 15 tasks`, `over 15 calls`."""
    measure: str | None = None
    points: bool = False
    at: int = 0
    sense: str = ""
    """Of a bound: `>`, `>=`, `<`, `<=` or `==`."""

    @property
    def scaled(self) -> float:
        """The value, a percentage as a share."""
        return self.value / 100 if self.percent or self.points else self.value


@dataclass(frozen=True, slots=True)
class Fraction:
    """A fraction in words (`two thirds`), or two small numbers that may be one (`2 in 3`: `loose`)."""

    value: float
    text: str
    start: int
    end: int
    loose: bool
    about: bool
    side: int
    """1: `more than`; -1: `less than`, `almost`."""

    def fits(self, share: float) -> bool:
        """Whether a share can be called so."""
        off = share - self.value
        if self.side and off and (off > 0) != (self.side > 0):
            return False
        return abs(off) <= (0.06 if self.side or self.about else 0.02) + 1e-9


def numbers(text: str) -> list[Number]:
    """All numbers of a text, times in seconds; fractions in words are none."""
    text = _ARTICLE.sub(lambda m: "1".ljust(len(m.group())), text)
    spans = [(f.start, f.end) for f in fractions(text) if not f.loose]
    return [n for n in _numbers(text) if not any(a <= n.at < b for a, b in spans)]


def _numbers(text: str) -> Iterator[Number]:
    for m in _NUMBER.finditer(text):
        digits, scale = m.group("digits"), (m.group("scale") or "").strip().lower()
        plain = digits.replace(",", "") if digits else ""
        value = float(plain) * _SCALES.get(scale, 1.0) if digits else _in_words(m.group("word") or m.group("one"))
        before, after = text[: m.start()], text[m.end() :]
        unit = _UNIT.match(after)
        value *= _IN_SECONDS[unit.group(1).lower().rstrip("s")] if unit else 1.0
        yield Number(
            value,
            bool(m.group("percent")),
            len(plain.split(".")[1]) if "." in plain and not scale else 0,
            bool(_BOUND.search(before) or _BOUND_AFTER.search(after)),
            m.group().strip(),
            bool(_MAYBE_BOUND.search(before)),
            measured(after),
            bool(m.group("points")),
            m.start(),
            _sense(before, after),
        )


_IN_SECONDS: Final = {
    "m": 1e-3,
    "millisecond": 1e-3,
    "minute": 60.0,
    "min": 60.0,
    "hour": 3600.0,
    "h": 3600.0,
    "day": 86_400.0,
}
_UNIT: Final = re.compile(r"\s?(ms|milliseconds?|minutes?|min|hours?|h|days?)\b")
_ARTICLE: Final = re.compile(r"\b(?:an?)(?=\s+(?:milliseconds?|seconds?|minutes?|hours?|days?)\b)", re.IGNORECASE)


def _sense(before: str, after: str) -> str:
    for pattern, sense in _SENSES:
        if pattern.search(before):
            return sense
    found = re.match(r"\s*(?:\w+\s+)?or (more|fewer|less)\b", after, re.IGNORECASE)
    return "" if found is None else ">=" if found.group(1).lower() == "more" else "<="


def _in_words(text: str) -> float:
    total = current = 0.0
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in ("thousand", "million"):
            total, current = total + max(1.0, current) * _SCALES[word], 0.0
        elif word in _SCALES:
            current = max(1.0, current) * _SCALES[word]
        else:
            current += _WORDS.get(word, 0.0) or _TIMES.get(word[:5], 0.0)
    return total + current


def fractions(text: str) -> list[Fraction]:
    """All fractions of a text."""
    found = []
    for pattern, loose in ((_FRACTION, False), (_PAIR, True)):
        for m in pattern.finditer(text):
            above = m.group("above").lower()
            top = 1.0 if above in ("a", "an") else float(above) if above.isdigit() else _in_words(above)
            below = m.group("below" if loose else "part").lower()
            bottom = _BELOW.get(below) or (float(below) if below.isdigit() else _in_words(below))
            before = text[: m.start()]
            side = bool(_ABOVE.search(before)) - bool(_UNDER.search(before))
            if bottom and top <= bottom:
                about = bool(_ABOUT.search(before))
                found.append(Fraction(top / bottom, m.group(), m.start(), m.end(), loose, about, side))
    return found


def measured(after: str) -> str | None:
    """What a number counts, by the noun that follows it in its clause; None where none does."""
    found = _MEASURE.match(after)
    return found.lastgroup if found else None


def limit(sense: str, value: float) -> tuple[str, float]:
    """A comparison in one form: of whole numbers, `> 2` is `>= 3`."""
    step = 1.0 if value.is_integer() else 0.0
    side = {">": "least", ">=": "least", "<": "most", "<=": "most"}.get(sense, "is")
    return side, round(value + (step if sense == ">" else -step if sense == "<" else 0.0), 9)


def rounds_to(stated: float, actual: float, step: float) -> bool:
    """Whether `actual` is `stated` when rounded to whole `step`s: a half goes up, or to the even one."""
    off = abs(stated - actual)
    if off < step / 2 - 1e-9 * max(1.0, abs(actual)):
        return True
    if off > step / 2 + 1e-9 * max(1.0, abs(actual)):
        return False
    return abs(stated) > abs(actual) or round(stated / step) % 2 == 0

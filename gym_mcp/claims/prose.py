"""What a sentence asserts, as far as words show it: numbers, bounds, negation, quantifiers, direction, outcome."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


def words(alternatives: str) -> re.Pattern[str]:
    """Any of these words, however it is capitalized."""
    return re.compile(rf"\b(?:{alternatives})\b", re.IGNORECASE)


_WORDS: Final = {
    name: float(n)
    for n, name in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {
    "thirty": 30.0, "forty": 40.0, "fifty": 50.0, "sixty": 60.0, "seventy": 70.0, "eighty": 80.0, "ninety": 90.0,
    "hundred": 100.0, "dozen": 12.0,
}  # fmt: skip
_UNITS: Final = r"(?:rollouts?|tasks?|calls?|times?|errors?|failures?|tools?|repeats?|answers?|of|in)\b"
_NUMBER: Final = re.compile(
    r"(?<![\w.@-])(?P<digits>[-+]?\d[\d,]*(?:\.\d+)?)(?P<percent>\s?%|\s+(?:percent|per cent)\b)?(?![\w@]|\.\d)"
    r"|\b(?P<word>" + "|".join(w for w in _WORDS if w != "one") + r")\b|\b(?P<one>one)(?=\s+" + _UNITS + ")",
    re.IGNORECASE,
)
_BOUND: Final = re.compile(
    r"(?:more than|over|above|at least|no fewer than|fewer than|less than|under|below|at most|no more than|up to|"
    r"exactly|repeat|k =|within|after|first|top)\s*$",
    re.IGNORECASE,
)
_MAYBE_BOUND: Final = re.compile(
    r"(?:over|above|under|below|up to|within|after|first|top|exactly|repeat)\s*$", re.IGNORECASE
)
_BOUND_AFTER: Final = re.compile(r"^\s*(?:\w+\s+)?or (?:more|fewer|less)\b", re.IGNORECASE)
_NEGATION: Final = re.compile(
    r"\b(?:not|never|no|none|nothing|nobody|neither|nor|cannot|without|lacks?|lacked|false|"
    r"untrue|incorrect(?:ly)?|"
    r"contrary|hardly|deny|denies|refuted?|wrong to (?:say|claim)|mistaken|opposite)\b|n['’]t\b",
    re.IGNORECASE,
)
_NO_NEGATION: Final = re.compile(r"\bno (?:more|fewer|less) than\b|\bnot only\b", re.IGNORECASE)
_DENIAL: Final = re.compile(
    r"\b(?:not|n['’]t|false|untrue|incorrect|wrong|mistaken|a lie)"
    r" (?:the case|true|correct|so|that|to (?:say|claim))\b"
    r"|\bcontrary to\b|\bfar from\b|\bthe opposite\b|\bit is (?:false|untrue|wrong|incorrect)\b",
    re.IGNORECASE,
)
_PASS: Final = words(r"pass(?:es|ed|ing)?(?![@\w-]|\s+rate|\s+at\b)|succe\w+|solv(?:e[sd]?|ing)|correct(?:ly)?")
_FAIL: Final = words(r"fail(?:s|ed|ing|ures?)?|unsuccessful(?:ly)?|unsolved")
_NEAR: Final = re.compile(
    r"(?:\b(?:not|never|no|none|neither|nor|cannot|without|fail(?:s|ed)? to|0|zero)\b|n['’]t\b)"
    r"(?:\W+\w+){0,5}\W*$",
    re.IGNORECASE,
)
_UP: Final = words(
    r"rose|rises?|risen|increas\w+|higher|improv\w+|grew|grown|gain(?:s|ed)?|easier|more often|up by|better|"
    r"greater|more (?!than\b)\w+(?:\s+\w+){0,3}\s+than"
)
_DOWN: Final = words(
    r"fell|falls?|fallen|dropp?(?:s|ed)?|decreas\w+|lower|regress\w*|declin\w+|shrank|lost|loses?|harder|"
    r"less often|down by|worse|smaller|rarer|fewer (?!than\b)\w+(?:\s+\w+){0,3}\s+than|"
    r"less (?!than\b)\w+(?:\s+\w+){0,3}\s+than"
)
_CAUSAL: Final = words(
    r"because|due to|caus(?:e[sd]?|ing)|leads? to|led to|results? (?:in|from)|resulted (?:in|from)|"
    r"as a result|therefore|thus|hence|owing to|thanks to|explains?|explained by|driven by|drives|root cause|"
    r"blame|makes? it"
)
_ALL: Final = words(
    r"all(?!\s+(?:in all|at once))|every|everything|(?<!times )(?<!of )each|always|entirely|invariably"
)
_IN_ALL: Final = re.compile(r"\b(?:in|at|of|above|after) all\b|\ball in all\b|\bpasse?s? always\b", re.IGNORECASE)
_NONE: Final = words(r"none|no|never|nothing|nobody|zero")
_MOST: Final = words(r"most|majority|mostly|mainly|usually|more than half|predominantly")
_HALF: Final = re.compile(r"(?<!more than )(?<!less than )\bhalf\b", re.IGNORECASE)
_FEW: Final = words(r"few|minority|rare(?:ly)?|seldom|less than half|fewer than half|hardly any")
_LOADED: Final = words(
    r"best|worst|excellent|poor(?:ly)?|reliabl[ey]|unreliable|flaky|broken|dominant|dominates?|significant\w*|"
    r"strong(?:ly|er|est)?|weak(?:ly|er|est)?|frequent\w*|often|main|primary|largest|smallest|common|several|"
    r"many|robust|consistent\w*|substantial\w*|twice|double[ds]?|triple[ds]?|timed out|looped|refus\w+|"
    r"leak\w*|crash\w*"
)
_SUBJECT: Final = words(
    r"agents?|models?|verifiers?|harness(?:es)?|tools?|tasks?|rollouts?|prompts?|answers?|calls?|environment|"
    r"failures?|errors?|score|scores|timeouts?|runs?"
)
_ABOUT: Final = re.compile(
    r"^(?:this|the (?:next|following)|here|below|see) ?(?:report|page|analysis|section|table)?\b", re.I
)
_ADVICE: Final = words(r"recommend\w*|should|suggest\w*|propose[ds]?|consider")
_AGGREGATES: Final = {
    "most": words(r"longest|maxim\w+|highest|largest|at most|up to"),
    "least": words(r"shortest|minim\w+|lowest|smallest"),
    "mean": words(r"average|averages|averaged|mean"),
    "median": words(r"median"),
}
_MEASURES: Final = {
    "rollout": r"rollouts?", "task": r"tasks?", "call": r"(?:tool )?calls?", "error": r"(?:tool )?errors?",
    "cost": r"dollars?|USD|cents?", "tokens": r"tokens?", "seconds": r"seconds?|minutes?|hours?",
    "reward": r"rewards?",
}  # fmt: skip
_MEASURE: Final = re.compile(
    r"^\W*(?:(?:of|the|these|such|tool|other|failing|passing|more|all|"
    r"output|model|\d[\d,.]*%?|or)\W+){0,4}?(?:"
    + "|".join(f"(?P<{name}>{pattern})" for name, pattern in _MEASURES.items())
    + r")\b",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"“[^”]*”|\"[^\"]*\"")
_CODE: Final = re.compile(r"``[^`].*?``|`[^`]*`")


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


def bare(text: str, names: tuple[str, ...] = ()) -> str:
    """Prose without what it quotes, its code, and the names that hold digits or words of weight."""
    out = _CODE.sub(" it ", _QUOTED.sub(" it ", text))
    for name in sorted(names, key=len, reverse=True):
        out = re.sub(r"(?<![\w-])" + re.escape(name) + r"(?![\w-])", " it ", out)
    return " ".join(re.sub(r"[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}", "", out).split())


def numbers(text: str) -> list[Number]:
    found = []
    for m in _NUMBER.finditer(text):
        digits = m.group("digits")
        word = m.group("word") or m.group("one")
        value = float(digits.replace(",", "")) if digits else _WORDS[word.lower()]
        decimals = len(digits.split(".")[1]) if digits and "." in digits else 0
        bound = bool(_BOUND.search(text[: m.start()]) or _BOUND_AFTER.search(text[m.end() :]))
        found.append(
            Number(
                value,
                bool(m.group("percent")),
                decimals,
                bound,
                m.group().strip(),
                bool(_MAYBE_BOUND.search(text[: m.start()])),
                measured(text[m.end() :]),
            )
        )
    return found


def measured(after: str) -> str | None:
    """What a number counts, by the noun that follows it in its clause; None where none does."""
    found = _MEASURE.match(after)
    return found.lastgroup if found else None


def aggregates(text: str) -> set[str]:
    """`most`, `least`, `mean`, `median`: what kind of a summary the words say that a number is."""
    return {name for name, pattern in _AGGREGATES.items() if pattern.search(text)}


def negations(text: str) -> int:
    return len(_NEGATION.findall(_NO_NEGATION.sub(" ", text)))


def failures(text: str) -> int:
    return len(_FAIL.findall(text))


def denies_outright(text: str) -> bool:
    """Whether a sentence takes back what it says."""
    return bool(_DENIAL.search(text))


def outcomes(text: str) -> list[bool]:
    """True for each word that says that something passed, False for each that says that it did not, in order."""
    marks = [(m.start(), True) for m in _PASS.finditer(text)] + [(m.start(), False) for m in _FAIL.finditer(text)]
    found = []
    for at, good in sorted(marks):
        if not good and re.match(r"fail\w*\s+to\b", text[at:], re.IGNORECASE):
            continue
        clause = re.split(r"[,;:]|\b(?:and|but|while|whereas)\b", text[:at])[-1]
        found.append(good != bool(_NEAR.search(clause)))
    return found


def direction(text: str) -> int:
    """1: something rose or is higher; -1: fell or is lower; 0: neither, or both are said."""
    up, down = bool(_UP.search(text)), bool(_DOWN.search(text))
    return up - down


def causal(text: str) -> bool:
    return bool(_CAUSAL.search(text))


def quantifiers(text: str) -> set[str]:
    plain = _IN_ALL.sub(" ", text)
    tests = (("all", _ALL), ("none", _NONE), ("most", _MOST), ("half", _HALF), ("few", _FEW))
    return {name for name, pattern in tests if pattern.search(plain)}


def weighty(text: str) -> bool:
    """Whether a sentence says something about the run that needs evidence."""
    plain = not (numbers(text) or quantifiers(text) or causal(text) or direction(text))
    if plain and _ADVICE.search(text):
        return False
    if not (plain and _ABOUT.search(text)) and _SUBJECT.search(text):
        return True
    return bool(
        numbers(text) or quantifiers(text) or causal(text) or direction(text) or outcomes(text)
        or _LOADED.search(text) or negations(text)
    )  # fmt: skip


def well_formed(text: str) -> bool:
    """Whether this can be a sentence at all: it begins and ends as one, and no article is left hanging.

    Shuffled words keep their numbers and names; they do not keep this.
    """
    core = text.strip().strip("*_\"'“”()")
    if not core or not (core[0].isupper() or core[0].isdigit() or core[0] in "`@#$+-" or core.startswith("pass@")):
        return False
    if not re.search(r"[.!?:;)\"'`*”]$", text.strip()):
        return False
    words = bare(text)
    return not _HANGING.search(words)


_HANGING: Final = re.compile(
    r"\b(?:the|a|an)\s+(?:(?:the|a|an|of|and|or|in|on|by|with|is|are|was|were|did|at|to|for|from|that)\b|[.!?,;:])"
    r"|\b(?:of|in|on|by|with|at|from|for)\s+(?:(?:of|by|at|and|or|is|are|was|were|did|to)\b|[.!?,;])"
    r"|\b(?:the|a|an|of|in|on|by|with|and|or|to|from|for|at|is|are|was|were|did)\s*[.!?]$"
    r"|\b(?:is|are|was|were)\s+(?:is|are|was|were|did)\b|\b(?:and|or)\s+(?:and|or|of)\b"
    r"|\b(?:rollouts|tasks)\s+(?:rollouts|tasks)\b",
    re.IGNORECASE,
)

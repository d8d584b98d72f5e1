"""What a sentence asserts, as far as words show it: numbers, bounds, negation, quantifiers, direction, outcome."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from gym_mcp.claims.numerals import fractions, numbers


def words(alternatives: str) -> re.Pattern[str]:
    """Any of these words, however it is capitalized."""
    return re.compile(rf"\b(?:{alternatives})\b", re.IGNORECASE)


_NEGATION: Final = re.compile(
    r"\b(?:not|never|no|none|nothing|nobody|neither|nor|cannot|without|lacks?|lacked|false|"
    r"untrue|incorrect(?:ly)?|"
    r"contrary|hardly|deny|denies|refuted?|wrong to (?:say|claim)|mistaken|opposite)\b|n['’]t\b",
    re.IGNORECASE,
)
_NO_NEGATION: Final = re.compile(r"\bno (?:more|fewer|less) than\b|\bnot (?:only|many|much)\b", re.IGNORECASE)
_DENIAL: Final = re.compile(
    r"\b(?:not|n['’]t|false|untrue|incorrect|wrong|mistaken|a lie)"
    r" (?:the case|true|correct|so|that|to (?:say|claim))\b"
    r"|\bcontrary to\b|\bfar from\b|\bthe opposite\b|\bit is (?:false|untrue|wrong|incorrect)\b",
    re.IGNORECASE,
)
_PASS: Final = words(
    r"pass(?:e[sd]|ing)?(?![@^\w-]|\s+rate|\s+at\b)|succe\w+|solv(?:e[sd]?|ing)|correct(?:ly)?|"
    r"accept(?:s|ed)?|full (?:scores?|marks?)|right(?!\s+(?:after|away|before|at|now))"
)
_FAIL: Final = words(
    r"fail(?:s|ed|ing|ures?)?|unsuccessful(?:ly)?|unsolved|reject(?:s|ed)?|flunk\w*|bomb(?:s|ed)|botch\w*|"
    r"c[ao]me(?:s)? to nothing|zero (?:score|reward)s?|wrong(?!\s+to)"
)
_TWICE: Final = re.compile(r"\b(?:no|not|none|nothing|isn['’]t|aren['’]t)\b.*\bnever\b", re.IGNORECASE)
_ALL_BUT: Final = re.compile(r"\b(?:all|every \w+|everything|each \w+) (?:but|except|save)\b", re.IGNORECASE)
_NEAR: Final = re.compile(
    r"(?:\b(?:not|never|no|none|neither|nor|cannot|without|fail(?:s|ed)? to|(?<![\d.])0(?![\d.,%])|zero)\b"
    r"|n['’]t\b)"
    r"(?:\W+\w+){0,5}\W*$",
    re.IGNORECASE,
)
_UP: Final = words(
    r"rose|rises?|risen|(?:went|goes|gone) up|up from|climb\w*|jump(?:s|ed)?|step (?:up|forward)|increas\w+"
    r"|higher|improv\w+|grew|grown|gain(?:s|ed)?|easier|more often|up by|better|ahead|"
    r"outnumber\w*|outperform\w*|"
    r"beats?|exceed\w*|above(?!\s+(?:\d|half|a |an |one|two|three|four|five|ten|all))|greater"
    r"|more (?!than\b)\w+(?:\s+\w+){0,3}\s+than"
)
_DOWN: Final = words(
    r"fell|falls?|fallen|(?:went|goes|gone) down|down from|worsen\w*|deteriorat\w*|step back|s[ai]nks?|slid"
    r"|dropp?(?:s|ed)?|decreas\w+|lower|regress\w*|declin\w+|shrank|lost|loses?|harder|"
    r"less often|down by|worse|smaller|rarer|behind|trail(?:s|ed)|lag(?:s|ged)?|"
    r"underperform\w*|(?<!see )below(?!\s*(?:\d|half|a |an |one|two|three|four|five|ten|[.:,]|$))"
    r"|fewer (?!than\b)\w+(?:\s+\w+){0,3}\s+than|"
    r"less (?!than\b)\w+(?:\s+\w+){0,3}\s+than"
)
_SAME: Final = words(
    r"unchanged|(?:stay\w*|remain\w*|is|are|was|were) (?:the same|stable|constant|flat|equal|level)|no different"
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
_MOST: Final = words(r"(?<!at )most|majority|mostly|mainly|usually|(?:more than|over|above) half|predominantly")
_HALF: Final = re.compile(
    r"(?<!more than )(?<!less than )(?<!fewer than )(?<!over )(?<!under )(?<!above )(?<!below )\bhalf\b",
    re.IGNORECASE,
)
_FEW: Final = words(
    r"(?<!no )few|handful|minority|rare(?:ly)?|seldom|(?:less than|fewer than|under|below) half|hardly any"
)
_MANY: Final = words(
    r"common|frequent(?:ly)?|(?<!more )(?<!less )often|(?<!as )(?<!how )(?<!not )many|numerous|"
    r"widespread|abound\w*"
)
_LOADED: Final = words(
    r"best|worst|excellent|poor(?:ly)?|reliabl[ey]|unreliable|flaky|broken|dominant|dominates?|significant\w*|"
    r"strong(?:ly|er|est)?|weak(?:ly|er|est)?|frequent\w*|often|main|primary|largest|smallest|common|several|"
    r"many|robust|consistent\w*|substantial\w*|twice|double[ds]?|triple[ds]?|timed out|looped|refus\w+|"
    r"leak\w*|crash\w*|grim|dismal|bad(?:ly)?|terribl[ey]|awful\w*|hopeless\w*|disappoint\w*|impressive\w*|perfect\w*|"
    r"flawless\w*|disast\w*|great|good|fine|promising|alarming|unacceptable|mediocre|cheat\w*|hallucinat\w*|struggl\w*|"
    r"useless|superb|outstanding|solid"
)
_PRONOUN: Final = re.compile(
    r"^(?:it|they|he|she|that|those|these|the (?:others?|rest|remainder|remaining))\b", re.IGNORECASE
)
_SUBJECT: Final = words(
    r"agents?|models?|verifiers?|harness(?:es)?|tools?|tasks?|rollouts?|prompts?|answers?|calls?|environment|"
    r"failures?|errors?|score|scores|timeouts?|runs?"
)
_ABOUT: Final = re.compile(
    r"^(?:(?:this|the (?:next|following)|here|below|see) ?(?:report|page|analysis|section|table)?\b"
    r"|(?:(?:next|first|then|finally|here|below|now),? )?we (?:look|read|turn|begin|start|describe|list"
    r"|discuss|compare)\w*\b)",
    re.IGNORECASE,
)
_ADVICE: Final = re.compile(
    r"\b(?:recommend\w*|should|suggest\w*|propose[ds]?|consider)\b"
    r"|^(?:please )?(?:train|check|read|fix|repair|add|give|tell|rerun|resume|keep|use|make|let|collect"
    r"|drop|mend|raise|"
    r"re-?verify|investigate|look|ask|teach)\s+(?!(?:up|out|down)\b)",
    re.IGNORECASE,
)
_AGGREGATES: Final = {
    "most": words(r"longest|maxim\w+|highest|largest|at most|up to"),
    "least": words(r"shortest|minim\w+|lowest|smallest"),
    "mean": words(r"average|averages|averaged|mean"),
    "median": words(r"median"),
}
_QUOTED: Final = re.compile(r"“[^”]*”|\"[^\"]*\"")
_CODE: Final = re.compile(r"``[^`].*?``|`[^`]*`")


def bare(text: str, names: tuple[str, ...] = (), quoted: str = "") -> str:
    """Prose without what it quotes, its code, and the names that hold digits or words of weight.

    Quotes and code that speak of the run themselves stay, unless they stand in `quoted`, the evidence.
    """

    def taken(m: re.Match[str]) -> str:
        inner = m.group().strip('`"“”')
        return f" {inner} " if _tells(inner) and _flat(inner) not in _flat(quoted) else " it "

    out = _CODE.sub(taken, _QUOTED.sub(taken, text))
    for name in sorted(names, key=len, reverse=True):
        out = re.sub(r"(?<![\w-])" + re.escape(name) + r"(?![\w-])", " it ", out)
    out = re.sub(r"(?<![\w-])(\d+)-(\d+)(?![\w-])", "\\1–\\2", out)
    return " ".join(re.sub(r"[*_]{1,2}(?=\S)|(?<=\S)[*_]{1,2}", "", out).split())


def quotes(text: str) -> list[str]:
    """What a text puts between quotation marks."""
    return [m.group().strip('"“”') for m in _QUOTED.finditer(text)]


def _flat(text: str) -> str:
    return " ".join(text.casefold().split())


def _tells(text: str) -> bool:
    return len(text.split()) >= 3 and bool(
        (numbers(text) and _SUBJECT.search(text)) or (outcomes(text) and (numbers(text) or quantifiers(text)))
    )


def aggregates(text: str) -> set[str]:
    """`most`, `least`, `mean`, `median`: what kind of a summary the words say that a number is."""
    return {name for name, pattern in _AGGREGATES.items() if pattern.search(text)}


def negations(text: str) -> int:
    return len(_NEGATION.findall(_NO_NEGATION.sub(" ", text))) + all_but(text)


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
        found.append(good != (bool(_NEAR.search(clause)) and not _TWICE.search(clause)))
    if all_but(text) and len(found) == 1:
        return [not found[0]]
    return found


def all_but(text: str) -> bool:
    """Whether a sentence counts the exceptions: `all but two passed`."""
    return bool(_ALL_BUT.search(text))


def direction(text: str) -> int:
    """1: something rose or is higher; -1: fell or is lower; 0: neither, or both are said."""
    up, down = bool(_UP.search(text)), bool(_DOWN.search(text))
    return up - down


def no_change(text: str) -> bool:
    """Whether it says that two sides are alike."""
    return bool(_SAME.search(text))


def causal(text: str) -> bool:
    return bool(_CAUSAL.search(text))


def quantifiers(text: str) -> set[str]:
    plain = _NO_NEGATION.sub(" ", _ALL_BUT.sub(" ", _IN_ALL.sub(" ", text)))
    tests = (("all", _ALL), ("none", _NONE), ("most", _MOST), ("half", _HALF), ("few", _FEW), ("many", _MANY))
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
        or _LOADED.search(text) or negations(text) or fractions(text) or _PRONOUN.search(text)
    )  # fmt: skip


def disguised(text: str) -> str | None:
    """A word that is not what it looks like: letters of two scripts, or letters like digits among digits."""
    for word in re.findall(r"\w+", text):
        if not word.isascii() and len({_script(c) for c in word if c.isalpha()} - {""}) > 1:
            return str(word)
        if re.fullmatch(r"(?=.*\d)[\dOolI]*[OolI][\dOolI]*", word):
            return str(word)
    return None


def _script(c: str) -> str:
    name = unicodedata.name(c, "").split(" ", 1)[0]
    return name if name in ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE") else ""


def well_formed(text: str, *, item: bool = False) -> bool:
    """Whether this can be a sentence at all: it begins and ends as one, and no article is left hanging. An
    `item` of a list needs no mark at its end.

    Shuffled words keep their numbers and names; they do not keep this.
    """
    core = text.strip().strip("*_\"'“”()")
    if not core or not (
        core[0].isupper() or core[0].isdigit() or core[0] in "`@#$+-~≈" or core.startswith(("pass@", "pass^"))
    ):
        return False
    if not item and not re.search(r"[.!?:;)\"'`*”]$", text.strip()):
        return False
    words = bare(text)
    return not _HANGING.search(words)


_HANGING: Final = re.compile(
    r"\b(?:the|a|an)\s+(?:(?:the|a|an|of|and|or|in|on|by|with|is|are|was|were|did|at|to|for|from|that)\b|[.!?,;:])"
    r"|\b(?:of|in|on|by|with|at|from|for)\s+(?:(?:of|by|at(?! (?:least|most|once))|and|or|is|are|was|were"
    r"|did|to)\b|[.!?,;])"
    r"|\b(?:the|a|an|of|in|on|by|with|and|or|to|from|for|at|is|are|was|were|did)\s*[.!?]$"
    r"|\b(?:is|are|was|were)\s+(?:is|are|was|were|did)\b|\b(?:and|or)\s+(?:and|or|of)\b"
    r"|\b(?:rollouts|tasks)\s+(?:rollouts|tasks)\b",
    re.IGNORECASE,
)

"""Answers as a person would compare them, and where a task keeps the right one."""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import Any, Final

from gym_mcp.types import JSONObject

KEY_FIELDS: Final = (
    "expected_answer",
    "correct_answer",
    "ground_truth",
    "reference_answer",
    "gold_answer",
    "gold",
    "answer",
    "target",
    "label",
    "expected",
    "solution",
)
"""Names under which data sets keep the right answer, the most telling first."""
_BOXED: Final = re.compile(r"\\boxed\s*\{")
_LEAD: Final = re.compile(
    r"(?:(?:final\s+)?answer|(?:antwort|r[eé]ponse|respuesta|resposta|risposta|antwoord|svar|ответ|odpowied[zź])\b|答案|答え|답)"
    r"\W{0,6}(?:is)?\W{0,4}\s*(.+)",
    re.IGNORECASE,
)
_LATEX: Final = re.compile(r"\\(?:text|mathrm|mathbf|operatorname)\s*\{([^{}]*)\}")
_FRACTION: Final = re.compile(r"\\[dt]?frac\s*\{([^{}]+)\}\s*\{([^{}]+)\}")
_POWER: Final = re.compile(r"(\d)\s*(?:\\times|\\cdot|[x×·*])\s*10\s*\^\s*\{?\(?([-+]?\d+)\)?\}?")
_RAISED: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_UNIT: Final = re.compile(r"([-+]?[\d.,/e]*\d)\s*(?:[a-zµ°²³/^%]{1,12}|[a-z]{1,12}[ /][a-z]{1,12}\^?\d?)")
_NAMED: Final = re.compile(r"[a-z]\w?\s*=\s*(?=[-+\d(\\])")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?:/\d+)?")


def key_of(task: JSONObject) -> str | None:
    """The right answer that a task row holds, where it holds one as a text or a number."""
    data = task.get("data")
    places = [data, *(v for v in data.values() if isinstance(v, dict))] if isinstance(data, dict) else []
    for name in KEY_FIELDS:
        for place in places:
            found = _scalar(place.get(name))
            if found is not None:
                return found
    return None


def references_of(task: JSONObject) -> tuple[str, ...]:
    """Up to 20 texts in the fields of the answer, where they hold more than one: at least 6 characters each."""
    data = task.get("data")
    found: list[str] = []
    waiting = [data[name] for name in reversed(KEY_FIELDS) if name in data] if isinstance(data, dict) else []
    while waiting and len(found) < 20:
        value = waiting.pop()
        if isinstance(value, str) and 6 <= len(value) <= 300:
            found.append(value)
        elif isinstance(value, dict | list):
            waiting += list(value.values() if isinstance(value, dict) else value)[:20]
    return tuple(found)


def chosen_text(task: JSONObject, key: str) -> str | None:
    """The text of the option that the key names, where the key is the letter of one."""
    data = task.get("data")
    options = data.get("options") or data.get("choices") if isinstance(data, dict) else None
    if isinstance(options, dict):
        options = [options]
    if not isinstance(options, list):
        return None
    for option in options:
        if isinstance(option, dict) and isinstance(option.get(key), str):
            return str(option[key])
    at = ord(key) - ord("A") if len(key) == 1 else -1
    return options[at] if 0 <= at < len(options) and isinstance(options[at], str) else None


def _scalar(value: Any) -> str | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        return value if 0 < len(value) <= 300 else None
    return str(value) if isinstance(value, int | float) else None


def stated(text: str) -> str:
    """What a text gives as its answer: the last box, else what follows the last `answer`, else its last line."""
    boxed = None
    for match in _BOXED.finditer(text):
        boxed = _braced(text, match.end())
    if boxed is not None:
        return boxed
    lines = [line for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        lead = _LEAD.search(line)
        if lead is not None:
            return lead.group(1)
    return lines[-1] if lines else ""


def _braced(text: str, start: int) -> str | None:
    depth = 1
    for at in range(start, min(len(text), start + 500)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start:at]
    return None


def plain(answer: str) -> str:
    """An answer without its dress: layout, LaTeX, thousands, case, units of money and percent, closing marks."""
    text = answer[:500]
    if not text.isascii():
        text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+", lambda m: "^" + m.group().translate(_RAISED), text)
        text = unicodedata.normalize("NFKC", text).replace("\u2044", "/")
    text = _POWER.sub(r"\1e\2", _LATEX.sub(r"\1", _FRACTION.sub(r"\1/\2", text)))
    text = text.replace("\\!", "").replace("\\,", "").replace("\\ ", " ").replace("−", "-")
    text = re.sub(r"[*_`$\\]|^[\s\"'([{<]+", "", text).strip().casefold()
    text = re.sub(r"[\s\"'.,;:!)\]}>%]+$", "", text)
    text = re.sub(r"^[\s\"'(\[{<#£€]+", "", text)
    text = re.sub(r"(?<=\d),(?=\d{3}(?:\D|$))", "", text)
    text = " ".join(text.split())
    return _number(text) if _NUMBER.fullmatch(text.replace(" ", "")) else text


def same(answer: str, key: str) -> bool:
    """Whether two plain answers are one: equal, or a number beside the same number with a unit or a name."""
    if answer == key:
        return True
    if not (_CLOSE.search(answer) and _CLOSE.search(key)):
        return False
    a, b = _bare_number(answer), _bare_number(key)
    return a is not None and a == b


def plainly_another(answer: str, key: str) -> bool:
    """Whether an answer is of the key's kind and certainly not the key: two letters, or two numbers far apart."""
    if len(answer) == len(key) == 1 and answer.isalpha() and key.isalpha():
        return answer != key
    if not (_NUMBER.fullmatch(answer) and _NUMBER.fullmatch(key)):
        return False
    try:
        a, b = Fraction(answer), Fraction(key)
    except (ValueError, ZeroDivisionError):
        return False
    return abs(a - b) > Fraction(1, 20) * max(abs(a), abs(b))


_CLOSE: Final = re.compile(r"\d")


def _bare_number(text: str) -> str | None:
    text = _NAMED.sub("", text, count=1)
    match = _UNIT.fullmatch(text)
    number = plain(match.group(1)) if match else text
    return number if _NUMBER.fullmatch(number) else None


def _number(text: str) -> str:
    try:
        value = Fraction(text.replace(" ", ""))
    except (ValueError, ZeroDivisionError):
        return text
    return str(value) if value.denominator < 10**9 else text


def dress(text: str) -> tuple[str, ...]:
    """The traits of a stated answer's format, for comparing right answers that passed with such that failed."""
    found = [name for name, pattern in _DRESS if pattern.search(text)]
    return tuple(found)


_DRESS: Final = tuple(
    (name, re.compile(pattern, re.MULTILINE))
    for name, pattern in (
        ("box", r"\\boxed"),
        ("bold", r"\*\*[^*]+\*\*"),
        ("thousands separator", r"\d,\d{3}"),
        ("fraction in LaTeX", r"\\[dt]?frac"),
        ("fraction with a slash", r"\d\s*/\s*\d"),
        ("decimal point", r"\d\.\d"),
        ("percent sign", r"\d\s*\\?%"),
        ("scientific notation", r"\d[eE][-+]?\d"),
        ("code fence", r"```"),
        ("dollar sign", r"\$"),
        ("full stop at the end", r"\.\s*\Z"),
        ("quotes", r"[\"'][^\"']+[\"']\W*\Z"),
        ("brackets", r"\([^()]+\)\W*\Z"),
        ("lower-case letter", r"(?:^|[\s{(*])[a-j][)}.*]*\s*\Z"),
        ("leading zero or plus", r"(?:^|[\s{])(?:\+|0)\d"),
        ("a space at an end", r"\A\s|[ \t]\Z"),
        ("`Answer:` line", r"(?i)answer\W{0,4}:"),
    )
)

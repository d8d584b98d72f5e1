"""IFEval's keyword constraints: what must occur, how often, and what must not."""

from __future__ import annotations

from verifiers.instructions.registry import Result, checker
from verifiers.instructions.text import occurrences, related


@checker("keywords:existence")
def existence(text: str, *, keywords: list[str]) -> Result:
    """Each keyword occurs, case folded."""
    missing = [keyword for keyword in keywords if not occurrences(keyword, text)]
    return Result(not missing, f"missing: {', '.join(missing)}" if missing else "")


@checker("keywords:frequency")
def frequency(text: str, *, keyword: str, frequency: int, relation: str) -> Result:
    """A keyword occurs `relation` `frequency` times, case folded."""
    count = occurrences(keyword.strip(), text)
    return Result(related(count, relation, frequency), f"`{keyword}` occurs {count} times")


@checker("keywords:forbidden_words")
def forbidden_words(text: str, *, forbidden_words: list[str]) -> Result:
    """None of the words occurs as a whole word, case folded."""
    found = [word for word in forbidden_words if occurrences(word, text, whole_words=True)]
    return Result(not found, f"contains {', '.join(found)}" if found else "")


@checker("keywords:letter_frequency", "letters:letter_counting2")
def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> Result:
    """A letter (or sign) occurs `let_relation` `let_frequency` times, case folded."""
    count = text.lower().count(letter.strip().lower()) if letter.strip() else 0
    return Result(related(count, let_relation, let_frequency), f"`{letter}` occurs {count} times")

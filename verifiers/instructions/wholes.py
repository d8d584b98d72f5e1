"""IFEval's constraints on the text as a whole: language, case, commas, beginnings, ends, combinations."""

from __future__ import annotations

from verifiers.instructions.language import written_in
from verifiers.instructions.registry import Result, checker
from verifiers.instructions.text import related, separated, tokens


@checker("language:response_language")
def response_language(text: str, *, language: str) -> Result:
    """The entire text is in one language (ISO 639-1)."""
    return Result(*written_in(text, language))


@checker("change_case:english_capital")
def english_capital(text: str) -> Result:
    """English, in capital letters only."""
    return Result(*written_in(text, "en")) if text.isupper() else Result(False, "not all in capitals")


@checker("change_case:english_lowercase")
def english_lowercase(text: str) -> Result:
    """English, in lower-case letters only."""
    return Result(*written_in(text, "en")) if text.islower() else Result(False, "not all in lower case")


@checker("change_case:capital_word_frequency")
def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: str) -> Result:
    """Words all in capitals occur `capital_relation` `capital_frequency` times; `I` is one."""
    count = sum(1 for token in tokens(text) if token.isupper())
    return Result(related(count, capital_relation, capital_frequency), f"{count} words in capitals")


@checker("punctuation:no_comma")
def no_comma(text: str) -> Result:
    """No comma anywhere."""
    return Result("," not in text, "contains a comma" if "," in text else "")


@checker("startend:end_checker")
def end_checker(text: str, *, end_phrase: str) -> Result:
    """The text ends with a phrase, case folded; quotation marks around the whole do not count."""
    followed = text.strip().strip('"').lower().endswith(end_phrase.strip().lower())
    return Result(followed, "" if followed else f"does not end with {end_phrase!r:.80}")


@checker("startend:quotation")
def quotation(text: str) -> Result:
    """The whole text stands in double quotation marks."""
    body = text.strip()
    followed = len(body) > 1 and body[0] == body[-1] == '"'
    return Result(followed, "" if followed else "not in double quotation marks")


@checker("combination:two_responses")
def two_responses(text: str) -> Result:
    """Two different responses with six asterisks between them."""
    parts = separated(text, "******")
    followed = parts is not None and len(parts) == 2 and parts[0].strip() != parts[1].strip()
    return Result(followed, "" if followed else "not two different responses with ****** between them")


@checker("combination:repeat_prompt")
def repeat_prompt(text: str, *, prompt_to_repeat: str) -> Result:
    """The request comes first, word for word, case folded."""
    followed = text.strip().lower().startswith(prompt_to_repeat.strip().lower())
    return Result(followed, "" if followed else "does not begin with the request")

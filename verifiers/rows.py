"""Fields that published rows of several systems share, as pydantic types."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _merged(value: Any) -> Any:
    """One dict from `[{"A": ...}, {"B": ...}]`; letters in upper case, options without a text left out."""
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        value = {letter: text for entry in value for letter, text in entry.items()}
    if not isinstance(value, dict):
        return value
    return {str(letter).strip().upper(): str(text) for letter, text in value.items() if text is not None}


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as e:
        raise ValueError(f"not a regular expression: {e}") from None
    return pattern


def _as_list(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


Pattern: TypeAlias = Annotated[str, AfterValidator(_compiled)]
"""A regular expression, checked when the row is loaded."""
Patterns: TypeAlias = Annotated[list[Pattern], BeforeValidator(_as_list)]
"""One regular expression or a list of them."""
OptionTexts: TypeAlias = Annotated[dict[str, str], BeforeValidator(_merged)]
"""Texts of a question's options by upper-case letter, from one object or a list of one-key objects."""


class Template(BaseModel):
    """How the prompt asks for the answer, and how it is read back."""

    model_config = ConfigDict(extra="ignore")
    output_regex: Patterns = []

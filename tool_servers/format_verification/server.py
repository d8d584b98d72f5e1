"""Replies in a prescribed layout: lines of a pattern, or citation markers and no others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from gym_mcp import Environment, Reward, Transcript
from verifiers.format import Format, lines_matching, markers


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as e:
        raise ValueError(f"not a regular expression: {e}") from None
    return pattern


def _as_list(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


Patterns = Annotated[list[Annotated[str, AfterValidator(_compiled)]], BeforeValidator(_as_list)]


class LinePatterns(BaseModel):
    """At least `verify_min_matches` lines match one of `verify_regex`."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["regex"]
    pattern_id: str = ""
    verify_regex: Annotated[Patterns, Field(min_length=1)]
    verify_min_matches: int = Field(1, ge=1)

    def check(self, text: str) -> Format:
        return lines_matching(text, self.verify_regex, self.verify_min_matches)


class Markers(BaseModel):
    """All of `expected` stand in the reply; what the patterns find besides them is wrong."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["string_match"]
    pattern_id: str = ""
    expected: list[str] = Field(
        min_length=1, validation_alias=AliasChoices("expected", "expected_markers", "expected_strings", "markers")
    )
    patterns: Patterns = Field(
        default_factory=list, validation_alias=AliasChoices("patterns", "pattern", "verify_regex")
    )

    def check(self, text: str) -> Format:
        return markers(text, self.expected, self.patterns)


class Row(BaseModel):
    """How the layout is verified; ours also have `reference`, a reply in that layout."""

    model_config = ConfigDict(extra="ignore")
    verifier: Annotated[LinePatterns | Markers, Field(discriminator="type")]
    reference: str = ""


class FormatVerification(Environment[Row]):
    """Lay the answer out exactly as the prompt prescribes."""

    domain = "instruction_following"
    tags = ("format", "single-turn")

    def verify(self, transcript: Transcript) -> Reward:
        outcome = self.task.data.verifier.check(transcript.text)
        return Reward(float(outcome.fits), {"share": outcome.share}, outcome.note)

    def solution(self) -> Iterable[str]:
        yield self.task.data.reference

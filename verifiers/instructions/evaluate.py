"""Strict and loose evaluation of a list of instructions (Zhou et al. 2023, section 2.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Literal, TypeAlias

from verifiers.instructions.registry import Result, check

Evaluation: TypeAlias = Literal["strict", "loose"]


def check_all(
    instruction_ids: Sequence[str],
    kwargs: Sequence[Mapping[str, Any] | None],
    text: str,
    prompt: str = "",
    *,
    evaluation: Evaluation = "strict",
) -> list[Result]:
    """One result per instruction; `kwargs` that are too few count as empty.

    `loose`: an instruction is followed if one of eight variants of the text follows it (see `variants`).
    """
    padded = [*kwargs, *([None] * (len(instruction_ids) - len(kwargs)))]
    texts = variants(text) if evaluation == "loose" else [text]
    return [
        _any_of(instruction_id, given, texts, prompt)
        for instruction_id, given in zip(instruction_ids, padded, strict=False)
    ]


def _any_of(instruction_id: str, kwargs: Mapping[str, Any] | None, texts: Sequence[str], prompt: str) -> Result:
    results = [check(instruction_id, kwargs, text, prompt) for text in texts[:1]]
    for text in texts[1:]:
        if results[-1].followed:
            break
        results.append(check(instruction_id, kwargs, text, prompt))
    return results[-1] if results[-1].followed else results[0]


def variants(text: str) -> list[str]:
    """The text without its first line, its last, both or neither, each with and without its asterisks."""
    lines = text.split("\n")
    cuts = ["\n".join(lines[first:last]).strip() for last, first in product((None, -1), (0, 1))]
    return [text, *cuts[1:], text.replace("*", ""), *(cut.replace("*", "") for cut in cuts[1:])]

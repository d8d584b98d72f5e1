"""The table of instruction checkers: an id, its typed keyword arguments, and a predicate on the text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from verifiers.instructions.text import RELATIONS

F = TypeVar("F", bound=Callable[..., "bool | Result"])
_CHECKERS: Final[dict[str, Callable[..., Any]]] = {}


@dataclass(frozen=True, slots=True)
class Result:
    """Whether an instruction was followed, and why not (or what could not be checked)."""

    followed: bool
    note: str = ""

    def __bool__(self) -> bool:
        return self.followed


def checker(*ids: str) -> Callable[[F], F]:
    """Register `function(text, *, ...)` under public ids. Its keyword parameters are the published kwargs."""

    def register(function: F) -> F:
        for name in ids:
            _CHECKERS[name] = function
        return function

    return register


def known_ids() -> tuple[str, ...]:
    """All ids that `check` knows, sorted."""
    return tuple(sorted(_CHECKERS))


def problem(instruction_id: str, kwargs: Mapping[str, Any] | None) -> str:
    """Why `check` could not judge this instruction; empty when it can.

    Absent and null arguments are the same. `prompt_to_repeat` may be absent: the prompt stands in for it.
    """
    function = _CHECKERS.get(instruction_id)
    if function is None:
        return f"unknown instruction `{instruction_id}`"
    given = _given(kwargs)
    for name, parameter in _parameters(function).items():
        if name not in given:
            if parameter.default is parameter.empty and name != "prompt_to_repeat":
                return f"{instruction_id}: argument `{name}` is missing"
        elif not _fits(given[name], str(parameter.annotation)):
            return f"{instruction_id}: argument `{name}` must be {parameter.annotation}, not {given[name]!r:.80}"
        elif name.endswith("relation") and given[name].strip().lower() not in RELATIONS:
            return f"{instruction_id}: argument `{name}` is one of {', '.join(RELATIONS)}, not {given[name]!r:.80}"
    return ""


def check(instruction_id: str, kwargs: Mapping[str, Any] | None, text: str, prompt: str = "") -> Result:
    """Whether `text` follows one instruction.

    `kwargs` are those of the published rows: null entries are dropped, unknown ones ignored. `prompt` is what the
    user said; it stands in for an absent `prompt_to_repeat`. A blank text follows nothing. Never raises: what
    cannot be judged was not followed, and the note says why.
    """
    unfit = problem(instruction_id, kwargs)
    if unfit:
        return Result(False, unfit)
    if not text.strip():
        return Result(False, "the text is blank")
    function = _CHECKERS[instruction_id]
    given = _given(kwargs)
    arguments = {name: given[name] for name in _parameters(function) if name in given}
    if "prompt_to_repeat" in _parameters(function):
        arguments.setdefault("prompt_to_repeat", prompt)
    try:
        outcome = function(text, **arguments)
    except Exception as e:  # RecursionError, OverflowError: whatever a text can provoke
        return Result(False, f"{instruction_id}: the check failed ({type(e).__name__})")
    if isinstance(outcome, Result):
        return outcome
    return Result(outcome, "" if outcome else f"{instruction_id} not followed")


def _given(kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (kwargs or {}).items() if value is not None}


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def _fits(value: Any, annotation: str) -> bool:
    match annotation:
        case "int":
            return isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        case "str":
            return isinstance(value, str)
        case _:
            return isinstance(value, list) and all(isinstance(entry, str) for entry in value)

"""What a skill is known by when a model reads it: its description, and the lines of its text that no other has."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson

from gym_mcp.agents.skills import SkillText

Mark: TypeAlias = "tuple[str, ...]"
"""Words as they are, and as they stand in JSON or XML; whitespace in single blanks."""
_DESCRIPTION: Final = 100
"""Characters of a description that are looked for: agents cut long ones."""
_LINE: Final = 200
_SHORTEST: Final = 16
"""Characters of a line that says which skill it is of."""
_MOST: Final = 60
"""Lines that are looked for, spread over the text."""


@dataclass(frozen=True, slots=True)
class Signs:
    """`description` is None, or `lines` empty, where nothing sets the skill apart."""

    name: str
    description: Mark | None
    lines: tuple[Mark, ...]
    path: re.Pattern[str]

    def beside(self, text: str) -> Signs:
        """Without what stands in `text`, which is there anyway."""
        described = None if self.description is None or self.description[0] in text else self.description
        return Signs(self.name, described, tuple(m for m in self.lines if m[0] not in text), self.path)

    def named_by(self, tool: str, arguments: Any) -> bool:
        """Whether a call is for this skill: by its name where the tool is one for skills, else by its path."""
        try:
            values = list(_texts(orjson.loads(arguments or "{}")))
        except (orjson.JSONDecodeError, TypeError):
            return False
        if "skill" in tool.lower() and any(v.rpartition(":")[2] == self.name for v in values):
            return True
        return any(self.path.search(value) for value in values)


def signs_of(own: Sequence[SkillText], others: Iterable[SkillText]) -> tuple[list[Signs], list[Signs]]:
    """Signs of the skills that a rollout has, told apart from each other; and of those that it should not know of,
    told apart from its own.
    """
    texts = [plain(f"{skill.description}\n{skill.body}") for skill in own]
    apart = [
        _signs(skill, "\n".join(text for n, text in enumerate(texts) if n != at)) for at, skill in enumerate(own)
    ]
    had, kept = "\n".join(texts), set(own)
    return apart, [_signs(skill, had) for skill in dict.fromkeys(others) if skill not in kept]


def _signs(skill: SkillText, elsewhere: str) -> Signs:
    whole = plain(skill.description)
    described = next((d for d in (whole[:_DESCRIPTION], whole) if d not in elsewhere), None)
    lines = dict.fromkeys(plain(line)[:_LINE] for line in skill.body.splitlines())
    apart = [n for n in lines if len(n) >= _SHORTEST and n not in elsewhere and n not in whole]
    step = max(1, -(-len(apart) // _MOST))
    path = rf"(?:^|[\s/\"'=])(?:skills/{skill.name}(?![\w-])|{skill.name}/SKILL\.md\b)"
    return Signs(
        skill.name,
        None if described is None else _mark(described),
        tuple(map(_mark, apart[::step])),
        re.compile(path),
    )


def plain(text: str) -> str:
    """`text` with single blanks for whitespace."""
    return " ".join(text.split())


def holds(text: str, mark: Mark) -> bool:
    """Whether a plain text has a mark."""
    return any(form in text for form in mark)


def _mark(words: str) -> Mark:
    forms = (words, json.dumps(words)[1:-1], json.dumps(words, ensure_ascii=False)[1:-1], html.escape(words))
    return tuple(dict.fromkeys(forms))


def _texts(value: Any) -> Iterator[str]:
    """All texts in the arguments of a call."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)

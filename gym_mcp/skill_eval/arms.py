"""The arms of an experiment, from the command line: folders of skills, parts of them, and the control arm."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gym_mcp.agents.skills import NONE, Skills, load_skills
from gym_mcp.errors import UsageError
from gym_mcp.suggest import did_you_mean

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOW: Final = "name it with NAME=DIR"


@dataclass(frozen=True, slots=True)
class SkillArm:
    """`source` is what was asked for; `skills` what it stands for, under the arm's own name."""

    name: str
    source: str
    skills: Skills

    @property
    def is_control(self) -> bool:
        return self.skills.folder is None


def parse_arms(texts: Sequence[str]) -> list[SkillArm]:
    """Arms of `--skills`: `DIR`, `DIR:SKILL` (that one alone), `DIR:-SKILL` (all but that one), `none`; each may
    be `NAME=...`. `UsageError` in one line.
    """
    arms = [_arm(piece) for text in texts for piece in _pieces(text)]
    if len(arms) < 2:
        raise UsageError("--skills: give two arms or more, e.g. --skills my_skills,none")
    _refuse_doubles(arms)
    return arms


def _pieces(text: str) -> list[str]:
    """The arms of one `--skills`; a folder may have commas in its name."""
    spec = text.partition("=")[2]
    folders = (text, spec, text.rpartition(":")[0], spec.rpartition(":")[0])
    whole = any(f and f.count(",") == text.count(",") and Path(f).is_dir() for f in folders)
    return [text] if whole else text.split(",")


def _arm(text: str) -> SkillArm:
    name, equals, spec = text.partition("=")
    if not equals or Path(text).is_dir():
        name, spec = "", text
    if not spec:
        raise UsageError(f"--skills {text or ','}: an arm without a folder; `none` is the arm without skills")
    own, skills = _skills(spec)
    if name == NONE and skills.folder is not None:
        raise UsageError(f"--skills {text}: `none` is the name of the arm without skills; choose another")
    name = name or own
    if not is_name(name):
        raise UsageError(
            f"--skills {text}: an arm cannot be called {name!r}: letters, digits, `.`, `_` and `-` only; {_HOW}"
        )
    return SkillArm(name, spec, skills if skills.folder is None else skills.choose(skills.names, name))


def is_name(text: str) -> bool:
    """Whether an arm may be called so; its name is a folder's, too."""
    return _NAME.fullmatch(text) is not None


def _skills(spec: str) -> tuple[str, Skills]:
    """(name of the arm, its skills)."""
    if spec == NONE:
        return NONE, load_skills(spec)
    folder, colon, part = spec.rpartition(":")
    if not colon or Path(spec).is_dir() or not Path(folder).is_dir():
        return Path(spec).resolve().name, load_skills(spec)
    skills = load_skills(folder)
    without, wanted = part.startswith("-"), part.removeprefix("-")
    if wanted not in skills.names:
        known = f"; there are {', '.join(skills.names)}"
        raise UsageError(
            f"--skills {spec}: no skill `{wanted}` in it{did_you_mean(wanted, skills.names) or known}"
        )
    kept = [name for name in skills.names if (name == wanted) != without]
    if not kept:
        raise UsageError(f"--skills {spec}: without its only skill nothing is left; that is the arm `none`")
    own = Path(folder).resolve().name
    return f"{own}.without-{wanted}" if without else f"{own}.{wanted}", skills.choose(kept, own)


def _refuse_doubles(arms: Sequence[SkillArm]) -> None:
    names, contents = dict[str, str](), dict[str, str]()
    for arm in arms:
        content = arm.skills.ref.rpartition("@")[2]
        if content in contents:
            raise UsageError(f"--skills: {contents[content]} and {arm.source} are the same skills: give them once")
        if arm.name.casefold() in names:
            raise UsageError(
                f"--skills: {names[arm.name.casefold()]} and {arm.source} are both called `{arm.name}`; {_HOW}"
            )
        names[arm.name.casefold()] = contents[content] = arm.source


def control_first(arms: Iterable[SkillArm]) -> Iterator[SkillArm]:
    """The order in which arms are compared: each with the control arm first, where there is one."""
    yield from sorted(arms, key=lambda arm: not arm.is_control)

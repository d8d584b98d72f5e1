"""Skills for agents: a folder of `<name>/SKILL.md`, checked, hashed, copied to where an agent looks for them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError
from gym_mcp.identity import digest, path_digest

NONE: Final = "none"
"""The control arm: an agent with the same flags and no skills."""
_FILE: Final = "SKILL.md"
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MAX_NAME, _MAX_DESCRIPTION = 64, 1_024  # of the Agent Skills format


@dataclass(frozen=True, slots=True)
class Skills:
    """A checked folder of skills. `folder` is None in the control arm."""

    ref: str
    """`FOLDER@DIGEST`, or `none`: recorded with each rollout and part of the run's identity."""
    folder: Path | None = None
    names: tuple[str, ...] = ()

    def stage(self, place: Path) -> None:
        """Copy the skills to `place/<name>/`."""
        for name in self.names:
            assert self.folder is not None
            shutil.copytree(self.folder / name, place / name)

    def texts(self) -> list[SkillText]:
        """What there is to read in each skill's `SKILL.md`."""
        return [_read(self.folder / name / _FILE) for name in self.names if self.folder is not None]

    def choose(self, names: Iterable[str], called: str) -> Skills:
        """Some of these, under a name of their own."""
        kept = tuple(name for name in self.names if name in set(names))
        assert self.folder is not None
        return Skills(f"{called}@{_digest(self.folder, kept)}", self.folder, kept)


@dataclass(frozen=True, slots=True)
class SkillText:
    """A skill as an agent may show it: the description in its list of skills, the body when the skill is used."""

    name: str
    description: str
    body: str


def load_skills(source: str) -> Skills:
    """The skills of a folder, or the control arm for `none`. `UsageError` in one line for what is no skill."""
    if source == NONE:
        return Skills(NONE)
    folder = Path(source)
    if not folder.is_dir():
        raise UsageError(f"--skills {source}: no such folder; `none` is the arm without skills")
    if (folder / _FILE).is_file():
        raise UsageError(f"--skills {source}: this is one skill; give the folder that holds it")
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if not names:
        raise UsageError(f"--skills {source}: no skills there; a skill is a folder NAME/SKILL.md")
    for name in names:
        _check(folder / name)
    return Skills(f"{folder.resolve().name}@{_digest(folder, names)}", folder.resolve(), names)


def _digest(folder: Path, names: Iterable[str]) -> str:
    """Of the skills alone. What is copied counts, not what lies beside it, such as a `.git`."""
    return digest(part.encode() for name in names for part in (name, path_digest(folder / name)))


def _read(file: Path) -> SkillText:
    fields, body = _front_matter(file, _text(file))
    return SkillText(str(fields.get("name")), str(fields.get("description")), body)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as e:
        raise UsageError(f"{file}: {e.strerror}: each folder of --skills holds one") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: not UTF-8") from None


def _check(folder: Path) -> None:
    file = folder / _FILE
    fields, _ = _front_matter(file, _text(file))
    name, description = fields.get("name"), fields.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        raise UsageError(
            f"{file}: `name` is {name!r}: lower-case words joined by hyphens, at most {_MAX_NAME} letters"
        )
    if name != folder.name:
        raise UsageError(f"{file}: `name` is {name!r}, but its folder is called {folder.name!r}")
    if not isinstance(description, str) or not 0 < len(description.strip()) <= _MAX_DESCRIPTION:
        raise UsageError(f"{file}: `description` is missing, empty or longer than {_MAX_DESCRIPTION} letters")
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink():
            raise UsageError(f"{path}: a skill holds no links: its content would depend on what lies elsewhere")


def _front_matter(file: Path, text: str) -> tuple[dict[str, object], str]:
    """The fields, and what stands below them."""
    import yaml

    lines = text.splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in (line.strip() for line in lines[1:]):
        raise UsageError(f"{file}: begins with no front matter (`---`, name and description, `---`)")
    end = next(i for i, line in enumerate(lines[1:], 1) if line.strip() == "---")
    try:
        fields = yaml.safe_load("\n".join(lines[1:end]))
    except yaml.YAMLError as e:
        raise UsageError(f"{file}: front matter: {' '.join(str(e).split())}") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{file}: front matter: `name: ...` and `description: ...` are expected")
    return fields, "\n".join(lines[end + 1 :])

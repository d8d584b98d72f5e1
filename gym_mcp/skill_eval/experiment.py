"""An experiment is a directory: what its arms are, a copy of their skills, one run of each, and the report."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.agents.skills import NONE, load_skills
from gym_mcp.coordinator.config import RunConfig, make_config, merged
from gym_mcp.coordinator.manifest import settings_of
from gym_mcp.coordinator.rundir import RunDirectory, write_json
from gym_mcp.errors import UsageError
from gym_mcp.scrub import MASK
from gym_mcp.skill_eval.arms import SkillArm, is_name
from gym_mcp.types import JSONObject

FILE: Final = "skills.json"
_STARTING: Final = (".lock", f"{FILE}.tmp")
_OURS: Final = ("skills", "runs")
_OF_ARMS: Final = ("skills", "other_skills")


class Experiment:
    """The files of one experiment. `lock` before writing."""

    def __init__(self, path: Path, settings: JSONObject, arms: Sequence[SkillArm], about: JSONObject) -> None:
        self.path = path
        self.settings = settings
        self.arms = arms
        self._about = about
        self._lock = RunDirectory(path)
        self._new = not (path / FILE).is_file()
        self._made = not path.exists()

    @classmethod
    def at(cls, path: Path, given: JSONObject, arms: Sequence[SkillArm] | None) -> Experiment:
        """The experiment at `path`: a new one of `given` settings and `arms`, or the one that is there, which both
        must fit; what is left out is as it was. `UsageError` in one line.
        """
        if (path / FILE).is_file():
            about = _read(path / FILE)
            settings = merged(about["settings"], given)
            asked = (("base_url", "--base-url"), ("judge_base_url", "--judge-base-url"), ("environment", "-e"))
            for key, flag in asked:
                if MASK in (settings.get(key) or ""):
                    raise UsageError(f"{flag}: the URL held credentials, which nothing keeps: give it again")
            return cls(path, settings, _same_arms(path, about, arms), about)
        if path.exists() and (not path.is_dir() or any(p.name not in _STARTING for p in path.iterdir())):
            raise UsageError(f"{path}: not empty and no experiment of skills; choose another --out")
        if not arms:
            raise UsageError("eval skills: no arms: give --skills DIR,none (folders of skills; `none`: no skills)")
        about = {
            "schema": 1,
            "kind": "skills",
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "settings": _kept(make_config(given, "eval skills")),
            "arms": [_as_json(arm) for arm in arms],
        }
        return cls(path, given, arms, about)

    def configs(self) -> list[RunConfig]:
        """One run an arm; they differ by their skills alone."""
        folders = {arm.name: str(self._folder(arm)) for arm in self.arms if not arm.is_control}
        return [
            make_config(
                {
                    **self.settings,
                    "skills": folders.get(arm.name, NONE),
                    "other_skills": [folder for name, folder in folders.items() if name != arm.name],
                },
                "eval skills",
            )
            for arm in self.arms
        ]

    def run_of(self, arm: SkillArm) -> Path:
        return self.path / "runs" / arm.name

    def lock(self) -> None:
        """Make the directory ready and hold it for this process."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as e:
            raise UsageError(f"{self.path}: cannot hold an experiment: {e.strerror}") from None
        self._lock.lock()

    def unlock(self) -> None:
        self._lock.unlock()

    def prepare(self) -> None:
        """Write down what the arms are, and copy their skills: whatever becomes of the folders, they are kept."""
        if self._new:
            write_json(self.path / FILE, self._about)
        for arm in self.arms:
            if not arm.is_control:
                self._stage(arm)

    def write_report(self, report: JSONObject) -> None:
        write_json(self.path / FILE, {**self._about, "report": report})

    def discard(self) -> None:
        """Leave nothing of a new experiment of which no run could start."""
        if not self._new or any(self.path.glob("runs/*/manifest.json")):
            return
        (self.path / FILE).unlink(missing_ok=True)
        for name in _OURS:
            shutil.rmtree(self.path / name, ignore_errors=True)
        if self._made:
            (self.path / ".lock").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody put something there
                self.path.rmdir()

    def _folder(self, arm: SkillArm) -> Path:
        return self.path / "skills" / arm.name

    def _stage(self, arm: SkillArm) -> None:
        folder = self._folder(arm)
        if not folder.exists():
            half = folder.with_name(f".{arm.name}.part")
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir(parents=True)
            arm.skills.stage(half)
            half.rename(folder)
        ref = load_skills(str(folder)).ref
        if ref != arm.skills.ref:
            raise UsageError(f"{folder}: was changed since ({arm.skills.ref} -> {ref}); choose another --out")


def _as_json(arm: SkillArm) -> JSONObject:
    source = arm.source if arm.is_control else str(Path(arm.source).absolute())
    names = list(arm.skills.names)
    return {
        "name": arm.name,
        "source": source,
        "skills": arm.skills.ref,
        "names": names,
        "run": f"runs/{arm.name}",
    }


def _kept(config: RunConfig) -> JSONObject:
    """The settings of all arms, as a later sitting needs them: paths absolute, no credentials."""
    return {key: value for key, value in settings_of(config).items() if key not in _OF_ARMS}


def _read(path: Path) -> JSONObject:
    try:
        about: Any = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as e:
        raise UsageError(f"{path}: unreadable: {e}") from None
    if not isinstance(about, dict) or about.get("schema") != 1 or about.get("kind") != "skills":
        raise UsageError(f"{path}: not an experiment of skills of this version (schema 1)")
    arms = about.get("arms")
    if not isinstance(about.get("settings"), dict) or not isinstance(arms, list) or not all(map(_is_arm, arms)):
        raise UsageError(f"{path}: was changed by something else; choose another --out")
    return about


def _is_arm(arm: Any) -> bool:
    """Names become paths: what could lead elsewhere is none."""
    fields = ("name", "source", "skills")
    return isinstance(arm, dict) and all(isinstance(arm.get(f), str) for f in fields) and is_name(arm["name"])


def _same_arms(path: Path, about: JSONObject, arms: Sequence[SkillArm] | None) -> Sequence[SkillArm]:
    """The arms of an experiment that is there. Those that are given must be the same."""
    then = {arm["name"]: str(arm["skills"]) for arm in about["arms"]}
    if arms is None:
        return [_arm_again(path, arm) for arm in about["arms"]]
    now = {arm.name: arm.skills.ref for arm in arms}
    if now != then:
        names = [*then, *(name for name in now if name not in then)]
        changed = [f"{n}: {then.get(n)} -> {now.get(n)}" for n in names if then.get(n) != now.get(n)]
        raise UsageError(f"{path}: holds another experiment ({'; '.join(changed)}); choose another --out")
    return arms


def _arm_again(path: Path, about: JSONObject) -> SkillArm:
    """An arm by its copy."""
    name = str(about["name"])
    if about["skills"] == NONE:
        return SkillArm(name, NONE, load_skills(NONE))
    folder = path / "skills" / name
    if not folder.is_dir():
        raise UsageError(f"{folder}: the copy of the skills is missing; give --skills as before")
    skills = load_skills(str(folder))
    if skills.ref != about["skills"]:
        raise UsageError(f"{folder}: was changed since ({about['skills']} -> {skills.ref}); choose another --out")
    return SkillArm(name, str(about["source"]), skills)

"""Skills, a harness in this process that shows them to its model, and rows that tell of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gym_mcp.types import JSONObject

LAB = Path(__file__).parents[1] / "environments" / "lab.py"
TEXT = (
    "---\nname: {name}\ndescription: How to do {name} in the lab.\n---\nFirst read the task. It is about {name}.\n"
)

READER = '''
"""A loop that lists its skills, and has its model read them in tasks with an even target."""
import asyncio

from gym_mcp import hub
from gym_mcp.agents.activation import Activation
from gym_mcp.agents.signs import signs_of
from gym_mcp.models.base import Request
from gym_mcp.options import Options as Base
from gym_mcp.types import user_message


class Options(Base):
    seconds: float = 0.0
    leak: bool = False


class Reader:
    def __init__(self, options):
        self.options, self.own, self.others, self.ref = options, [], [], ""

    def use_skills(self, skills):
        self.own, self.ref = skills.texts(), skills.ref

    def watch_for(self, others):
        self.others = [text for skills in others for text in skills.texts()]

    def identity(self):
        return {"skills": self.ref}

    async def run(self, session, model, limits):
        seen = Activation(*signs_of(self.own, self.others), "", lambda name: True)
        given = [*self.own, *(self.others if self.options.leak else [])]
        even = int(str(session.prompt[-1]["content"]).split()[4].strip(",")) % 2 == 0
        texts = [user_message(skill.description + (skill.body if even else "")) for skill in given]
        seen.answered(Request(texts), [], seen.moment(1))
        await asyncio.sleep(self.options.seconds)
        transcript = await hub.load_harness("simple")[1].run(session, model, limits)
        transcript.facts = seen.as_json()
        return transcript


def create(options):
    return Reader(options)
'''


def skill_folder(folder: Path, *names: str, text: str = TEXT) -> Path:
    """A folder of skills."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "SKILL.md").write_text(text.format(name=name))
    return folder


def reader(folder: Path) -> Path:
    """The harness as a file."""
    path = folder / "reader.py"
    path.write_text(READER)
    return path


def facts(loaded: bool | None, *, name: str = "counting", offered: bool = True, **more: Any) -> JSONObject:
    """What a row tells of a skill; `loaded` None for unknown."""
    when = {"turn": 2, "seconds": 1.5, "where": "Skill"}
    one: dict[bool | None, Any] = {True: {**when, "share": 1.0}, False: None, None: "unknown"}
    skill = {"offered": {**when, "turn": 1} if offered else None, "loaded": one[loaded], "asked": None}
    return {"harness_facts": {"skills": {name: skill}, **more}}

"""What counts as offered, asked for and loaded, in the ways in which agents show skills; and what does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from gym_mcp.agents.activation import Activation
from gym_mcp.agents.agent import Agent
from gym_mcp.agents.relay import Relayed
from gym_mcp.agents.signs import signs_of
from gym_mcp.agents.skills import SkillText
from gym_mcp.agents.watched import Watched
from gym_mcp.cli import harness as verbs
from gym_mcp.errors import LimitReached, ModelError
from gym_mcp.models.base import Model, Request, Response
from gym_mcp.types import Item, JSONObject, assistant_message, user_message
from tests.support import run

BODY = """# Counting

1. Read the target from the task.
2. Call `add` once with "the target" as <amount>.
3. Say that the counter stands there.
"""
COUNTING = SkillText("counting", 'How to count in the "lab", from A & B. Use it for counters.', BODY)
ADDING = SkillText(
    "adding", "How to add numbers that are large.", "Write them below each other.\nCarry the one.\n"
)
WHEN = {"turn": 1, "seconds": 0.5}


def activation(*own: SkillText, others: Sequence[SkillText] = (), prompt: str = "Count to 3.") -> Activation:
    return Activation(*signs_of(own, others), prompt, lambda name: name == "mcp__env__add")


def seen(
    items: Sequence[Item] = (),
    *own: SkillText,
    tools: Sequence[Item] = (),
    said: Sequence[Item] = (),
    **more: Any,
) -> JSONObject:
    """What is told after one call."""
    found = activation(*(own or (COUNTING,)), **more)
    found.answered(Request(items, tools), said, WHEN)
    return found.as_json()


def system(text: str) -> Item:
    return {"type": "message", "role": "system", "content": text}


def calling(name: str, **arguments: Any) -> Item:
    return {"type": "function_call", "call_id": "c1", "name": name, "arguments": json.dumps(arguments)}


def read_by(tool: str, text: Any) -> list[Item]:
    return [calling(tool), {"type": "function_call_output", "call_id": "c1", "output": text}]


LISTINGS = {
    "in a message": [system(f"You have skills.\n- counting: {COUNTING.description} (file: r0/counting/SKILL.md)")],
    "broken into lines": [system(f"counting:\n    {COUNTING.description.replace(' Use', chr(10) + '    Use')}")],
    "as XML": [system("<skill>How to count in the &quot;lab&quot;, from A &amp; B. Use it for counters.</skill>")],
    "in parts": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": COUNTING.description}]}
    ],
}


@pytest.mark.parametrize("items", LISTINGS.values(), ids=LISTINGS.keys())
def test_a_skill_is_offered_where_its_description_stands(items: list[Item]) -> None:
    found = seen(items)["skills"]["counting"]
    assert found["offered"]["turn"] == 1 and found["offered"]["where"] in ("system", "user")
    assert (found["loaded"], found["asked"]) == (None, None)


def test_a_skill_is_offered_by_a_tool_that_lists_it() -> None:
    tool = {"type": "function", "name": "skill", "description": f"Skills:\n{COUNTING.description}"}
    assert seen(tools=[tool])["skills"]["counting"]["offered"] == {**WHEN, "where": "tools"}


def test_a_long_description_may_be_cut() -> None:
    long = SkillText("counting", "How to count. " * 40, BODY)
    assert seen([system(long.description[:150] + "...")], long)["skills"]["counting"]["offered"]


SHOWN = {
    "as it is": ("Skill", BODY),
    "with numbers of lines": ("Read", "".join(f"{i:6}\t{line}\n" for i, line in enumerate(BODY.splitlines()))),
    "as JSON": ("read_file", json.dumps({"output": BODY})),
    "in parts": ("bash", [{"type": "input_text", "text": BODY}]),
}


@pytest.mark.parametrize(("tool", "output"), SHOWN.values(), ids=SHOWN.keys())
def test_a_skill_is_loaded_where_its_text_is_a_result_of_the_agents_own_tool(tool: str, output: Any) -> None:
    found = seen(read_by(tool, output))["skills"]["counting"]
    assert found["loaded"] == {**WHEN, "where": tool, "share": 1.0}
    assert found["offered"] is None, "what a tool reads offers nothing"


def test_a_skill_is_loaded_by_a_message_too() -> None:
    body = user_message(f"Base directory for this skill: /home\n\n{BODY}")
    assert seen([body])["skills"]["counting"]["loaded"]["where"] == "user"


def test_part_of_a_long_text_is_a_share() -> None:
    lines = [f"Step {i}: do what the step {i} says." for i in range(40)]
    long = SkillText("long", "A long one.", "\n".join(lines))
    found = activation(long)
    for turn, part in enumerate((lines[:10], lines[:20]), 1):
        found.answered(Request(read_by("bash", "\n".join(part))), [], {"turn": turn, "seconds": 1.0})
    assert found.as_json()["skills"]["long"]["loaded"] == {
        "turn": 1,
        "seconds": 1.0,
        "where": "bash",
        "share": 0.5,
    }


NOTHING = {
    "one line that a search found": read_by("grep", "SKILL.md:3: 1. Read the target from the task."),
    "what the environment said": read_by("mcp__env__add", BODY),
    "what the model said": [assistant_message(BODY)],
    "the name alone": [system("Skills: counting")],
    "no text": [{"type": "message", "role": "user", "content": None}, {"type": "function_call_output"}],
}


@pytest.mark.parametrize("items", NOTHING.values(), ids=NOTHING.keys())
def test_what_is_no_evidence(items: list[Item]) -> None:
    assert seen(items)["skills"]["counting"] == {"offered": None, "loaded": None, "asked": None}


ASKED = {
    "by name": (calling("Skill", skill="counting"), True),
    "by a plugin's name": (calling("skill", command="mine:counting"), True),
    "by path": (calling("exec_command", cmd="cat $CODEX_HOME/skills/counting/SKILL.md | head"), True),
    "in a list": (calling("shell", command=["bash", "-lc", "cat counting/SKILL.md"]), True),
    "a script of it": (calling("bash", command="sh ~/.codex/skills/counting/scripts/run.sh"), True),
    "another": (calling("Skill", skill="counting-down"), False),
    "another path": (calling("bash", command="cat skills/counting-down/SKILL.md recounting/SKILL.md"), False),
    "a word": (calling("bash", command="counting"), False),
    "the environment": (calling("mcp__env__add", path="skills/counting/SKILL.md"), False),
    "no JSON": ({**calling("Skill"), "arguments": "{counting"}, False),
}


@pytest.mark.parametrize(("item", "counts"), ASKED.values(), ids=ASKED.keys())
def test_a_skill_is_asked_for_by_name_or_path(item: Item, counts: bool) -> None:
    found = seen(said=[item])["skills"]["counting"]
    assert found == {"offered": None, "loaded": None, "asked": {**WHEN, "where": item["name"]} if counts else None}


def test_what_does_not_set_a_skill_apart_is_unknown() -> None:
    told = seen([user_message(BODY)], prompt=f"{COUNTING.description}\n{BODY}")["skills"]["counting"]
    assert (told["offered"], told["loaded"]) == ("unknown", "unknown")
    twins = [SkillText(name, "The same words.", "The same line of both.") for name in ("one", "two")]
    told = seen([user_message("The same words. The same line of both.")], *twins)["skills"]
    assert {t[k] for t in told.values() for k in ("offered", "loaded")} == {"unknown"}
    short = SkillText("brief", "Be brief in all that you say.", "Be brief.")
    assert seen([system("Be brief.")], short)["skills"]["brief"]["loaded"] == "unknown"
    nobody = activation(COUNTING).as_json()["skills"]["counting"]
    assert nobody == {"offered": "unknown", "loaded": "unknown", "asked": None}, "nothing was asked of the model"


def test_the_skills_of_other_arms_are_told_apart() -> None:
    older = SkillText("counting", COUNTING.description, BODY.replace("once", "often").replace("Say", "Tell"))
    own = [system(COUNTING.description), *read_by("Skill", BODY)]
    assert "foreign_skills" not in seen(own, others=[older, ADDING])
    found = seen([system(ADDING.description)], others=[ADDING])
    assert found["foreign_skills"] == {
        "adding": {"offered": {**WHEN, "where": "system"}, "loaded": None, "asked": None}
    }
    control = Activation(*signs_of([], [COUNTING]), "", lambda name: False)
    control.answered(Request(own), [], WHEN)
    assert control.as_json()["skills"] == {} and control.as_json()["foreign_skills"]["counting"]["loaded"]


class Answering(Model):
    """Answers, or fails as it is told to."""

    spec = "test/answering"

    def __init__(self, end: Exception | None) -> None:
        self.end = end

    async def respond(self, request: Request) -> Response:
        if self.end is not None:
            raise self.end
        return Response([calling("Skill", skill="counting")])


@pytest.mark.parametrize("end", [None, LimitReached("max_turns"), ModelError("down")])
def test_the_model_has_read_only_what_it_answered(end: Exception | None) -> None:
    """A budget that is spent when the skill's text is on its way: the model never had it."""
    agent: Agent = verbs._agent("claude-code")()
    session: Any = None
    found = activation(COUNTING)
    relayed = Relayed(session, [], "http://nowhere")
    watched = Watched(agent, Answering(end), relayed, plain=True, activation=found)

    async def ask() -> None:
        try:
            await watched.respond(Request([system(COUNTING.description), *read_by("Skill", BODY)]))
        except Exception as e:
            assert e is end

    run(ask)
    told = found.as_json()["skills"]["counting"]
    if end is None:
        assert told["loaded"]["turn"] == 1 and told["asked"]["where"] == "Skill"
    else:
        assert (told["loaded"], told["asked"]) == ("unknown", None)

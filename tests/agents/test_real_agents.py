"""Real agents solve an episode through gateway and relay; what their rollouts hold, and what their models read."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.harness import Limits
from gym_mcp.types import JSONObject
from tests.agents.kit import (
    FAST_AGENTS,
    LEGACY_CLAUDE,
    MCP_AGENTS,
    agent_processes,
    calling_as_offered,
    installed,
    offered,
    play,
    run,
)
from tests.endpoint import tool_outputs
from tests.environments.chatty import Chatty
from tests.environments.lab import STORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SOLVING = calling_as_offered([("add", {"amount": 1}), ("add", {"amount": 2})])
EACH = [(name, "") for name in MCP_AGENTS] + [("claude-code", LEGACY_CLAUDE)]


def options_of(name: str, version: str = "", **more: Any) -> JSONObject:
    installed(name, version)
    return {"version": version, **more}


@pytest.mark.parametrize(("name", "version"), EACH)
def test_an_agent_solves_an_episode(name: str, version: str) -> None:
    got = run(lambda: play(name, SOLVING, options=options_of(name, version)))
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    row = got.row
    assert [e["arguments"] for e in row["ledger"]] == [{"amount": 1}, {"amount": 2}]
    assert [i["type"] for i in row["response"]["output"]] == ["function_call", "function_call_output"] * 2 + [
        "message"
    ]
    assert [i["name"] for i in row["response"]["output"] if "name" in i] == ["add", "add"]
    assert got.outputs == ["1", "3"]
    calls = len(got.bodies)
    assert calls == 3
    usage = row["usage"]
    assert (usage["model_calls"], usage["input_tokens"], usage["output_tokens"]) == (calls, 100 * calls, 7 * calls)
    facts = row["harness_facts"]
    assert facts["agent"] == name and facts["version"] == (version or installed(name).version)
    assert [c["ledger"] for c in facts["calls"]] == [0, 1] and facts["exit_code"] == 0
    assert all(tool.endswith(tuple(_TOOLS)) for tool in offered(got.bodies[0]) if "env" in tool)
    assert agent_processes() == []


_TOOLS = ("add", "facts", "story", "picture", "refuse", "wait", "crash", "submit")
READ = [("facts", {}), ("story", {"characters": 9_000}), ("refuse", {}), ("add", {"amount": 3})]


@pytest.mark.parametrize("name", MCP_AGENTS)
def test_the_model_reads_the_tools_own_texts(name: str) -> None:
    """The same text in every client: JSON is not re-escaped, nothing is put around it, nothing cut."""
    got = run(lambda: play(name, calling_as_offered(READ), options=options_of(name)))
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    story = (STORY * 300)[:9_000]
    error = 'refused: <because> it says "no"'
    seen = tool_outputs(got.bodies[-1])
    assert seen[0] == '{"name": "lab", "quotes": "a \\"quoted\\" word", "numbers": [1, 2]}'
    assert seen[1:] == [story, error, "3"]
    assert got.outputs == seen


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_agents_offer_their_model_the_environment_alone(name: str) -> None:
    """No shell, no files of their own: what is left of Codex's own are its MCP resource readers."""
    got = run(lambda: play(name, SOLVING, options=options_of(name)))
    own = {tool for tool in offered(got.bodies[0]) if "env" not in tool}
    assert own <= {"list_mcp_resources", "list_mcp_resource_templates", "read_mcp_resource", "request_user_input"}


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_long_results_reach_the_model_of_claude_whole(name: str) -> None:
    """Codex cuts in the middle, as it would for its user; Claude Code would put them into a file."""
    script = calling_as_offered([("story", {"characters": 150_000}), ("add", {"amount": 3})])
    got = run(lambda: play(name, script, options=options_of(name)))
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    size = len(tool_outputs(got.bodies[1])[0])
    assert size == 150_000 if name == "claude-code" else 10_000 < size < 150_000


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_images_come_through(name: str) -> None:
    got = run(lambda: play(name, calling_as_offered([("picture", {}), ("add", {"amount": 3})]), dialect="openai",
                           options=options_of(name)))  # fmt: skip
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    (image,) = [part for part in got.outputs[0] if part["type"] == "input_image"]
    assert image["image_url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("name", FAST_AGENTS)
def test_a_task_without_tools(name: str) -> None:
    got = run(
        lambda: play(name, calling_as_offered([], "42"), data={"only": [], "target": 0}, options=options_of(name))
    )
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    assert got.row["response"]["output"][-1]["content"][0]["text"] == "42"


@pytest.mark.parametrize("name", ["claude-code", "codex", "qwen-code", "opencode"])
def test_a_conversation_goes_on_with_the_agents_resume(name: str) -> None:
    def chat(body: Any, n: int) -> Any:
        users = sum(m.get("role") == "user" for m in body["messages"] if "add" in str(m.get("content")).lower())
        done = len(tool_outputs(body))
        return calling_as_offered([("add", {"amount": k + 1}) for k in range(max(users, done))])(body, n)

    got = run(lambda: play(name, chat, cls=Chatty, prompt="Please add 1.", options=options_of(name)))
    assert got.outcome == ("scored", 1.0, None), (got.row["failure"], got.row["ledger"])
    assert got.row["harness_facts"]["turns"] == 3
    said = [i for i in got.row["response"]["output"] if i.get("role") == "user"]
    assert len(said) == 2


@pytest.mark.parametrize("name", ["claude-code", "codex"])
@pytest.mark.parametrize(
    ("limits", "stop"),
    [(Limits(turns=3, seconds=100), "max_turns"), (Limits(turns=50, tokens=300, seconds=100), "max_tokens")],
)
def test_a_spent_budget_ends_an_agent_that_would_go_on(name: str, limits: Limits, stop: str) -> None:
    script = calling_as_offered([("add", {"amount": 1})] * 100)
    got = run(lambda: play(name, script, limits=limits, options=options_of(name)))
    assert (got.outcome, got.row["response"]["stop"]) == (("scored", 1.0, None), stop), got.row["failure"]
    assert len(got.bodies) == 3 == len(got.outputs), (
        "the last result is on the transcript, though no request told it"
    )


@pytest.mark.parametrize("name", ["claude-code", "codex"])
def test_an_environment_that_ends_the_episode_ends_the_agent(name: str) -> None:
    script = calling_as_offered([("add", {"amount": 3}), ("submit", {})] + [("add", {"amount": 1})] * 9)
    got = run(lambda: play(name, script, options=options_of(name)))
    assert (got.outcome, got.row["response"]["stop"]) == (("scored", 1.0, None), "ended"), got.row["failure"]
    assert len(got.bodies) == 2 and got.outputs == ["3", "submitted"]


def test_openhands_solves_an_episode() -> None:
    risk = {"security_risk": "LOW"}
    script = calling_as_offered([("add", {"amount": 1, **risk}), ("add", {"amount": 2, **risk})])
    got = run(lambda: play("openhands", script, options=options_of("openhands")))
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    assert [e["arguments"] for e in got.row["ledger"]] == [{"amount": 1}, {"amount": 2}]
    assert got.outputs == ["1", "3"] == tool_outputs(got.bodies[-1])
    assert agent_processes() == []


def test_mini_swe_agent_solves_an_episode_through_its_shell() -> None:
    """Its final answer is what it prints when it ends."""
    commands = [
        "gym-mcp call add --amount 1",
        "gym-mcp call add '{\"amount\": 2}'; gym-mcp call facts",
        "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT && printf '%s' 'it is 3'",
    ]
    script = calling_as_offered([("bash", {"command": command}) for command in commands])
    got = run(lambda: play("mini-swe-agent", script, options=options_of("mini-swe-agent")))
    assert got.outcome == ("scored", 1.0, None), got.row["failure"]
    assert [e["name"] for e in got.row["ledger"]] == ["add", "add", "facts"]
    assert got.row["response"]["output"][-1]["content"][0]["text"] == "it is 3"
    assert '"numbers": [1, 2]' in tool_outputs(got.bodies[-1])[1].replace('\\"', '"')
    assert agent_processes() == []


def test_a_spent_budget_ends_mini_swe_agent_which_takes_no_text_for_an_end() -> None:
    script = calling_as_offered([("bash", {"command": "gym-mcp call add --amount 1"})] * 50)
    limits = Limits(turns=3, seconds=100)
    got = run(lambda: play("mini-swe-agent", script, limits=limits, options=options_of("mini-swe-agent")))
    assert (got.outcome, got.row["response"]["stop"]) == (("scored", 1.0, None), "max_turns"), got.row["failure"]
    assert agent_processes() == []

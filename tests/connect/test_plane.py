"""What an agent of a person's own sees and can do, in both protocol eras, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.connect.kit import Talker, make_seat, outcomes, serving
from tests.server.raw import LEGACY, MODERN, ask
from tests.support import run

MODES = ("legacy", "auto")  # the handshake of 2025; `server/discover` of 2026


async def said(client: Client, tool: str, **arguments: Any) -> tuple[str, bool]:
    """(text, whether it is an error) of a call."""
    result = await client.call_tool(tool, arguments)
    assert result.structured_content is None
    return "\n".join(getattr(block, "text", "") for block in result.content), bool(result.is_error)


@pytest.mark.parametrize("mode", MODES)
def test_a_whole_session(mode: str, tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        async with serving(seat) as url, Client(url, mode=mode) as client:
            assert client.protocol_version == (LEGACY if mode == "legacy" else MODERN)
            listed = (await client.list_tools()).tools
            assert [t.name for t in listed] == ["get_task", "submit", "next_task", "add", "stop", "crash"]
            assert "Call this first" in (listed[0].description or "")
            assert client.instructions is not None
            assert "Call `get_task` first" in client.instructions and "Reach 1." in client.instructions
            prompt = await client.get_prompt("task")
            assert "Reach 1." in prompt.messages[0].content.text  # type: ignore[union-attr]
            assert (await said(client, "get_task"))[0].startswith("Reach 1.")
            assert await said(client, "add", amount=1) == ("1", False)
            assert (await said(client, "next_task"))[1], "it went on without a verdict"
            text, _ = await said(client, "submit", answer="done")
            assert text.splitlines()[:2] == ["Submitted. Score: 1 (from 0 to 1)", "- said: 1"]
            assert "secret note" not in text
            for tool in ("add", "stop"):
                over, is_error = await said(client, tool, **({"amount": 1} if tool == "add" else {}))
                assert is_error and over == "This episode is over (score 1). Call `next_task` for the next task."
            assert (await said(client, "submit"))[0] == over
            assert (await said(client, "next_task"))[0] == "The next task is ready. Call `get_task`."
            assert (await said(client, "get_task"))[0].startswith("Reach 2.")
            await said(client, "add", amount=2)
            await said(client, "submit")
        assert outcomes(seat) == [("t1", 0, "scored", 1.0), ("t2", 0, "scored", 1.0)]

    run(main)


@pytest.mark.parametrize("mode", MODES)
def test_a_hidden_score_is_told_by_nothing(mode: str, tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", hide_score=True, may_go_on=False)
        async with serving(seat) as url, Client(url, mode=mode) as client:
            texts = []
            for amount, answer in ((1, "done"), (0, "no"), (0, "raise")):
                assert "next_task" not in [t.name for t in (await client.list_tools()).tools]
                await said(client, "add", amount=amount)
                told = [await said(client, "submit", answer=answer), await said(client, "submit")]
                texts.append([*told, await said(client, "get_task"), await said(client, "add", amount=1)])
                if seat.has_next:
                    assert "`gym-mcp next`" in texts[-1][0][0]
                    await seat.take()
            assert texts[0] == texts[1], "right and wrong read differently"
            assert [t[0].split(".")[0] for t in texts[2]] == [t[0].split(".")[0] for t in texts[0]]
            assert [o[2:] for o in outcomes(seat)] == [("scored", 1.0), ("scored", 0.0), ("verifier", None)]

    run(main)


@pytest.mark.parametrize("mode", MODES)
def test_dialogue_and_a_tool_of_the_same_name(mode: str, tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", Talker)
        async with serving(seat) as url, Client(url, mode=mode) as client:
            names = [t.name for t in (await client.list_tools()).tools]
            assert names == ["get_task", "gym_submit", "send_message", "next_task", "submit"]
            assert "`gym_submit`" in (await said(client, "get_task"))[0]
            assert await said(client, "submit", word="x") == ("took x", False)
            assert await said(client, "send_message", message="hi") == ("you said hi", False)
            assert (await said(client, "send_message", message="bye"))[0].endswith("Call `gym_submit` to finish.")
            assert "Score: 1 " in (await said(client, "gym_submit"))[0]

    run(main)


@pytest.mark.parametrize("mode", MODES)
def test_failures_tell_nothing_of_their_reason(mode: str, tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", Talker)
        async with serving(seat) as url, Client(url, mode=mode) as client:
            texts = [await said(client, "send_message", message="crash"), await said(client, "gym_submit")]
            assert "xyzzy" not in str(texts) and "RuntimeError" not in str(texts)
            assert texts[1][0].startswith("Submitted, but it could not be scored")
        assert outcomes(seat) == [("talk", 0, "environment", None)]

    run(main)


def test_an_episode_that_the_environment_ended_asks_to_be_submitted(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        async with serving(seat) as url, Client(url, mode=MODERN) as client:
            text, _ = await said(client, "stop")
            assert text == "stopped\nThe episode has ended. Call `submit` to finish."
            assert "Submitted." in (await said(client, "submit"))[0]

    run(main)


@pytest.mark.parametrize(
    "arguments", [{"answer": 3}, {"answer": None}, {"reward": 1}, {"answer": "x", "items": []}]
)
def test_arguments_of_our_own_tools_are_strict(arguments: dict[str, Any], tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run")
        async with serving(seat) as url, Client(url, mode=MODERN) as client:
            text, is_error = await said(client, "submit", **arguments)
            assert is_error and text.startswith("Invalid arguments for submit")
            assert seat.unfinished

    run(main)


def test_instructions_are_those_of_the_current_task(tmp_path: Path) -> None:
    async def main() -> None:
        seat = make_seat(tmp_path / "run", tasks=[{"id": "long", "prompt": "x" * 9_000, "data": {"target": 1}}])
        async with serving(seat) as url:
            for era, method in ((MODERN, "server/discover"), (LEGACY, "initialize")):
                params = {"protocolVersion": era, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
                result = (await ask(url, era, method, {} if era == MODERN else params)).json["result"]
                assert 2_000 < len(result["instructions"]) < 2_400
            await seat.submit("")
            again = (await ask(url, MODERN, "server/discover")).json["result"]["instructions"]
            assert "xxx" not in again

    run(main)


def test_an_empty_set_of_tasks_is_a_users_mistake(tmp_path: Path) -> None:
    from gym_mcp.errors import UsageError

    with pytest.raises(UsageError, match="has no tasks"):
        make_seat(tmp_path / "run", tasks=[])

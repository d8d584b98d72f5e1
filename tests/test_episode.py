"""One live episode: its opening, its serialised calls, and a ledger that tells what happened."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import pytest

from gym_mcp import Environment, Task, Tool, Transcript, tool
from gym_mcp.episode import FINISHED, Episode
from gym_mcp.errors import EnvironmentFailure
from gym_mcp.types import JSONObject, ToolResult
from tests.environments.bench import SECRET, Bench, hasty, inside, opened
from tests.support import run

# -- opening --------------------------------------------------------------------------------------------------


def test_an_open_episode_has_its_task_seed_and_tools() -> None:
    async def main() -> None:
        episode = await opened(seed=5)
        assert (episode.environment.task.id, episode.environment.seed) == ("t", 5)
        assert list(episode.tools) == list(Bench.tools())
        assert not (episode.ended or episode.closed or episode.frozen or episode.expired)

    run(main)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", f"bench.open raised RuntimeError: {SECRET}"),
        ("tool error", "bench.open raised ToolError: not like this"),
        ("exit", "bench.open raised RuntimeError: SystemExit('the answer is 42')"),
        ("cancel", "bench.open raised RuntimeError: it cancelled itself"),
        ("stop", "bench.open raised"),
        ("hang", "bench.open took longer than 0.1 s"),
        ("failure", "the database is away"),
    ],
)
def test_an_open_that_fails_is_the_environments_failure(how: str, message: str) -> None:
    async def main() -> None:
        with pytest.raises(EnvironmentFailure) as error:
            await opened(open=how)
        assert str(error.value).startswith(message)
        assert error.value.retryable == (how != "hang")

    run(main)


def test_a_constructor_that_fails_is_the_environments_failure() -> None:
    class Broken(Environment):
        def __init__(self) -> None:
            raise RuntimeError("no constructor")

    async def main() -> None:
        episode = Episode(Broken, Task("t"), 0, "h", 60.0)
        with pytest.raises(EnvironmentFailure, match="no constructor"):
            await episode.open()
        await episode.close()
        assert episode.closed

    run(main)


def test_a_task_gets_the_tools_that_it_allows() -> None:
    async def main() -> None:
        made = Tool.from_schema("made", "", {"type": "object"}, lambda e, a: "made")
        episode = await opened(tools=["add", made])
        assert list(episode.tools) == ["add", "made"]
        assert (await episode.call("made", {})).text == "made"
        refused = await episode.call("echo", {"text": "x"})
        assert refused.is_error and refused.text == "Unknown tool `echo`. Available tools: add, made."
        assert list((await opened(tools=[])).tools) == []

    run(main)


@pytest.mark.parametrize("wanted", [["nope"], "add", [3], [{"name": "add"}]])
def test_a_tool_that_does_not_exist_cannot_be_allowed(wanted: Any) -> None:
    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match=r"^task t: it allows tool `.*`, which does not exist$"):
            await opened(tools=wanted)

    run(main)


def test_tools_for_is_author_code_even_where_it_is_lazy() -> None:
    class Lazy(Environment):
        def tools_for(self, task: Task) -> Iterator[str]:
            yield "add"
            raise RuntimeError("late")

    class Later(Bench):
        async def tools_for(self, task: Task) -> list[str]:  # type: ignore[override]
            await asyncio.sleep(0)
            return ["add"]

    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match=r"lazy\.tools_for raised RuntimeError: late"):
            await opened(Lazy)
        assert list((await opened(Later)).tools) == ["add"]

    run(main)


# -- calls and the ledger ---------------------------------------------------------------------------------------


def outline(episode: Episode) -> list[tuple[Any, ...]]:
    return [(e.seq, e.name, e.arguments, e.result, e.error) for e in episode.ledger]


def test_the_ledger_tells_every_call_in_order() -> None:
    async def main() -> None:
        episode = await opened()
        await episode.call("add", {"amount": 2})
        await episode.call("add", {"amount": "2"})
        await episode.call("nothing", {"x": 1})
        await episode.call("misbehave", {"how": "tool error"})
        await episode.call("echo", {"text": "x" * 51})
        await episode.call("picture", {})
        await episode.call("ready", {"wrong": True})
        await episode.call("picture", {"size": 11})
        bad = "Invalid arguments for add: amount: Input should be a valid integer"
        tools = ", ".join(Bench.tools())
        assert outline(episode) == [
            (0, "add", {"amount": 2}, "2", None),
            (1, "add", {"amount": "2"}, bad, "arguments"),
            (2, "nothing", {"x": 1}, f"Unknown tool `nothing`. Available tools: {tools}.", "unknown_tool"),
            (3, "misbehave", {"how": "tool error"}, "not like this", "tool"),
            (4, "echo", {"text": "x" * 51}, "The result is too large: 51 characters, 50 allowed.", "too_large"),
            (5, "picture", {}, "", None),
            (6, "ready", {"wrong": True}, "ready", "tool"),
            (7, "picture", {"size": 11}, "The result is too large: 11 bytes of images, 10 allowed.", "too_large"),
        ]
        assert not episode.ended
        starts, ends = [e.start for e in episode.ledger], [e.end for e in episode.ledger]
        assert all(0 <= s <= e for s, e in zip(starts, ends, strict=True)) and starts == sorted(starts)
        assert episode.ledger[5].images == (hashlib.sha256(b"png").hexdigest(),)

    run(main)


def test_an_entry_as_json_has_what_there_is() -> None:
    async def main() -> None:
        episode = await opened()
        await episode.call("add", {"amount": 2})
        await episode.call("picture", {})
        plain, image = (entry.as_json() for entry in episode.ledger)
        assert list(plain) == ["seq", "name", "arguments", "result", "error", "start", "end"]
        assert list(image) == [*plain, "images"]

    run(main)


@pytest.mark.parametrize("name", ["misbehave", "misbehave_later"])
@pytest.mark.parametrize("how", ["raise", "exit", "cancel", "stop", "timeout error"])
def test_a_tool_that_crashes_breaks_the_episode_and_tells_the_agent_nothing(name: str, how: str) -> None:
    async def main() -> None:
        episode = await opened()
        result = await episode.call(name, {"how": how})
        assert result == ToolResult("The tool failed.", is_error=True, ended=True)
        assert episode.ended and isinstance(episode.broken, EnvironmentFailure) and episode.broken.retryable
        assert str(episode.broken).startswith(f"tool `{name}` raised ")
        entry = episode.ledger[0]
        assert entry.error == "exception" and "Traceback" in entry.detail and entry.as_json()["detail"]
        assert await episode.call("add", {"amount": 1}) == ToolResult(FINISHED, is_error=True, ended=True)
        with pytest.raises(EnvironmentFailure, match=f"tool `{name}` raised"):
            await episode.verify(Transcript())

    run(main)


@pytest.mark.parametrize(("name", "arguments"), [("picky", {"x": 1}), ("lazy", {})])
def test_validators_and_lazy_results_are_author_code(name: str, arguments: JSONObject) -> None:
    async def main() -> None:
        episode = await opened()
        result = await episode.call(name, arguments)
        assert result.text == "The tool failed." and episode.ledger[0].error == "exception"

    run(main)


@pytest.mark.parametrize("name", ["misbehave", "misbehave_later"])
def test_a_tool_that_hangs_is_cut_short(name: str) -> None:
    async def main() -> None:
        episode = await opened(hasty(Bench))
        result = await episode.call(name, {"how": "hang"})
        assert result == ToolResult("The tool timed out.", is_error=True, ended=True)
        assert (
            episode.ledger[0].error == "timeout" and str(episode.broken) == f"tool `{name}` took longer than 0.1 s"
        )

    run(main)


def test_parallel_calls_run_one_after_the_other() -> None:
    async def main() -> None:
        episode = await opened()
        await asyncio.gather(*(episode.call("add_slowly", {"amount": n}) for n in (1, 2, 4)))
        assert inside(episode).log == ["in 1", "out 1", "in 2", "out 2", "in 4", "out 4"]
        assert inside(episode).value == 7
        assert [e.end for e in episode.ledger] == sorted(e.end for e in episode.ledger)

    run(main)


def test_a_call_that_the_client_gives_up_on_is_in_the_ledger_and_frees_the_episode() -> None:
    async def main() -> None:
        episode = await opened()
        call = asyncio.create_task(episode.call("add_slowly", {"amount": 1, "seconds": 0.2}))
        waiting = asyncio.create_task(episode.call("add", {"amount": 5}))
        await inside(episode).begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await waiting).text == "5"
        assert [(e.name, e.error) for e in episode.ledger] == [("add_slowly", "cancelled"), ("add", None)]
        assert inside(episode).log == ["in 1"] and not episode.ended

    run(main)


def test_a_call_that_is_cancelled_while_it_waits_leaves_no_trace() -> None:
    async def main() -> None:
        episode = await opened()
        first = asyncio.create_task(episode.call("add_slowly", {"amount": 1}))
        second = asyncio.create_task(episode.call("add", {"amount": 5}))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([first, second])
        assert second.cancelled() and [e.name for e in episode.ledger] == ["add_slowly"]
        assert inside(episode).value == 1

    run(main)


def test_calls_are_limited_in_number() -> None:
    async def main() -> None:
        episode = await opened()
        for _ in range(20):
            await episode.call("add", {"amount": 1})
        refused = await episode.call("add", {"amount": 1})
        assert refused.is_error and refused.text == "The limit of 20 tool calls is reached."
        assert len(episode.ledger) == 20 and inside(episode).value == 20

    run(main)


def test_the_environment_may_end_the_episode() -> None:
    async def main() -> None:
        episode = await opened()
        assert await episode.call("finish", {}) == ToolResult("finished", ended=True)
        assert (await episode.call("add", {"amount": 3})).text == FINISHED
        assert [e.name for e in episode.ledger] == ["finish"]
        assert await episode.reply("hello") is None
        assert (await episode.verify(Transcript())).score == 0.0

    run(main)


def test_a_result_that_the_author_keeps_does_not_carry_over() -> None:
    kept = ToolResult("the same for all")

    class Keeper(Environment):
        @tool
        def read(self) -> ToolResult:
            self.done = self.task.data.get("end", False)
            return kept

    async def main() -> None:
        assert (await (await opened(Keeper, end=True)).call("read", {})).ended
        assert not (await (await opened(Keeper)).call("read", {})).ended

    run(main)


def test_text_that_utf8_cannot_carry_is_replaced_on_both_ways() -> None:
    class Odd(Environment):
        @tool
        def give(self) -> str:
            return "a\ud800b"

        @tool
        def take(self, text: str) -> str:
            return text

    async def main() -> None:
        episode = await opened(Odd)
        assert (await episode.call("give", {})).text == "a?b"
        assert (await episode.call("take", {"text": "\udfff"})).text == "?"
        await episode.call("\ud800", {"\ud800": 1})
        str([dataclasses.astuple(e) for e in episode.ledger]).encode()

    run(main)


def test_arguments_that_are_nested_past_reason_are_refused() -> None:
    async def main() -> None:
        episode = await opened()
        deep: JSONObject = {}
        for _ in range(100_000):
            deep = {"a": deep}
        result = await episode.call("echo", deep)
        assert result.is_error and result.text == "Invalid arguments for echo: nested too deeply"
        assert episode.ledger[0].arguments == {} and not episode.ended

    run(main)


def test_a_schema_from_the_data_that_is_none_breaks_the_episode_not_the_server() -> None:
    async def main() -> None:
        bad = Tool.from_schema("bad", "", {"type": "nonsense"}, lambda e, a: "x")
        episode = await opened(tools=[bad])
        assert (await episode.call("bad", {})).text == "The tool failed."
        assert episode.broken is not None

    run(main)

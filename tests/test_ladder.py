"""Every rung of the transport ladder shows the same behaviour."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.client import EnvironmentClient, EpisodeClient
from gym_mcp.direct import DirectClient
from gym_mcp.episode import FINISHED
from gym_mcp.errors import EnvironmentFailure, EpisodeGone, JudgeError, VerifierError
from gym_mcp.http import HTTPClient
from gym_mcp.hub import load_environment
from gym_mcp.mcp_client import MemoryClient, StdioClient
from gym_mcp.types import (
    GroupRollout,
    Image,
    Reward,
    Task,
    ToolResult,
    Transcript,
    assistant_message,
    user_message,
)
from tests.environments.ladder import PIXEL, SECRET
from tests.servers import LADDER, running, serve_command

RUNGS = ("direct", "memory", "http", "stdio")
DONE = Transcript([assistant_message("done")])
Play = Callable[[EnvironmentClient], Awaitable[Any]]


@asynccontextmanager
async def client_of(rung: str, state: Path) -> AsyncIterator[EnvironmentClient]:
    if rung == "direct":
        client: EnvironmentClient = DirectClient(load_environment(str(LADDER)))
    elif rung == "memory":
        client = MemoryClient(load_environment(str(LADDER)))
    elif rung == "stdio":
        home = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        client = StdioClient(serve_command(str(LADDER), "--stdio", "--operator"), env=home)
    else:
        async with running(state) as server, HTTPClient(server.url, server.key) as client:
            yield client
        return
    async with client:
        yield client


class Rung:
    """A client of one rung that lives as long as the module, on an event loop in a thread of its own."""

    def __init__(self, name: str, state: Path) -> None:
        self.name = name
        self._client = client_of(name, state)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._own: Future[None] | None = None
        self._ready: Future[EnvironmentClient] = Future()
        self._stop = asyncio.Event()

    def play(self, play: Play) -> Any:
        """Run `play` with the client, in bounded time."""
        if self._own is None:
            self._own = asyncio.run_coroutine_threadsafe(self._keep(), self._loop)
        client = self._ready.result(30)
        return asyncio.run_coroutine_threadsafe(_bounded(play, client), self._loop).result(40)

    async def _keep(self) -> None:
        async with self._client as client:
            self._ready.set_result(client)
            await self._stop.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        try:
            if self._own is not None:
                self._own.result(30)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()


async def _bounded(play: Play, client: EnvironmentClient) -> Any:
    async with asyncio.timeout(30):
        return await play(client)


@pytest.fixture(scope="module")
def rungs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Rung]]:
    made = {name: Rung(name, tmp_path_factory.mktemp(name)) for name in RUNGS}
    yield made
    for rung in made.values():
        rung.close()


@pytest.fixture(params=RUNGS)
def rung(request: pytest.FixtureRequest, rungs: dict[str, Rung]) -> Rung:
    return rungs[request.param]


def task(**data: Any) -> Task[Any]:
    return Task("t", [user_message("Zähle ∑ 数")], {"target": 3, **data}, {"temperature": 0.5})


async def opened(client: EnvironmentClient, **data: Any) -> EpisodeClient:
    return await client.open_episode(task(**data), seed=7)


def test_the_same_description_tasks_and_tools(rungs: dict[str, Rung]) -> None:
    async def play(client: EnvironmentClient) -> Any:
        about = replace(await client.describe(), num_tasks=None, max_live=None, workers=())
        rows = [row async for row in client.tasks()]
        episode = await opened(client)
        specs = [asdict(s) for s in await episode.agent.list_tools()]
        some = await (await opened(client, only=["submit", "add"])).agent.list_tools()
        agent = episode.agent
        return asdict(about), rows, specs, [s.name for s in some], agent.prompt, agent.params, agent.multi_turn

    direct, *others = [rung.play(play) for rung in rungs.values()]
    assert [row["id"] for row in direct[1]] == ["t1", "t2", "t3"]
    assert direct[3] == ["submit", "add"]
    assert {s["name"]: s["read_only"] for s in direct[2]}["read"] is True
    for other in others:
        assert other == direct


def test_the_same_scores_of_a_group(rung: Rung) -> None:
    members = [
        GroupRollout(i, Transcript([assistant_message(said)], "max_turns"), Reward(1.0, {"x": 0.5}, "n"), [{}] * i)
        for i, said in ((2, "two ∎"), (0, "zero"))
    ]

    async def play(client: EnvironmentClient) -> Any:
        assert (await client.describe()).groups
        verdict = await client.verify_group(task(), members)
        with pytest.raises(VerifierError, match=r"verify_group raised RuntimeError: the answer is 42"):
            await client.verify_group(task(group="raise"), members)
        return [asdict(reward) for reward in verdict.rewards], verdict.judge_usage

    rewards, usage = rung.play(play)
    told = "0 zero max_turns 0; 2 two ∎ max_turns 2"
    reward = {"score": 0.5, "components": {"n": 2.0}, "notes": told, "answer": None}
    assert rewards == [reward] * 2 and usage is None


def test_a_group_of_many_long_transcripts(rung: Rung) -> None:
    size = 20_000 if rung.name == "stdio" else 400_000  # the SDK reads a line of many megabytes slowly
    members = [GroupRollout(i, Transcript([assistant_message("x" * size)]), Reward(1.0)) for i in range(16)]

    async def play(client: EnvironmentClient) -> Any:
        return len((await client.verify_group(task(), members)).rewards)

    assert rung.play(play) == 16


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("add", {"amount": 2}),
    ("add", {"amount": "2"}),
    ("add", {"amount": 2, "extra": 1}),
    ("add", {}),
    ("no_such_tool", {"x": 1}),
    ("weird näme\n", {}),
    ("", {}),
    ("add", {"amount": 2**53 + 1}),
    ("add", {"amount": 10**30}),
    ("add_later", {"amount": 1, "seconds": 0.01}),
    ("echo", {"text": "ünïcödé ∎ 数 \u0000 \u2028 😀"}),
    ("echo", {"text": "lone \ud800 surrogate"}),
    ("echo", {"text": "x" * 5_000}),
    ("echo", {"text": "x" * 1_000, "times": 6}),
    ("record", {"value": {"b": [1, 2.5, None, True, "x"], "a": {"deep": {"er": []}}}}),
    ("refuse", {"reason": "no way"}),
    ("picture", {}),
    ("picture", {"caption": "a pixel"}),
    ("dice", {}),
    ("dice", {}),
]


def test_the_same_results_ledger_and_verdict(rungs: dict[str, Rung]) -> None:
    async def play(client: EnvironmentClient) -> Any:
        episode = await opened(client)
        results = [asdict(await episode.agent.call(name, arguments)) for name, arguments in CALLS]
        state = await episode.state()
        verdict = await episode.verify(DONE)
        for entry in verdict.ledger:
            assert 0 <= entry.pop("start") <= entry.pop("end")
        return results, verdict.ledger, asdict(verdict.reward), state

    direct, *others = [rung.play(play) for rung in rungs.values()]
    for other in others:
        assert other == direct
    results, ledger, reward, state = direct
    assert [r["is_error"] for r in results].count(True) == 8
    assert [e["error"] for e in ledger].count("arguments") == 3
    assert [e["error"] for e in ledger].count("unknown_tool") == 3
    assert [e["error"] for e in ledger].count("too_large") == 1
    assert results[8]["text"] == str(2 + 2**53 + 1 + 10**30)
    assert ledger[8]["arguments"] == {"amount": 10**30}
    assert results[11]["text"] == "lone ? surrogate"
    assert results[15] == asdict(ToolResult("refused: no way", is_error=True))
    assert results[17] == asdict(ToolResult("a pixel", images=(Image(PIXEL),)))
    assert results[18]["text"] != results[19]["text"]
    assert reward["components"] == {"counted": float(10**30 + 2**53 + 4), "answered": 1.0}
    assert reward["notes"] == "stopped: completed ∎"
    assert state["value"] == 10**30 + 2**53 + 4


def test_an_exception_is_told_to_the_operator_only(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        result = await episode.agent.call("crash", {})
        assert result == ToolResult("The tool failed.", is_error=True, ended=True)
        assert (await episode.agent.call("read", {})).ended
        (entry,) = await episode.ledger()
        assert entry["error"] == "exception" and SECRET in entry["detail"]
        with pytest.raises(EnvironmentFailure, match="crash") as caught:
            await episode.verify(DONE)
        assert caught.value.retryable and SECRET in caught.value.detail

    rung.play(play)


@pytest.mark.parametrize(("tool", "arguments"), [("stall", {}), ("add_later", {"amount": 1, "seconds": 30.0})])
def test_a_tool_that_never_returns(rung: Rung, tool: str, arguments: dict[str, Any]) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        result = await episode.agent.call(tool, arguments)
        assert result == ToolResult("The tool timed out.", is_error=True, ended=True)
        with pytest.raises(EnvironmentFailure, match="longer than") as caught:
            await episode.verify(DONE)
        assert type(caught.value) is EnvironmentFailure and not caught.value.retryable

    rung.play(play)


def test_the_end_of_an_episode(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        assert await episode.agent.call("submit", {}) == ToolResult("submitted", ended=True)
        refused = ToolResult(FINISHED, is_error=True, ended=True)
        assert await episode.agent.call("add", {"amount": 3}) == refused
        assert await episode.agent.reply("hello?") is None
        first = await episode.verify(DONE)
        assert first.reward.score == 0.0 and [e["name"] for e in first.ledger] == ["submit"]
        assert await episode.verify(Transcript()) == first
        assert await episode.ledger() == first.ledger
        assert await episode.agent.call("add", {"amount": 3}) == refused
        await episode.close()

        closed = await opened(client)
        await closed.close()
        await closed.close()
        assert await closed.agent.call("read", {}) == refused
        for late in (closed.verify(DONE), closed.agent.reply("x"), closed.reference_step(0, [])):
            with pytest.raises(EpisodeGone):
                await late

    rung.play(play)


def test_opening_is_idempotent_by_key_and_seeded(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        one = await client.open_episode(task(), seed=1, key="k")
        again, other = await asyncio.gather(
            client.open_episode(task(), seed=1, key="k"), client.open_episode(task(), seed=1, key="l")
        )
        await one.agent.call("add", {"amount": 3})
        assert (await again.agent.call("read", {})).text == "3"
        assert (await other.agent.call("read", {})).text == "0"
        throws = [(await e.agent.call("dice", {})).text for e in (one, other)]
        assert throws[0] == throws[1]
        different = await client.open_episode(task(), seed=2)
        assert (await different.agent.call("dice", {})).text != throws[0]

    rung.play(play)


def test_a_conversation(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        assert await episode.agent.reply("hi ∎") == "you said hi ∎"
        assert await episode.agent.reply("bye") is None

    rung.play(play)


def test_the_reference_solution_scores_the_maximum(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        transcript, results, said, number = Transcript(), list[str](), list[str](), 0
        while True:
            step = await episode.reference_step(number, results)
            assert asdict(step) == asdict(await episode.reference_step(number, results))
            if step.done:
                break
            if step.say is not None:
                said.append(step.say)
            results = [(await episode.agent.call(c.name, c.arguments)).text for c in step.calls]
            number += 1
        transcript.items = [assistant_message(s) for s in said]
        assert (number, said) == (3, ["done"])
        verdict = await episode.verify(transcript)
        assert verdict.reward.score == 1.0
        assert [e["name"] for e in verdict.ledger] == ["read", "add", "add"]

    rung.play(play)


def test_failures_keep_their_owner(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        expected: list[tuple[str, type[Exception], str, bool]] = [
            ("raise", VerifierError, "RuntimeError", False),
            ("out of range", VerifierError, "outside its range", False),
            ("wrong type", VerifierError, "is no score", False),
            ("judge", JudgeError, "the judge is away", True),
        ]
        for mode, kind, words, retryable in expected:
            episode = await opened(client, verify=mode)
            with pytest.raises(kind, match=words) as caught:
                await episode.verify(DONE)
            assert type(caught.value) is kind
            assert getattr(caught.value, "retryable", None) is retryable
        with pytest.raises(EnvironmentFailure, match=r"ladder\.open raised RuntimeError") as failed:
            await opened(client, open="raise")
        assert failed.value.retryable
        with pytest.raises(EnvironmentFailure, match="no_such"):
            await opened(client, only=["no_such"])

    rung.play(play)


def test_calls_that_only_read_overlap_and_no_other_call_gets_between(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        call = episode.agent.call
        meetings = (call("meet", {"parties": 3}) for _ in range(3))
        got = await asyncio.gather(call("add_later", {"amount": 1, "seconds": 0.01}), *meetings)
        assert [r.text for r in got] == ["1", "met", "met", "met"]  # one after the other they would time out
        writes = (call("add_later", {"amount": 1, "seconds": 0.01}) for _ in range(3))
        await asyncio.gather(*writes, call("meet", {"parties": 3}), *(call("meet", {"parties": 3}) for _ in "12"))
        ledger = await episode.ledger()
        assert [e["seq"] for e in ledger] == list(range(10))
        alone = [e for e in ledger if e["name"] == "add_later"]
        for entry, other in ((a, b) for a in alone for b in ledger if a is not b):
            assert entry["end"] <= other["start"] or other["end"] <= entry["start"]

    rung.play(play)


def test_the_ledger_says_which_part_of_the_client_called(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        agent = episode.agent
        results = [await agent.call("echo", {"text": "hi"}, caller) for caller in ("", "planner/2 ∎", "x" * 300)]
        assert results == [ToolResult("hi")] * 3  # nothing of it comes back to the agent
        ledger = await episode.ledger()
        assert [e.get("caller") for e in ledger] == [None, "planner/2 ∎", "x" * 200]
        assert {e["result"] for e in ledger} == {"hi"}

    rung.play(play)


def test_calls_of_one_episode_are_serialised(rung: Rung) -> None:
    async def play(client: EnvironmentClient) -> None:
        episode = await opened(client)
        calls = (episode.agent.call("add_later", {"amount": 1, "seconds": 0.01}) for _ in range(8))
        texts = [r.text for r in await asyncio.gather(*calls)]
        assert sorted(texts) == [str(i) for i in range(1, 9)]
        ledger = await episode.ledger()
        assert [e["result"] for e in ledger] == [str(i) for i in range(1, 9)]
        assert all(a["end"] <= b["start"] for a, b in pairwise(ledger))

    rung.play(play)

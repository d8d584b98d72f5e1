"""The operator's side of an episode: user, one verdict, state, closing, leases, the reference solution."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from gym_mcp import Call, Environment, Image, JudgeError, Reward, Transcript
from gym_mcp.episode import FINISHED
from gym_mcp.errors import EnvironmentFailure, EpisodeGone, UsageError, VerifierError
from gym_mcp.solution import Step
from gym_mcp.types import ToolResult
from tests.environments.bench import Bench, inside, misbehave_as, opened
from tests.support import run

# -- the user -------------------------------------------------------------------------------------------------


def test_the_user_answers_until_the_conversation_is_over() -> None:
    async def main() -> None:
        episode = await opened()
        assert await episode.reply("hello") == "you said hello"
        assert await episode.reply("bye") is None

    run(main)


@pytest.mark.parametrize(
    ("how", "raised"), [("raise", EnvironmentFailure), ("hang", EnvironmentFailure), ("judge", JudgeError)]
)
def test_a_user_that_fails_breaks_the_episode(how: str, raised: type[Exception]) -> None:
    async def main() -> None:
        episode = await opened(reply=how)
        with pytest.raises(raised):
            await episode.reply("hello")
        assert episode.ended
        with pytest.raises(raised):
            await episode.reply("again")

    run(main)


# -- verification -----------------------------------------------------------------------------------------------


def test_verification_freezes_and_scores_once() -> None:
    async def main() -> None:
        episode = await opened()
        await episode.call("add", {"amount": 3})
        first = await episode.verify(Transcript())
        assert first == Reward(1.0, {"value": 3.0}) and episode.frozen
        assert (await episode.call("add", {"amount": 1})).text == FINISHED
        with pytest.raises(EpisodeGone):
            await episode.reply("hello")
        with pytest.raises(EpisodeGone):
            await episode.reference_step(0, [])
        assert await episode.verify(Transcript([{"role": "assistant", "content": "other"}])) is first
        await episode.close()
        assert await episode.verify(Transcript()) is first
        assert episode.task.data["verifications"] == [1]

    run(main)


def test_verification_waits_for_the_call_in_progress() -> None:
    async def main() -> None:
        episode = await opened()
        call = asyncio.create_task(episode.call("add_slowly", {"amount": 3}))
        await asyncio.sleep(0)
        late = [asyncio.create_task(episode.verify(Transcript())) for _ in range(3)]
        assert [r.score for r in await asyncio.gather(*late)] == [1.0] * 3
        assert (await call).text == "3" and episode.task.data["verifications"] == [1]

    run(main)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("raise", "bench.verify raised RuntimeError: the answer is 42"),
        ("exit", "bench.verify raised RuntimeError: SystemExit"),
        ("stop", "bench.verify raised "),
        ("hang", "bench.verify took longer than 0.1 s"),
        ("a text", "bench.verify returned 'a text', which is no score"),
        (7.0, r"bench.verify returned 7, outside its range \[0, 1\]"),
    ],
)
def test_a_verifier_that_fails_fails_the_same_way_for_good(how: Any, message: str) -> None:
    async def main() -> None:
        episode = await opened(verify=how)
        for _ in range(2):
            with pytest.raises(VerifierError, match=message):
                await episode.verify(Transcript())
        await episode.close()
        with pytest.raises(VerifierError, match=message):
            await episode.verify(Transcript())
        assert episode.task.data["verifications"] == [1] and episode.reward is None

    run(main)


def test_a_judge_that_was_away_is_asked_again_while_the_episode_is_open() -> None:
    async def main() -> None:
        episode = await opened(verify="judge")
        with pytest.raises(JudgeError):
            await episode.verify(Transcript())
        del episode.task.data["verify"]
        assert (await episode.verify(Transcript())).score == 0.0
        other = await opened(verify="judge")
        with pytest.raises(JudgeError):
            await other.verify(Transcript())
        await other.close()
        with pytest.raises(JudgeError, match="the judge is away"):
            await other.verify(Transcript())

    run(main)


def test_a_closed_episode_that_nobody_scored_is_gone() -> None:
    async def main() -> None:
        episode = await opened()
        await episode.close()
        with pytest.raises(EpisodeGone):
            await episode.verify(Transcript())

    run(main)


# -- state, resources -------------------------------------------------------------------------------------------


def test_the_operator_sees_the_state_as_json_until_the_end() -> None:
    async def main() -> None:
        episode = await opened()
        await episode.call("add", {"amount": 3})
        await episode.verify(Transcript())
        state = await episode.state()
        assert state["value"] == 3 and state["tuple"] == [1, 2]
        await episode.close()
        with pytest.raises(EpisodeGone):
            await episode.state()

    run(main)


@pytest.mark.parametrize("how", ["raise", "hang"])
def test_a_state_that_fails_breaks_nothing(how: str) -> None:
    async def main() -> None:
        episode = await opened(state=how)
        with pytest.raises(EnvironmentFailure, match=r"^bench\.state raised"):
            await episode.state()
        assert (await episode.call("add", {"amount": 1})).text == "1"

    run(main)


def test_resources_are_the_agents_until_the_end() -> None:
    class Library(Environment):
        def resources(self) -> dict[str, str | bytes | Image]:
            return {"notes.txt": "a note"}

        def verify(self, transcript: Transcript) -> float:
            return 1.0

    async def main() -> None:
        episode = await opened(Library)
        assert await episode.resources() == {"notes.txt": "a note"}
        await episode.verify(Transcript())
        with pytest.raises(EpisodeGone):
            await episode.resources()

    run(main)


# -- closing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [None, "raise", "exit", "cancel"])
def test_closing_happens_once_and_its_errors_are_swallowed(how: str | None) -> None:
    async def main() -> None:
        episode = await opened(close=how)
        assert not episode.close_at_once(), "the author's close is not skipped"
        await episode.close()
        await episode.close()
        assert episode.closed and episode.close_at_once() and episode.task.data["closed"] == [True]
        assert vars(episode.environment) == {}, "a closed episode is remembered without its state"
        assert (await episode.call("add", {"amount": 1})).text == FINISHED

    run(main)


def test_an_environment_without_close_is_closed_at_once() -> None:
    class Simple(Environment): ...

    async def main() -> None:
        episode = await opened(Simple)
        assert episode.close_at_once() and episode.closed

    run(main)


def test_a_broken_episode_is_closed_too() -> None:
    async def main() -> None:
        episode = await opened()
        await episode.call("misbehave", {"how": "raise"})
        await episode.close()
        assert episode.task.data["closed"] == [True]

    run(main)


# -- leases -----------------------------------------------------------------------------------------------------


def test_every_call_renews_the_lease() -> None:
    async def main() -> None:
        episode = await opened(ttl=30.0)
        for act in (episode.call("add", {"amount": 1}), episode.reply("hello")):
            episode.expires = time.monotonic() + 1.0
            await act
            assert 29.0 < episode.expires - time.monotonic() <= 30.0

    run(main)


def test_a_call_after_the_lease_is_refused() -> None:
    async def main() -> None:
        episode = await opened(ttl=30.0)
        episode.expires = time.monotonic() - 0.001
        assert episode.expired
        assert await episode.call("add", {"amount": 1}) == ToolResult(FINISHED, is_error=True, ended=True)
        with pytest.raises(EpisodeGone):
            await episode.reply("hello")
        assert episode.ledger == [] and inside(episode).value == 0

    run(main)


def test_a_call_in_progress_keeps_the_lease() -> None:
    async def main() -> None:
        episode = await opened(ttl=30.0)
        call = asyncio.create_task(episode.call("add_slowly", {"amount": 1}))
        await asyncio.sleep(0)
        episode.expires = time.monotonic() - 1.0
        assert not episode.expired
        await call
        assert not episode.expired and episode.expires > time.monotonic() + 29.0

    run(main)


# -- the reference solution -------------------------------------------------------------------------------------


class Solved(Bench):
    def solution(self) -> Generator[Any, str, None]:
        total = yield Call("add", amount=1)
        misbehave_as(self.task.data.get("solution"))
        yield Call("add", amount=3 - int(total))
        yield "done"


class SolvedLater(Bench):
    async def solution(self) -> AsyncGenerator[Any, str]:
        total = yield Call("add", amount=1)
        await asyncio.sleep(0)
        yield Call("add", amount=3 - int(total))
        yield "done"


@pytest.mark.parametrize("cls", [Solved, SolvedLater])
def test_steps_are_given_by_number_and_repeating_moves_nothing(cls: type[Bench]) -> None:
    async def main() -> None:
        episode = await opened(cls)
        assert await episode.reference_step(0, []) == Step([Call("add", amount=1)])
        assert await episode.reference_step(0, ["9"]) == Step([Call("add", amount=1)])
        assert await episode.reference_step(1, ["1"]) == Step([Call("add", amount=2)])
        assert await episode.reference_step(1, ["0"]) == Step([Call("add", amount=2)])
        with pytest.raises(UsageError, match="step 5 was asked for before step 2"):
            await episode.reference_step(5, [])
        assert await episode.reference_step(2, ["3"]) == Step(say="done")
        assert (await episode.reference_step(3, [])).done
        assert (await episode.reference_step(1_000_000_000, [])).done, "the end is the end, however far"

    run(main)


@pytest.mark.parametrize("how", ["raise", "hang"])
def test_a_solution_that_fails_is_the_environments_failure(how: str) -> None:
    async def main() -> None:
        episode = await opened(Solved, solution=how)
        await episode.reference_step(0, [])
        for _ in range(2):
            with pytest.raises(EnvironmentFailure, match=r"solved\.solution (raised|took)"):
                await episode.reference_step(1, ["1"])

    run(main)


def test_an_environment_without_solution_says_so() -> None:
    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match=r"bench has no solution"):
            await (await opened()).reference_step(0, [])

    run(main)

"""An agent's view of its model: a failure for good stays one, whatever else was asked meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gym_mcp.agents.agent import Agent
from gym_mcp.agents.relay import Relayed
from gym_mcp.agents.watched import Watched
from gym_mcp.cli import harness as verbs
from gym_mcp.errors import ModelError, PromptTooLong
from gym_mcp.models.base import Model, Request, Response, Usage
from gym_mcp.types import assistant_message
from tests.support import run


class Waiting(Model):
    """Answers each request with what `said` is resolved to."""

    spec = "test/waiting"

    def __init__(self) -> None:
        self.said: list[asyncio.Future[Response]] = []

    async def respond(self, request: Request) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.said.append(answer)
        return await answer


async def asked(*ends: ModelError | None) -> Watched:
    """The view after that many requests at a time, which end one after the other as `ends` says."""
    agent: Agent = verbs._agent("claude-code")()
    session: Any = None
    model = Waiting()
    watched = Watched(agent, model, Relayed(session, [], "http://nowhere"), plain=True)
    tasks = [asyncio.create_task(watched.respond(Request([]))) for _ in ends]
    await asyncio.sleep(0)
    for answer, end in zip(model.said, ends, strict=True):
        if end is None:
            answer.set_result(Response([assistant_message("fine")], Usage()))
        else:
            answer.set_exception(end)
        await asyncio.wait([tasks.pop(0)])
    return watched


def test_a_failure_is_not_forgotten_for_an_answer_that_came_after_it() -> None:
    boom = ModelError("boom")
    watched = run(lambda: asked(boom, None))
    assert watched.failed.is_set() and watched.error is boom


@pytest.mark.parametrize("then", [PromptTooLong("too long"), ModelError("again")])
def test_the_first_failure_is_the_one_that_is_told(then: ModelError) -> None:
    boom = ModelError("boom")
    assert run(lambda: asked(boom, then)).error is boom


def test_a_prompt_that_is_too_long_is_mended_by_a_shorter_one() -> None:
    assert isinstance(run(lambda: asked(PromptTooLong("long"))).error, PromptTooLong)
    watched = run(lambda: asked(PromptTooLong("long"), None))
    assert watched.error is None and not watched.failed.is_set()

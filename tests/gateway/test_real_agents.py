"""Claude Code, Codex and Gemini CLI themselves, with a scripted model behind the gateway and a served episode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gym_mcp import Environment, Task, tool
from gym_mcp.coordinator.meter import Meter
from gym_mcp.episode import Episode
from gym_mcp.errors import ModelError, PromptTooLong
from gym_mcp.gateway import GatewaySession
from gym_mcp.harness import Limits
from gym_mcp.models.base import Model, Request
from gym_mcp.models.spec import make_model
from gym_mcp.types import Item, Transcript
from tests import npm
from tests.endpoint import Body, Endpoint, Reply, tool_outputs
from tests.gateway import agents
from tests.gateway.kit import Scripted, call, say, served, think
from tests.servers import running
from tests.support import missing, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
NAMES = sorted(agents.AGENTS)


class Counter(Environment):
    """Raise a counter to two."""

    def open(self, task: Task) -> None:
        self.value = 0

    @tool
    def add(self, amount: int) -> str:
        """Add `amount` to the counter."""
        self.value += amount
        return f"The counter is at {self.value}."

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == 2)

    @classmethod
    def tasks(cls) -> list[dict[str, object]]:
        return [{"id": "two", "prompt": "Count to 2."}]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        agents.install()
    except npm.Unavailable as e:
        missing(str(e))


@dataclass(frozen=True)
class Scene:
    session: GatewaySession
    episode: Episode
    url: str


@asynccontextmanager
async def scene(folder: Path, model: Model, **options: Any) -> AsyncIterator[Scene]:
    """An episode of the counter, and a session in front of `model`."""
    async with running(folder, Counter) as server, served(model, **options) as session:
        episode = await server.store.open(server.service.task("two"), 1, ttl=None)
        place = server.endpoints.endpoints[server.service.name].agent_url
        yield Scene(session, episode, place.replace("{handle}", episode.handle))


def adding(request: Request) -> list[Item]:
    """One more call of the add tool, whatever the agent calls it."""
    name = next(tool["name"] for tool in request.tools if tool["name"].endswith("add"))
    said = sum(item.get("type") == "function_call_output" for item in request.input)
    return [think("I should add."), say("Adding one."), call(name, '{ "amount":1 }', f"call_{said}")]


def solver(delay: float = 0.0) -> Scripted:
    return Scripted(adding, adding, [think("That is all."), say("The counter is at 2.")], delay=delay)


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_solves_the_episode(name: str, tmp_path: Path) -> None:
    async def check() -> None:
        model = solver()
        async with scene(tmp_path, model) as s:
            ran = await agents.play(name, tmp_path, s.session, s.url)
            assert ran.code == 0, ran
            transcript = s.session.transcript()
            reward = await s.episode.verify(transcript)
            assert reward.score == 1.0
            kinds = [item["type"] for item in transcript.items]
            step = ["reasoning", "message", "function_call", "function_call_output"]
            assert kinds == [*step, *step, "reasoning", "message"]
            assert transcript.answer == "The counter is at 2."
            assert "The counter is at 2." in str(transcript.items[7]["output"])
            sent = list(model.requests[-1].input)
            for item in transcript.items[:8]:  # the model reads its own words as it said them
                assert item in sent
            assert [c.delivered for c in s.session.calls] == [True] * 3
            assert not any(c.side for c in s.session.calls)

    run(check)


def thinking(body: Body, n: int) -> Reply:
    """A Messages endpoint whose model thinks before each call, and wants its signed thoughts back."""
    name = next(tool["name"] for tool in body["tools"] if tool["name"].endswith("add"))
    done = len(tool_outputs(body))
    thought = {"type": "thinking", "thinking": f"Step {done}.", "signature": f"c2lnbmVk{done}"}
    use = {"type": "tool_use", "id": f"toolu_{done}", "name": name, "input": {"amount": 1}}
    last = {"type": "text", "text": "The counter is at 2."}
    content = [thought, use] if done < 2 else [thought, last]
    return Reply([], extra={"content": content, "stop_reason": "tool_use" if done < 2 else "end_turn"})


def test_codex_on_an_anthropic_model(tmp_path: Path) -> None:
    async def check() -> None:
        async with Endpoint(thinking, record=True) as endpoint:
            model = make_model("anthropic/claude", base_url=endpoint.url)
            async with scene(tmp_path, Meter(model, Limits())) as s:
                ran = await agents.play("codex", tmp_path, s.session, s.url)
                assert ran.code == 0, ran
                assert (await s.episode.verify(s.session.transcript())).score == 1.0
            await model.aclose()
            blocks = [b for m in endpoint.bodies[-1]["messages"] for b in m["content"]]
            assert [b["signature"] for b in blocks if b["type"] == "thinking"] == ["c2lnbmVk0", "c2lnbmVk1"]
            assert [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"] == ["toolu_0", "toolu_1"]

    run(check)


def test_claude_code_on_a_chat_model(tmp_path: Path) -> None:
    """As vLLM serves them: reasoning in a field of the message, one system message at the start."""

    def script(body: Body, n: int) -> Reply:
        name = next(t["function"]["name"] for t in body["tools"] if t["function"]["name"].endswith("add"))
        done = len(tool_outputs(body))
        calls = [{"id": f"c{done}", "type": "function", "function": {"name": name, "arguments": '{"amount": 1}'}}]
        said: Any = {"role": "assistant", "content": None, "reasoning_content": f"Step {done}."}
        said |= {"tool_calls": calls} if done < 2 else {"content": "The counter is at 2."}
        choice = {"index": 0, "message": said, "finish_reason": "stop", "token_ids": [done]}
        return Reply([], extra={"choices": [choice], "prompt_token_ids": [7] * 5})

    async def check() -> None:
        async with Endpoint(script, record=True) as endpoint:
            model = make_model("openai-chat/m", base_url=endpoint.url, params={"return_token_ids": True})
            async with scene(tmp_path, Meter(model, Limits())) as s:
                ran = await agents.play("claude", tmp_path, s.session, s.url)
                assert ran.code == 0, ran
                assert (await s.episode.verify(s.session.transcript())).score == 1.0
                assert [c.tokens and c.tokens.generation for c in s.session.calls] == [[0], [1], [2]]
            await model.aclose()
            messages = endpoint.bodies[-1]["messages"]
            roles = [m["role"] for m in messages]
            assert roles[0] == "system" and "system" not in roles[1:]
            assert [m["reasoning_content"] for m in messages if "reasoning_content" in m] == ["Step 0.", "Step 1."]
            assert endpoint.bodies[0]["return_token_ids"] is True

    run(check)


def test_usage_as_the_agents_sum_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with scene(tmp_path, solver()) as s:
            ran = await agents.play("claude", tmp_path, s.session, s.url)
            usage = ran.last["usage"]
            assert usage["input_tokens"] + usage["cache_read_input_tokens"] == 90
            assert usage["output_tokens"] == 21
            assert sum(c.usage.input for c in s.session.calls) == 90

    run(check)


@pytest.mark.parametrize("name", NAMES)
def test_a_spent_budget_ends_every_agent(name: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with scene(tmp_path, Meter(Scripted(adding), Limits(turns=3))) as s:
            ran = await agents.play(name, tmp_path, s.session, s.url)
            assert ran.code == 0, ran
            assert s.session.stop == "max_turns"
            assert len(s.session.calls) == 3

    run(check)


@pytest.mark.parametrize("keep_alive", [15.0, 0.2])
@pytest.mark.parametrize("name", ["claude", "codex"])
def test_a_failing_model_is_not_hammered(name: str, keep_alive: float, tmp_path: Path) -> None:
    """Neither before the answer begins, nor inside a stream that has begun."""

    async def check() -> None:
        model = Scripted(adding, ModelError("it answered 503 (6 tries)", status=503), delay=0.6)
        async with scene(tmp_path, model, keep_alive=keep_alive) as s:
            ran = await agents.play(name, tmp_path, s.session, s.url)
            assert ran.code == 1
            assert "it answered 503" in ran.out
            assert len(model.requests) == 2
            assert isinstance(s.session.error, ModelError)

    run(check)


@pytest.mark.parametrize(("name", "words"), [("claude", "prompt_too_long"), ("codex", "ran out of room")])
def test_agents_understand_a_full_context_window(name: str, words: str, tmp_path: Path) -> None:
    async def check() -> None:
        model = Scripted(adding, PromptTooLong("maximum context length is 4096 tokens"))
        async with scene(tmp_path, model) as s:
            ran = await agents.play(name, tmp_path, s.session, s.url)
            assert ran.code == 1
            assert words in ran.out
            assert isinstance(s.session.error, PromptTooLong)

    run(check)


@pytest.mark.parametrize("name", NAMES)
def test_agents_wait_for_a_slow_model(name: str, tmp_path: Path) -> None:
    async def check() -> None:
        async with scene(tmp_path, solver(delay=1.0), keep_alive=0.2) as s:
            ran = await agents.play(name, tmp_path, s.session, s.url)
            assert ran.code == 0, ran
            assert len(s.session.calls) == 3

    run(check)


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_that_is_killed_cancels_its_call(name: str, tmp_path: Path) -> None:
    async def check() -> None:
        model = Scripted(adding, delay=300)
        async with scene(tmp_path, model) as s:
            playing = asyncio.create_task(agents.play(name, tmp_path, s.session, s.url))
            await asyncio.wait_for(model.arrived.wait(), 30)
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            await asyncio.wait_for(model.gone.wait(), 10)

    run(check)

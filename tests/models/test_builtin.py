"""The embedded models, on a real environment in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from gym_mcp import Call, Environment, Image, Task, tool
from gym_mcp.direct import DirectClient
from gym_mcp.errors import EnvironmentFailure, ModelError, UsageError
from gym_mcp.models.base import Model, Request, RolloutContext
from gym_mcp.models.builtin import (
    ASIDE,
    GIVES_UP,
    NoisyOracle,
    Null,
    Oracle,
    RandomCalls,
    answer_aside,
    aside_of,
    outputs_of,
)
from gym_mcp.models.spec import make_model
from gym_mcp.types import Item, Transcript, text_of, user_message


class Counter(Environment):
    """Raise a counter to the task's target."""

    def open(self, task: Task) -> None:
        self.value, self.target = 0, task.data["target"]

    @tool
    def add(self, amount: int) -> int:
        """Add `amount`."""
        self.value += amount
        return self.value

    @tool
    def read(self) -> list[str | Image]:
        """Return the counter's value."""
        return [str(self.value), Image(b"x")]

    def verify(self, transcript: Transcript) -> float:
        return float(self.value == self.target and transcript.answer == str(self.target))

    def solution(self) -> Generator[Any, Any, None]:
        first = yield Call("add", amount=self.target - 1)
        both = yield [Call("add", amount=1), Call("read")]
        assert (first, both) == (str(self.target - 1), [str(self.target), str(self.target)])
        yield str(self.target)


class Unsolved(Environment):
    """It has no solution."""


class Odd(Environment):
    """Its solution calls with something that is not JSON."""

    def solution(self) -> list[Call]:
        return [Call("add", amount=object())]


TASK = Task("five", [user_message("Reach 5.")], {"target": 5})


@asynccontextmanager
async def rollout(
    model: Model, seed: int = 1, environment: type[Environment[Any]] = Counter
) -> AsyncIterator[tuple[Model, Any]]:
    """(the model of one rollout, its episode)."""
    async with DirectClient(environment) as client, asyncio.timeout(10):
        episode = await client.open_episode(TASK, seed=seed)
        yield model.for_rollout(RolloutContext(TASK, 0, seed, episode)), episode


async def play(model: Model, seed: int = 1, turns: int = 6) -> tuple[list[Item], float]:
    """(items, score) of a plain tool loop."""
    items: list[Item] = list(TASK.prompt)
    async with rollout(model, seed) as (mine, episode):
        tools = [spec.as_function() for spec in await episode.agent.list_tools()]
        for _ in range(turns):
            response = await mine.respond(Request(items, tools))
            items += response.output
            calls = [i for i in response.output if i["type"] == "function_call"]
            outputs: list[Item] = []
            for call in calls:
                result = await episode.agent.call(call["name"], orjson.loads(call["arguments"]))
                parts = [{"type": "input_text", "text": result.text}]
                output: Any = parts if result.images else result.text
                outputs.append({"type": "function_call_output", "call_id": call["call_id"], "output": output})
            items += reversed(outputs)  # results may come in any order
            if not calls:
                break
        verdict = await episode.verify(Transcript(items))
    return items, verdict.reward.score


def answers(items: list[Item]) -> list[str]:
    return [text_of(i) for i in items if i.get("role") == "assistant"]


def test_the_oracle_solves_the_task() -> None:
    items, score = asyncio.run(play(Oracle()))
    assert score == 1.0
    assert answers(items) == ["5"]
    ids = [i["call_id"] for i in items if i["type"] == "function_call"]
    assert ids == ["call_0001", "call_0002", "call_0003"]
    assert len({i["id"] for i in items if "id" in i}) == 4


async def asked(mine: Model, *items: Item) -> Item:
    """The first item that the model answers to the task and `items`."""
    return (await mine.respond(Request([*TASK.prompt, *items]))).output[0]


def without_ids(item: Item) -> Item:
    return {k: v for k, v in item.items() if k != "id"}


def test_an_oracle_finds_its_place_in_the_conversation() -> None:
    async def main() -> None:
        async with rollout(Oracle()) as (mine, episode):
            samples = [await asked(mine) for _ in range(3)]
            assert [(s["name"], s["arguments"]) for s in samples] == [("add", '{"amount":4}')] * 3
            assert len({s["call_id"] for s in samples}) == 3
            text = (await episode.agent.call("add", {"amount": 4})).text
            taken = samples[1]
            output = {"type": "function_call_output", "call_id": taken["call_id"], "output": text}
            side = [{"role": "system", "content": f"{ASIDE} review."}, user_message("How is it?")]
            assert text_of((await mine.respond(Request(side))).output[0]) == "OK"
            assert (await asked(mine, taken, output))["arguments"] == '{"amount":1}'
            assert (await asked(mine, taken, output))["arguments"] == '{"amount":1}'

    asyncio.run(main())


def test_an_oracle_knows_its_last_words_without_their_id() -> None:
    class Twice(Environment):
        """Say one word twice."""

        def solution(self) -> Generator[Any, Any, None]:
            heard = yield "two"
            heard = yield f"two {heard}"
            yield f"end {heard}"

    async def main() -> None:
        async with rollout(Oracle(), environment=Twice) as (mine, _):
            first = without_ids(await asked(mine))
            second = without_ids(await asked(mine, first, user_message("a")))
            third = await asked(mine, first, user_message("a"), second, user_message("b"))
            assert [text_of(i) for i in (first, second, third)] == ["two", "two a", "end b"]

    asyncio.run(main())


def test_a_noisy_oracle_may_draw_for_each_answer() -> None:
    async def main() -> list[str]:
        async with rollout(make_model("builtin/noisy-oracle?p=0.5&per=turn")) as (mine, _):
            return [(await asked(mine))["type"] for _ in range(200)]

    kinds = asyncio.run(main())
    assert set(kinds) == {"function_call", "message"} and 70 < kinds.count("message") < 130
    assert asyncio.run(main()) == kinds
    assert make_model("builtin/noisy-oracle?per=turn").identity()["per"] == "turn"
    with pytest.raises(UsageError, match="`rollout` or `turn`"):
        make_model("builtin/noisy-oracle?per=call")


def test_a_scripted_reviewer_knows_one_thing() -> None:
    assert answer_aside(f"Go.\n[ai] {GIVES_UP}") == "RETRY"
    assert answer_aside(f"Go.\n[ai] {GIVES_UP}\n[ai] 5") == "OK"
    assert answer_aside(f"Go.\n\nCandidate 1:\n{GIVES_UP}\nCandidate 2:\n5") == "2"
    assert answer_aside(f"Go.\n\nCandidate 1:\n{GIVES_UP}\nCandidate 2:\n{GIVES_UP}") == "1"
    assert aside_of([user_message("hi")]) is None and aside_of([]) is None


class Silent(Environment):
    """Solved by one call."""

    def solution(self) -> list[Call]:
        return [Call("go")]


def test_an_oracle_past_its_end_says_nothing() -> None:
    async def main() -> list[Item]:
        async with rollout(Oracle(), environment=Silent) as (mine, _):
            said: list[Item] = []
            for _ in range(3):
                said += (await mine.respond(Request([*TASK.prompt, *said]))).output
            return said

    first, *rest = asyncio.run(main())
    assert first["name"] == "go"
    assert [(i["type"], text_of(i)) for i in rest] == [("message", ""), ("message", "")]


def test_the_oracle_says_whose_fault_it_is() -> None:
    async def respond(environment: type[Environment[Any]]) -> None:
        async with rollout(Oracle(), environment=environment) as (mine, _):
            await mine.respond(Request(()))

    with pytest.raises(EnvironmentFailure, match=r"no solution\(\)"):
        asyncio.run(respond(Unsolved))
    with pytest.raises(EnvironmentFailure, match="not JSON"):
        asyncio.run(respond(Odd))
    with pytest.raises(ModelError, match="inside a rollout"):
        asyncio.run(Oracle().respond(Request(())))


def test_results_come_in_the_order_of_the_calls_and_the_latest_wins() -> None:
    def output(call_id: str, value: Any) -> Item:
        return {"type": "function_call_output", "call_id": call_id, "output": value}

    parts = [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "u"}]
    items = [output("a", "old"), user_message("hi"), output("b", parts), output("a", "new")]
    assert outputs_of(["a", "b", "c"], items) == ["new", "x", ""]
    assert outputs_of([], items) == []


@pytest.mark.parametrize(("p", "solved"), [(0.0, 0), (1.0, 40)])
def test_a_noisy_oracle_at_the_ends(p: float, solved: int) -> None:
    scores = [asyncio.run(play(NoisyOracle(p=p), seed))[1] for seed in range(40)]
    assert sum(scores) == solved


def test_a_noisy_oracle_solves_a_fraction_p_the_same_one_each_time() -> None:
    model = NoisyOracle(p=0.7)

    async def plays(seed: int) -> bool:
        async with rollout(model, seed) as (mine, _):
            response = await mine.respond(Request(TASK.prompt))
            return bool(response.output[0]["type"] == "function_call")

    async def main() -> list[bool]:
        return [await plays(seed) for seed in range(1_000)]

    first = asyncio.run(main())
    assert 650 < sum(first) < 750  # 3.4 standard deviations
    assert asyncio.run(main()) == first


def test_a_noisy_oracle_that_gives_up_says_so_and_calls_nothing() -> None:
    items, score = asyncio.run(play(NoisyOracle(p=0.0)))
    assert answers(items) == [GIVES_UP]
    assert score == 0.0


def test_null_says_nothing() -> None:
    items, score = asyncio.run(play(Null()))
    assert answers(items) == [""]
    assert len(items) == 2
    assert score == 0.0


@pytest.mark.parametrize("turns", [0, 1, 4])
def test_random_calls_for_some_turns_then_words(turns: int) -> None:
    items, _ = asyncio.run(play(RandomCalls(turns=turns), turns=turns + 1))
    calls = [i for i in items if i["type"] == "function_call"]
    assert len(calls) == turns
    assert {c["name"] for c in calls} <= {"add", "read"}
    for call in calls:
        arguments = orjson.loads(call["arguments"])
        assert type(arguments.get("amount", 0)) is int
    assert len(answers(items)) == 1
    assert answers(items)[0]


def test_random_without_tools_speaks() -> None:
    output = asyncio.run(RandomCalls().respond(Request(()))).output
    assert [i["type"] for i in output] == ["message"]


@pytest.mark.parametrize("spec", ["builtin/oracle", "builtin/noisy-oracle?p=0.5", "builtin/random?turns=3"])
def test_the_same_seed_gives_the_same_rollout_and_another_one_does_not(spec: str) -> None:
    def rollouts() -> list[Any]:
        return [asyncio.run(play(make_model(spec), seed)) for seed in range(12)]

    first = rollouts()
    assert rollouts() == first
    if spec != "builtin/oracle":
        assert len({str(r) for r in first}) > 1


def test_rollouts_of_one_model_do_not_share_anything() -> None:
    model = RandomCalls(turns=2)

    async def alone(seed: int) -> list[Item]:
        return (await play(model, seed))[0]

    async def together() -> list[list[Item]]:
        return list(await asyncio.gather(*(alone(seed) for seed in range(8))))

    assert asyncio.run(together()) == [asyncio.run(alone(seed)) for seed in range(8)]


def test_embedded_models_cost_nothing_and_count_their_calls() -> None:
    for model in (Oracle(), NoisyOracle(), RandomCalls(), Null()):
        assert model.price == (0.0, 0.0)
    response = asyncio.run(Null().respond(Request(())))
    assert (response.usage.total, response.usage.calls, response.model) == (0, 1, "builtin/null")

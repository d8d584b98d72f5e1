"""Several runs at once: the same rows as alone, fair shares of slots and endpoints, each one's trouble its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.coordinator import Coordinator
from gym_mcp.coordinator.events import Event, RolloutFinished
from gym_mcp.coordinator.journal import Journal, JournalError
from gym_mcp.coordinator.mix import together
from gym_mcp.coordinator.run import Outcome, resume, start
from gym_mcp.errors import UsageError
from gym_mcp.models.http import HTTPModel
from gym_mcp.models.lanes import Lane
from gym_mcp.observe.control import ask
from gym_mcp.types import JSONObject
from tests.coordinator.kit import POISONED, config, make_harness, read_lines, rows, write_rows
from tests.endpoint import Endpoint, Reply, Slow, calling, message
from tests.support import run

DEADLY = POISONED.with_name("deadly.py")
GROUPED = POISONED.with_name("grouped.py")
SCRIPT = calling([("step", {})], "done")
_CHANGING = {"rollout_id", "timing", "environment"}


class Mix:
    """A mix in a folder of its own; its coordinators and events by number."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        self.folder = folder
        self.found: dict[int, Coordinator] = {}
        self.events: dict[int, list[Event]] = {}
        self.hook: Callable[[int, Event], None] = lambda number, event: None

    def attach(self, number: int) -> tuple[list[Callable[[Event], None]], Callable[[Coordinator], None]]:
        def listen(event: Event) -> None:
            self.events.setdefault(number, []).append(event)
            self.hook(number, event)

        def ready(coordinator: Coordinator) -> None:
            self.found[number] = coordinator

        return [listen], ready

    def run(self, configs: Sequence[RunConfig], concurrency: int) -> list[Outcome | BaseException]:
        return run(lambda: together(configs, concurrency, self.attach))

    def outcomes(self, configs: Sequence[RunConfig], concurrency: int) -> list[Outcome]:
        return [one for one in self.run(configs, concurrency) if isinstance(one, Outcome)]

    def config(self, count: int, environment: Path = DEADLY, name: str = "rows", **settings: Any) -> RunConfig:
        data = {f"t{i}": settings.pop("data") for i in range(count)} if "data" in settings else {}
        input = write_rows(self.folder / f"{name}.jsonl", rows(count, **data))
        return config(environment, settings.pop("model", "builtin/oracle"), input=input, **settings)


@pytest.fixture
def mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mix:
    return Mix(tmp_path, monkeypatch)


def plain(path: Path) -> list[JSONObject]:
    """The rows of a run, in the order of its tasks, without what no two runs have in common."""
    found = sorted(read_lines(path / "rollouts.jsonl"), key=lambda row: (row["task_index"], row["repeat"]))
    for row in found:
        for entry in row["ledger"]:
            entry.pop("start"), entry.pop("end")
    return [{key: value for key, value in row.items() if key not in _CHANGING} for row in found]


def test_the_rows_and_numbers_are_those_of_each_run_alone(mix: Mix) -> None:
    configs = [
        mix.config(5, model="builtin/noisy-oracle?p=0.5", repeats=3, seed=7),
        mix.config(4, POISONED, "others", model="builtin/random?turns=2", repeats=2, seed=7),
    ]
    found = mix.outcomes(configs, 3)
    for number, one in enumerate(configs):
        alone = mix.folder / f"alone{number}"
        outcome = run(lambda one=one, alone=alone: start(one, alone))
        assert plain(found[number].run_dir) == plain(alone)
        same = {k: v for k, v in outcome.metrics.items() if k != "run_id"}
        assert {k: v for k, v in found[number].metrics.items() if k != "run_id"} == same
        assert (found[number].run_dir / "metrics.json").exists()


def test_a_slow_environment_holds_its_share_and_starves_nobody(mix: Mix) -> None:
    slow = mix.config(8, name="slow", env={"seconds": 1.0})
    fast = mix.config(150, name="fast", env={"seconds": 0.01})
    most = [0, 0]

    def hook(number: int, event: Event) -> None:
        if isinstance(event, RolloutFinished) and len(mix.found) == 2:
            running = [mix.found[i].in_flight for i in (0, 1)]
            if mix.found[1].tally.done < 140 and mix.found[0].tally.done < 4:  # both still have more than a share
                most[0], most[1] = max(most[0], running[0]), max(most[1], running[1])

    mix.hook = hook
    assert all(outcome.complete for outcome in mix.outcomes([slow, fast], 8))
    assert most == [4, 4]
    first_slow = next(e for e in mix.events[0] if isinstance(e, RolloutFinished)).row
    ends = [e.row["timing"]["started"] for e in mix.events[1] if isinstance(e, RolloutFinished)]
    early = sum(end < first_slow["timing"]["started"] + 1.0 for end in ends)
    assert early >= 30, "four at a time, 10 ms each: all of them in the time of the first slow ones"


def test_a_run_with_a_maximum_of_its_own_leaves_the_rest_to_the_others(mix: Mix) -> None:
    small = mix.config(6, name="small", env={"seconds": 0.05}, concurrency=1)
    large = mix.config(60, name="large", env={"seconds": 0.05})
    most = [0, 0]

    def hook(number: int, event: Event) -> None:
        if len(mix.found) == 2 and mix.found[0].tally.done < 5:
            most[number] = max(most[number], mix.found[number].in_flight)

    mix.hook = hook
    assert all(outcome.complete for outcome in mix.outcomes([small, large], 8))
    assert most == [1, 7]


def test_runs_at_one_endpoint_share_its_limit_fairly(mix: Mix) -> None:
    """Forty rollouts of one run do not keep four of another's waiting, at two calls at a time."""
    order: list[str] = []

    async def main() -> None:
        async with Endpoint(lambda body, n: Slow(0.01, Reply([message("done")]))) as endpoint:
            common: dict[str, Any] = {"base_url": endpoint.url, "limits": {"turns": 3}}
            many = mix.config(40, name="many", model="openai/m", **common)
            few = mix.config(4, name="few", model="openai/m?temperature=0.5", **common)
            other = mix.config(4, name="other", model="openai/n", **common)
            models: list[HTTPModel] = []

            def hook(number: int, event: Event) -> None:
                model = mix.found[number].arm.model
                assert isinstance(model, HTTPModel) and isinstance(model.limiter, Lane)
                model.limiter.limiter._limit = 2.0
                models.append(model)
                if isinstance(event, RolloutFinished):
                    order.append("many few other".split()[number])

            mix.hook = hook
            found = await together([many, few, other], 60, mix.attach)
            assert all(isinstance(one, Outcome) and one.complete for one in found), found
            lanes = {id(model.limiter): model.limiter for model in models if isinstance(model.limiter, Lane)}
            assert len(lanes) == 3 and len({id(lane.limiter) for lane in lanes.values()}) == 2
            assert all(lane.limiter.in_flight == 0 for lane in lanes.values())

    run(main)
    assert order.index("few", order.index("few") + 3) < 20, order


def test_a_mistake_in_any_is_found_before_one_starts_and_leaves_nothing(mix: Mix) -> None:
    good, bad = mix.config(2), mix.config(2).model_copy(update={"input": Path("absent.jsonl")})
    with pytest.raises(UsageError, match=r"deadly\.py, builtin/oracle, simple: .*absent\.jsonl"):
        mix.run([good, bad], 4)
    assert not mix.events and list(mix.folder.glob("runs/*")) == []
    with pytest.raises(UsageError, match="leave out --workers"):
        mix.run([good, mix.config(2, workers=2)], 4)


def test_the_failure_of_one_run_is_not_the_others(mix: Mix, monkeypatch: pytest.MonkeyPatch) -> None:
    append = Journal.append

    def full(self: Journal, *rows: JSONObject) -> None:
        if rows[0]["environment"] == "poisoned":
            raise JournalError("no space left on device")
        append(self, *rows)

    monkeypatch.setattr(Journal, "append", full)
    configs = [mix.config(20, POISONED, "bad"), mix.config(20, env={"seconds": 0.01})]
    bad, good = mix.run(configs, 4)
    assert isinstance(bad, JournalError) and isinstance(good, Outcome)
    assert good.complete and len(read_lines(good.run_dir / "rollouts.jsonl")) == 20


def test_a_rollout_that_takes_all_its_time_holds_one_slot(mix: Mix) -> None:
    """Within a run, too: three of four slots are held for half a second, and the fourth goes round meanwhile."""
    stuck = 'if session.prompt[0]["content"] in ("Count to 0.", "Count to 1.", "Count to 2."):\n'
    harness = make_harness(mix.folder, f"{stuck}    await asyncio.sleep(60)\nreturn Transcript([])")
    config = mix.config(60, harness=str(harness), limits={"seconds": 0.5}, concurrency=4, repeats=2)
    started = time.monotonic()
    outcome = run(lambda: start(config, mix.folder / "run"))
    assert outcome.complete and time.monotonic() - started < 5.0
    ended = read_lines(mix.folder / "run" / "rollouts.jsonl")
    slow = [number for number, row in enumerate(ended) if row["failure"]]
    assert len(slow) == 6 and slow[0] >= 57, "a slot is left to all the others"


def test_drained_runs_are_resumed_each_for_itself(mix: Mix) -> None:
    configs = [mix.config(40, name=f"r{i}", env={"seconds": 0.02}) for i in range(2)]
    configs.append(mix.config(3, GROUPED, "groups", repeats=2, model="builtin/null"))

    def hook(number: int, event: Event) -> None:
        if isinstance(event, RolloutFinished) and number == 0:
            for coordinator in mix.found.values():
                coordinator.drain("test")

    mix.hook = hook
    found = mix.outcomes(configs, 6)
    assert not any(outcome.complete for outcome in found[:2])
    for outcome in found:
        before = (
            read_lines(outcome.run_dir / "rollouts.jsonl") if (outcome.run_dir / "rollouts.jsonl").exists() else []
        )
        again = run(lambda outcome=outcome: resume(outcome.run_dir))
        after = read_lines(outcome.run_dir / "rollouts.jsonl")
        assert again.complete and after[: len(before)] == before


def test_stopped_runs_end_at_once(mix: Mix) -> None:
    configs = [mix.config(4, name=f"r{i}", env={"seconds": 30.0}) for i in range(2)]

    async def main() -> list[Outcome | BaseException]:
        running = asyncio.ensure_future(together(configs, 4, mix.attach))
        async with asyncio.timeout(5):
            while sum(c.in_flight for c in mix.found.values()) < 4:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
            for coordinator in mix.found.values():
                coordinator.drain("test")
                coordinator.stop()
            return await running

    started = time.monotonic()
    found = run(main)
    assert [isinstance(one, Outcome) and not one.complete for one in found] == [True, True], found
    assert time.monotonic() - started < 5.0


def test_runs_together_are_paused_and_re_tuned_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = Mix(tmp_path, monkeypatch)
    answers: list[JSONObject] = []

    async def main() -> list[Outcome | BaseException]:
        async with Endpoint(lambda body, n: Slow(0.05, Reply([message("done")]))) as endpoint:
            over: dict[str, Any] = {"model": "openai/m", "base_url": endpoint.url}
            configs = [mix.config(12, name="one", **over), mix.config(12, name="two", **over)]
            running = asyncio.create_task(together(configs, 4, mix.attach))
            async with asyncio.timeout(20):
                while len(mix.found) < 2 or not all(c.in_flight for c in mix.found.values()):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            first = mix.found[0]
            where = first.journal.path.parent
            requests = ({"do": "pause"}, {"do": "set", "model_limit": 3}, {"do": "set", "concurrency": 1})
            answers.extend([await asyncio.to_thread(ask, where, request) for request in requests])
            async with asyncio.timeout(20):
                while not mix.found[1].tally.done == 12:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            assert first.tally.done < 12 and first.in_flight == 0
            answers.append(await asyncio.to_thread(ask, where, {"do": "resume"}))
            async with asyncio.timeout(20):
                return await running

    outcomes = run(main)
    assert all(isinstance(one, Outcome) and one.complete for one in outcomes), outcomes
    assert all("done" in answer for answer in answers), answers

"""A changed verifier scores again what was recorded, from the ledger, without a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.reverify import Replay, reverify
from gym_mcp.coordinator.run import resume
from gym_mcp.direct import DirectClient
from gym_mcp.errors import UsageError
from gym_mcp.hub import load_environment
from gym_mcp.models.spec import make_model
from gym_mcp.toolcalls import call_item
from gym_mcp.types import JSONObject, Task, assistant_message, user_message
from tests.coordinator.kit import one, read_lines
from tests.coordinator.runs import SCRIPT, Workbench, edit
from tests.endpoint import Endpoint, Reply, Script, in_turn, message
from tests.environments.ladder import Ladder
from tests.support import run

VERIFY = "float(self.value == 2)"


def bench(folder: Path, body: Callable[[Workbench], Awaitable[None]], script: Script = SCRIPT) -> None:
    async def main() -> None:
        async with Endpoint(script) as endpoint:
            await body(Workbench(folder, endpoint, tasks=3))

    run(main)


def test_a_changed_verifier_scores_again_without_a_request(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        assert (await b.start()).metrics["mean_reward"] == 1.0
        before, requests = read_lines(b.rollouts), b.endpoint.requests
        edit(b.environment, VERIFY, "self.value / 4")
        outcome = await resume(b.run_dir)
        assert outcome.metrics["mean_reward"] == 0.5 and outcome.metrics["scored"] == 6
        assert b.endpoint.requests == requests
        after = read_lines(b.rollouts)
        assert after == [{**row, "reward": 0.5} for row in before]
        assert read_lines(b.run_dir / "rollouts.before-reverify.jsonl") == before
        await resume(b.run_dir)
        assert read_lines(b.rollouts) == after, "the manifest did not take up the new verifier"

    bench(tmp_path, body)


def test_an_unfinished_run_goes_on_under_the_new_verifier(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start(after=2)
        edit(b.environment, VERIFY, "self.value / 4")
        outcome = await resume(b.run_dir)
        assert outcome.complete and {r["reward"] for r in read_lines(b.rollouts)} == {0.5}

    bench(tmp_path, body)


def test_a_start_into_the_same_directory_is_refused_instead(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, VERIFY, "0.0")
        with pytest.raises(UsageError, match=r"holds another run .verifier: "):
            await b.start()

    bench(tmp_path, body)


def test_what_failed_in_a_broken_verifier_is_scored_by_the_mended_one(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        edit(b.environment, VERIFY, "float(self.value == 2 / 0)")
        assert (await b.start()).metrics["failed"] == {"verifier": 6}
        requests = b.endpoint.requests
        edit(b.environment, "float(self.value == 2 / 0)", VERIFY)
        outcome = await resume(b.run_dir)
        assert (outcome.metrics["scored"], outcome.metrics["failed"]) == (6, {})
        assert b.endpoint.requests == requests
        assert {(r["outcome"], r["reward"], r["failure"]) for r in read_lines(b.rollouts)} == {
            ("scored", 1.0, None)
        }

    bench(tmp_path, body)


def test_a_verifier_that_now_raises_fails_what_was_scored(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        edit(b.environment, VERIFY, "1 / 0")
        assert (await resume(b.run_dir)).metrics["failed"] == {"verifier": 6}
        (message,) = {r["failure"]["message"] for r in read_lines(b.rollouts)}
        assert message.startswith("re-verify: counter.verify raised ZeroDivisionError")

    bench(tmp_path, body)


async def recorded(data: JSONObject | None = None, **settings: Any) -> tuple[JSONObject, Task[Any]]:
    row = await one(data or {"target": 3}, cls=Ladder, **settings)
    return row, Task("t", [{"role": "user", "content": "Go."}], data or {"target": 3})


def test_a_replay_gives_the_reward_that_was_recorded() -> None:
    async def main() -> None:
        row, task = await recorded()
        again = await reverify(DirectClient(Ladder), task, row)
        assert again.divergences == []
        assert (again.reward.score, again.reward.components) == (row["reward"], row["components"])

    run(main)


@pytest.mark.parametrize(
    ("entry", "change"),
    [(0, {"result": "7"}), (1, {"arguments": {"amount": 1}}), (1, {"name": "read", "arguments": {}})],
)
def test_a_replay_that_brings_something_else_says_so(entry: int, change: JSONObject) -> None:
    async def main() -> None:
        row, task = await recorded()
        row["ledger"][entry].update(change)
        again = await reverify(DirectClient(Ladder), task, row)
        assert again.divergences and "recorded" in again.divergences[0]

    run(main)


def test_a_divergence_in_a_run_scores_nothing(tmp_path: Path) -> None:
    async def body(b: Workbench) -> None:
        await b.start()
        text = b.rollouts.read_text()
        assert '"result":"2"' in text
        b.rollouts.write_text(text.replace('"result":"2"', '"result":"3"', 1))
        edit(b.environment, VERIFY, "self.value / 4")
        outcome = await resume(b.run_dir)
        assert (outcome.metrics["scored"], outcome.metrics["failed"]) == (5, {"environment": 1})

    bench(tmp_path, body)


def test_calls_that_never_reached_the_environment_are_not_replayed() -> None:
    async def main() -> None:
        row, task = await recorded()
        call = {"type": "function_call", "call_id": "x", "name": "add", "arguments": '{"amount": '}
        row["response"]["output"].insert(0, call)
        again = await reverify(DirectClient(Ladder), task, row)
        assert again.divergences == [] and again.reward.score == 1.0

    run(main)


def test_a_ledger_can_hold_calls_that_the_transcript_lacks() -> None:
    async def main() -> None:
        row, task = await recorded()
        row["response"]["output"] = [i for i in row["response"]["output"] if i["type"] == "message"]
        again = await reverify(DirectClient(Ladder), task, row)
        assert again.divergences == [] and again.reward.score == 1.0

    run(main)


def test_user_replies_come_at_the_same_places(tmp_path: Path) -> None:
    path = tmp_path / "talk.py"
    path.write_text(
        "from gym_mcp import Environment, tool\n\n"
        "class Talk(Environment):\n    '''Talk.'''\n\n"
        "    def open(self, task):\n        self.heard = []\n\n"
        "    def reply(self, message):\n"
        "        self.heard.append(message)\n"
        "        return 'and then?' if len(self.heard) < 3 else None\n\n"
        "    def verify(self, transcript):\n"
        "        return float(self.heard == ['one.two.'] * 3)\n"
    )
    cls = load_environment(str(path))

    async def main() -> None:
        script = in_turn(Reply([message("one."), message("two.")]))
        async with Endpoint(script) as endpoint:
            row = await one({}, cls=cls, model=make_model("openai/m", base_url=endpoint.url))
        roles = [i.get("role") for i in row["response"]["output"]]
        assert roles == ["assistant", "assistant", "user"] * 2 + ["assistant"] * 2
        again = await reverify(DirectClient(cls), Task("t"), row)
        assert again.divergences == []
        assert again.reward.score == row["reward"] == 1.0
        row["response"]["output"][2]["content"] = "what?"
        assert "recorded 'what?'" in (await reverify(DirectClient(cls), Task("t"), row)).divergences[0]

    run(main)


def test_calls_that_overlapped_are_found_again_whichever_ended_first() -> None:
    def entry(seq: int, text: str, start: float, end: float) -> JSONObject:
        about = {"name": "echo", "arguments": {"text": text}, "result": text, "error": None}
        return {"seq": seq, **about, "start": start, "end": end}

    ledger = [entry(0, "slow", 0.0, 0.3), entry(1, "quick", 0.1, 0.3), entry(2, "late", 0.4, 0.5)]
    ledger[0], ledger[1] = {**ledger[1], "seq": 0}, {**ledger[0], "seq": 1}
    calls = [call_item("echo", {"text": text}, text) for text in ("slow", "quick", "late")]
    items = [*calls[:2], assistant_message("one"), user_message("you said one"), calls[2]]

    async def main() -> tuple[list[str], list[str]]:
        async with DirectClient(Ladder) as client:
            episode = await client.open_episode(Task("t", [], {"target": 3}), seed=0)
            replay = Replay(episode.agent, ledger)
            await replay.play(items)
            return replay.divergences, [e["result"] for e in await episode.ledger()]

    assert run(main) == ([], ["quick", "slow", "late"])

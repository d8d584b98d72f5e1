"""A full environment is waited for: no attempt, no deadline, no failure, unless there is no room for very long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gym_mcp import Environment, Transcript, hub
from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import admission
from gym_mcp.coordinator.admission import Patient
from gym_mcp.coordinator.events import EnvironmentFull, Event, RoomBound
from gym_mcp.coordinator.rollout import Arm, run_rollout
from gym_mcp.coordinator.run import start
from gym_mcp.direct import DirectClient
from gym_mcp.harness import Limits
from gym_mcp.models.spec import make_model
from gym_mcp.types import JSONObject, Task
from tests.coordinator.kit import config, write_rows
from tests.server.raw import eventually
from tests.support import run


class Room(Environment):
    """Holds one at a time."""

    max_live = 1

    def verify(self, transcript: Transcript) -> float:
        return 1.0


class Two(Room):
    """Holds two."""

    max_live = 2


def arm_of(client: EnvironmentClient, **limits: Any) -> Arm:
    name, harness, _ = hub.load_harness("simple")
    return Arm("run", 0, "room", client, make_model("builtin/null"), name, harness, Limits(**limits), 2)


def test_a_rollout_waits_for_room_outside_its_deadline() -> None:
    async def main() -> None:
        async with DirectClient(Room) as client:
            held = await client.open_episode(Task("other"), seed=0)
            arm, told = arm_of(client, seconds=0.2), list[str]()
            arm.admission.on_full = told.append
            going = [asyncio.create_task(run_rollout(arm, Task("t"), 0, i)) for i in range(3)]
            await eventually(lambda: arm.admission.waiting == 3)
            await asyncio.sleep(0.3)
            await held.close()
            rows = await asyncio.gather(*going)
            assert told == ["1 episodes are open already"] and arm.admission.waiting == 0
        for row in rows:
            assert (row["outcome"], row["attempts"]) == ("scored", 1), row["failure"]
            assert 0.3 <= row["timing"]["waited_seconds"] <= row["timing"]["seconds"]

    run(main)


def test_no_room_for_very_long_is_the_environments_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "PATIENCE", 0.1)
    monkeypatch.setattr(admission, "AT_A_TIME", 0.02)

    async def main() -> JSONObject:
        async with DirectClient(Room) as client:
            await client.open_episode(Task("other"), seed=0)
            return await run_rollout(arm_of(client), Task("t"), 0, 0)

    row = run(main)
    assert row["failure"]["kind"] == "environment" and row["attempts"] == 1
    assert row["failure"]["message"] == "no room for 0.1 s: 1 episodes are open already"


def test_a_rollout_that_is_given_up_while_it_waits_takes_no_room() -> None:
    async def main() -> None:
        client = DirectClient(Room)
        async with client:
            held = await client.open_episode(Task("other"), seed=0)
            arm = arm_of(client)
            going = asyncio.create_task(run_rollout(arm, Task("t"), 0, 0))
            await eventually(lambda: arm.admission.waiting == 1)
            going.cancel()
            with pytest.raises(asyncio.CancelledError):
                await going
            await held.close()
            assert arm.admission.waiting == 0 and len(client.store) == 0
            await client.open_episode(Task("t"), seed=0)

    run(main)


def test_a_patient_client_waits() -> None:
    async def main() -> None:
        async with DirectClient(Room) as client:
            held = await client.open_episode(Task("other"), seed=0)
            opening = asyncio.create_task(Patient(client).open_episode(Task("t"), seed=0))
            await asyncio.sleep(0.01)
            assert not opening.done()
            await held.close()
            assert (await (await opening).verify(Transcript())).reward.score == 1.0

    run(main)


def test_what_a_killed_process_left_half_played_is_not_gone_on_with() -> None:
    async def main() -> None:
        async with DirectClient(Two) as client:
            killed, other = arm_of(client), arm_of(client)
            assert killed.run_id == other.run_id
            left = await client.open_episode(Task("t"), seed=0, key=f"run/{killed.process}/t/0/0")
            assert (await run_rollout(other, Task("t"), 0, 0))["outcome"] == "scored"
            await left.state()  # it is still there

    run(main)


def test_a_run_keeps_to_what_its_environment_holds(tmp_path: Path) -> None:
    file = tmp_path / "few.py"
    file.write_text(
        "import asyncio\n\nfrom gym_mcp import Environment\n\n\n"
        "class Few(Environment):\n"
        '    """Counts those that are open."""\n\n'
        "    max_live = 3\n    live = 0\n    most = 0\n\n"
        "    async def open(self, task):\n"
        "        Few.live += 1\n        Few.most = max(Few.most, Few.live)\n        await asyncio.sleep(0.001)\n\n"
        "    async def close(self):\n        await asyncio.sleep(0.002)\n        Few.live -= 1\n\n"
        "    def verify(self, transcript):\n        return float(Few.most <= 3)\n"
    )
    input = write_rows(tmp_path / "rows.jsonl", [{"id": f"t{i}", "prompt": "Go."} for i in range(30)])
    told: list[Event] = []
    made = config(file, "builtin/null", input=input, concurrency=16)
    done = run(lambda: start(made, tmp_path / "run", [told.append]))
    assert (done.metrics["scored"], done.metrics["mean_reward"]) == (30, 1.0)
    assert [e for e in told if isinstance(e, RoomBound)] == [RoomBound(16, 3, "few")]
    assert not any(isinstance(e, EnvironmentFull) for e in told)

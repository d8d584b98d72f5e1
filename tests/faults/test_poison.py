"""One task of a hundred that goes wrong: the others are scored, whatever it does and wherever."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.coordinator.kit import POISONED, make_harness
from tests.environments.poisoned import RESULTS
from tests.faults.process import Folder, gym, result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
SYNC = POISONED.with_name("poisoned_sync.py")
CASES = [
    *((POISONED, where, how) for where in ("open", "tool", "verify") for how in ("raise", "exit", "cancel")),
    *((POISONED, where, how) for where in ("open", "tool", "verify") for how in ("wait", "sleep", "spin")),
    *((SYNC, where, how) for where in ("open", "tool", "verify") for how in ("raise", "exit", "sleep", "spin")),
    *((POISONED, "verify", how) for how in RESULTS),
]


@pytest.mark.parametrize(
    ("environment", "where", "how"), CASES, ids=lambda v: v.stem if isinstance(v, Path) else v
)
def test_ninety_nine_are_scored(tmp_path: Path, environment: Path, where: str, how: str) -> None:
    folder = Folder(tmp_path, 100, t37={"where": where, "how": how})
    metrics = result(gym(*folder.flags("builtin/oracle", "-q", environment=environment)))
    kind = "verifier" if where == "verify" else "environment"
    assert (metrics["scored"], metrics["failed"], metrics["complete"]) == (99, {kind: 1}, True)
    assert metrics["mean_reward"] == 1.0 and metrics["failed_as_zero"]["mean_reward"] == pytest.approx(0.99)
    (failed,) = [row for row in folder.check(100) if row["outcome"] == "failed"]
    assert failed["task_id"] == "t37" and failed["failure"]["kind"] == kind


@pytest.mark.parametrize("how", ["sleep", "spin"])
def test_ten_that_hang_in_worker_threads_take_no_other_with_them(tmp_path: Path, how: str) -> None:
    bad = {f"t{i}": {"where": "tool", "how": how} for i in range(5, 100, 10)}
    folder = Folder(tmp_path, 100, **bad)
    metrics = result(gym(*folder.flags("builtin/oracle", "-q", environment=SYNC)))
    assert (metrics["scored"], metrics["failed"]) == (90, {"environment": 10})
    assert {r["task_id"] for r in folder.check(100) if r["outcome"] == "failed"} == set(bad)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("raise ValueError('x')", "harness"),
        ("sys.exit(3)", "harness"),
        ("raise asyncio.CancelledError", "harness"),
        ("return 3", "harness"),
        ("await asyncio.sleep(3600)", "timeout"),
    ],
)
def test_a_harness_that_goes_wrong_on_one_task(tmp_path: Path, body: str, kind: str) -> None:
    folder = Folder(tmp_path, 100)
    head = "if '37.' in session.prompt[0]['content']:\n"
    harness = make_harness(tmp_path, f"{head}    {body}\nreturn Transcript()")
    metrics = result(gym(*folder.flags("builtin/null", "-H", harness, "--max-seconds", 3, "-q")))
    assert (metrics["scored"], metrics["failed"]) == (99, {kind: 1})

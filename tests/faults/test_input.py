"""What scripts rely on: one JSON object, exit codes, and a bad row that leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.coordinator.kit import write_rows
from tests.faults.process import Folder, gym, refused, result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_one_json_object_with_what_scripts_need(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 20, t3={"where": "verify", "how": "raise"}, t4={"where": "open", "how": "exit"})
    done = gym(*folder.flags("builtin/noisy-oracle?p=0.5", "--repeats", 2))
    metrics = result(done)
    assert metrics["run_dir"] == str(folder.run)
    assert (metrics["expected"], metrics["scored"]) == (40, 36)
    assert metrics["failed"] == {"environment": 2, "verifier": 2}
    rewards = {(r["task_index"], r["repeat"]): r["reward"] for r in folder.rows() if r["outcome"] == "scored"}
    assert metrics["mean_reward"] == pytest.approx(sum(rewards.values()) / 36)
    assert metrics["pass_at_1"] == metrics["mean_reward"]
    low, high = metrics["ci95"]
    assert 0 <= low < metrics["pass_at_1"] < high <= 1
    assert "40 rollouts" in done.stderr and str(folder.run) in done.stderr
    written = orjson.loads((folder.run / "metrics.json").read_bytes())
    assert written.pop("loop_lag_p99_ms") <= written.pop("loop_lag_max_ms")  # of this process, not of the run
    assert {**written, "run_dir": str(folder.run)} == metrics
    assert result(gym("eval", "show", folder.run, "--json")) == metrics


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            {"id": "b", "prompt": "x", "data": {"initial_count": "one"}},
            "initial_count: Input should be a valid integer",
        ),
        ({"id": "b", "prompt": "x", "data": {"initial_count": 1}}, "expected_count: Field required"),
        (
            {"id": "a", "prompt": "x", "data": {"initial_count": 1, "expected_count": 2}},
            "task id `a` is used twice",
        ),
        ({"prompt": 5}, "prompt: a string or a list"),
    ],
)
def test_a_bad_row(tmp_path: Path, row: object, told: str) -> None:
    fine = {"id": "a", "prompt": "x", "data": {"initial_count": 0, "expected_count": 1}}
    given = write_rows(tmp_path / "rows.jsonl", [fine, row])  # type: ignore[list-item]
    flags = ("eval", "run", "-e", "example_session_state_mgmt", "-m", "builtin/null", "--json", "--input", given)
    refused(gym(*flags, "--out", tmp_path / "run"), f"rows.jsonl:2: {told}")
    assert [p.name for p in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_bad_row_after_limit_is_not_read(tmp_path: Path) -> None:
    fine = {"id": "a", "prompt": "x", "data": {"initial_count": 0, "expected_count": 1}}
    given = write_rows(tmp_path / "rows.jsonl", [fine, {"prompt": 5}])
    flags = ("eval", "run", "-e", "example_session_state_mgmt", "-m", "builtin/oracle", "--json", "--input", given)
    assert result(gym(*flags, "--limit", 1, "--out", tmp_path / "run", "-q"))["scored"] == 1


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("-e", "mcqaa", "-m", "builtin/null"), "did you mean `mcqa`?"),
        (("-e", "mcqa"), "no model: give -m SPEC"),
        (("-m", "builtin/null"), "no environment: give -e NAME"),
        (("-e", "mcqa", "-m", "builtin/nul"), "did you mean `null`?"),
        (("-e", "mcqa", "-m", "openai/x"), "no OPENAI_API_KEY"),
        (("-e", "mcqa", "-m", "builtin/null", "--input", "absent.jsonl"), "absent.jsonl: No such file"),
        (("-e", "mcqa", "-m", "builtin/null", "--max-cost", "1", "--set", "repeets=1"), "did you mean `repeats`?"),
        (("-e", "mcqa", "-m", "builtin/null", "--repeats", "0"), "--repeats"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path: Path, flags: tuple[str, ...], told: str) -> None:
    refused(gym("eval", "run", *flags, "--json", "--out", tmp_path / "run"), told)
    assert list(tmp_path.iterdir()) == []


def test_resume_and_show_of_what_is_no_run(tmp_path: Path) -> None:
    for verb in ("resume", "show"):
        refused(gym("eval", verb, tmp_path, "--json"), "no run there")
    assert list(tmp_path.iterdir()) == []

"""The analysis of a run: the same bytes whatever the order of rows, counts that agree."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gym_mcp.cli.main import main
from gym_mcp.diagnosis.analyze import analyze, dump
from gym_mcp.diagnosis.finding import LABELS, SHOWN
from gym_mcp.diagnosis.page import page
from tests.diagnosis.runs import office_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return office_run(tmp_path_factory.mktemp("run") / "run")


def test_row_order_changes_no_byte(run: Path, tmp_path: Path) -> None:
    before = dump(analyze(run))
    lines = (run / "rollouts.jsonl").read_text().splitlines(keepends=True)
    random.Random(3).shuffle(lines)
    other = tmp_path / "shuffled"
    other.mkdir()
    for name in ("manifest.json", "tasks.jsonl", "metrics.json"):
        (other / name).write_bytes((run / name).read_bytes())
    (other / "rollouts.jsonl").write_text("".join(lines))
    assert dump(analyze(other)) == before


def test_another_process_with_another_hash_seed_writes_the_same_bytes(run: Path, tmp_path: Path) -> None:
    found = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "gym_mcp.cli.main", "analyze", str(run), "-o", str(out)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, timeout=60)
        found.append(((out / "findings.json").read_bytes(), (out / "analysis.md").read_bytes()))
    assert found[0] == found[1]


def test_every_finding_can_be_traced(run: Path) -> None:
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    ids = {row["rollout_id"] for row in rows}
    for f in analyze(run)["findings"]:
        assert f["label"] in LABELS
        assert 0 < f["count"] <= f["of"]
        low, high = f["interval"]
        assert low <= f["count"] / f["of"] <= high
        assert set(f["rollouts"]) <= ids and 0 < len(f["rollouts"]) <= SHOWN
        assert f["tasks_could_turn"] <= 20 and 0 <= f["points"] <= 100


def test_the_funnel_only_narrows_and_ends_with_what_passed(run: Path) -> None:
    funnel = analyze(run)["funnel"]
    counts = [stage["rollouts"] for stage in funnel]
    assert counts == sorted(counts, reverse=True)
    assert (funnel[0]["rollouts"], funnel[-1]["rollouts"]) == (80, 54)


def test_pairs_part_where_they_say(run: Path) -> None:
    pairs = analyze(run)["contrasts"]
    assert len(pairs) == 15
    assert all(p["failed_next"] == "says I do not know." and p["shared_events"] == 0 for p in pairs)


def test_the_bound_on_points_is_what_passing_would_bring(run: Path) -> None:
    found = analyze(run)
    gap = 1.0 - found["score"]["pass"]["failed_excluded"]["value"]
    idle = next(f for f in found["findings"] if f["kind"] == "no_attempt")
    assert idle["points"] == pytest.approx(100 * gap, abs=1e-3)
    assert idle["tasks_could_turn"] == 15


def test_a_missing_run_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", str(tmp_path / "nowhere")]) == 2
    assert "no run there" in capsys.readouterr().err
    assert main(["analyze", "chek", "report.md"]) == 2
    assert "did you mean `check`?" in capsys.readouterr().err


def test_hostile_texts_cannot_format_the_page(run: Path, tmp_path: Path) -> None:
    found = json.loads(dump(analyze(run)))
    found["findings"][0]["details"] = {"x": "a | b `c` <script>\n# head", "y": "`` ``` ````"}
    found["findings"][0]["title"] = "p < 0.1 <b>."
    text = page(found)
    assert "\n# head" not in text
    assert "- y: ````` `` ``` ```` `````\n" in text
    assert "\np < 0.1 &lt;b>.\n" in text
    assert "a \\| b" in text


def test_an_unfinished_run_says_so(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "half"
    other.mkdir()
    for name in ("manifest.json", "tasks.jsonl"):
        (other / name).write_bytes((run / name).read_bytes())
    lines = (run / "rollouts.jsonl").read_text().splitlines(keepends=True)
    (other / "rollouts.jsonl").write_text("".join(lines[:50]) + lines[50][:40])
    first = analyze(other)["findings"][0]
    assert (first["kind"], first["count"], first["of"]) == ("missing_rollouts", 30, 80)


def test_a_kind_of_task_by_a_flag_of_it(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "flagged"))
    tasks = [json.loads(line) for line in (run / "tasks.jsonl").read_text().splitlines()]
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    for i, task in enumerate(tasks):
        task["data"]["hard"] = i % 2 == 0
    for row in rows:
        row["reward"] = float(row["task_index"] % 2 or row["repeat"] == row["task_index"] % 4)
        if row["task_index"] == 1:
            row["reward"] = 0.0
    (other / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    (other / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {f["id"]: f for f in analyze(other)["findings"]}["weak_category:data.hard=true"]
    assert (found["count"], found["of"]) == (30, 40)
    assert found["tasks"] == [task["id"] for task in tasks if task["data"]["hard"]]


def test_a_rollout_is_shown_from_its_prompt_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = map(json.loads, (run / "rollouts.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["ledger"])
    task = json.loads((run / "tasks.jsonl").read_text().splitlines()[row["task_index"]])
    assert main(["analyze", "show", str(run), row["rollout_id"]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"rollout {row['rollout_id']}"
    assert any(line.startswith("prompt: ") for line in lines)
    assert task["prompt"][-1]["content"].splitlines()[-1] in "\n".join(lines)
    assert lines[-1].startswith(f"ledger:{len(row['ledger']) - 1}: ")


@pytest.mark.parametrize("slip", ["reply-to-last-1/2", "reply-to-last-1", "reply-to-lst-1/2"])
def test_a_rollout_that_is_misnamed(slip: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "show", str(run), slip]) == 2
    assert "/reply-to-last-1/" in capsys.readouterr().err


def test_failures_of_many_kinds_are_a_bounded_number_of_findings(run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "failed"))
    rows = [json.loads(line) for line in (run / "rollouts.jsonl").read_text().splitlines()]
    for i, row in enumerate(rows):
        message = "gone" if i < 10 else "no " + "abcdefghij"[i // 10] * 3 + "abcdefghij"[i % 10] * 3
        row.update(outcome="failed", reward=None, ledger=[], response=None)
        row["failure"] = {"kind": "model", "message": message}
    (other / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    analysis = analyze(other)
    found = [f for f in analysis["findings"] if f["kind"] == "failed_model"]
    assert sum(f["count"] for f in found) == 80
    assert {f["key"]: f["count"] for f in found}["gone"] == 10
    assert {f["key"]: f["count"] for f in found}["(others)"] == 80 - 10 - (SHOWN - 1)
    assert "No rollout has a score." in page(analysis)

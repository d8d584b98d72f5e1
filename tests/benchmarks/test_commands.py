"""`eval prepare`, `eval run -b` and `list benchmarks` as a user types them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from gym_mcp.cli.main import main
from tests.benchmarks.conftest import REPO, ROWS
from tests.benchmarks.hub import COMMIT, Hub
from tests.benchmarks.test_prepare import PATH, body
from tests.cli.support import COMMAND, process_env


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


def test_prepare_then_run_then_resume_without_the_cache(
    quiz: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.put(REPO, PATH, body(ROWS))
    code, out, err = run(capsys, "eval", "prepare", "quiz")
    assert code == 0
    assert out.startswith(f"quiz/test: 5 rows at {COMMIT}\n")
    assert "(recorded, not pinned in benchmark.yaml)" in out and "run it: gym-mcp eval run -b quiz -m SPEC" in out
    assert err == f"test.jsonl: {len(body(ROWS))} bytes\n"
    where = tmp_path / "run"
    command = ("eval", "run", "-b", "quiz", "-m", "builtin/oracle", "--out", str(where), "-q", "--json")
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert (json.loads(out)["tasks"], json.loads(out)["repeats"], json.loads(out)["pass_at_1"]) == (5, 2, 1.0)
    manifest = json.loads((where / "manifest.json").read_text())
    assert manifest["identity"]["benchmark"] == "quiz/test"
    assert json.loads((where / "metrics.json").read_text())["benchmark"] == "quiz/test"
    assert run(capsys, "eval", "show", str(where))[1].startswith("quiz/test · builtin/oracle · simple\n")
    assert manifest["config"]["benchmark"] == "quiz" and manifest["config"]["sampling"] == {"temperature": 0.5}
    shutil.rmtree(tmp_path / "cache")
    assert run(capsys, "eval", "resume", str(where), "-q")[0] == 0


def test_json_and_another_folder(quiz: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.put(REPO, PATH, body(ROWS))
    code, out, err = run(capsys, "eval", "prepare", "quiz", "--dir", str(tmp_path / "d"), "--json", "-q")
    assert (code, err) == (0, "")
    assert json.loads(out)["path"] == str(tmp_path / "d" / "prepared" / "quiz" / "test.jsonl")
    _, out, _ = run(capsys, "eval", "prepare", "quiz", "--dir", str(tmp_path / "d"), "-q")
    assert f"run it: GYM_MCP_DATASETS={tmp_path / 'd'} gym-mcp eval run -b quiz -m SPEC" in out


def test_smoke_needs_nothing(quiz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out_dir = str(tmp_path / "run")
    code, out, _ = run(
        capsys, "eval", "run", "-b", "quiz", "--split", "smoke", "-m", "builtin/oracle", "--out", out_dir, "--json"
    )
    assert code == 0 and json.loads(out)["expected"] == 1
    assert run(capsys, "eval", "prepare", "quiz", "--split", "smoke")[1].startswith("quiz: nothing to prepare: it")


def test_flags_win(quiz: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--repeats", "3", "--temperature", "0.9", "--set", "env.box=last")
    command = ("eval", "run", "-b", "quiz", "--split", "smoke", "-m", "builtin/null", "--out", str(tmp_path / "r"))
    assert run(capsys, *command, *flags, "-q")[0] == 0
    config = json.loads((tmp_path / "r" / "manifest.json").read_text())["config"]
    assert (config["repeats"], config["sampling"]) == (3, {"temperature": 0.9})
    assert config["env"] == {"grading_mode": "strict_single_letter_boxed", "box": "last"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-b", "quiz"], "split test is not prepared"),
        (["-b", "quzi"], "no benchmark `quzi`; did you mean `quiz`?"),
        (["-b", "quiz", "-e", "mcqa"], "-b and -e: "),
        (["-b", "quiz", "--input", "x.jsonl"], "a benchmark has its own tasks"),
        (["-e", "mcqa", "--split", "test"], "a split belongs to a benchmark"),
    ],
)
def test_mistakes(
    quiz: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = run(capsys, "eval", "run", *arguments, "-m", "builtin/null")
    assert code == 2 and message in err and err.count("\n") == 1


def test_a_hub_that_fails_is_one_line(quiz: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.put(REPO, PATH, body(ROWS))
    hub.gated.add(REPO)
    code, _, err = run(capsys, "eval", "prepare", "quiz")
    assert code == 1 and "HF_TOKEN" in err and err.count("\n") == 1


def test_an_experiment_with_benchmarks(quiz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gym_mcp.coordinator.config import load_experiment

    path = tmp_path / "x.yaml"
    path.write_text("benchmarks: [quiz]\nsplit: smoke\nenvironments: [mcqa]\nmodels: [builtin/null]\n")
    plain, bench = load_experiment(path, {}).runs
    assert (plain.benchmark, plain.split, plain.repeats) == (None, None, 1)
    assert (bench.benchmark, bench.split, bench.environment) == ("quiz", "smoke", "mcqa")
    assert [c.benchmark for c in load_experiment(path, {"benchmark": "quiz", "split": "smoke"}).runs] == ["quiz"]
    path.write_text("benchmarks: [quiz]\nsplit: smoke\nrepeats: 7\nmodels: [builtin/null]\n")
    assert load_experiment(path, {}).runs[0].repeats == 7
    assert load_experiment(path, {"repeats": 9}).runs[0].repeats == 9


def test_lists(quiz: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    def of(name: str) -> dict[str, object]:
        _, out, _ = run(capsys, "list", "benchmarks", "--json")
        return next(item for item in json.loads(out) if item["name"] == name)

    listed = of("quiz")
    assert listed["status"] == "smoke only" and listed["repeats"] == 2 and listed["splits"] == ["test", "smoke"]
    hub.put(REPO, PATH, body(ROWS))
    run(capsys, "eval", "prepare", "quiz", "-q")
    assert of("quiz")["status"] == "prepared"
    text = (quiz / "benchmark.yaml").read_text()
    (quiz / "benchmark.yaml").write_text(text.replace("environment: mcqa", "environment: elsewhere"))
    assert of("quiz")["status"] == "no environment"
    (quiz / "benchmark.yaml").write_text("a: [")
    assert of("quiz")["status"] == "unreadable"


def test_a_killed_prepare_goes_on_where_it_was(quiz: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    content = body(ROWS * 4_000)
    hub.put(REPO, PATH, content)
    hub.cut, hub.hold = [len(content) // 2], threading.Event()
    child = subprocess.Popen([*COMMAND, "eval", "prepare", "quiz", "-q"], env=process_env() | _hubs())
    try:
        part = _wait_for_part(quiz.parents[2] / "cache", len(content) // 2)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        hub.hold.set()
    assert part.stat().st_size == len(content) // 2
    assert run(capsys, "eval", "prepare", "quiz", "-q")[0] == 0
    assert hub.requests("/store")[-1]["range"] == f"bytes={len(content) // 2}-"


def _hubs() -> dict[str, str]:
    return {key: os.environ[key] for key in ("GYM_MCP_HUB", "GYM_MCP_DATASETS", "HF_ENDPOINT")}


def _wait_for_part(cache: Path, size: int) -> Path:
    stop = time.monotonic() + 30
    while time.monotonic() < stop:
        for part in cache.rglob("*.part"):
            if part.stat().st_size >= size:
                return part
        time.sleep(0.02)
    raise AssertionError("nothing was fetched")

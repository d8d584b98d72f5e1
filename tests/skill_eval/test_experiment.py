"""An experiment from the command line: its files, going on, what is refused; with a harness in this process."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from gym_mcp.cli.main import main
from gym_mcp.coordinator.events import RolloutFinished, RunFinished
from gym_mcp.coordinator.journal import rewrite
from gym_mcp.skill_eval.side_by_side import Unused
from gym_mcp.types import JSONObject
from tests.cli.support import COMMAND, process_env
from tests.coordinator.kit import read_lines
from tests.skill_eval.kit import LAB, facts, reader, skill_folder


class Bench:
    """A folder with two skill sets and a harness; `skills` runs the command there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.out = folder / "out"
        self.harness = reader(folder)
        self.mine = skill_folder(folder / "mine", "counting", "adding")
        skill_folder(folder / "other", "asking")
        self._capsys = capsys

    def skills(self, *arguments: str) -> tuple[int, str, str]:
        code = main(["eval", "skills", "--out", str(self.out), *arguments])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def new(self, *arguments: str, arms: str = "mine,other,none") -> tuple[int, str, str]:
        settings = ("-e", str(LAB), "-m", "builtin/oracle", "-H", str(self.harness), "--limit", "4")
        return self.skills(*settings, "--skills", arms, *arguments)

    def report(self) -> JSONObject:
        found: JSONObject = json.loads((self.out / "skills.json").read_text())["report"]
        return found

    def rows(self, arm: str) -> list[JSONObject]:
        return read_lines(self.out / "runs" / arm / "rollouts.jsonl")

    def refused(self, answer: tuple[int, str, str], said: str) -> None:
        code, out, err = answer
        assert (code, out) == (2, "") and said in err.splitlines()[-1], err


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, capsys)


def test_every_arm_is_a_run_of_its_own_with_a_copy_of_its_skills(bench: Bench) -> None:
    code, out, err = bench.new("--repeats", "2", "--concurrency", "1")
    assert code == 0, err
    assert "mine less none" in out and "other less mine" in out and err.count("4 tasks x 2 = 8 rollouts") == 3
    assert (bench.out / "skills" / "mine" / "counting" / "SKILL.md").read_text() == (
        bench.mine / "counting" / "SKILL.md"
    ).read_text()
    rows = {arm: bench.rows(arm) for arm in ("none", "mine", "other")}
    assert {arm: len(found) for arm, found in rows.items()} == {"none": 8, "mine": 8, "other": 8}
    seeds = [{(r["task_id"], r["repeat"], r["seed"]) for r in found} for found in rows.values()]
    assert seeds[0] == seeds[1] == seeds[2], "the same tasks, seeds and repeats"
    assert rows["none"][0]["skills_ref"] == "none" and rows["mine"][0]["skills_ref"].startswith("mine@")
    order = sorted((r["timing"]["started"], arm) for arm, found in rows.items() for r in found)
    rounds = [{arm for _, arm in order[i : i + 3]} for i in range(0, 24, 3)]
    assert all(len(arms) == 3 for arms in rounds), "side by side, not one after the other"
    firsts = {order[i][1] for i in range(0, 24, 3)}
    assert len(firsts) > 1, "no arm always goes first"
    found = bench.report()
    assert [arm["name"] for arm in found["arms"]] == ["none", "mine", "other"] and found["complete"]
    assert found["arms"][1]["activation"]["loaded"]["value"] == 0.5
    assert [(c["a"], c["b"]) for c in found["contrasts"]] == [
        ("none", "mine"),
        ("none", "other"),
        ("mine", "other"),
    ]
    assert found["warnings"] == []
    assert bench.out.stat().st_mode & 0o077 == 0


def test_what_is_there_goes_on_without_saying_everything_again(bench: Bench) -> None:
    assert bench.new()[0] == 0
    for arm, kept in (("mine", 3), ("other", 0)):
        journal = bench.out / "runs" / arm / "rollouts.jsonl"
        rewrite(journal, iter(bench.rows(arm)[:kept]))
    shutil.rmtree(bench.mine)
    before = bench.rows("none"), bench.rows("mine")
    code, out, err = bench.skills("--json")
    assert code == 0, err
    assert "4 tasks x 1 = 4 rollouts, 3 done already" in err
    assert bench.rows("none") == before[0] and bench.rows("mine")[:3] == before[1]
    assert json.loads(out)["complete"] and len(bench.rows("other")) == 4
    assert main(["eval", "resume", "-q", str(bench.out / "runs" / "mine")]) == 0


CHANGED = (
    ("--skills", "mine,none", "holds another experiment (other: other@"),
    ("--seed", "1", "seed: 0 -> 1"),
    ("-m", "builtin/null", "model: "),
    ("--limit", "2", "tasks: "),
    ("--repeats", "2", "repeats: 1 -> 2"),
    ("--max-turns", "3", "limits: "),
    ("--set", "harness_options.seconds=0.1", "harness_options: "),
)


def test_what_changed_is_refused(bench: Bench) -> None:
    assert bench.new()[0] == 0
    for flag, value, said in CHANGED:
        bench.refused(bench.skills(flag, value), said)
    assert len(bench.rows("mine")) == 4 and bench.report()["complete"]


def test_one_arm_that_is_refused_costs_the_others_nothing(bench: Bench) -> None:
    assert bench.new()[0] == 0
    path = bench.out / "runs" / "none" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["identity"]["seed"] = 7
    path.write_text(json.dumps(manifest))
    bench.refused(bench.skills(), "runs/none: holds another run (seed: 7 -> 0)")
    assert main(["eval", "show", str(bench.out / "runs" / "mine")]) == 0 and len(bench.rows("mine")) == 4


def test_an_arm_that_loads_nothing_is_told_of_early() -> None:
    said: list[tuple[str, str]] = []
    listen = Unused("mine", lambda arm, line: said.append((arm, line)))
    for _ in range(30):
        listen(RolloutFinished({"harness_facts": facts(False)["harness_facts"]}))
    assert said == [("mine", "none of the first 10 rollouts loaded a skill (docs/skills.md)")]
    listen = Unused("mine", lambda arm, line: said.append((arm, line)))
    for i in range(30):
        listen(RolloutFinished(facts(i == 8)))
        listen(RunFinished(False))
    assert len(said) == 1


def test_skills_that_changed_are_refused(bench: Bench) -> None:
    assert bench.new(arms="mine,none")[0] == 0
    (bench.mine / "counting" / "notes.md").write_text("More.")
    bench.refused(bench.new(arms="mine,none"), "mine: mine@")
    (bench.out / "skills" / "mine" / "counting" / "notes.md").write_text("More.")
    bench.refused(bench.skills(), "skills/mine: was changed since")
    shutil.rmtree(bench.out / "skills" / "mine")
    bench.refused(bench.skills(), "the copy of the skills is missing; give --skills as before")
    (bench.mine / "counting" / "notes.md").unlink()
    assert bench.new(arms="mine,none")[0] == 0, "the same skills again are copied again"


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no arms": ((), "no arms: give --skills DIR,none"),
    "a harness without skills": (("--skills", "mine,none", "-H", "simple"), "simple: takes no skills"),
    "no such tasks": (("--skills", "mine,none", "--input", "nowhere.jsonl"), "nowhere.jsonl"),
    "a metric": (("--skills", "mine,none", "--metric", "rewrad"), "no such number; did you mean `reward`?"),
    "workers": (("--skills", "mine,none", "--set", "workers=2"), "eval skills sets that itself"),
    "skills by --set": (("--skills", "mine,none", "--set", "skills=mine"), "eval skills sets that itself"),
    "two models": (("--skills", "mine,none", "-m", "builtin/null"), "one of the models at a time"),
    "two environments": (("--skills", "mine,none", "-b", "gsm8k"), "-b and -e"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_leaves_nothing_behind(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    bench.refused(bench.skills("-e", str(LAB), "-m", "builtin/oracle", "-H", str(bench.harness), *arguments), said)
    assert not bench.out.exists()


def test_a_folder_with_something_else_is_left_alone(bench: Bench) -> None:
    bench.out.mkdir()
    (bench.out / "skills").mkdir()
    bench.refused(bench.new(), "not empty and no experiment of skills")
    assert [p.name for p in bench.out.iterdir()] == ["skills"]
    (bench.out / "skills.json").write_text("[]")
    bench.refused(bench.new(), "not an experiment of skills of this version")
    (bench.out / "skills.json").write_text("{")
    bench.refused(bench.new(), "unreadable")
    for arms in (None, [{"name": "../../elsewhere", "source": "x", "skills": "none"}], [{"name": "a"}]):
        about = {"schema": 1, "kind": "skills", "settings": {}, "arms": arms}
        (bench.out / "skills.json").write_text(json.dumps(about))
        bench.refused(bench.skills(), "was changed by something else")


def test_credentials_are_not_kept(bench: Bench) -> None:
    down = ("-m", "openai-chat/m", "--base-url", "http://me:secret@127.0.0.1:1/v1", "--max-retries", "0")
    about = ("-e", str(LAB), "-H", str(bench.harness), "--limit", "4", "--skills", "mine,none")
    code, out, _ = bench.skills(*about, *down)
    assert code == 0 and "model 4" in out and "Cannot tell: no task has a score in both runs." in out
    assert all(b"secret" not in path.read_bytes() for path in bench.out.rglob("*") if path.is_file())
    bench.refused(bench.skills(), "give it again")


def test_skills_where_none_should_be_are_told(bench: Bench) -> None:
    code, out, _ = bench.new("--set", "harness_options.leak=true", "--set", "limits.turns=9", arms="mine,none")
    assert code == 0 and "! `none` knew of `counting`, which is not its own" in out
    told = [w for w in bench.report()["warnings"] if w["code"] == "foreign_skill"]
    assert {w["arm"] for w in told} == {"none"} and len(told) == 2


def test_metric_and_text(bench: Bench) -> None:
    assert bench.new("--metric", "pass", arms="mine,none")[0] == 0
    code, out, _ = bench.skills("--metric", "pass", "-q")
    assert code == 0 and "100.0%" in out and "points" in out and "where loaded" in out
    assert "counting  4        0          2       0" in out, "each skill of several by itself"


def test_help_names_the_settings_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "skills", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--skills", "--repeats", "--max-turns", "--price", "--set", "--json"))
    assert "--workers" not in text and "--config" not in text


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_an_interrupt_lets_what_runs_finish_in_all_arms(bench: Bench) -> None:
    settings = ("-e", str(LAB), "-m", "builtin/oracle", "-H", str(bench.harness), "--limit", "8")
    slowly = ("--concurrency", "2", "--set", "harness_options.seconds=0.25", "--skills", "mine,none")
    arguments = [*COMMAND, "eval", "skills", "--out", str(bench.out), *settings, *slowly]
    started = subprocess.Popen(arguments, env=process_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with started:
        journals = [bench.out / "runs" / arm / "rollouts.jsonl" for arm in ("mine", "none")]
        until = time.monotonic() + 30
        while not all(path.exists() and path.stat().st_size for path in journals):
            assert time.monotonic() < until and started.poll() is None
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=30)
    assert started.returncode == 130
    assert b"interrupted: finishing" in err and b"go on with: gym-mcp eval skills --out" in err
    done = [len(bench.rows(arm)) for arm in ("mine", "none")]
    assert 0 < sum(done) < 16 and abs(done[0] - done[1]) <= 1
    assert b"have not run yet" in out and not bench.report()["complete"]
    assert bench.skills("-q")[0] == 0 and bench.report()["complete"]

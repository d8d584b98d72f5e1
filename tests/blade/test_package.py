"""The shipped package is complete; what must not pass does not; each thing that is missing is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gym_mcp.blade.controls import CONTROLS, calibrate
from gym_mcp.blade.package import GOLDEN, SHALLOW, Package, read_anchors, validate
from gym_mcp.cli.main import main

SHIPPED = Path(__file__).resolve().parents[2] / "analysis_skills" / "packages" / "workplace_assistant"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "package"))


@pytest.fixture(scope="module")
def grades() -> dict[str, float]:
    package = Package(SHIPPED)
    golden = package.goldens()[0]
    text, own = golden.report.read_text(), golden.shallow.read_text()
    return calibrate(text, package.data(golden), read_anchors(golden.anchors), own)


def test_the_shipped_package_is_complete() -> None:
    assert validate(Package(SHIPPED)) == []


def test_the_golden_report_passes(grades: dict[str, float]) -> None:
    assert grades["golden"] > GOLDEN


@pytest.mark.parametrize("control", ["shallow", *CONTROLS])
def test_what_must_not_pass_does_not(grades: dict[str, float], control: str) -> None:
    assert grades[control] < SHALLOW


@pytest.mark.parametrize(
    ("path", "phase", "complaint"),
    [
        ("skill/SKILL.md", "skill", "SKILL.md is missing"),
        ("rollouts/noisy-0.9/rollouts.jsonl", "rollouts", "1 runs with scored rollouts"),
        ("rollouts/noisy-0.7/tasks.jsonl", "rollouts", "tasks.jsonl is missing"),
        ("golden_reports/noisy-oracle_shallow.md", "golden", "shallow.md missing"),
        ("golden_reports/noisy-oracle_golden_report.md", "golden", "has no *_golden_report.md"),
    ],
)
def test_what_is_missing_is_named(copy: Path, path: str, phase: str, complaint: str) -> None:
    (copy / path).unlink()
    assert any(complaint in problem for problem in validate(Package(copy), phase))


def test_a_sidecar_that_is_wrong_is_named(copy: Path) -> None:
    path = copy / "golden_reports" / "noisy-oracle_golden_report_metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pass_at_1": 0.7}))
    assert any("pass_at_1 is 0.7" in problem for problem in validate(Package(copy), "golden"))


def test_a_golden_report_with_a_false_claim_is_named(copy: Path) -> None:
    path = copy / "golden_reports" / "noisy-oracle_golden_report.md"
    path.write_text(path.read_text().replace("= 45]", "= 46]"))
    assert any("problems" in problem for problem in validate(Package(copy), "golden"))


def test_the_commands(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p.name: p.read_bytes() for p in (copy / "golden_reports").iterdir()}
    for command in ("extract-anchor-facts", "make-shallow", "calibrate", "validate"):
        assert main(["blade", command, "--benchmark-dir", str(copy)]) == 0
    assert {p.name: p.read_bytes() for p in (copy / "golden_reports").iterdir()} == before
    report = copy / "golden_reports" / "noisy-oracle_golden_report.md"
    assert main(["blade", "score", str(report), "--benchmark-dir", str(copy)]) == 0
    assert "1.000" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["extract-anchor-facts", "make-shallow", "calibrate", "score REPORT"])
def test_a_package_without_a_golden_report_is_a_usage_error(
    copy: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = (copy / "golden_reports" / "noisy-oracle_golden_report.md").rename(copy / "report.md")
    words = [str(report) if word == "REPORT" else word for word in command.split()]
    assert main(["blade", *words, "--benchmark-dir", str(copy)]) == 2
    assert "golden_reports/ has no *_golden_report.md" in capsys.readouterr().err


def test_what_is_wrong_with_a_report_is_said(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = copy / "report.md"
    report.write_text("The run holds 46 rollouts [claim: rollouts() = 46].")
    assert main(["blade", "score", str(report), "--benchmark-dir", str(copy)]) == 0
    out = capsys.readouterr().out
    assert "report.md:1: false_claim: [claim: rollouts() = 46]: the query gives 45, not 46" in out
    assert "0 of 1 sentences" in out


def test_a_file_beside_the_golden_report_that_is_missing_or_wrong(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy / "golden_reports"
    path = folder / "noisy-oracle_golden_report_metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pass_at_1": "high"}))
    assert any("pass_at_1 is high" in problem for problem in validate(Package(copy), "golden"))
    (folder / "noisy-oracle_shallow.md").unlink()
    assert main(["blade", "calibrate", "--benchmark-dir", str(copy)]) == 2
    assert "noisy-oracle_shallow.md: No such file" in capsys.readouterr().err
    (copy / "report.md").write_bytes(b"\xff")
    assert main(["blade", "score", str(copy / "report.md"), "--benchmark-dir", str(copy)]) == 2
    assert "report.md: not UTF-8" in capsys.readouterr().err

"""Each planted fault is found in a real run, by a finding that names it; clean runs have no alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.diagnosis.analyze import analyze
from perf.seeded_faults import PLANTS, Fault, Planted, judge, plant
from tests.diagnosis.runs import choice_run, office_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        "mcqa": choice_run(folder / "mcqa"),
        "workplace_assistant": office_run(folder / "office", "builtin/noisy-oracle?p=0.8", 30),
    }


@pytest.mark.parametrize(("name", "fault", "paired"), PLANTS, ids=[f"{n}-{f.__name__}" for n, f, _ in PLANTS])
@pytest.mark.parametrize("seed", [11, 12])
def test_a_planted_fault_is_found_and_little_else(
    runs: dict[str, Path], tmp_path: Path, name: str, fault: Fault, paired: bool, seed: int
) -> None:
    planted = plant(runs[name], tmp_path / "run", fault, seed)
    hit, _, false = judge(analyze(tmp_path / "run", runs[name] if paired else None), planted)
    assert hit
    assert false <= 1


@pytest.mark.parametrize("name", ["mcqa", "workplace_assistant"])
def test_a_clean_run_raises_no_alarm(runs: dict[str, Path], name: str) -> None:
    assert judge(analyze(runs[name]), Planted(()))[1] == 0


def test_the_oracle_of_a_sound_environment_raises_no_alarm(tmp_path: Path) -> None:
    found = analyze(office_run(tmp_path / "run", "builtin/oracle"))
    assert [f["id"] for f in found["findings"]] == []

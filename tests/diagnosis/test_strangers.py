"""Faults that are run, not edited: some of `perf/strangers`, and sound runs with no suspect."""

from __future__ import annotations

from pathlib import Path

import pytest

from perf.strangers.__main__ import BLIND, CASES, CLEAN, Case, play, result

SOME = (
    "mcqa:brackets/verifier_reads_no_brackets",
    "mcqa:judge_is_cached",
    "mcqa:leak_comment",
    "office:tool_says_nothing",
    "office:error_as_json",
    "office:calls_twice",
    "office:wrong_record",
)
SOUND = ("mcqa:p=0.5,k=4,n=24", "office:p=0.7,k=4,n=3")


def named(name: str) -> Case:
    return next(case for case in (*CASES, *BLIND, *CLEAN) if case.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOME)
def test_a_fault_that_was_run_is_found_and_no_other(name: str, tmp_path: Path) -> None:
    found = result(named(name), "", play(named(name), tmp_path / "run"))
    assert found.found
    assert found.other == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_run_has_no_suspect(name: str, tmp_path: Path) -> None:
    assert result(named(name), "", play(named(name), tmp_path / "run")).other == []

"""A journal that several processes read is the journal."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from gym_mcp.analysis import parts
from gym_mcp.analysis.profile import profile_of
from gym_mcp.analysis.read import read_run
from gym_mcp.coordinator.journal import DamagedJournal
from tests.analysis.made import Score, rewrite_rows, said, write_run


def a_run(path: Path) -> Path:
    rng = random.Random(7)
    kinds: list[Score] = [0.0, 1.0, 0.4, "model", None]
    scores = [[rng.choice(kinds) for _ in range(3)] for _ in range(40)]
    return write_run(path, scores, rows=[said(rng.choice("ABC")) for _ in range(120)])


def test_ranges_are_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"".join(b"x" * (i % 7) + b"\n" for i in range(50)))
    text = path.read_bytes()
    for count in (1, 2, 3, 60):
        spans = parts.ranges(path, count)
        assert b"".join(text[a:b] for a, b in spans) == text
        assert all(text[b - 1 : b] == b"\n" for _, b in spans)


@pytest.mark.parametrize("doubled", [False, True])
def test_parts_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doubled: bool) -> None:
    path = a_run(tmp_path / "r")
    rewrite_rows(path, lambda lines: [*lines, *(lines[:5] if doubled else ()), lines[0][:30]])
    alone, table = read_run(path), profile_of(path)
    monkeypatch.setattr(parts, "LARGE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert parts.workers(path / "rollouts.jsonl") == 3
    together = read_run(path)
    assert profile_of(path) == table
    assert together.sheet.doubled == alone.sheet.doubled == (5 if doubled else 0)
    for name, column in alone.sheet.columns.items():
        assert bytes(together.sheet.columns[name]) == bytes(column)
    assert together.sheet.answers == alone.sheet.answers and together.sheet.failed == alone.sheet.failed


def test_what_another_process_cannot_read_is_explained_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_run(tmp_path / "r")
    monkeypatch.setattr(parts, "LARGE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    rewrite_rows(path, lambda lines: [*lines[:-2], b'{"no": "row"}\n', lines[-1]])
    lines = len((path / "rollouts.jsonl").read_bytes().splitlines())
    with pytest.raises(DamagedJournal, match=rf"rollouts\.jsonl:{lines - 1}: not a rollout"):
        read_run(path)
    rewrite_rows(path, lambda lines: [*lines[:-2], lines[-1]])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert read_run(path).sheet.scored > 0

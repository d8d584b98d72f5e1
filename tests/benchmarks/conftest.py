"""A hub folder with one benchmark of its own, a cache, and a dataset hub to fetch from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.hub import Hub, serving

REPO = "someone/quiz"
YAML = """\
description: A quiz.
environment: mcqa
domain: knowledge
category: Knowledge & Reasoning
repeats: 2
env: {grading_mode: strict_single_letter_boxed}
sampling: {temperature: 0.5}
splits:
  test:
    repo: someone/quiz
    files: [{path: data/test.jsonl}]
prompt: "{question}\\n{options}\\nGive the letter in \\\\boxed{}."
fields:
  options: {from: choices, do: [letters]}
  expected_answer: {from: answer, do: [letter]}
"""
SMOKE = '{"question": "Up?", "choices": ["yes", "no"], "answer": 0}\n'
ROWS = [{"question": f"Is it {i}?", "choices": ["yes", "no"], "answer": i % 2} for i in range(5)]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The dataset hub that `HF_ENDPOINT` names."""
    with serving() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


@pytest.fixture
def quiz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the benchmark `quiz`, on a hub of its own; the cache is `tmp_path/cache`."""
    folder = tmp_path / "hub" / "benchmarks" / "quiz"
    folder.mkdir(parents=True)
    (folder / "benchmark.yaml").write_text(YAML)
    (folder / "smoke.jsonl").write_text(SMOKE)
    monkeypatch.setenv("GYM_MCP_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("GYM_MCP_DATASETS", str(tmp_path / "cache"))
    return folder

"""`gym-mcp judge calibrate` as a process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import gym

pytestmark = pytest.mark.slow  # real processes, or searches that take their time


def files(folder: Path) -> tuple[str, str, str]:
    """(prompt, labels, judge spec) of four pairs; the judge prefers `good`, and is blind to the last pair."""
    prompt, labels, replies = folder / "p.txt", folder / "labels.jsonl", folder / "replies.jsonl"
    prompt.write_text("{question}: {first} or {second}?")
    rows = [
        {"id": str(i), "question": "q", "first": "good", "second": "bad!!", "label": "first"} for i in range(4)
    ]
    labels.write_text("\n".join(map(json.dumps, rows)))
    told = [["[[A]]", "[[B]]"]] * 3 + [["[[A]]", "[[A]]"]]
    replies.write_text("\n".join(json.dumps({"task": str(i), "replies": r}) for i, r in enumerate(told)))
    return str(prompt), str(labels), f"replay:{replies}"


def test_calibrate(tmp_path: Path) -> None:
    prompt, labels, judge = files(tmp_path)
    flags = ("judge", "calibrate", "--judge", judge, "--prompt", prompt, "--labels", labels)
    done = gym(*flags)
    assert done.returncode == 0, done.stderr
    for line in (
        "accuracy                      75.0%",
        "same verdict when swapped     75.0%",
        "always first 1, always second 0",
        "right when shorter is better",
        "second  0       0    0",
        "first   0       1    3",
    ):
        assert line in done.stdout, done.stdout
    found = json.loads(gym(*flags, "--json", "-o", str(tmp_path / "out.jsonl")).stdout)
    assert found["accuracy"]["share"] == 0.75 and found["usage"]["model_calls"] == 0
    assert len(found["prompt"]["digest"]) == 12
    assert (tmp_path / "out.jsonl").stat().st_mode & 0o777 == 0o600
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["first", "first", "first", "tie"]
    assert [line["consistent"] for line in lines] == [True, True, True, False]


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    prompt, labels, judge = files(tmp_path)
    base = ("judge", "calibrate", "--judge", judge)
    for flags, words in (
        (
            ("--prompt", "nowhere", "--labels", labels),
            "--prompt nowhere: neither a readable text file nor a built-in prompt (equivalence, ",
        ),
        (("--prompt", prompt, "--labels", "nowhere.jsonl"), "nowhere.jsonl: No such file"),
        (("--prompt", prompt, "--labels", labels, "--read", "score:1-10"), "does not fit the labels"),
        (("--prompt", prompt, "--labels", labels, "--judge-price", "3"), "--judge-price 3: IN,OUT is expected"),
    ):
        done = gym(*base, *flags)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_judge_that_never_answers_is_a_failure(tmp_path: Path) -> None:
    prompt, labels, _ = files(tmp_path)
    (tmp_path / "none.jsonl").write_text("")
    judge = f"replay:{tmp_path / 'none.jsonl'}"
    done = gym("judge", "calibrate", "--judge", judge, "--prompt", prompt, "--labels", labels)
    assert done.returncode == 1 and "nothing to compare: " in done.stderr and "no recorded reply" in done.stderr

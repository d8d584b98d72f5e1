"""Markdown and the terminal: the same numbers, and text that means only itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gym_mcp.analysis.compare import compare
from gym_mcp.analysis.profile import profile_of
from gym_mcp.report import markdown
from gym_mcp.report.clean import clean, line
from gym_mcp.report.collect import collect
from gym_mcp.report.terminal import show_on_terminal
from gym_mcp.report.words import money, number, percent, seconds
from tests.report.made import graded, write
from tests.report.test_page import hostile_run


def test_markdown_has_the_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "run", graded(20, 4, failures=0.1))
    text, found = markdown.render([collect(path)], None), profile_of(path)
    passes = found["score"]["pass"]["failed_excluded"]
    assert f"**pass@1 {percent(passes['value'])}**" in text
    assert percent(found["score"]["pass"]["failed_as_worst"]["value"]) not in ("", "–")
    assert "| model |" in text and "## Transcripts" in text and "the answer" not in text
    assert "the answer" in markdown.render([collect(path)], None, with_answers=True)


def test_markdown_of_hostile_text(tmp_path: Path) -> None:
    reports = [collect(hostile_run(tmp_path / name)) for name in "ab"]
    text = markdown.render(reports, compare([r.run for r in reports]))
    assert "\x1b" not in text and "\u202e" not in text
    outside = re.sub(r"(?ms)^(`{3,})text\n.*?\n\1$", "", text)
    assert not re.search(r"(?<!\\)<(?!\!)", outside), "an unescaped tag outside of code"
    assert "](http" not in outside.replace("\\]", "") and "http://" not in outside, "a link"
    rows = [r for r in outside.splitlines() if r.startswith("|")]
    assert rows and all(len(re.findall(r"(?<!\\)\|", r)) in (3, 4, 5, 6) for r in rows)


def test_markdown_says_which_p_it_shows(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"run{i}", graded(60, 4, skill=0.4 * i), model=f"m{i}") for i in range(3)]
    reports = [collect(path) for path in paths]
    for shown, name in ((reports[:2], "p"), (reports, "p, Holm")):
        text = markdown.render(shown, compare([r.run for r in shown]))
        assert f"| difference | points | 95% CI | {name} | what changed |" in text
        assert "| < 0.001 |" in text and "0.000" not in text.split("\n# ")[0]


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert markdown.code("a ```` b").startswith("`````text\n")


def test_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "run", graded(100, 4, failures=0.1))
    show_on_terminal([collect(path, transcripts=False)], None)
    text = capsys.readouterr().out
    assert "The agent fully solved" in text and "one in 2 of 100" in text and "failed, model: " in text
    assert "\x1b" not in text, "colours in a pipe"


def test_the_terminal_with_several_hostile_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = [collect(hostile_run(tmp_path / name), transcripts=False) for name in "ab"]
    show_on_terminal(reports, compare([r.run for r in reports]))
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("a\tb\r\nc", "a\tb\nc"),
        ("\x1b[31m", "␛[31m"),
        ("\x9b", "⟨U+009B⟩"),
        ("\ud800x", "\ufffdx"),
        ("x\u202ey", "x⟨U+202E⟩y"),
        ("é 漢 🙂", "é 漢 🙂"),
    ],
)
def test_clean(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_cutting() -> None:
    assert clean("x" * 12, 10) == "x" * 10 + "… (2 characters more)"
    assert line(" a\n\n b ", 10) == "a b" and line("y" * 10**7, 5).startswith("yyyyy… (")


def test_numbers_for_people() -> None:
    assert [number(v) for v in (None, 0.0, 1234.5, 0.123456, 12)] == ["–", "0", "1,234", "0.123", "12"]
    assert [money(v) for v in (None, 0, 0.0123, 12.5)] == ["–", "$0.00", "$0.012", "$12.50"]
    assert [seconds(v) for v in (None, 0.0004, 1.5, 300, 10_000)] == ["–", "0.4 ms", "1.5 s", "5 min", "2.78 h"]

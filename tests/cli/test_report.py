"""`gym-mcp report` as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import ROOT, gym, process_env
from tests.report.made import graded, write

pytestmark = pytest.mark.slow  # real processes, or searches that take their time


def test_each_form(tmp_path: Path) -> None:
    run = str(write(tmp_path / "run", graded(8, 3)))
    assert "The agent fully solved" in gym("report", run).stdout
    for ending, start in (
        (".html", b"<!doctype html>"),
        (".md", b"# office"),
        (".csv", b"run_dir,"),
        (".parquet", b"PAR1"),
    ):
        out = tmp_path / f"report{ending}"
        done = gym("report", run, "-o", str(out))
        assert done.returncode == 0 and done.stdout.strip() == str(out), done.stderr
        assert out.read_bytes().startswith(start) and out.stat().st_mode & 0o077 == 0


def test_two_runs(tmp_path: Path) -> None:
    runs = [str(write(tmp_path / m, graded(8, 3, skill=s), model=m)) for m, s in (("m1", 0.0), ("m2", 0.5))]
    assert "m2 less m1" in gym("report", *runs).stdout
    done = gym("report", *runs, "-o", str(tmp_path / "r.html"))
    assert done.returncode == 0 and 'id="comparison"' in (tmp_path / "r.html").read_text()


def test_runs_that_cannot_be_compared_are_shown_all_the_same(tmp_path: Path) -> None:
    one = write(tmp_path / "one", graded(8, 3))
    other = write(tmp_path / "other", graded(5, 3), task=lambda i: {"id": f"x{i}", "prompt": "other", "data": {}})
    for flags in ((), ("-o", str(tmp_path / "r.html")), ("-o", str(tmp_path / "r.md"))):
        done = gym("report", str(one), str(other), *flags)
        assert done.returncode == 0, done.stderr
        text = Path(flags[1]).read_text() if flags else done.stdout
        assert "The runs are not compared: " in text


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    run = str(write(tmp_path / "run", graded(3, 2)))
    for flags, words in (
        ((run, "-o", "x.pdf"), "-o x.pdf: the ending says what is written: one of .html, .md, .csv, .parquet"),
        ((str(tmp_path),), "no run there"),
        ((run, "-o", str(tmp_path / "r.md"), "--task", "nobody"), "--task nobody: "),
    ):
        done = gym("report", *flags)
        assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("module", ["vl_convert", "jinja2"])
def test_without_the_extra(tmp_path: Path, module: str) -> None:
    """Only the page needs it, and says so in a line."""
    run = str(write(tmp_path / "run", graded(3, 2)))
    code = f"import sys; sys.modules[{module!r}] = None; from gym_mcp.cli.main import main; sys.exit(main())"

    def report(*flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, "report", run, *flags]
        return subprocess.run(command, cwd=ROOT, env=process_env(), capture_output=True, text=True, timeout=50)

    done = report("-o", str(tmp_path / "r.html"))
    assert done.returncode == 2 and "pip install 'gym-mcp[report]'" in done.stderr and done.stderr.count("\n") == 1
    assert report().returncode == report("-o", str(tmp_path / "r.md")).returncode == 0

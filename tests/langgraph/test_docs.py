"""The snippets of docs/langgraph.md run, and its tables name what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.hub import entries
from tests.endpoint import calling
from tests.langgraph.kit import scripted

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "langgraph.md").read_text(encoding="utf-8")
GRAPH, HARNESS = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)


def test_the_graph_of_the_page_runs(tmp_path: Path) -> None:
    path = tmp_path / "my_graph.py"
    path.write_text(GRAPH)
    row, _ = scripted(f"langgraph:{path}:graph", calling([("add", {"amount": 3})], "bye"))
    assert row["reward"] == 1.0
    fields = {field for span in row["spans"] for field in span}
    assert fields <= {name for line in re.findall(r"^\| (`.*?) \|", DOC, re.MULTILINE) for name in names(line)}


def names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_harness_of_the_page_is_one() -> None:
    scope: dict[str, Any] = {}
    exec(compile(HARNESS, "langgraph.md", "exec"), scope)
    assert callable(scope["harness"].run)


def test_every_graph_and_option_is_listed() -> None:
    rows = dict(re.findall(r"^\| `(langgraph_\w+)` \| .*? \| (.*) \|$", DOC, re.MULTILINE))
    found = {e.name: e.path for e in entries("harness") if e.name.startswith("langgraph_")}
    assert set(rows) == set(found)
    for name, path in found.items():
        options = re.findall(r"^    (\w+): .* = ", path.read_text(), re.MULTILINE)
        assert set(options) <= set(names(rows[name])), name
        assert len(path.read_text().splitlines()) <= 110


@pytest.mark.slow
def test_the_harnesses_of_the_experiment_differ_as_its_comment_says(tmp_path: Path) -> None:
    config = str(ROOT / "examples" / "harness_experiment.yaml")
    environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "200"}
    command = [sys.executable, "-m", "gym_mcp.cli.main", "eval", "run", "-q", "--config", config]
    done = subprocess.run(
        command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=300, check=True
    )
    shares: dict[tuple[str, str, str], float] = {}
    for line in done.stdout.splitlines():
        cells = re.split(r" {2,}", line.strip())
        if len(cells) > 6 and cells[3].endswith("%"):
            shares[cells[0], cells[1], cells[2]] = float(cells[3].rstrip("%"))
    assert len(shares) == 16
    for (environment, model, harness), share in shares.items():
        if model == "builtin/oracle":
            assert share == 100.0
        elif harness != "simple":
            assert share > shares[environment, model, "simple"] + 10

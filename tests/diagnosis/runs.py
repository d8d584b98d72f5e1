"""Real runs of builtin models, for the tests of the diagnosis."""

from __future__ import annotations

from pathlib import Path

from gym_mcp.cli.main import main


def office_run(out: Path, model: str = "builtin/noisy-oracle", limit: int = 20) -> Path:
    """`workplace_assistant`, 4 repeats: tools and state."""
    return _run("workplace_assistant", out, model, limit)


def choice_run(out: Path, model: str = "builtin/noisy-oracle?p=0.8", limit: int = 30) -> Path:
    """`mcqa`, 4 repeats: answers without tools."""
    return _run("mcqa", out, model, limit)


def _run(environment: str, out: Path, model: str, limit: int) -> Path:
    arguments = ["-e", environment, "-m", model, "--limit", str(limit), "--repeats", "4", "--out", str(out)]
    assert main(["eval", "run", *arguments]) == 0
    return out

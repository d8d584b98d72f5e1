"""What importing and asking for help must not do: start anything, reach out, or pay for what is not needed."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
HUB_FOLDERS = {"tool_servers", "harnesses", "benchmarks", "analysis_skills", "verifiers"}
HEAVY = {"langgraph", "langchain_core", "langsmith", "openai", "ray", "matplotlib", "pandas", "numpy"}
SERVING = {"mcp", "aiohttp", "pydantic", "starlette", "uvicorn", "jsonschema"}

# Written before anything else runs: an audit hook sees every socket, process and thread there will be.
WATCHED = """
import sys, json, threading
seen = []
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(("socket.", "subprocess.", "os.fork",
    "os.posix_spawn", "os.exec")) else None)
code = 0
try:
    {body}
except SystemExit as e:
    code = e.code or 0
print()
print(json.dumps([code, sorted(set(seen)), sorted(sys.modules), threading.active_count()]))
"""


@functools.cache
def watched(body: str) -> tuple[int, list[str], frozenset[str], int]:
    """(exit code, what reached out, modules, threads) of a fresh interpreter that ran `body`."""
    env = {**os.environ, "COLUMNS": "100"}
    command = [sys.executable, "-c", WATCHED.format(body=body)]
    found = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    code, events, modules, threads = json.loads(found.stdout.splitlines()[-1])
    return code, events, frozenset(modules), threads


def command(*words: str) -> str:
    return f"sys.argv = {['gym-mcp', *words]!r}; from gym_mcp.cli.main import main; main()"


LIGHT = {
    "import": "import gym_mcp",
    "--help": command("--help"),
    "eval --help": command("eval", "--help"),
    "--version": command("--version"),
}
LISTS = {f"list {kind}": command("list", kind) for kind in ("environments", "harnesses", "benchmarks", "models")}
AUTHOR = {
    "graphs, not yet used": "import gym_mcp.langgraph",
    "authoring": "from gym_mcp import Environment, Task, tool",
}
ALL = {**LIGHT, **LISTS, **AUTHOR}


@pytest.mark.parametrize("body", ALL.values(), ids=ALL.keys())
def test_nothing_reaches_out_or_starts(body: str) -> None:
    code, events, _, threads = watched(body)
    assert (code, events, threads) == (0, [], 1)


@pytest.mark.parametrize("body", ALL.values(), ids=ALL.keys())
def test_no_hub_content_and_nothing_heavy_is_imported(body: str) -> None:
    tops = {name.split(".")[0] for name in watched(body)[2]}
    assert tops & (HUB_FOLDERS | HEAVY) == set()


@pytest.mark.parametrize("name", [*LIGHT, *LISTS])
def test_help_and_lists_do_not_pay_for_serving(name: str) -> None:
    tops = {module.split(".")[0] for module in watched(ALL[name])[2]}
    needed = (
        {"pydantic"} if name == "list benchmarks" else set()
    )  # a benchmark's file is validated when it is read
    assert tops & (SERVING - needed) == set()


def test_the_public_names_are_there_and_lazy() -> None:
    import gym_mcp

    for name in gym_mcp.__all__:
        assert getattr(gym_mcp, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        gym_mcp.nothing_of_this_name  # noqa: B018 - looking it up is the test
    assert "gym_mcp.environment" not in watched("import gym_mcp")[2]


def test_every_module_can_be_imported_on_its_own() -> None:
    """No cycle hangs on who came first."""
    package = REPOSITORY / "gym_mcp"
    names = [p.stem for p in sorted(package.glob("*.py")) if not p.stem.startswith("_")]
    script = "import importlib, sys\nfor n in sys.argv[1:]:\n"
    script += "    for m in [m for m in sys.modules if m.split('.')[0] == 'gym_mcp']: del sys.modules[m]\n"
    script += "    importlib.import_module('gym_mcp.' + n)\n"
    found = subprocess.run(
        [sys.executable, "-c", script, *names], cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 0, found.stderr

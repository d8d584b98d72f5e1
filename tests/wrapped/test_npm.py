"""The published npm servers, and environments that `gym-mcp wrap` writes around them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gym_mcp import Transcript
from gym_mcp.cli.wrap import _name_of
from gym_mcp.errors import EnvironmentFailure
from gym_mcp.wrapped import WrappedEnvironment, npm
from tests.cli.support import COMMAND, process_env
from tests.support import missing, run
from tests.wrapped.kit import FAKE, Fake, opened

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

VERSION = "2026.8.31"
SERVERS = "@modelcontextprotocol/server-"
needs_npm = pytest.mark.usefixtures("_npm")


@pytest.fixture(scope="session")
def _npm() -> None:
    if shutil.which("npm") is None or shutil.which("node") is None:
        missing("needs Node.js with npm")


def package(name: str, *more: str, **attributes: Any) -> type[Fake]:
    """A wrapped class around one of the reference servers."""
    command = ("npx", "-y", f"{SERVERS}{name}@{VERSION}", *more)
    return type("Fake", (Fake,), {"command": command, "call_timeout": 120.0, **attributes})


@pytest.mark.slow
@needs_npm
def test_memory() -> None:
    class Memory(Fake):
        command: ClassVar[Sequence[str]] = ("npx", "-y", f"{SERVERS}memory@{VERSION}")
        env: ClassVar[Mapping[str, str]] = {"MEMORY_FILE_PATH": "{workdir}/memory.jsonl"}
        call_timeout = 120.0

        async def verify(self, transcript: Transcript) -> float:  # type: ignore[override]
            stored = self.read("memory.jsonl") or ""
            return float("Ada" in stored and "Ada" in await self.ask("read_graph"))

    async def main() -> None:
        async with opened(Memory) as episode, opened(Memory) as other:
            entity = {"name": "Ada", "entityType": "person", "observations": ["wrote programs"]}
            told = await episode.call("create_entities", {"entities": [entity]})
            assert not told.is_error and "Ada" in told.text
            assert "Ada" not in (await other.call("read_graph", {})).text
            assert (await episode.verify(Transcript())).score == 1.0
            assert (await other.verify(Transcript())).score == 0.0

    run(main)


@pytest.mark.slow
@needs_npm
def test_everything() -> None:
    async def main() -> None:
        async with opened(package("everything")) as episode:
            assert (await episode.call("echo", {"message": "hi"})).text == "Echo: hi"
            assert "1" in (await episode.call("get-sum", {"a": 0, "b": 1})).text
            seen = await episode.call("get-tiny-image", {})
            assert seen.images and seen.images[0].data.startswith(b"\x89PNG")
            for name in ("get-resource-links", "get-resource-reference", "get-structured-content", "get-env"):
                arguments: dict[str, Any] = {"location": "New York"} if "structured" in name else {}
                arguments = {"resourceType": "Text", "resourceId": 1} if "reference" in name else arguments
                told = await episode.call(name, arguments)
                assert told.text and not told.is_error, (name, told.text)
            wrong = await episode.call("get-sum", {"a": "x"})
            assert wrong.is_error and episode.broken is None

    run(main)


@pytest.mark.slow
@needs_npm
def test_filesystem_keeps_to_its_directory() -> None:
    async def main() -> None:
        async with opened(package("filesystem", "{workdir}"), {"files": {"a.txt": "hello"}}) as episode:
            assert (await episode.call("read_text_file", {"path": "/workdir/a.txt"})).text == "hello"
            denied = await episode.call("read_text_file", {"path": "/etc/passwd"})
            assert denied.is_error and "root:" not in denied.text
            assert (await episode.call("list_allowed_directories", {})).text.endswith("\n/workdir")

    run(main)


@needs_npm
def test_an_exact_version_starts_node_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "gym-mcp" / "npm" / "@x+y@1.2.3" / "node_modules" / "@x" / "y"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"bin": {"y": "main.js"}}))
    (folder / "main.js").write_text("")
    command = ["npx", "-y", "@x/y@1.2.3", "a", "b"]
    assert run(npm.resolved, command) == ["node", str(folder / "main.js"), "a", "b"]


@pytest.mark.parametrize(
    "command",
    [
        ["npx", "-y", "pkg"],
        ["npx", "-y", "pkg@latest"],
        ["npx", "pkg@1.2.3"],
        ["npx", "-y"],
        ["node", "x"],
        ["uvx", "a"],
    ],
)
def test_other_commands_are_started_as_they_are(command: list[str]) -> None:
    assert run(npm.resolved, command) == command


def test_without_node_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match="`node` is not installed, which pkg@"):
            await npm.resolved(["npx", "-y", "pkg@1.2.3"])

    run(main)


CHECK = """
def verify(episode, transcript):
    return float(episode.read("a.txt") == "hello" and len(episode.ledger) == 1)
"""
TASKS = '{"id": "one", "prompt": "Write hello into /workdir/a.txt.", "files": {}}\n'


def wrap(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, env=process_env(), capture_output=True, text=True, timeout=60, stdin=-3
    )


def test_what_wrap_writes_is_an_environment(tmp_path: Path) -> None:
    import sys

    (tmp_path / "check.py").write_text(CHECK)
    (tmp_path / "tasks.jsonl").write_text(TASKS)
    server = (sys.executable, str(FAKE), "plain", "2025-06-18", "{workdir}")
    given = ("--verifier", "check.py", "--tasks", "tasks.jsonl", "--hide", "crash", "--env", "A=b")
    done = wrap(tmp_path, "wrap", *given, "--out", "notes", "--", *server)
    assert done.returncode == 0, done.stderr
    assert "12 tools" in done.stdout
    assert sorted(os.listdir(tmp_path / "notes")) == ["README.md", "notes_check.py", "server.py", "tasks.jsonl"]
    from gym_mcp.hub import load_environment

    cls = load_environment(str(tmp_path / "notes" / "server.py"))
    assert issubclass(cls, WrappedEnvironment) and cls.env == {"A": "b"}
    played = wrap(tmp_path, "eval", "run", "-e", "notes/server.py", "-m", "builtin/random", "--json", "-q")
    assert played.returncode == 0, played.stderr
    again = wrap(tmp_path, "wrap", *given, "--out", "notes", "--", *server)
    assert again.returncode == 2 and "exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--out", "x"), "no command"),
        (("--", "cat"), "give --verifier and --tasks"),
        (("--out", "A B", "--", "cat"), "lower-case words"),
        (("--out", "x", "--verifier", "none.py", "--", "cat"), "none.py: No such file"),
        (("--out", "x", "--verifier", "bad.py", "--", "cat"), "has a function `verify"),
        (("--env", "API_KEY=1", "--list", "--", "cat"), "give --inherit API_KEY"),
        (("--env", "oops", "--list", "--", "cat"), "NAME=VALUE is expected"),
        (("--list", "--", "gym-no-such"), "cannot be started"),
        (("--out", "x", "--", "false"), "did not start"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def score(): ...\n")
    done = wrap(tmp_path, "wrap", *arguments)
    assert done.returncode in (1, 2) and told in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert os.listdir(tmp_path) == ["bad.py"], "something was left behind"


def test_names_from_commands() -> None:
    assert _name_of(("npx", "-y", "@modelcontextprotocol/server-memory@1.2.3", "x")) == "server_memory"
    assert _name_of(("uvx", "mcp-server-git")) == "mcp_server_git"
    assert _name_of(("/usr/bin/python3.12", "my_server.py", "{workdir}")) == "my_server_py"
    assert _name_of(("uv", "run", "git-server")) == "git_server"
    assert _name_of(("npx", "-y")) == "wrapped"

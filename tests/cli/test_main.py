"""The entry point: a lazy table of verbs, one line for a mistake, exit codes, and a quick start."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from gym_mcp import __version__
from gym_mcp.cli import env as env_verbs
from gym_mcp.cli import eval as eval_verbs
from gym_mcp.cli import harness as harness_verbs
from gym_mcp.cli import main as main_module
from gym_mcp.cli.lazy import Verb
from gym_mcp.cli.main import main
from gym_mcp.errors import EnvironmentFailure, UsageError
from tests.cli.support import COMMAND, ROOT, gym, process_env

TABLES = {
    "gym-mcp": main_module.VERBS,
    "env": env_verbs.VERBS,
    "eval": eval_verbs.VERBS,
    "harness": harness_verbs.VERBS,
}
CASES = [(table, name) for table, verbs in TABLES.items() for name in verbs]


@click.command()
@click.argument("what")
def boom(what: str) -> None:
    errors: dict[str, BaseException] = {
        "usage": UsageError("row 3:\nno such field"),
        "grouped": BaseExceptionGroup("", [ExceptionGroup("", [UsageError("deep")])]),
        "environment": EnvironmentFailure("the server is gone"),
        "file": FileNotFoundError(2, "No such file or directory", "rows.jsonl"),
        "interrupt": KeyboardInterrupt(),
        "bug": RuntimeError("what is this"),
    }
    raise errors[what]


@pytest.fixture
def boom_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main_module.VERBS, "boom", Verb(f"{__name__}:boom", "Fail."))


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("usage", 2, "gym-mcp: row 3: no such field\n"),
        ("grouped", 2, "gym-mcp: deep\n"),
        ("environment", 1, "gym-mcp: the server is gone\n"),
        ("file", 1, "gym-mcp: rows.jsonl: No such file or directory\n"),
        ("interrupt", 130, ""),
    ],
)
def test_how_commands_end(
    boom_verb: None, capsys: pytest.CaptureFixture[str], what: str, code: int, said: str
) -> None:
    assert main(["boom", what]) == code
    assert capsys.readouterr() == ("", said)


def test_an_unexpected_exception_shows_its_traceback_and_asks_to_report_it(
    boom_verb: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["boom", "bug"]) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "RuntimeError: what is this" in said
    assert said.splitlines()[-1].startswith("gym-mcp: this is a bug in gym-mcp: please report it")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "gym-mcp: no command `lst`; did you mean `list`? (see `gym-mcp --help`)"),
        (["env", "tst"], "gym-mcp: no command `tst`; did you mean `test`? (see `gym-mcp env --help`)"),
        (["env", "--hlep"], "gym-mcp: No such option '--hlep'"),
        (["list", "environments", "--jsn"], "'--json'? (see `gym-mcp list --help`)"),
        (["list", "environment"], "'environment' is not one of 'environments'"),
        (["list", "models", "--hub", "x"], "gym-mcp: --hub stands before the command: gym-mcp --hub DIR COMMAND"),
        (["--hub", "docs", "list", "models"], "gym-mcp: --hub docs: no hub there"),
    ],
)
def test_misspelling_gets_one_line_with_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert said in err


@pytest.mark.parametrize(("table", "name"), CASES)
def test_every_verb_of_the_tables_exists_and_explains_itself(
    table: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module, attribute = TABLES[table][name].target.split(":")
    assert isinstance(getattr(import_module(module), attribute), click.Command)
    assert main([*([] if table == "gym-mcp" else [table]), name, "--help"]) == 0
    page = capsys.readouterr().out
    assert "Usage: gym-mcp" in page
    assert isinstance(getattr(import_module(module), attribute), click.Group) or "xample" in page


def test_help_names_every_verb_and_imports_none_of_them() -> None:
    program = (
        "import sys; from gym_mcp.cli.main import main; main(['--help']); "
        "print('LOADED', *sorted(m for m in sys.modules if m.startswith('gym_mcp.') or '.' not in m))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], env=process_env(), capture_output=True, text=True, timeout=50
    )
    page, _, loaded = run.stdout.partition("LOADED")
    assert all(f"\n  {name} " in page for name in main_module.VERBS)
    ours = {name for name in loaded.split() if name.startswith("gym_mcp.")}
    assert ours == {"gym_mcp.cli", "gym_mcp.cli.lazy", "gym_mcp.cli.main", "gym_mcp.errors", "gym_mcp.suggest"}
    heavy = {"asyncio", "pydantic", "mcp", "rich", "aiohttp", "openai", "ray", "langgraph", "yaml", "orjson"}
    assert not heavy & set(loaded.split())


@pytest.mark.parametrize(("arguments", "limit"), [(["--help"], 0.3), (["list", "environments"], 0.6)])
def test_start_is_cheap(arguments: list[str], limit: float) -> None:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    gym(*arguments)  # compiles what is not compiled yet
    before = spent()
    assert gym(*arguments).returncode == 0
    assert spent() - before <= limit


def test_version_and_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gym-mcp {__version__}\n"
    assert main([]) == 2
    assert "Usage: gym-mcp" in capsys.readouterr().err


def test_shell_completion_variables_change_nothing() -> None:
    env = process_env({"_GYM_MCP_COMPLETE": "bash_source"})
    run = subprocess.run([*COMMAND, "--version"], env=env, capture_output=True, text=True, timeout=50)
    assert run.stdout == f"gym-mcp {__version__}\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [*COMMAND, "list", "models"], env=process_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=50) == 141


def test_ctrl_c_ends_quietly_with_130(tmp_path: Path) -> None:
    hanging = """
import asyncio, sys
from gym_mcp import Environment

class Hanging(Environment):
    "Never done."

    @classmethod
    def tasks(cls):
        return [{"id": "a"}]

    async def verify(self, transcript) -> float:
        print("verifying", file=sys.stderr, flush=True)
        await asyncio.sleep(40)
"""
    (tmp_path / "hanging.py").write_text(hanging)
    command = [*COMMAND, "env", "test", str(tmp_path / "hanging.py")]
    with subprocess.Popen(command, env=process_env(), stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"verifying\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(timeout=50) == 130

"""`env new`, `env test` and `env info`: what they write, print and return."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.cli.main import main
from gym_mcp.cli.typenames import type_name
from gym_mcp.errors import UsageError
from gym_mcp.scaffold import check_name
from tests.cli.support import COUNTER, gym, process_env

pytestmark = pytest.mark.slow

ROW = '{"id": "t1", "prompt": "Raise it to 3.", "target": 3}\n'


def examined(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> list[dict[str, Any]]:
    assert main(["env", "test", *arguments, "--json"]) == code
    cards: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return cards


def statuses(card: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["status"] for check in card["checks"]}


def passed(card: dict[str, Any]) -> set[str]:
    """The checks that did not apply; no other may be anything but ok."""
    found = statuses(card)
    skipped = {name for name, status in found.items() if status == "skip"}
    assert set(found.values()) <= {"ok", "skip"}
    return skipped


# -- env new -----------------------------------------------------------------------------------------------


def test_a_new_environment_passes_its_own_tests(tmp_path: Path) -> None:
    run = gym("env", "new", "stock_room", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    folder = tmp_path / "stock_room"
    written = {path.name for path in folder.iterdir()}
    assert written == {"server.py", "tasks.jsonl", "README.md", "test_stock_room.py"}
    assert not [p for p in folder.iterdir() if re.search("my_?environment", p.read_text(), re.IGNORECASE)]
    commands = [line.strip() for line in run.stdout.splitlines()[1:]]
    assert commands == [
        "gym-mcp env test stock_room/server.py",
        "gym-mcp eval run -e stock_room/server.py -m builtin/noisy-oracle --repeats 4",
        "python -m pytest stock_room",
    ]
    card = gym(*shlex.split(commands[0])[1:], cwd=tmp_path)
    assert card.returncode == 0, card.stdout + card.stderr
    assert "12 ok, 0 failed, 1 skipped" in card.stdout and "skip  no_leak" in card.stdout
    tests = subprocess.run(
        [sys.executable, *shlex.split(commands[2])[1:], "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=process_env(),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "2 passed" in tests.stdout, tests.stdout + tests.stderr


def test_a_new_single_file_brings_its_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "new", "corner_shop", "--single-file", "--dir", str(tmp_path / "envs")]) == 0
    file = tmp_path / "envs" / "corner_shop.py"
    assert [path.name for path in file.parent.iterdir()] == ["corner_shop.py"]
    assert f"gym-mcp serve {file}" in capsys.readouterr().out
    (card,) = examined(capsys, 0, str(file))
    assert (card["environment"], card["num_tasks"]) == ("corner_shop", 3)
    assert passed(card) == {"no_leak"}
    assert max(map(len, file.read_text().splitlines())) <= 115


def test_in_a_hub_it_becomes_an_environment_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tool_servers").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GYM_MCP_HUB", str(tmp_path))
    assert main(["env", "new", "pantry"]) == 0
    assert "  gym-mcp env test pantry\n" in capsys.readouterr().out
    assert (tmp_path / "tool_servers" / "pantry" / "server.py").is_file()
    (card,) = examined(capsys, 0, "pantry")
    assert card["environment"] == "pantry"


@pytest.mark.parametrize("single", [[], ["--single-file"]])
def test_nothing_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], single: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["env", "new", "shop", *single]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.py")}
    capsys.readouterr()
    assert main(["env", "new", "shop", *single]) == 2
    assert "exists already: choose another name or --dir" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.py")} == before


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("StockRoom", "try `stock_room`"),
        ("stock-room", "try `stock_room`"),
        ("2rooms", "try `rooms`"),
        ("../up", "try `up`"),
        ("class", "expected"),
        ("", "expected"),
        ("_x", "try `x`"),
    ],
)
def test_a_name_must_be_an_identifier_in_lower_case(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(hint)):
        check_name(name)
    assert check_name("stock_room_2") == "stock_room_2"


# -- env test ----------------------------------------------------------------------------------------------


def test_the_counter_of_the_design_runs_as_written(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(COUNTER)
    bare = gym("env", "test", "counter.py", cwd=tmp_path)
    assert (bare.returncode, bare.stderr) == (0, "")
    assert "1 ok, 0 failed, 12 skipped" in bare.stdout
    (tmp_path / "rows.jsonl").write_text(ROW)
    fed = gym("env", "test", "counter.py", "--input", "rows.jsonl", cwd=tmp_path)
    assert (fed.returncode, fed.stderr) == (0, "")
    assert "11 ok, 0 failed, 2 skipped" in fed.stdout
    assert "skip  oracle       no solution(): write one" in fed.stdout


def test_a_failed_check_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "free.py").write_text(COUNTER.replace("self.value == self.target", "True"))
    (tmp_path / "rows.jsonl").write_text(ROW)
    arguments = [str(tmp_path / "free.py"), "--input", str(tmp_path / "rows.jsonl")]
    assert main(["env", "test", *arguments]) == 1
    assert "FAIL  null         doing nothing beats the floor of 0 on 1 of 1 tasks" in capsys.readouterr().out
    (card,) = examined(capsys, 1, *arguments)
    assert (card["ok"], statuses(card)["null"]) == (False, "fail")


@pytest.mark.parametrize("name", ["mcqa", "example_session_state_mgmt"])
def test_a_bundled_environment_passes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (card,) = examined(capsys, 0, name, "--limit", "5", "--seed", "3")
    assert (card["environment"], card["num_tasks"], card["seed"]) == (name, 5, 3)
    assert passed(card) == (set() if name == "mcqa" else {"no_leak"})
    assert card["seconds"] < 5


def test_all_examines_every_environment_and_one_that_does_not_load_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"counter": COUNTER, "torn": "import no_such_module_anywhere\n"}.items():
        (tmp_path / "tool_servers" / name).mkdir(parents=True)
        (tmp_path / "tool_servers" / name / "server.py").write_text(text)
    (tmp_path / "tool_servers" / "counter" / "tasks.jsonl").write_text(ROW)
    monkeypatch.setattr("gym_mcp.hub.builtin_root", lambda: tmp_path)
    counter, torn = examined(capsys, 1, "--all")
    assert (counter["environment"], counter["ok"], counter["num_tasks"]) == ("counter", True, 1)
    assert (torn["environment"], torn["ok"]) == ("torn", False)
    assert "no_such_module_anywhere" in torn["checks"][0]["reason"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name environments, or give --all"),
        (["mcqa", "--all"], "name environments, or give --all"),
        (["mcqa", "workplace_assistant", "--input", __file__], "--input goes with one environment"),
        (["mcqaa"], "no environment `mcqaa`; did you mean `mcqa`?"),
        (["nowhere.py"], "environment nowhere.py: no such file"),
        (["mcqa", "--set", "env.bx=last"], "environment mcqa: no option `bx`; did you mean `box`?"),
        (["mcqa", "--set", "box=last"], "--set box=last: expected env.KEY=VALUE"),
        (["mcqa", "--input", "nowhere.jsonl"], "'nowhere.jsonl' does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["env", "test", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert said in err


def test_a_row_that_does_not_fit_is_named_by_file_line_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "prompt": "?", "expected_answer": "A"}\n{"id": "b"}\n')
    assert main(["env", "test", "mcqa", "--input", str(tmp_path / "rows.jsonl")]) == 2
    assert f"gym-mcp: {tmp_path / 'rows.jsonl'}:2: expected_answer: Field required" in capsys.readouterr().err


# -- env info ----------------------------------------------------------------------------------------------


def test_info_tells_what_the_author_declared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "info", "example_session_state_mgmt", "--json"]) == 0
    text = capsys.readouterr().out
    facts = json.loads(text)
    assert facts["name"] == "example_session_state_mgmt"
    assert (facts["interaction"], facts["reward_range"], facts["floor"]) == ("tools", [0.0, 1.0], 0.0)
    assert facts["num_tasks"] == 20
    assert [tool["name"] for tool in facts["tools"]] == ["increment_counter", "get_counter_value"]
    assert set(facts["identity"]) == {"environment", "verifier", "options"}
    assert facts["about"].startswith("Whether an agent keeps track of state")
    assert "server.py" not in text
    assert main(["env", "info", "example_session_state_mgmt"]) == 0
    page = capsys.readouterr().out
    assert "reward       0 to 1, higher is better; floor 0\n" in page
    assert "  get_counter_value()  read-only\n" in page
    assert "count (integer): How much to add; may be negative." in page


def test_info_shows_options_and_how_to_set_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "info", "mcqa"]) == 0
    page = capsys.readouterr().out
    assert "options (--set env.NAME=VALUE)\n  box: 'first' | 'last', default 'first'\n" in page
    assert "tools (none)" in page
    before = re.findall("options (\\w+)", page)
    assert main(["env", "info", "mcqa", "--set", "env.box=last"]) == 0
    assert re.findall("options (\\w+)", capsys.readouterr().out) != before


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer | null"),
        ({"enum": ["a", 1]}, "'a' | 1"),
        ({"const": "x"}, "'x'"),
        ({"type": "array", "items": {"$ref": "#/$defs/point"}}, "list of {x: number}"),
        ({"type": "array"}, "list"),
        ({"type": "object"}, "object"),
        ({}, "any"),
        ({"$ref": "#/$defs/tree"}, "{next: {next: {next: {next: object}}}}"),
        ({"$ref": "#/$defs/none"}, "any"),
    ],
)
def test_types_have_short_names(schema: dict[str, Any], name: str) -> None:
    tree = {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}}
    point = {"type": "object", "properties": {"x": {"type": "number"}}}
    assert type_name(schema, {"$defs": {"point": point, "tree": tree}}) == name

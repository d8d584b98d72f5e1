"""`list` and `search`: what is on the hubs, as a table and as JSON, without importing any of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_mcp.cli.catalogue import Item, items, score
from gym_mcp.cli.common import parse_settings, shorten, table
from gym_mcp.cli.main import main
from gym_mcp.errors import UsageError
from tests.cli.support import process_env

SERVER = '''
raise RuntimeError("listing must not import this")

class Rows(BaseModel):
    pass

class PondEnvironment(Environment[Rows]):
    """Feed the ducks."""

    domain = "park"
    tags = ("birds", "tools")
    floor = 0.25
    secret = open("x")

    @tool
    def feed(self, grams: int) -> str: ...

    @tool(read_only=True)
    async def look(self) -> str: ...

    def no_tool(self) -> None: ...
'''


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    files = {
        "tool_servers/pond/server.py": SERVER,
        "tool_servers/pond/README.md": "# Pond\n\nWhether an agent is kind to mallards.\n",
        "tool_servers/torn/server.py": "class Torn(Environment:\n",
        "harnesses/waddle/harness.py": '"""Walks slowly."""\nraise RuntimeError("not imported")\n',
        "benchmarks/pond_v1/benchmark.yaml": "description: Ducks, frozen.\nenvironment: pond\nrepeats: 3\n",
        "benchmarks/torn_v1/benchmark.yaml": "description: [\n",
        "analysis_skills/count/SKILL.md": "---\nname: count\ndescription: Counts ducks.\n---\n# Count\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("GYM_MCP_HUB", str(tmp_path))
    yield tmp_path


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return {entry["name"]: entry for entry in json.loads(out)}


def test_environments_are_listed_with_their_facts(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(capsys, "list", "environments")
    assert found["pond"] == {
        "kind": "environment",
        "name": "pond",
        "summary": "Feed the ducks.",
        "domain": "park",
        "tags": ["birds", "tools"],
        "floor": 0.25,
        "tools": ["feed", "look"],
    }
    assert "mcqa" in found, "the built-in hub stays visible"
    assert str(hub) not in json.dumps(found)


def test_the_table_has_a_line_for_each(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "environments"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "DOMAIN", "TOOLS", "SUMMARY"]
    assert [line.split() for line in lines if line.startswith("pond ")] == [
        ["pond", "park", "2", "Feed", "the", "ducks."]
    ]


def test_a_broken_file_hides_no_other_and_says_so(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert str(listed(capsys, "list", "environments")["torn"]["summary"]).startswith("cannot be read: ")
    found = listed(capsys, "list", "benchmarks")
    assert str(found["torn_v1"]["summary"]).startswith("cannot be read: ")
    assert found["pond_v1"] == {
        "kind": "benchmark",
        "name": "pond_v1",
        "summary": "Ducks, frozen.",
        "environment": "pond",
        "repeats": 3,
        "splits": ["smoke"],
        "status": "generated",
        "needs": [],
    }


def test_every_other_kind_is_listed(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, "list", "harnesses")["waddle"]["summary"] == "Walks slowly."
    assert listed(capsys, "list", "skills")["count"]["summary"] == "Counts ducks."
    models = listed(capsys, "list", "models")
    assert {"builtin/oracle", "builtin/null", "openai/NAME", "replay/RUN_DIR"} <= set(models)
    assert models["builtin/null"]["needs"] == "nothing"


def test_a_given_hub_is_seen_in_its_own_process(hub: Path) -> None:
    program = (
        "import sys; from gym_mcp.cli.main import main; "
        f"code = main(['--hub', {str(hub)!r}, 'list', 'environments']); "
        "print('LOADED', *sys.modules); sys.exit(code)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], env=process_env(), capture_output=True, text=True, timeout=50
    )
    page, _, loaded = run.stdout.partition("LOADED")
    assert (run.returncode, run.stderr) == (0, "")
    assert "Feed the ducks." in page
    unwanted = {"rich", "pydantic", "asyncio", "mcp", "aiohttp", "gym_mcp.environment", "tool_servers.pond.server"}
    assert not unwanted & set(loaded.split())


def test_nothing_of_a_kind_is_said_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gym_mcp.hub.builtin_root", lambda: tmp_path)
    assert main(["list", "skills"]) == 0
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "no skills on the hubs" in err
    assert listed(capsys, "list", "skills") == {}


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["pond"], "pond"),
        (["DUCKS", "feed"], "pond"),
        (["mallards"], "pond"),
        (["birds park"], "pond"),
        (["ducks", "frozen"], "pond_v1"),
        (["workplace", "assistant"], "workplace_assistant"),
        (["oracle"], "builtin/oracle"),
    ],
)
def test_search_finds_what_has_every_word(
    hub: Path, capsys: pytest.CaptureFixture[str], words: list[str], first: str
) -> None:
    assert next(iter(listed(capsys, "search", *words))) == first


def test_search_prints_the_kind_and_ranks_a_name_over_a_readme(
    hub: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "pond"]) == 0
    lines = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [["KIND", "NAME"], ["environment", "pond"], ["benchmark", "pond_v1"]]


def test_a_search_without_result_is_no_failure(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "ducks", "zeppelin"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "nothing has ducks and zeppelin; fewer words find more (`gym-mcp list`)\n")
    assert listed(capsys, "search", "zeppelin") == {}


def test_score_is_the_sum_of_the_best_field_of_each_word() -> None:
    item = Item("environment", "duck_pond", "Feed them.", {"domain": "park", "tags": ["duck"]}, "A quiet place.")
    assert score(item, ["duck"]) == 8
    assert score(item, ["duck_pond"]) == 16
    assert score(item, ["park", "quiet"]) == 5
    assert score(item, ["park", "loud"]) == 0


def test_readmes_are_read_for_search_only(hub: Path) -> None:
    assert {item.readme for item in items("environment")} == {""}
    assert any("mallards" in item.readme for item in items("environment", readmes=True))


def test_tables_align_and_shorten() -> None:
    assert table(("A", "B"), [("long name", "x"), ("y", "")]) == "A          B\nlong name  x\ny"
    assert table(("A",), [("abcdef",)], limit=4).splitlines()[1] == "abc…"
    assert shorten("abcd", 4) == "abcd"


def test_settings_are_keys_of_the_environment() -> None:
    assert parse_settings(["env.a=1", "env.b.c=x=y"]) == {"a": "1", "b.c": "x=y"}
    for wrong in ("a=1", "env.a", "env.=1", "model.a=1"):
        with pytest.raises(UsageError, match=r"expected env\.KEY=VALUE"):
            parse_settings([wrong])

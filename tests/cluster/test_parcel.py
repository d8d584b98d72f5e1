"""What travels to a node, and that it is the same environment, harness and options there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from gym_mcp import hub
from gym_mcp.cluster import parcel
from gym_mcp.cluster.parcel import pack, unpack
from gym_mcp.cluster.start import keys_for
from gym_mcp.coordinator.config import RunConfig, make_config
from gym_mcp.coordinator.connect import Parts, connect, identity
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject
from tests.support import run

ENVIRONMENT = '''
from pathlib import Path
from gym_mcp import Environment
from gym_mcp.environment import Options as Settings
from {module} import ANSWER

RULES = "rules.txt"


class Travelling(Environment):
    """It goes places."""

    class Options(Settings):
        table: Path | None = None

    def verify(self, transcript):
        return 1.0 if ANSWER else 0.0
'''
HARNESS = "from aside import X\n\n\nasync def run(session, model, limits):\n    raise NotImplementedError\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "mine"
    for name, text in {
        "travelling.py": ENVIRONMENT.format(module="beside_it"),
        "beside_it.py": "ANSWER = 42\n",
        "rules.txt": "Be kind.",
        "table/a.csv": "1,2\n",
        "table/.hidden": "a part of it",
        ".env": "OPENAI_API_KEY=sk-nobody",
        "unrelated.txt": "x" * 1_000,
        "harness_of_mine.py": HARNESS,
        "aside.py": "X = 1\n",
        "skills/add/SKILL.md": "---\nname: add\ndescription: Adds.\n---\nAdd.\n",
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def packed(config: RunConfig) -> tuple[parcel.Parcel, JSONObject]:
    async def inner() -> tuple[parcel.Parcel, JSONObject]:
        parts = await connect(config)
        try:
            return pack(config, parts), identity(config, parts, "")
        finally:
            await parts.aclose()

    return run(inner)


def there(config: RunConfig, made: parcel.Parcel, place: Path) -> JSONObject:
    """The settings as a node has them."""
    hello = {
        "config": config.model_dump(mode="json"),
        "moved": made.moved,
        "hubs": made.hubs,
        "more_path": made.path,
    }
    return unpack(made.data, str(place), orjson.loads(orjson.dumps(hello)))


def files_below(place: Path) -> set[str]:
    return {path.name for path in place.rglob("*") if path.is_file()}


def test_an_environment_of_a_file_is_the_same_there(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    settings: dict[str, Any] = {"harness": "harness_of_mine.py", "env": {"table": "table"}}
    config = make_config({"environment": "travelling.py", "model": "builtin/null", **settings})
    made, here = packed(config)
    hello = there(config, made, tmp_path / "node")
    assert files_below(tmp_path / "node") == {
        *("travelling.py", "beside_it.py", "rules.txt", "a.csv", ".hidden", "harness_of_mine.py", "aside.py")
    }
    assert hello["config"]["environment"] == f"{tmp_path / 'node'}{folder / 'travelling.py'}"
    for name in [name for name in sys.modules if name in ("beside_it", "aside")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [*hello["more_path"], *sys.path])
    assert packed(RunConfig.model_validate(hello["config"]))[1] == here


def test_a_hub_of_ones_own_is_a_hub_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_added", [])
    server = tmp_path / "hub" / "tool_servers" / "roaming" / "server.py"
    server.parent.mkdir(parents=True)
    server.write_text(ENVIRONMENT.format(module="tool_servers.roaming.words"))
    server.with_name("words.py").write_text("ANSWER = 1\n")
    server.with_name("tasks.jsonl").write_text('{"id": "a", "prompt": "p"}\n')
    other = tmp_path / "hub" / "tool_servers" / "other" / "server.py"
    other.parent.mkdir()
    other.write_text("raise SystemExit\n")
    hub.add_root(tmp_path / "hub")
    config = make_config({"environment": "roaming", "model": "builtin/null"})
    made, _ = packed(config)
    hello = there(config, made, tmp_path / "node")
    assert hello["hubs"] == [f"{tmp_path / 'node'}{tmp_path / 'hub'}"]
    assert files_below(tmp_path / "node") == {"server.py", "words.py", "tasks.jsonl"}
    assert hello["config"]["environment"] == "roaming"


def test_what_is_bundled_stays(tmp_path: Path) -> None:
    config = make_config({"environment": "workplace_assistant", "model": "builtin/oracle"})
    made, _ = packed(config)
    assert (made.moved, made.hubs, made.path) == ({}, [], [])
    there(config, made, tmp_path / "node")
    assert files_below(tmp_path / "node") == set()


def test_too_much_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parcel, "LARGEST", 20)
    config = make_config({"environment": str(folder / "travelling.py"), "model": "builtin/null"})
    with pytest.raises(UsageError, match=r"the files to send to each node .* are more than 0 MiB"):
        packed(config)


def test_keys_that_travel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / ".env").write_text("OPENAI_API_KEY=sk-file\nMINE=1\n")
    given = {"OPENAI_API_KEY": "sk-here", "OTHER_API_KEY": "sk-2", "HF_TOKEN": "hf", "GITHUB_TOKEN": "no"}
    for name in ("ANTHROPIC_API_KEY", "GYM_MCP_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**given, "RAY_AUTH_TOKEN": "no", "GYM_MCP_OPERATOR_KEY": "k" * 20}.items():
        monkeypatch.setenv(name, value)
    found = keys_for(make_config({"environment": "mcqa", "model": "openai/m"}))
    assert {k: v for k, v in found.items() if k in {*given, "MINE", "RAY_AUTH_TOKEN", "GYM_MCP_OPERATOR_KEY"}} == {
        "OPENAI_API_KEY": "sk-here",
        "OTHER_API_KEY": "sk-2",
        "HF_TOKEN": "hf",
        "MINE": "1",
    }
    served = make_config({"environment": "http://127.0.0.1:9/mcqa", "model": "openai/m"})
    assert keys_for(served)["GYM_MCP_OPERATOR_KEY"] == "k" * 20


def test_a_parcel_that_leaves_its_folder_is_refused(tmp_path: Path) -> None:
    import io
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../escaped"))
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack(out.getvalue(), str(tmp_path / "node"), {})


def test_parts_without_a_cluster_leave_none(folder: Path) -> None:
    async def inner() -> Parts:
        parts = await connect(make_config({"environment": "mcqa", "model": "builtin/null"}))
        parts.join_cluster(make_config({"environment": "mcqa", "model": "builtin/null"}))
        await parts.aclose()
        return parts

    assert run(inner).cluster is None

"""Discovery on the hub roots: precedence, broken files, imports kept apart, listing that imports nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gym_mcp import hub
from gym_mcp.errors import UsageError
from gym_mcp.hub import Entry

REPOSITORY = Path(__file__).resolve().parents[1]

SERVER = '''
"""A module."""
from typing import ClassVar

import gym_mcp
from gym_mcp import Environment, tool


class {name}(Environment):
    """{summary}

    More of it.
    """

    domain = "test"
    tags: ClassVar[tuple[str, ...]] = ("one", "two")
    reward_range = (0.0, 2.0)
    computed = 1 + len("x")

    @tool
    def add(self, amount: int) -> int:
        return amount

    @gym_mcp.tool(read_only=True)
    async def read(self) -> int:
        return 0

    def helper(self) -> None: ...
'''


def server(root: Path, folder: str, *, name: str = "Thing", summary: str = "A thing.", extra: str = "") -> Path:
    path = root / "tool_servers" / folder / "server.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SERVER.format(name=name, summary=summary) + textwrap.dedent(extra))
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No other hub than the built-in one, and nothing that a test imports stays."""
    monkeypatch.setattr(hub, "_added", [])
    monkeypatch.delenv("GYM_MCP_HUB", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = dict(sys.modules)
    yield
    ours = ("tool_servers.", "harnesses.", "gym_mcp_file")
    for name in [n for n in sys.modules if n not in modules and n.startswith(ours)]:
        del sys.modules[name]


def listed(kind: str = "environment") -> dict[str, Entry]:
    return {entry.name: entry for entry in hub.entries(kind)}


# -- roots --------------------------------------------------------------------------------------------------------


def test_the_repository_is_the_built_in_hub() -> None:
    assert hub.builtin_root() == REPOSITORY and hub.roots() == [REPOSITORY]
    assert "mcqa" in listed() and list(listed()) == sorted(listed())


def test_roots_come_in_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        server(tmp_path / str(number), "shared", summary=f"From {number}.")
        server(tmp_path / str(number), f"only_{number}")
    monkeypatch.setenv("GYM_MCP_HUB", f"{tmp_path / '2'}{os.pathsep}{os.pathsep}{tmp_path / '3'}")
    hub.add_root(tmp_path / "1")
    hub.add_root(tmp_path / "0")
    assert hub.roots() == [*(tmp_path / str(n) for n in range(4)), REPOSITORY]
    assert listed()["shared"].summary == "From 0." and {f"only_{n}" for n in range(4)} < set(listed())
    assert hub.find("environment", "shared") == tmp_path / "0" / "tool_servers" / "shared" / "server.py"
    assert hub.load_environment("shared").summary() == "From 0."


def test_a_user_may_shadow_what_is_built_in(tmp_path: Path) -> None:
    server(tmp_path, "mcqa", summary="Mine.")
    hub.add_root(tmp_path)
    assert listed()["mcqa"].summary == "Mine."


def test_a_folder_that_is_no_hub_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--hub .*: no hub there; a hub holds at least one of tool_servers/, "):
        hub.add_root(tmp_path)


@pytest.mark.parametrize("name", ["mcqq", "", "..", "../mcqa", "/etc", "tool_servers/mcqa", "nothing like it"])
def test_an_unknown_name_is_one_line(name: str) -> None:
    with pytest.raises(UsageError) as error:
        hub.find("environment", name)
    text = str(error.value)
    assert text.startswith(f"no environment `{name}`") and "\n" not in text
    assert name != "mcqq" or text.endswith("did you mean `mcqa`?")


# -- listing ------------------------------------------------------------------------------------------------------


def test_an_entry_tells_what_its_file_says(tmp_path: Path) -> None:
    path = server(tmp_path, "thing", summary="A thing with facts.")
    write(tmp_path / "harnesses/loop/harness.py", '"""Loops.\n\nMore."""\n')
    write(tmp_path / "benchmarks/b_v1/benchmark.yaml", "description: A benchmark.\nenvironment: thing\n")
    write(tmp_path / "analysis_skills/s/SKILL.md", "---\nname: s\ndescription: A skill.\n---\n# S\n")
    hub.add_root(tmp_path)
    entry = listed()["thing"]
    assert (entry.kind, entry.path, entry.summary) == ("environment", path, "A thing with facts.")
    assert entry.facts == {
        "domain": "test",
        "tags": ("one", "two"),
        "reward_range": (0.0, 2.0),
        "tools": ["add", "read"],
    }
    assert listed("harness")["loop"].summary == "Loops."
    assert listed("benchmark")["b_v1"].facts["environment"] == "thing"
    assert listed("skill")["s"].summary == "A skill."


@pytest.mark.parametrize(
    ("kind", "file", "text"),
    [
        ("environment", "tool_servers/bad/server.py", "class Torn(Environment:\n"),
        ("environment", "tool_servers/bad/server.py", "x = '\0'\n"),
        ("harness", "harnesses/bad/harness.py", "def run(:\n"),
        ("benchmark", "benchmarks/bad/benchmark.yaml", "a: [1,\n"),
        ("benchmark", "benchmarks/bad/benchmark.yaml", "- a\n- b\n"),
        ("skill", "analysis_skills/bad/SKILL.md", "---\na: [1,\n---\n"),
    ],
)
def test_a_broken_file_is_one_line_and_hides_no_other(tmp_path: Path, kind: str, file: str, text: str) -> None:
    path = write(tmp_path / file, text)
    good = path.parent.parent / "good" / path.name
    write(good, "description: fine\n" if good.suffix == ".yaml" else '"""fine"""\n')
    hub.add_root(tmp_path)
    found = listed(kind)
    assert "good" in found and found["bad"].summary.startswith("cannot be read: ")
    assert "\n" not in found["bad"].summary


def test_a_file_that_is_no_text_is_broken_too(tmp_path: Path) -> None:
    path = tmp_path / "tool_servers" / "bad" / "server.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe\x00")
    hub.add_root(tmp_path)
    assert listed()["bad"].summary.startswith("cannot be read: ")


def test_listing_imports_nothing_of_what_it_lists(tmp_path: Path) -> None:
    server(tmp_path, "loud", extra="raise SystemExit('imported')\n")
    write(tmp_path / "harnesses/loud/harness.py", "raise SystemExit('imported')\n")
    code = """
        import json, sys
        from gym_mcp import hub
        names = [e.name for kind in hub.FOLDERS for e in hub.entries(kind)]
        folders = [f for f, _ in hub.FOLDERS.values()]
        tops = {*folders, "verifiers", "gym_mcp_file"}
        print(json.dumps([names, [m for m in sys.modules if m.split(".")[0] in tops]]))
    """
    env = {**os.environ, "GYM_MCP_HUB": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=env, cwd=REPOSITORY, capture_output=True, timeout=30
    )
    names, imported = json.loads(found.stdout)
    assert names.count("loud") == 2 and imported == []


# -- loading ------------------------------------------------------------------------------------------------------


def test_a_hub_environment_is_called_after_its_folder(tmp_path: Path) -> None:
    server(tmp_path, "folder_name")
    server(tmp_path, "own_name", extra="Thing.name = 'x'\nclass Other(Thing):\n    name = 'given'\n")
    hub.add_root(tmp_path)
    assert hub.load_environment("folder_name").name == "folder_name"
    assert hub.load_environment("own_name").name == "given"


def test_a_single_file_is_called_after_its_class(tmp_path: Path) -> None:
    path = write(tmp_path / "any.py", SERVER.format(name="MyThing", summary="S"))
    cls = hub.load_environment(str(path))
    assert cls.name == "my_thing" and hub.load_environment(str(path)) is cls, "imported once"


def test_options_reach_the_class(tmp_path: Path) -> None:
    path = write(
        tmp_path / "tuned.py",
        """
        from gym_mcp import Environment, Options

        class Tuned(Environment):
            class Options(Options):
                speed: int
        """,
    )
    assert hub.load_environment(str(path), {"speed": "3"}).options.speed == 3
    with pytest.raises(UsageError, match="no option `sped`"):
        hub.load_environment(str(path), {"sped": "3"})
    with pytest.raises(UsageError, match=r"^environment tuned: option speed: Field required$"):
        hub.load_environment(str(path), {})
    assert hub.load_environment(str(path)).options is None  # to be looked at


def test_a_colon_in_a_files_path_is_no_argument(tmp_path: Path) -> None:
    path = write(tmp_path / "a:b" / "server.py", SERVER.format(name="Thing", summary="S"))
    assert hub.load_environment(str(path)).name == "a:b"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("import nothing_of_this_name\n", "cannot be imported: No module named 'nothing_of_this_name'"),
        ("def f(:\n", r"torn\.py:1: "),
        ("1 / 0\n", "raised ZeroDivisionError when imported: division by zero"),
        ("raise SystemExit(3)\n", "raised SystemExit when imported: 3"),
        ("x = 1\n", "one subclass of gym_mcp.Environment is expected; found none"),
        ("from gym_mcp import Environment\n", "found none"),
        (
            "from gym_mcp import Environment\nclass A(Environment): ...\nclass B(Environment): ...\n",
            "found A, B",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_every_time(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path / "torn.py", text)
    for _ in range(2):
        with pytest.raises(UsageError, match=complaint) as error:
            hub.load_environment(str(path))
        assert "\n" not in str(error.value) and "torn.py" in str(error.value)


def test_a_file_that_was_mended_can_be_imported(tmp_path: Path) -> None:
    path = write(tmp_path / "mended.py", "1 / 0\n")
    with pytest.raises(UsageError):
        hub.load_environment(str(path))
    path.write_text(SERVER.format(name="Thing", summary="S"))
    assert hub.load_environment(str(path)).name == "thing"


def test_a_syntax_error_in_a_neighbour_names_the_neighbour(tmp_path: Path) -> None:
    server(tmp_path, "thing", extra="from . import torn\n")
    write(tmp_path / "tool_servers/thing/torn.py", "\ndef f(:\n")
    hub.add_root(tmp_path)
    with pytest.raises(UsageError, match=r"thing/torn\.py:2: "):
        hub.load_environment("thing")


def test_a_missing_file_is_said() -> None:
    with pytest.raises(UsageError, match=r"^environment nowhere\.py: no such file$"):
        hub.load_environment("nowhere.py")
    with pytest.raises(UsageError, match=r"^harness nowhere\.py: no such file$"):
        hub.load_harness("nowhere.py")


def test_files_of_one_name_do_not_mix(tmp_path: Path) -> None:
    paths = [write(tmp_path / d / "same.py", SERVER.format(name="Thing", summary=d)) for d in "ab"]
    assert [hub.load_environment(str(p)).summary() for p in paths] == ["a", "b"]
    assert [hub.load_environment(str(p)).summary() for p in reversed(paths)] == ["b", "a"]


def test_two_hubs_with_the_same_folder_keep_their_neighbours(tmp_path: Path) -> None:
    """Relative imports reach the folder of the file, not that of another hub which was imported first."""
    files = []
    for root in ("one", "two"):
        extra = "from .data import WORD\nfrom .deep.more import MORE\nThing.tags = (WORD, MORE)\n"
        files.append(server(tmp_path / root, "same", extra=extra))
        write(tmp_path / root / "tool_servers/same/data.py", f"WORD = '{root}'\n")
        write(tmp_path / root / "tool_servers/same/deep/more.py", "from ..data import WORD\nMORE = WORD * 2\n")
    assert [hub.load_environment(str(f)).tags for f in files] == [("one", "oneone"), ("two", "twotwo")]


def test_a_folder_may_be_a_package(tmp_path: Path) -> None:
    server(tmp_path, "packaged", extra="from . import WORD\nThing.tags = (WORD,)\n")
    write(tmp_path / "tool_servers/packaged/__init__.py", "WORD = 'init'\n")
    hub.add_root(tmp_path)
    assert hub.load_environment("packaged").tags == ("init",)


def test_a_users_environment_may_use_the_built_in_verifiers(tmp_path: Path) -> None:
    server(tmp_path, "mine", extra="from verifiers import choice\nThing.tags = (choice.__name__,)\n")
    hub.add_root(tmp_path)
    assert hub.load_environment("mine").tags == ("verifiers.choice",)


def test_harnesses_are_modules_with_run(tmp_path: Path) -> None:
    write(tmp_path / "harnesses/loop/harness.py", "async def run(session, model, limits): ...\n")
    write(tmp_path / "harnesses/idle/harness.py", "x = 1\n")
    hub.add_root(tmp_path)
    name, harness, path = hub.load_harness("loop")
    assert name == "loop" and callable(harness.run) and path.name == "harness.py"
    single = write(tmp_path / "quick.py", "async def run(session, model, limits): ...\n")
    assert hub.load_harness(str(single))[0] == "quick"
    with pytest.raises(UsageError, match="a harness module has `async def run"):
        hub.load_harness("idle")


CHOOSY = '''"""Takes options."""
from gym_mcp.options import Options as Base

argument = "graph"


class Options(Base):
    graph: str
    depth: int = 1


class Choosy:
    def __init__(self, options):
        self.options = options

    async def run(self, session, model, limits): ...


def create(options):
    return Choosy(options)
'''


def test_harnesses_take_options_and_an_argument(tmp_path: Path) -> None:
    write(tmp_path / "harnesses/choosy/harness.py", CHOOSY)
    hub.add_root(tmp_path)
    name, harness, _ = hub.load_harness("choosy:mine.py:graph", {"depth": "3"})
    options: Any = harness.options  # type: ignore[attr-defined]
    assert name == "choosy:mine.py:graph" and (options.graph, options.depth) == ("mine.py:graph", 3)
    assert hub.load_harness("choosy", {"graph": "x"})[0] == "choosy"
    with pytest.raises(UsageError, match=r"^harness choosy: option graph: "):
        hub.load_harness("choosy")
    with pytest.raises(UsageError, match="harness choosy: no option `dept`; did you mean `depth`"):
        hub.load_harness("choosy:x", {"dept": 3})
    single = write(tmp_path / "quick.py", "async def run(session, model, limits): ...\n")
    with pytest.raises(UsageError, match="harness quick: takes no argument after a colon"):
        hub.load_harness(f"{single}:x")


def test_a_file_named_from_its_own_folder_has_the_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = server(tmp_path, "desk")
    monkeypatch.chdir(path.parent)
    assert hub.load_environment("server.py").name == "desk"
    harness = write(tmp_path / "harnesses/loop/harness.py", "async def run(session, model, limits): ...\n")
    monkeypatch.chdir(harness.parent)
    assert hub.load_harness("harness.py")[0] == "loop"

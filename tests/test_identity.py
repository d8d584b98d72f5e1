"""Hashes that decide what may be reused: they change with what an environment does, and with nothing else."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp import hub
from gym_mcp.identity import digest, environment_identity, json_digest, path_digest
from gym_mcp.sources import code, names_in, split_verify

BASE = '''
from pathlib import Path

from gym_mcp import Environment, Options, Task, tool

from .helper import SCALE


class Scale(Environment):
    """Scale things."""

    class Options(Options):
        table: Path | None = None
        names: set[str] = set()

    @tool
    def add(self, amount: int) -> int:
        """Add."""
        if amount > 3:
            amount = 3
            self.big = True
        return amount * SCALE

    def verify(self, transcript) -> float:
        from verifiers.choice import read_letter  # on first use

        score = 1.0
        return score
'''
HELPER = "SCALE = 2\n"


class Workshop:
    """A hub with one environment, whose files change."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "tool_servers" / "scale"
        self.folder.mkdir(parents=True)
        self.write("server.py", BASE)
        self.write("helper.py", HELPER)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def edit(self, old: str, new: str, name: str = "server.py") -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1, old
        self.write(name, text.replace(old, new))

    def identity(self, **settings: Any) -> dict[str, str]:
        for module in [n for n in sys.modules if n.startswith("tool_servers.scale")]:
            del sys.modules[module]
        return environment_identity(hub.load_environment(str(self.folder / "server.py"), settings))


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield Workshop(tmp_path)
    for module in [n for n in sys.modules if n.startswith("tool_servers.scale")]:
        del sys.modules[module]


def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [key for key in before if before[key] != after[key]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        if amount > 3:", "        if amount > 3:  # a comment"),
        ("    @tool\n", "\n\n    # a comment\n\n    @tool\n"),
        ("        return amount * SCALE", "        return \\\n            amount * SCALE"),
        ("        score = 1.0\n", "        # why\n\n        score = 1.0  # here\n\n"),
        ("            amount = 3\n            self.big", "                amount = 3\n                self.big"),
    ],
)
def test_comments_and_layout_change_nothing(workshop: Workshop, old: str, new: str) -> None:
    before = workshop.identity()
    workshop.edit(old, new)
    assert changed(before, workshop.identity()) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("amount > 3", "amount > 4"),
        ('"""Add."""', '"""Add it."""'),
        ("            self.big = True\n", "        self.big = True\n"),
        ("        return amount * SCALE", "        return\n        amount * SCALE"),
        ("def add(self, amount: int)", "def add(self, amount: float)"),
        ("class Scale(Environment):", 'class Scale(Environment):\n    version = "2"'),
        ("class Scale(Environment):", "class Scale(Environment):\n    higher_is_better = False"),
    ],
)
def test_what_the_agent_meets_changes_the_environment(workshop: Workshop, old: str, new: str) -> None:
    before = workshop.identity()
    workshop.edit(old, new)
    assert changed(before, workshop.identity()) == ["environment"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("score = 1.0", "score = 0.5"),
        ("        return score\n", "        if score:\n            return score\n        return 0.0\n"),
        ("    def verify(", "    async def verify("),
        ("from verifiers.choice import read_letter", "from verifiers.format import x"),
    ],
)
def test_verify_changes_the_verifier_alone(workshop: Workshop, old: str, new: str) -> None:
    before = workshop.identity()
    workshop.edit(old, new)
    assert changed(before, workshop.identity()) == ["verifier"]


def test_a_decorator_of_verify_is_verification(workshop: Workshop) -> None:
    workshop.edit("    def verify(", "    @staticmethod\n    def verify(")
    before = workshop.identity()
    workshop.edit("    @staticmethod\n    def verify(", "    @classmethod\n    def verify(")
    assert changed(before, workshop.identity()) == ["verifier"]


def test_neighbours_that_are_imported_count(workshop: Workshop) -> None:
    before = workshop.identity()
    workshop.write("helper.py", "SCALE = 2  # a comment\n")
    assert changed(before, workshop.identity()) == []
    workshop.write("helper.py", "SCALE = 3\n")
    assert changed(before, workshop.identity()) == ["environment"]
    workshop.write("helper.py", "from .deeper import SCALE\n")
    workshop.write("deeper.py", "SCALE = 2\n")
    before = workshop.identity()
    workshop.write("deeper.py", "SCALE = 4\n")
    assert changed(before, workshop.identity()) == ["environment"]


def test_a_neighbour_that_is_imported_late_counts_from_the_start(workshop: Workshop) -> None:
    workshop.edit("        if amount > 3:", "        from .late import LIMIT\n        if amount > LIMIT:")
    workshop.write("late.py", "LIMIT = 3\n")
    before = workshop.identity()
    workshop.write("late.py", "LIMIT = 4\n")
    assert changed(before, workshop.identity()) == ["environment"]


@pytest.mark.parametrize(
    "name", ["README.md", "tasks.jsonl", "test_scale.py", "make_tables.py", ".hidden", ".git/HEAD"]
)
def test_documentation_tasks_tests_and_scripts_do_not_count(workshop: Workshop, name: str) -> None:
    before = workshop.identity()
    workshop.write(name, "x = 1\n")
    assert changed(before, workshop.identity()) == []


@pytest.mark.parametrize("name", ["table.csv", "tables/deep/emails.json", "prompt.txt"])
def test_data_of_the_folder_counts(workshop: Workshop, name: str) -> None:
    before = workshop.identity()
    workshop.write(name, "a")
    with_a = workshop.identity()
    assert changed(before, with_a) == ["environment"]
    workshop.write(name, "b")
    assert changed(with_a, workshop.identity()) == ["environment"]
    workshop.write(name, "a")
    assert changed(with_a, workshop.identity()) == []


def test_the_place_does_not_count(tmp_path: Path, workshop: Workshop) -> None:
    other = Workshop(tmp_path / "elsewhere")
    assert other.identity() == workshop.identity()


def test_a_path_option_counts_by_its_content(workshop: Workshop, tmp_path: Path) -> None:
    table = tmp_path / "table"
    (table / "sub").mkdir(parents=True)
    (table / "sub" / "a.csv").write_text("1")
    copy = tmp_path / "copy"
    (copy / "sub").mkdir(parents=True)
    (copy / "sub" / "a.csv").write_text("1")
    first = workshop.identity(table=str(table))
    assert changed(first, workshop.identity(table=str(copy))) == []
    (copy / "sub" / "a.csv").write_text("2")
    assert changed(first, workshop.identity(table=str(copy))) == ["options"]
    (table / "sub" / "a.csv").rename(table / "sub" / "b.csv")
    assert changed(first, workshop.identity(table=str(table))) == ["options"]
    assert changed(first, workshop.identity()) == ["options"]


def test_a_set_among_the_options_has_no_order(workshop: Workshop) -> None:
    names = ["a", "bb", "ccc", "dddd"]
    found = {workshop.identity(names=list(order))["options"] for order in itertools.permutations(names)}
    assert len(found) == 1


def test_a_verifiers_module_counts_with_what_it_imports_and_reads(tmp_path: Path) -> None:
    """In a process of its own, because there is one `verifiers` in each."""
    root = tmp_path / "hub"
    folder = root / "tool_servers" / "judged"
    folder.mkdir(parents=True)
    (folder / "server.py").write_text(
        "from gym_mcp import Environment\n\nclass Judged(Environment):\n"
        "    def verify(self, transcript):\n        from verifiers.rules import score\n        return score()\n"
    )
    verifiers = root / "verifiers"
    (verifiers / "prompts").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "rules.py": "from .parts import PART\nfrom pathlib import Path\nP = Path(__file__).with_name('prompts')\n",
        "parts.py": "PART = 1\n",
        "unrelated.py": "x = 1\n",
        "prompts/judge.txt": "Judge it.",
    }
    for name, text in files.items():
        (verifiers / name).write_text(text)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from gym_mcp.hub import load_environment\nfrom gym_mcp.identity import environment_identity as i\n"
        "print(i(load_environment(sys.argv[1] + '/tool_servers/judged/server.py')))"
    )

    def identity() -> dict[str, str]:
        command = [sys.executable, "-c", code, str(root)]
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        out = subprocess.run(command, capture_output=True, text=True, timeout=30, env=env, check=True).stdout
        found: dict[str, str] = eval(out)
        return found

    before = identity()
    for name, what in [("rules.py", "\nx = 2\n"), ("parts.py", "\nx = 2\n"), ("prompts/judge.txt", "!")]:
        (verifiers / name).write_text(files[name] + what)
        assert changed(before, identity()) == ["verifier"], name
        (verifiers / name).write_text(files[name])
    (verifiers / "unrelated.py").write_text("x = 2\n")
    (verifiers / "parts.py").write_text("PART = 1  # a comment\n")
    assert changed(before, identity()) == []


@pytest.mark.parametrize("name", ["mcqa", "workplace_assistant"])
def test_bundled_environments_have_an_identity(name: str) -> None:
    cls = hub.load_environment(name)
    assert environment_identity(cls) == environment_identity(cls.configured({}))


# -- digests ------------------------------------------------------------------------------------------------------


def test_parts_of_a_digest_do_not_run_into_each_other() -> None:
    assert digest([b"ab", b"c"]) != digest([b"a", b"bc"]) != digest([b"abc"])
    assert len(digest([])) == 16 and digest([]) != digest([b""])


JSON = st.none() | st.booleans() | st.integers() | st.text() | st.dictionaries(st.text(), st.lists(st.text()))


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON), st.randoms())
def test_a_json_digest_has_no_order_of_keys(value: dict[str, Any], rng: Any) -> None:
    items = list(value.items())
    rng.shuffle(items)
    assert json_digest(dict(items)) == json_digest(value)


def test_json_that_orjson_refuses_has_a_digest_too() -> None:
    assert json_digest({"a": 2**70}) != json_digest({"a": 2**70 + 1})
    assert json_digest({"a": "\ud800"}) != json_digest({"a": "b"})


def test_files_and_folders_have_digests(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"1")
    assert path_digest(tmp_path / "a" / "x") != path_digest(tmp_path / "a")
    before = path_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "y.pyc").write_bytes(b"2")
    assert path_digest(tmp_path) == before


# -- code --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1\n", "x  =  1   # note\n\n"),
        ("f(a,\n  b)\n", "f(a, b)\n"),
        ("if x:\n  y()\n", "if x:\n        y()\n"),
        ("x = 1 + \\\n  2\n", "x = 1 + 2\n"),
    ],
)
def test_the_same_code_in_another_layout(one: str, other: str) -> None:
    assert code(one) == code(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("if x:\n  a()\n  b()\n", "if x:\n  a()\nb()\n"),
        ("def f():\n  return x\n", "def f():\n  return\n  x\n"),
        ("x = 'a'\n", "x = 'b'\n"),
        ("x = 'a # b'\n", "x = 'a'\n"),
        ("a; b\n", "a, b\n"),
    ],
)
def test_other_code_is_other_code(one: str, other: str) -> None:
    assert code(one) != code(other)


def test_text_that_is_no_python_is_taken_as_it_is() -> None:
    assert code("def f(:\n  '''") == b"def f(:\n  '''"


HELPED = """
class Env:
    def open(self):
        return self._shared() + _opened()

    def verify(self, transcript):
        return self._points() + _loose() + self._shared()

    def _points(self):
        return self._half() * (self._points() if 0 else 1)

    def _half(self):
        return 0.5

    def _shared(self):
        return 1

    def public(self):
        return 2


def _loose():
    return 3


def _opened():
    return 4


def _unused():
    return 5
"""


@pytest.mark.parametrize(
    ("old", "new", "verifies"),
    [
        ("return 0.5", "return 0.6", True),
        ("self._half() *", "self._half() +", True),
        ("return 3", "return 30", True),
        ("return 1", "return 10", False),
        ("return 2", "return 20", False),
        ("return 4", "return 40", False),
        ("return 5", "return 50", False),
    ],
)
def test_what_only_verify_uses_is_verification(old: str, new: str, verifies: bool) -> None:
    rest, verify = split_verify(HELPED)
    rest_2, verify_2 = split_verify(HELPED.replace(old, new))
    assert (rest == rest_2, verify == verify_2) == (verifies, not verifies)


def test_what_another_file_uses_too_is_not_verification_alone() -> None:
    assert names_in("from server import _loose\nx = y.z") == {"_loose", "x", "y", "z"}
    assert (
        split_verify(HELPED, {"_loose"})[0] != split_verify(HELPED.replace("return 3", "return 30"), {"_loose"})[0]
    )

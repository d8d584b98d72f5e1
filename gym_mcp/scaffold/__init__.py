"""Writes new environments and harnesses: working ones, with the author's name, to change step by step."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gym_mcp.errors import UsageError

TEMPLATES: Final = Path(__file__).parent
TEMPLATE: Final = TEMPLATES / "environment"
_NAME, _CLASS = "my_environment", "MyEnvironment"


def check_name(name: str) -> str:
    """`name`, or `UsageError` when no environment or harness can be called that."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name)
        hint = "_".join(w.lower() for w in words).lstrip("0123456789_")
        tip = f"; try `{hint}`" if hint and hint != name else ""
        raise UsageError(f"name `{name}`: lower-case words joined by underscores are expected{tip}")
    return name


def write_folder(name: str, parent: Path) -> Path:
    """Write the environment `name` as a folder below `parent`; the folder. Never overwrites."""
    folder = _new_folder(name, parent)
    for template in ("server.py", "tasks.jsonl", "README.md", f"test_{_NAME}.py"):
        (folder / template.replace(_NAME, name)).write_text(_named(template, name), encoding="utf-8")
    return folder


def write_harness(name: str, parent: Path, *, langgraph: bool) -> Path:
    """Write the harness `name` as a folder below `parent`; the folder. Never overwrites."""
    folder = _new_folder(name, parent)
    source = TEMPLATES / ("langgraph_harness" if langgraph else "harness")
    for template in (source / "harness.py", source / "README.md", TEMPLATES / "harness" / "test_my_harness.py"):
        text = template.read_text(encoding="utf-8").replace("my_harness", name).replace("MyHarness", _camel(name))
        (folder / template.name.replace("my_harness", name)).write_text(text, encoding="utf-8")
    return folder


def write_file(name: str, parent: Path) -> Path:
    """Write the environment `name` as one file, its tasks inside; the file. Never overwrites."""
    file = parent / f"{check_name(name)}.py"
    if file.exists():
        raise UsageError(f"{file} exists already: choose another name or --dir")
    parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_named("server.py", name) + "".join(_tasks_method()), encoding="utf-8")
    return file


def _new_folder(name: str, parent: Path) -> Path:
    folder = parent / check_name(name)
    if folder.exists():
        raise UsageError(f"{folder} exists already: choose another name or --dir")
    folder.mkdir(parents=True)
    return folder


def _camel(name: str) -> str:
    return "".join(w.capitalize() for w in name.split("_"))


def _named(template: str, name: str) -> str:
    text = (TEMPLATE / template).read_text(encoding="utf-8")
    return text.replace(_NAME, name).replace(_CLASS, _camel(name))


def _tasks_method() -> Iterator[str]:
    """Source of a `tasks` method that holds the rows of the template's `tasks.jsonl`."""
    yield "\n    # Tasks: a method as here, a .jsonl file of this one's name beside it, or `--input FILE.jsonl`.\n"
    yield "    @classmethod\n    def tasks(cls) -> list[dict[str, object]]:\n        return [\n"
    for line in (TEMPLATE / "tasks.jsonl").read_text(encoding="utf-8").splitlines():
        yield "            {\n"
        for key, value in json.loads(line).items():
            yield f"                {json.dumps(key)}: {json.dumps(value)},\n"
        yield "            },\n"
    yield "        ]\n"

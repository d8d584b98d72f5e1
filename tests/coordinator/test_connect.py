"""What a run's identity is made of, and what does not fit together before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import connect, differences, gather_tasks, identity
from gym_mcp.coordinator.rundir import digest_of_tasks
from gym_mcp.errors import UsageError
from tests.coordinator.kit import config, make_harness, rows, write_rows
from tests.coordinator.runs import COUNTER, edit, forget
from tests.support import run


def identify(settings: RunConfig) -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        parts = await connect(settings)
        try:
            return identity(settings, parts, digest_of_tasks(await gather_tasks(settings, parts), settings.limit))
        finally:
            await parts.aclose()

    return run(main)


@pytest.fixture
def base(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    forget(path)
    make_harness(tmp_path, "return Transcript()")
    inputs = write_rows(tmp_path / "rows.jsonl", rows(3))
    return {"environment": str(path), "model": "openai/m", "base_url": "http://127.0.0.1:9/v1", "input": inputs}


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [line.split(":")[0] for line in differences(old, new)]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, []),
        ({"base_url": "http://elsewhere/v1"}, []),
        ({"concurrency": 1, "model_timeout": 1.0, "max_retries": 0, "max_attempts": 9, "price": (1, 2)}, []),
        ({"model": "openai/n"}, ["model"]),
        ({"sampling": {"temperature": 1.0}}, ["model", "sampling"]),
        ({"seed": 1}, ["seed"]),
        ({"repeats": 2}, ["repeats"]),
        ({"limit": 2}, ["tasks"]),
        ({"limits": {"tokens": 100}}, ["limits"]),
    ],
)
def test_what_counts(base: dict[str, Any], settings: dict[str, Any], names: list[str]) -> None:
    assert changed(identify(config(**base)), identify(config(**{**base, **settings}))) == names


def test_code_counts_by_part(base: dict[str, Any]) -> None:
    path = Path(base["environment"])
    first = identify(config(**base))
    edit(path, "self.value = 0", "self.value = 0  # zero")
    assert changed(first, identify(config(**base))) == []
    edit(path, "float(self.value == 2)", "float(self.value == 3)")
    assert changed(first, identify(config(**base))) == ["verifier"]
    edit(path, "self.value = 0", "self.value = 1")
    assert changed(first, identify(config(**base))) == ["environment", "verifier"]


def test_a_harness_file_counts_alone_and_a_harness_folder_as_a_whole(base: dict[str, Any], tmp_path: Path) -> None:
    single = {**base, "harness": str(tmp_path / "crooked.py")}
    first = identify(config(**single))
    (tmp_path / "beside.py").write_text("")
    assert changed(first, identify(config(**single))) == []
    folder = tmp_path / "mine"
    folder.mkdir()
    make_harness(folder, "return Transcript()", name="harness")
    whole = {**base, "harness": str(folder / "harness.py")}
    second = identify(config(**whole))
    assert changed(first, second) == ["harness"]
    (folder / "prompts.py").write_text("")
    assert changed(second, identify(config(**whole))) == ["harness"]


def test_the_same_file_name_elsewhere_is_the_same_environment(base: dict[str, Any], tmp_path: Path) -> None:
    """What else this process has imported must not decide whether a run may be resumed."""
    other = tmp_path / "copy" / "counter.py"
    other.parent.mkdir()
    other.write_text(COUNTER)
    assert changed(identify(config(**base)), identify(config(**{**base, "environment": str(other)}))) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"environment": "no_such_thing"}, "no environment `no_such_thing`"),
        ({"environment": "mcqaa"}, "did you mean `mcqa`?"),
        ({"environment": "absent.py"}, "absent.py"),
        ({"harness": "simpel"}, "did you mean `simple`?"),
        ({"harness": "absent.py"}, "harness absent.py: no such file"),
        ({"harness_options": {"x": 1}}, "harness simple: takes no options"),
        ({"model": "openay/m"}, "no provider `openay`"),
        ({"model": "builtin/oracle", "base_url": None}, "counter has no solution(), which builtin/oracle plays"),
        ({"env": {"tables": "x"}}, "no option `tables`"),
        ({"limits": {"cost": 1.0}}, "give --price"),
        ({"base_url": "nonsense"}, "--base-url"),
    ],
)
def test_what_does_not_fit_is_one_line(base: dict[str, Any], settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        identify(config(**{**base, **settings}))
    assert told in str(caught.value) and "\n" not in str(caught.value)

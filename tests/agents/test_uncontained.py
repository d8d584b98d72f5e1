"""An agent with a shell on a system that cannot contain it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import pytest

from gym_mcp.agents import harness
from gym_mcp.agents.agent import AgentOptions
from gym_mcp.agents.package import Package
from gym_mcp.errors import HarnessError
from tests.support import run


@pytest.mark.parametrize(("wish", "told"), [("auto", True), (False, False)])
def test_it_is_told(
    wish: Literal["auto", False], told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(harness, "namespaces_permitted", never)
    assert run(agent_that(wish)._contained) is False
    assert ("sheller has a shell and runs as you" in caplog.text) is told


def test_it_is_refused_where_containment_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "namespaces_permitted", never)
    with pytest.raises(HarnessError, match="permits no namespaces"):
        run(agent_that(True)._contained)


async def never() -> bool:
    return False


def agent_that(wish: Literal["auto", True, False]) -> harness.AgentHarness:
    package = Package("npm", "sheller", "1.0.0", "sheller")
    agent = SimpleNamespace(name="sheller", package=package, memory_mib=1, has_shell=True)
    return harness.AgentHarness(agent, AgentOptions(binary=Path("/bin/sh"), contained=wish))  # type: ignore[arg-type]

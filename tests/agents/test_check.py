"""`gym-mcp harness check`: what it says of agents that do not work."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.agents import check
from gym_mcp.errors import HarnessError
from tests.agents.kit import agent_processes, run

pytestmark = pytest.mark.slow
SAYS_ITS_VERSION = '#!/bin/sh\n[ "$1" = --version ] && echo 1.2.3 && exit\n'


@pytest.mark.parametrize(
    ("does", "said"),
    [("sleep 1000", "was not done after 1 s"), ("echo no luck >&2; exit 7", r"exit code 7.*no luck")],
)
def test_an_agent_that_does_not_work(
    does: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "claude").write_text(SAYS_ITS_VERSION + does + "\n")
    (tmp_path / "claude").chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(check, "SECONDS", 1.0)
    with pytest.raises(HarnessError, match=said):
        run(lambda: check.check("claude-code"))
    assert agent_processes() == []

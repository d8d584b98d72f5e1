"""The environment's own rules, and the report card that every environment must pass."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gym_mcp import Task, ToolError, Transcript
from gym_mcp.hub import load_environment
from gym_mcp.report_card import examine

MyEnvironment = load_environment(str(Path(__file__).with_name("server.py")))


def test_report_card() -> None:
    card = asyncio.run(examine(MyEnvironment))
    assert not card.failed, card.failed


def test_what_is_packed_leaves_the_stock_and_counts_in_part() -> None:
    data = MyEnvironment.parse_row({"stock": {"cup": 3}, "order": {"cup": 2}})
    environment: Any = MyEnvironment()
    environment.task = Task("cups", data=data)
    environment.open(environment.task)
    assert environment.pack("cup", 1) == "1 cup"
    assert environment.look() == {"cup": 2}
    reward = environment.verify(Transcript())
    assert (reward.score, reward.components) == (0.0, {"packed": 0.5})
    with pytest.raises(ToolError, match="only 2"):
        environment.pack("cup", 3)

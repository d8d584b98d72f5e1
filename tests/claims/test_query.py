"""Queries are interpreted: what they may ask, and what is refused."""

from __future__ import annotations

import pytest

from gym_mcp.claims.check import open_data
from gym_mcp.claims.query import Data, QueryError, evaluate
from tests.diagnosis.runs import office_run

DIGITS = "9" * 400


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    found = open_data(office_run(tmp_path_factory.mktemp("run") / "run"))
    for task in found.scan.tasks:
        task.data |= {"tags": ["a", "b"], "nested": {"x": 1}, "level": 3}
    return found


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("rollouts(reward > -1)", 80),
        ("rollouts(-calls < -7) == rollouts(calls > 7)", True),
        ('rollouts("a" in data.tags)', 80),
        ('rollouts("c" in data.tags)', 0),
        ("mean(data.level)", 3),
        ("tasks(data.nested.x == 1) == tasks()", True),
        ("rollouts(" + "not " * 20 + "passed)", 54),
        ("pass_hat(4) < pass_at(1) <= pass_at(4)", True),
    ],
)
def test_what_can_be_asked(query: str, value: float, data: Data) -> None:
    assert evaluate(query, data) == value


@pytest.mark.parametrize(
    "query",
    [
        "2 ** 9999999",
        DIGITS,
        f"{DIGITS} * 2",
        f"rollouts(calls < {DIGITS} * reward)",
        "1e999",
        "'a' * 99999999",
        "rollouts(data.tags * 99999999999 == 1)",
        "rollouts(data.tags + 1 > 2)",
        "total(data.tags)",
        "rollouts(data.tags < 3)",
        "rollouts(data.nested < 3)",
        "rollouts((1, 2) < 3)",
        "rollouts(task < 3)",
        "pass_at(2.7)",
        "-" * 480 + "1",
        "(" * 240 + "1" + ")" * 240,
        "not " * 100 + "1",
        "(1).__class__",
        "rollouts(task.__class__)",
        "rollouts(data.__class__)",
        "calls.__globals__()",
        "rollouts(passed)[0]",
        "[x for x in (1,)]",
        "lambda: 1",
        "rollouts(passed := 1)",
        " + ".join(["rollouts()"] * 13),
    ],
)
def test_what_cannot_be_asked(query: str, data: Data) -> None:
    with pytest.raises(QueryError):
        evaluate(query, data)

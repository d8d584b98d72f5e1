"""What counts as a score, and what is the verifier's error."""

from __future__ import annotations

import decimal
import fractions
import math
from typing import Any

import pytest

from gym_mcp import Environment, Reward
from gym_mcp.errors import VerifierError
from gym_mcp.reward import check_reward


class Unit(Environment):
    name = "unit"


class Golf(Environment):
    reward_range = (0.0, math.inf)
    higher_is_better = False


class NumpyLike:
    """A scalar of another library: no number by type, but `float` takes it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


class Array(NumpyLike):
    def __float__(self) -> float:
        raise TypeError("only length-1 arrays can be converted")


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        1,
        True,
        fractions.Fraction(1),
        decimal.Decimal(1),
        NumpyLike(1.0),
        Reward(1.0),
        Reward(True),
        Reward(1),
    ],
)
def test_whatever_is_a_number_is_a_score(value: Any) -> None:
    reward = check_reward(Unit, value)
    assert reward == Reward(1.0) and type(reward.score) is float


@pytest.mark.parametrize(
    "value",
    [None, "1.0", b"1", [1.0], {"score": 1}, math.nan, math.inf, -math.inf, 1j, Array(1), 10**400, object()],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_whatever_is_none_is_the_verifiers_error(value: Any, wrapped: bool) -> None:
    with pytest.raises(VerifierError, match=r"^unit.verify returned .* is no score$"):
        check_reward(Unit, Reward(value) if wrapped else value)


@pytest.mark.parametrize("value", [-0.001, 1.001, 2, Reward(-1.0)])
def test_a_score_outside_the_range_is_the_verifiers_error(value: Any) -> None:
    with pytest.raises(VerifierError, match=r"outside its range \[0, 1\]"):
        check_reward(Unit, value)


def test_infinity_is_no_score_even_where_the_range_has_no_end() -> None:
    assert check_reward(Golf, 1e300).score == 1e300
    with pytest.raises(VerifierError, match="is no score"):
        check_reward(Golf, math.inf)


def test_components_are_numbers_and_notes_text() -> None:
    parts: dict[str, Any] = {"a": 1, "b": NumpyLike(2.0), "far": -7.5}
    reward = check_reward(Unit, Reward(0.5, parts, notes="why"))
    assert reward == Reward(0.5, {"a": 1.0, "b": 2.0, "far": -7.5}, "why")
    assert [type(v) for v in reward.components.values()] == [float] * 3
    assert check_reward(Unit, Reward(0.5, notes=3)).notes == "3"  # type: ignore[arg-type]


@pytest.mark.parametrize("part", [None, "x", math.nan, math.inf, [1]])
def test_a_component_that_is_no_number_is_named(part: Any) -> None:
    with pytest.raises(VerifierError, match="as component `speed`"):
        check_reward(Unit, Reward(1.0, {"speed": part}))


@pytest.mark.parametrize("components", [None, [1.0], "a"])
def test_components_are_a_mapping(components: Any) -> None:
    with pytest.raises(VerifierError, match="as components"):
        check_reward(Unit, Reward(1.0, components))


def test_the_verifiers_own_object_is_not_handed_on() -> None:
    mine = Reward(1.0, {"a": 1.0})
    checked = check_reward(Unit, mine)
    checked.components["b"] = 2.0
    assert mine.components == {"a": 1.0}

"""What counts as a score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gym_mcp.environment import Environment
from gym_mcp.errors import VerifierError
from gym_mcp.types import Reward


def check_reward(cls: type[Environment[Any]], value: Any) -> Reward:
    """`value` as a `Reward` inside the declared range; anything else is the verifier's error, not a score.

    A score is whatever `float` makes a finite number of, except text: bools and NumPy's scalars too.
    """
    reward = value if isinstance(value, Reward) else Reward(value)
    score = _number(reward.score)
    if score is None:
        raise VerifierError(f"{cls.name}.verify returned {reward.score!r:.200}, which is no score")
    low, high = cls.reward_range
    if not low <= score <= high:
        raise VerifierError(f"{cls.name}.verify returned {score:g}, outside its range [{low:g}, {high:g}]")
    if not isinstance(reward.components, Mapping):
        raise VerifierError(f"{cls.name}.verify returned {reward.components!r:.200} as components")
    components: dict[str, float] = {}
    for part, value in reward.components.items():
        number = _number(value)
        if number is None:
            raise VerifierError(f"{cls.name}.verify returned {value!r:.200} as component `{part}`")
        components[str(part)] = number
    answer = None if reward.answer is None else str(reward.answer)
    return Reward(score, components, str(reward.notes), answer)


def _number(value: Any) -> float | None:
    if type(value) is not float:
        if not hasattr(type(value), "__float__"):
            return None
        try:
            value = float(value)
        except Exception:  # an array of several elements, a huge integer
            return None
    return value if math.isfinite(value) else None

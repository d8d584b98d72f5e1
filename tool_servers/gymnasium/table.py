"""Best play of the tabular environments (`env.P`), for the noise that an episode's seed will bring."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

_IMPATIENCE: Final = 1e-6
"""Taken off per step, so that of two equal returns the earlier one is chosen."""


def has_table(env: Any) -> bool:
    """Whether the environment gives its transitions: state -> action -> [(probability, next, reward, end)]."""
    table = getattr(env.unwrapped, "P", None)
    return isinstance(table, dict) and isinstance(getattr(env.unwrapped, "s", None), int | np.integer)


def goal_reward(env: Any) -> float:
    """The best reward of a transition that ends an episode: what reaching the goal pays."""
    transitions = (t for actions in env.unwrapped.P.values() for outcomes in actions.values() for t in outcomes)
    return float(max(reward for probability, _, reward, end in transitions if end and probability > 0))


def best_actions(env: Any, horizon: int) -> Iterator[int]:
    """Actions of the highest return that this episode can still have within `horizon` steps.

    Backward induction over (step, state). The environments draw one number a step to choose among an action's
    outcomes; a copy of their generator says which ones will come.
    """
    outcomes = _Outcomes(env)
    draws = copy.deepcopy(env.unwrapped.np_random).random(horizon)
    states = len(outcomes.cumulative)
    value = np.zeros(states)
    plan = np.zeros((horizon, states), dtype=np.int64)
    for step in range(horizon - 1, -1, -1):
        following, rewards, ends = outcomes.drawn(draws[step])
        total = rewards - _IMPATIENCE + np.where(ends, 0.0, value[following])
        plan[step] = total.argmax(axis=1)
        value = total[np.arange(states), plan[step]]
    state = int(env.unwrapped.s)
    for step in range(horizon):
        action = int(plan[step, state])
        yield action
        following, _, ends = outcomes.drawn(draws[step])
        if ends[state, action]:
            return
        state = int(following[state, action])


class _Outcomes:
    """The table as arrays: (state, action, outcome)."""

    def __init__(self, env: Any) -> None:
        table = env.unwrapped.P
        states, actions = len(table), len(table[0])
        most = max(len(outcomes) for row in table.values() for outcomes in row.values())
        probability = np.zeros((states, actions, most))
        self.following = np.zeros((states, actions, most), dtype=np.int64)
        self.rewards = np.zeros((states, actions, most))
        self.ends = np.zeros((states, actions, most), dtype=bool)
        for state, row in table.items():
            for action, outcomes in row.items():
                for k, (p, following, reward, end) in enumerate(outcomes):
                    place = (state, action, k)
                    probability[place], self.following[place] = p, following
                    self.rewards[place], self.ends[place] = reward, end
        self.cumulative = probability.cumsum(axis=2)

    def drawn(self, number: float) -> tuple[Any, Any, Any]:
        """(next state, reward, end) of every state and action when `number` is drawn."""
        chosen = (self.cumulative > number).argmax(axis=2)[..., None]
        following, rewards, ends = (
            np.take_along_axis(a, chosen, axis=2)[..., 0] for a in (self.following, self.rewards, self.ends)
        )
        return following, rewards, ends

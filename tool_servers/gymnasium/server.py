"""Gymnasium environments as tools: any one with discrete actions and an observation that fits into text."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from statistics import fmean
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gym_mcp import Call, Environment, Options, Reward, Task, ToolError, Transcript, tool
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject

if importlib.util.find_spec("gymnasium") is None:
    raise UsageError("gymnasium needs the package gymnasium: pip install 'gym-mcp[gymnasium]'")

import gymnasium

from . import table, text

HORIZON: Final = 200
"""Steps of an episode whose environment sets no limit."""


def _playable(name: str) -> str:
    """The id, after a look at what it names; `ValueError` when that cannot be played in text."""
    try:
        env = make(name)
    except Exception as e:  # the library raises its own errors, and those of what an environment imports
        raise ValueError(" ".join(f"gymnasium cannot make `{name}`: {e}".split())) from None
    try:
        if not isinstance(env.action_space, gymnasium.spaces.Discrete):
            raise ValueError(f"{name}: its actions are {env.action_space}; discrete ones are needed")
        observation, _ = env.reset(seed=0)
        if text.numbers(text.plain(observation)) > text.MAX_NUMBERS:
            raise ValueError(f"{name}: its observations are too large to be text")
    finally:
        env.close()
    return name


def make(name: str, **settings: Any) -> Any:
    """A fresh environment that draws in text if it can, and ends after `HORIZON` steps if nothing else ends it."""
    spec = gymnasium.spec(name)
    limit = {} if spec.max_episode_steps else {"max_episode_steps": HORIZON}
    mode = {"render_mode": "ansi"} if _draws_text(name) else {}
    options: dict[str, Any] = {**mode, **limit, **settings}
    return gymnasium.make(name, disable_env_checker=True, **options)


@cache
def _draws_text(name: str) -> bool:
    env = gymnasium.make(name, disable_env_checker=True)
    env.close()
    return "ansi" in env.metadata.get("render_modes", ())


class Row(BaseModel):
    """`seed` of the reset; the episode's own when absent."""

    model_config = ConfigDict(extra="ignore")
    seed: int | None = Field(default=None, ge=0)


class Gymnasium(Environment[Row]):
    """Play a Gymnasium environment step by step to its goal."""

    domain = "games"
    tags = ("gymnasium", "reinforcement-learning", "multi-step")
    argument = "id"
    max_calls = 10_000

    class Options(Options):
        """`id` of the environment, `settings` for it; as many `tasks` as seeds from `first_seed` on; `threshold`:
        the return that counts as success.
        """

        id: Annotated[str, AfterValidator(_playable)] = "Taxi-v4"
        settings: dict[str, Any] = Field(default_factory=dict)
        tasks: int = Field(default=12, ge=1)
        first_seed: int = Field(default=0, ge=0)
        threshold: float | None = None

    @classmethod
    def tasks(cls) -> Iterable[JSONObject]:
        options = cls.options
        for seed in range(options.first_seed, options.first_seed + options.tasks):
            env = make(options.id, **options.settings)
            try:
                observation, _ = env.reset(seed=seed)
                first = _shown(text.state_line(observation=observation), env)
                yield {"id": f"{options.id}-{seed}", "prompt": _prompt(env, first), "data": {"seed": seed}}
            finally:
                env.close()

    def open(self, task: Task[Row]) -> None:
        self._env = make(self.options.id, **self.options.settings)
        seed = task.data.seed
        self._observation, _ = self._env.reset(seed=self.seed % 2**32 if seed is None else seed)
        self.total, self.steps, self.last = 0.0, 0, 0.0
        self.terminated = self.truncated = False

    @tool
    def step(self, action: int) -> str:
        """Take an action.

        Args:
            action: The number of the action.
        """
        space = self._env.action_space
        if not space.contains(action):
            last = space.start + space.n - 1
            raise ToolError(f"There is no action {action}; actions are {space.start} to {last}.")
        self._observation, reward, terminated, truncated, _ = self._env.step(action)
        self.last = float(reward)
        self.total += self.last
        self.steps += 1
        self.terminated, self.truncated = bool(terminated), bool(truncated)
        self.done = self.terminated or self.truncated
        line = text.state_line(
            observation=self._observation, reward=reward, terminated=self.terminated, truncated=self.truncated
        )
        return _shown(line, self._env)

    @tool(read_only=True)
    def observe(self) -> str:
        """Look at the present observation again. It costs no step."""
        return _shown(text.state_line(observation=self._observation), self._env)

    def verify(self, transcript: Transcript) -> Reward:
        success, why = self._success()
        parts = {"return": self.total, "steps": self.steps}
        ends = {"terminated": self.terminated, "truncated": self.truncated}
        return Reward(float(success), parts | {k: float(v) for k, v in ends.items()}, why)

    def _success(self) -> tuple[bool, str]:
        """Whether the episode was won, and by which rule (the README lists them)."""
        if not (self.terminated or self.truncated):
            return False, "the episode was not played to its end"
        threshold = self.options.threshold
        if threshold is None and table.has_table(self._env):
            reached = self.terminated and self.last >= table.goal_reward(self._env)
            return reached, "the goal was reached" if reached else "the goal was not reached"
        if threshold is None:
            threshold = self._env.spec.reward_threshold
        if threshold is not None:
            return self.total >= threshold, f"return {self.total:g}, {threshold:g} wanted"
        return self.total > 0, f"return {self.total:g}, more than 0 wanted"

    def solution(self) -> Iterator[Call | str]:
        """The best play where the environment gives its transition table; random actions elsewhere."""
        limit = self._env.spec.max_episode_steps
        if table.has_table(self._env):
            actions: Iterable[int] = table.best_actions(self._env, limit)
        else:
            space = self._env.action_space
            actions = (self.rng.randrange(space.start, space.start + space.n) for _ in range(limit))
        for action in actions:
            yield Call("step", action=int(action))
            if self.done:
                break
        yield "Done."

    def close(self) -> None:
        self._env.close()

    @classmethod
    def metrics(cls, rollouts: Iterable[JSONObject]) -> dict[str, float]:
        returns = [row["components"]["return"] for row in rollouts if "return" in (row.get("components") or {})]
        return {"mean_return": fmean(returns)} if returns else {}


def _shown(line: str, env: Any) -> str:
    if env.render_mode != "ansi":
        return line
    return f"{line}\n\n{text.drawing(env.render())}"


def _prompt(env: Any, first: str) -> str:
    space = env.action_space
    return (
        f"Play {env.spec.id} with the tool `step`, whose actions are {space.start} to "
        f"{space.start + space.n - 1}, until the episode ends. Aim for the highest total reward.\n\n"
        f"{text.about(env)}\n\n{text.LEGEND}\n\nThe first observation:\n{first}"
    )

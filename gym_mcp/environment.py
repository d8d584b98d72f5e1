"""What an author writes: a class is an environment, an instance is one episode's state."""

from __future__ import annotations

import copy
import inspect
import json
import random
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from gym_mcp.errors import UsageError
from gym_mcp.judge import Judge
from gym_mcp.options import Options, read_options
from gym_mcp.tools import Tool, tools_of
from gym_mcp.types import Call, GroupRollout, Image, JSONObject, Reward, Row, Task, Transcript

Step: TypeAlias = "Call | str | list[Call]"
Solution: TypeAlias = "Step | Iterable[Step] | Iterator[Step] | AsyncIterator[Step]"


class Environment(Generic[Row]):
    """Tools, state and verification for a family of tasks.

    `open` and `verify` are all that must be written; `@tool` methods are what the agent can call. Sync and
    `async` both work everywhere. Only public names that the author sets live on the instance besides `task`,
    `rng` and `options`.
    """

    name: ClassVar[str] = ""
    """Defaults to the folder of a hub environment, else to the class name in snake_case."""
    named: ClassVar[bool] = False
    version: ClassVar[str] = "1"
    domain: ClassVar[str] = "other"
    tags: ClassVar[tuple[str, ...]] = ()
    reward_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = True
    floor: ClassVar[float] = 0.0
    """What an agent that does nothing scores at most."""
    call_timeout: ClassVar[float] = 60.0
    """Seconds that `open`, a tool, `reply` or `verify` may take."""
    max_calls: ClassVar[int] = 1_000
    """Tool calls in one episode."""
    max_live: ClassVar[int | None] = None
    """Live episodes that one server, or one run, may hold at a time; None: any number."""
    max_result_chars: ClassVar[int] = 400_000
    """Characters in one tool result; a longer one is an error to the agent."""
    max_image_bytes: ClassVar[int] = 20_000_000
    """Bytes of all images in one tool result; more is an error to the agent."""
    argument: ClassVar[str] = ""
    """The option that `NAME:VALUE` sets where an environment is named."""
    Options: ClassVar[type[Options]] = Options
    row_type: ClassVar[Any] = None
    """The row type of `Environment[RowType]` (a pydantic model, dataclass or TypedDict); None when `task.data`
    stays a dict."""
    _gym_row: ClassVar[Any] = Any
    options: Any = Options()
    judge: ClassVar[Judge] = Judge()
    """A model for `verify` to ask (`--judge SPEC`): `await self.judge.ask(prompt)`."""

    task: Task[Row]
    seed: int = 0
    done: bool = False
    """Set it to end the episode: later calls are refused and the harness is told."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.named = "name" in cls.__dict__
        if not cls.named:
            cls.name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Environment) and "row_type" not in cls.__dict__:
                cls._gym_row = _row_of(origin, get_args(base))
                plain = (
                    cls._gym_row in (Any, dict)
                    or get_origin(cls._gym_row) is dict
                    or isinstance(cls._gym_row, TypeVar)
                )
                cls.row_type = None if plain else cls._gym_row
        low, high = cls.reward_range
        if not low < high:
            raise UsageError(f"{cls.__name__}: reward_range is (low, high), not ({low:g}, {high:g})")
        if cls.max_live is not None and (type(cls.max_live) is not int or cls.max_live < 1):
            problem = f"max_live is a number of episodes from 1, or None, not {cls.max_live!r}"
            raise UsageError(f"{cls.__name__}: {problem}")
        for what in ("Options", "options"):
            if what in cls.__dict__ and not _are_options(cls.__dict__[what]):
                problem = f"`{what}` is not of gym_mcp.Options: write `class Options(Options):` inside it"
                raise UsageError(f"{cls.__name__}: {problem}")
        if "Options" in cls.__dict__:
            try:
                cls.options = cls.Options()
            except ValidationError:
                cls.options = None  # a required one is missing: `configured` says which

    @cached_property
    def rng(self) -> random.Random:
        """Random numbers of this episode, seeded from (run seed, task id, repeat)."""
        return random.Random(self.seed)

    # -- the author's methods ------------------------------------------------------------------------------

    def open(self, task: Task[Row]) -> Awaitable[None] | None:
        """Set up this episode's state for `task`."""
        return None

    def verify(self, transcript: Transcript) -> Any:
        """Score the episode: a float or a `Reward` (or an awaitable of one)."""
        if self.has("verify_group"):
            return self.floor
        raise NotImplementedError(f"{type(self).__name__} has no `verify(self, transcript)`: write it")

    @classmethod
    def verify_group(cls, task: Task[Row], rollouts: Sequence[GroupRollout]) -> Any:
        """Score all rollouts of a task together: one float or `Reward` for each, in their order.

        For scores that compare rollouts (a judge's preferences, the shortest of the right ones). Called once all
        repeats of the task have ended, with those that `verify` scored; what it gives takes the place of their
        rewards. The order of `rollouts` must not matter.
        """
        raise NotImplementedError(f"{cls.__name__}.verify_group")

    def solution(self) -> Solution:
        """A reference solution: steps returned as a list or yielded one by one.

        A step is a `Call` (a generator receives its result's text), a list of calls made in parallel (it
        receives their texts), or a `str`: what the agent says (it receives the user's reply, if there is one).
        The last `str` is the final answer.
        """
        raise NotImplementedError(f"{type(self).__name__}.solution")

    def reply(self, message: str) -> Any:
        """The next user message after the agent said `message`, or None to end the conversation."""
        return None

    def tools_for(self, task: Task[Row]) -> Iterable[str | Tool] | None:
        """Names of the tools that the agent gets for this task, or `Tool`s made from its data; None for all."""
        return task.tools

    def close(self) -> Awaitable[None] | None:
        """Free what `open` took. Called once, also after failures."""
        return None

    def snapshot(self) -> Any:
        """A copy of the episode's state, good for `restore`: all attributes, random numbers included.

        Raises `TypeError` for what cannot be copied (open files, generators, connections): such an environment
        writes both methods itself.
        """
        return self._gym_copy({k: v for k, v in self.__dict__.items() if k != "task"})

    def restore(self, snapshot: Any) -> None:
        """Go back to a snapshot of this episode."""
        state = self._gym_copy(snapshot)
        if "task" in self.__dict__:
            state["task"] = self.task
        self.__dict__.clear()
        self.__dict__.update(state)

    def _gym_copy(self, state: Mapping[str, Any]) -> dict[str, Any]:
        shared = {id(self): self}  # bound methods among the attributes stay bound to this instance
        if "task" in self.__dict__:
            shared[id(self.task)] = self.task  # type: ignore[assignment]
        return {k: copy.deepcopy(v, shared) for k, v in state.items()}

    def state(self) -> JSONObject:
        """What the operator is shown of the state; public attributes that are JSON, by default."""
        hidden = {"task", "rng", "seed", "options"}
        return {
            k: v for k, v in self.__dict__.items() if not k.startswith("_") and k not in hidden and _is_json(v)
        }

    def resources(self) -> Mapping[str, str | bytes | Image]:
        """Files of the task that the agent may read, by URI or plain name."""
        return {}

    @classmethod
    def tasks(cls) -> Iterable[Task[Row] | JSONObject]:
        """The bundled tasks: `tasks.jsonl` beside the class's file, unless overridden to generate them."""
        from gym_mcp.datasets import read_rows

        path = bundled_tasks(cls)
        return () if path is None else read_rows(path)

    @classmethod
    def metrics(cls, rollouts: Iterable[JSONObject]) -> dict[str, float]:
        """Numbers over a whole run (corpus BLEU, say), from its rollout rows."""
        return {}

    # -- what the system asks of the class -----------------------------------------------------------------

    @classmethod
    def tools(cls) -> dict[str, Tool]:
        """All declared tools by name, built once per class."""
        cached = cls.__dict__.get("_gym_tools")
        if cached is None:
            cached = tools_of(cls)
            cls._gym_tools = cached  # type: ignore[attr-defined]
        return dict(cached)

    @classmethod
    def summary(cls) -> str:
        """The first line of the class's docstring."""
        doc = cls.__doc__ or ""
        return inspect.cleandoc(doc).split("\n", 1)[0]

    @classmethod
    def has(cls, method: str) -> bool:
        """Whether the author wrote an optional method (`solution`, `reply`, ...)."""
        known: dict[str, bool] = cls.__dict__.get("_gym_has") or {}
        if method not in known:
            ours = inspect.getattr_static(Environment, method)
            known[method] = inspect.getattr_static(cls, method) is not ours
            cls._gym_has = known  # type: ignore[attr-defined]
        return known[method]

    @classmethod
    def interaction(cls) -> str:
        """`multi_turn` with `reply`, `tools` with tools, else `single_turn`."""
        if cls.has("reply"):
            return "multi_turn"
        return "tools" if cls.tools() or cls.has("tools_for") else "single_turn"

    @classmethod
    def configured(cls, settings: Mapping[str, Any]) -> type[Environment[Any]]:
        """The class with its options set. Values may be strings: they are read as the option's type."""
        return cls._variant(options=read_options(f"environment {cls.name}", cls.Options, settings))

    @classmethod
    def judged_by(cls, judge: Judge) -> type[Environment[Any]]:
        """The class with a judge for its `verify`."""
        return cls._variant(judge=judge)

    @classmethod
    def _variant(cls, **attributes: Any) -> type[Environment[Any]]:
        body = {"name": cls.name, "__doc__": cls.__doc__, "__module__": cls.__module__, **attributes}
        return type(cls.__name__, (cls,), body)

    @classmethod
    def parse_row(cls, data: Any) -> Any:
        """`data` as the declared row type; pydantic's `ValidationError` when it does not fit."""
        if cls.row_type is None:
            return data
        adapter = cls.__dict__.get("_gym_row_adapter")
        if adapter is None:
            adapter = TypeAdapter(cls.row_type)
            cls._gym_row_adapter = adapter  # type: ignore[attr-defined]
        return adapter.validate_python(data)


def _are_options(value: Any) -> bool:
    if isinstance(value, type):
        return issubclass(value, BaseModel)
    return value is None or isinstance(value, BaseModel)


def bundled_tasks(cls: type[Environment[Any]]) -> Path | None:
    """`tasks.jsonl` in the folder of a hub environment, or `<file>.jsonl` beside a single-file one."""
    for base in cls.__mro__:
        file = getattr(sys.modules.get(base.__module__), "__file__", None)
        if base is Environment or file is None:
            break
        source = Path(file)
        names = ("tasks.jsonl",) if source.name == "server.py" else (f"{source.stem}.jsonl", "tasks.jsonl")
        for name in names:
            if (source.parent / name).is_file():
                return source.parent / name
    return None


def _row_of(base: type[Environment[Any]], arguments: tuple[Any, ...]) -> Any:
    """The row type of `base[arguments]`: what stands for the parameter that `base` hands on as its own row."""
    if base is Environment:
        return arguments[0]
    parameters = getattr(base, "__parameters__", ())
    return dict(zip(parameters, arguments, strict=False)).get(base._gym_row, base._gym_row)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


__all__ = ["Call", "Environment", "Image", "Options", "Reward", "Row", "Solution", "Step", "Task", "Transcript"]

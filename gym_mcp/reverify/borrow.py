"""An environment verified by another one's `verify`: same tools, same state, other score."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError, VerifierError
from gym_mcp.identity import environment_identity, json_digest
from gym_mcp.tools import explain
from gym_mcp.types import GroupRollout, Task, Transcript

EnvironmentType = type[Environment[Any]]


def verified_by(cls: EnvironmentType, other: EnvironmentType) -> EnvironmentType:
    """`cls` with the `verify` of `other`, which runs with all of `other`'s helpers and options on `cls`'s state.

    Groups are scored by `other`'s `verify_group`, or not at all where it has none. The score's range and direction
    are `other`'s. Task data are read anew where `other` declares other rows.
    """
    other = other.judged_by(cls.judge)

    def verify(self: Environment[Any], transcript: Transcript) -> Any:
        return other.verify(_seen_as(self, other), transcript)

    async def verify_async(self: Environment[Any], transcript: Transcript) -> Any:
        value = verify(self, transcript)
        return await value if inspect.isawaitable(value) else value

    def verify_group(_: EnvironmentType, task: Task[Any], rollouts: Sequence[GroupRollout]) -> Any:
        return other.verify_group(task, rollouts)

    grouped = classmethod(verify_group) if other.has("verify_group") else vars(Environment)["verify_group"]
    return cls._variant(
        verify_group=grouped,
        verify=verify_async if _has_async(other) else verify,
        options=cls.options,
        judge=cls.judge,
        reward_range=other.reward_range,
        higher_is_better=other.higher_is_better,
        call_timeout=max(cls.call_timeout, other.call_timeout),
        floor=other.floor,
    )


def _seen_as(environment: Environment[Any], other: EnvironmentType) -> Environment[Any]:
    """The episode's state as an instance of `other`, whose `open` never ran."""
    twin: Environment[Any] = object.__new__(other)
    twin.__dict__ = environment.__dict__
    task = environment.task
    if other.row_type is not type(environment).row_type and task.raw is not None:
        try:
            twin.__dict__ = {**environment.__dict__, "task": replace(task, data=other.parse_row(task.raw))}
        except ValidationError as e:
            raise VerifierError(f"{other.name}: the task does not fit: {explain(e)}") from None
    return twin


def _has_async(cls: type) -> bool:
    return any(inspect.iscoroutinefunction(value) for base in cls.__mro__ for value in vars(base).values())


def identity_with(cls: EnvironmentType, other: EnvironmentType) -> dict[str, str]:
    """The identity of `verified_by(cls, other)`; that of `cls` when `other` is the same code."""
    own, theirs = environment_identity(cls), environment_identity(other)
    return own if own == theirs else {**own, "verifier": json_digest(theirs)}


def load_verifier(path: Path, settings: Mapping[str, Any]) -> EnvironmentType | None:
    """The environment of a `.py` file, to borrow its `verify`; None for a `verifiers` folder, which is imported.

    Options of the run that the file declares too are set. Raises `UsageError` for anything else.
    """
    if path.is_dir():
        use_verifiers(path)
        return None
    if path.suffix != ".py":
        raise UsageError(f"--verifier-from {path}: a .py file with an environment, or a `verifiers` folder")
    from gym_mcp.hub import load_environment

    cls = load_environment(str(path))
    known = {k: v for k, v in settings.items() if k in cls.Options.model_fields}
    return cls.configured(known) if known or cls.options is None else cls


def use_verifiers(folder: Path) -> None:
    """Have `import verifiers` find `folder` from now on, in this process."""
    folder = folder.resolve()
    if folder.name != "verifiers" or not (folder / "__init__.py").is_file():
        raise UsageError(f"--verifier-from {folder}: a folder must be called `verifiers` and hold __init__.py")
    loaded = sys.modules.get("verifiers")
    if loaded is not None and str(folder) not in getattr(loaded, "__path__", ()):
        raise UsageError(f"--verifier-from {folder}: other verifiers are loaded already; use a fresh process")
    sys.path.insert(0, str(folder.parent))
    import_module("verifiers")

"""From a run's settings to live parts: environment, model, harness, and the identity that they add up to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gym_mcp import hub
from gym_mcp.client import Description, EnvironmentClient
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.datasets import load_tasks, parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.harness import Harness, Limits
from gym_mcp.identity import json_digest, path_digest
from gym_mcp.judge import Judge, make_judge
from gym_mcp.models.base import Model
from gym_mcp.types import JSONObject, Task


@dataclass(slots=True)
class Parts:
    """What a run works with. `environment_type` stands in for a served environment, whose class is elsewhere."""

    client: EnvironmentClient
    environment_type: type[Environment[Any]]
    description: Description
    model: Model
    harness_name: str
    harness: Harness
    harness_path: Path
    limits: Limits
    skills_ref: str | None = None

    async def aclose(self) -> None:
        if hasattr(self.harness, "aclose"):
            await self.harness.aclose()
        await self.model.aclose()
        await self.client.aclose()
        await self.environment_type.judge.aclose()


def is_url(environment: str) -> bool:
    return urlsplit(environment).scheme in ("http", "https")


async def connect(config: RunConfig) -> Parts:
    """Everything that `config` names; `UsageError` for what does not exist or does not fit together."""
    from gym_mcp.models.spec import make_model

    name, harness, path = hub.load_harness(config.harness, config.harness_options)
    skills_ref = _use_skills(name, harness, config.skills)
    if config.max_memory is not None and not hasattr(harness, "processes"):
        raise UsageError(f"--max-memory: harness {name} has no processes of its own; leave it out")
    client, cls = await connect_environment(config)
    try:
        description = await client.describe()
        if "oracle" in config.model and config.model.startswith("builtin/") and not description.has_solution:
            raise UsageError(
                f"environment {description.name} has no solution(), which {config.model} plays; "
                "write one, or choose another model (`gym-mcp list models`)"
            )
        model = make_model(
            config.model,
            base_url=config.base_url,
            params=config.sampling,
            timeout=config.model_timeout,
            max_retries=config.max_retries,
            concurrency=config.concurrency,
            price=config.price,
        )
        if config.limits.cost is not None and model.price is None:
            raise UsageError("--max-cost: what the model costs is unknown; give --price IN,OUT")
    except BaseException:
        await client.aclose()
        raise
    limits = Limits(**config.limits.model_dump())
    return Parts(client, cls, description, model, name, harness, path, limits, skills_ref)


def _use_skills(name: str, harness: Harness, source: str | None) -> str | None:
    """Hand the skills of `--skills` to the harness; what rollouts are recorded to have had."""
    if source is None:
        return None
    if not hasattr(harness, "use_skills"):
        raise UsageError(f"harness {name}: takes no skills (--skills)")
    from gym_mcp.agents.skills import load_skills

    skills = load_skills(source)
    harness.use_skills(skills)
    return skills.ref


async def connect_environment(config: RunConfig) -> tuple[EnvironmentClient, type[Environment[Any]]]:
    """The environment that `config` names, behind its client, and its class or what stands in for it."""
    if not is_url(config.environment):
        cls = hub.load_environment(config.environment, config.env)
        if config.judge is not None:
            cls = cls.judged_by(judge_of(config.judge, config))
        return DirectClient(cls), cls
    if config.judge is not None:
        raise UsageError("--judge: a served environment gets its judge where it is served")
    if config.env:
        raise UsageError("--set env...: a served environment gets its options where it is served")
    from gym_mcp.http import HTTPClient

    client = HTTPClient(config.environment)
    try:
        description = await client.describe()
    except BaseException:
        await client.aclose()
        raise
    return client, _stand_in(description)


def judge_of(spec: str, config: RunConfig) -> Judge:
    """The judge of a run."""
    return make_judge(spec, base_url=config.judge_base_url, cached=config.judge_cache, price=config.judge_price)


def _stand_in(description: Description) -> type[Environment[Any]]:
    """A class that knows what rows of a served environment may name, for the row parser."""
    tools: Mapping[str, Any] = {t["name"]: t for t in description.tools}

    class Served(Environment[Any]):
        __doc__ = description.summary
        name = description.name

        @classmethod
        def tools(cls) -> dict[str, Any]:
            return dict(tools)

    return Served


async def gather_tasks(config: RunConfig, parts: Parts) -> Iterator[Task[Any]]:
    """The tasks of `--input`, or the environment's own."""
    if config.input is not None or isinstance(parts.client, DirectClient):
        return load_tasks(parts.environment_type, config.input)
    rows = _take(parts.client.tasks(), config.limit)
    return iter([parse_task(parts.environment_type, row, config.environment) async for row in rows])


async def _take(rows: AsyncIterator[JSONObject], limit: int | None) -> AsyncIterator[JSONObject]:
    count = 0
    async for row in rows:
        if count == limit:
            return
        count += 1
        yield row


def identity(config: RunConfig, parts: Parts, tasks_digest: str) -> dict[str, Any]:
    """What decides a rollout's result. Two runs with the same identity are the same run."""
    model = {k: v for k, v in parts.model.identity().items() if k != "base_url"}
    return {
        **parts.description.identity,
        "environment_name": parts.description.name,
        "benchmark": f"{config.benchmark}/{config.split}" if config.split else config.benchmark,
        "tasks": tasks_digest,
        "harness": f"{parts.harness_name}:{_harness_digest(parts.harness_path)}",
        "harness_options": json_digest(config.harness_options),
        **({"skills": parts.skills_ref} if parts.skills_ref else {}),
        **({"harness_identity": parts.harness.identity()} if hasattr(parts.harness, "identity") else {}),
        "model": model,
        "sampling": dict(config.sampling),
        "limits": config.limits.model_dump(),
        "judge": config.judge,
        "seed": config.seed,
        "repeats": config.repeats,
    }


def _harness_digest(path: Path) -> str:
    """Of a hub harness the whole folder; of a single file that file, whatever lies around it."""
    return path_digest(path.parent if path.name == "harness.py" else path)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed between two identities, each as `name: old -> new`."""
    return [
        f"{key}: {old.get(key)} -> {new.get(key)}" for key in sorted({*old, *new}) if old.get(key) != new.get(key)
    ]

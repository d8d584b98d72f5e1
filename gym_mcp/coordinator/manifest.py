"""What a run writes down about itself before its first rollout. No secrets."""

from __future__ import annotations

import datetime
import os
import platform
import secrets
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import gym_mcp
from gym_mcp.client import Description
from gym_mcp.coordinator.config import RunConfig
from gym_mcp.coordinator.connect import Parts, identity, is_url
from gym_mcp.scrub import scrub_url
from gym_mcp.types import JSONObject


def make_manifest(config: RunConfig, parts: Parts, tasks: int, tasks_digest: str) -> JSONObject:
    """The content of `manifest.json`; `docs/runs.md` describes each field."""
    return {
        "schema": 1,
        "run_id": secrets.token_hex(6),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [os.path.basename(sys.argv[0]), *map(scrub_url, sys.argv[1:])],
        "versions": {
            "gym_mcp": gym_mcp.__version__,
            "python": platform.python_version(),
            "mcp": _version("mcp"),
            "platform": platform.platform(),
        },
        "config": settings_of(config),
        "identity": identity(config, parts, tasks_digest),
        "environment": _about(parts.description),
        "model": parts.model.identity(),
        "harness": parts.harness_name,
        "tasks": tasks,
        "repeats": config.repeats,
        "expected": tasks * config.repeats,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def settings_of(config: RunConfig) -> JSONObject:
    """The settings as resume will need them: paths absolute, URLs without credentials."""
    settings = config.model_dump(mode="json")
    for name in ("base_url", "judge_base_url"):
        settings[name] = settings[name] and scrub_url(settings[name])
    if config.input is not None:
        settings["input"] = str(config.input.resolve())
    if is_url(config.environment):
        settings["environment"] = scrub_url(config.environment)
    elif config.environment.endswith(".py"):
        settings["environment"] = str(Path(config.environment).resolve())
    if config.skills not in (None, "none"):
        settings["skills"] = str(Path(config.skills).resolve())
    settings["other_skills"] = [str(Path(folder).resolve()) for folder in config.other_skills]
    if config.harness.endswith(".py"):
        settings["harness"] = str(Path(config.harness).resolve())
    return settings


def _about(description: Description) -> JSONObject:
    return {
        "name": description.name,
        "version": description.version,
        "summary": description.summary,
        "interaction": description.interaction,
        "reward_range": list(description.reward_range),
        "higher_is_better": description.higher_is_better,
        "floor": description.floor,
        "tools": description.tools,
    }

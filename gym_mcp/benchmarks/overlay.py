"""What a benchmark adds to the settings of a run, and what lists say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp import hub
from gym_mcp.benchmarks.cache import Cache, default_root, read_json, write_bytes
from gym_mcp.benchmarks.rows import filled, smoke_rows
from gym_mcp.benchmarks.spec import SMOKE, Benchmark, load_benchmark
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject


def settings_of(name: str, split: str | None = None) -> dict[str, Any]:
    """The settings of `eval run` that `-b NAME` stands for; flags win over them.

    `UsageError` when the split has not been prepared. The smoke split is run once, whatever `repeats` says.
    """
    benchmark = load_benchmark(name)
    split = split or benchmark.default_split
    env = filled(benchmark.env, None if split == SMOKE else Cache(default_root()).folder(name))
    own = {"env": env, "sampling": dict(benchmark.sampling), "limits": dict(benchmark.limits)}
    settings: dict[str, Any] = {"benchmark": name, "environment": benchmark.environment}
    settings |= {key: value for key, value in own.items() if value}
    if split is None:
        return {**settings, "repeats": benchmark.repeats}
    settings |= {"split": split, "input": _rows_file(benchmark, split)}
    return {**settings, "repeats": 1 if split == SMOKE else benchmark.repeats}


def _rows_file(benchmark: Benchmark, split: str) -> Path:
    cache = Cache(default_root())
    path = cache.prepared(benchmark.name, split)
    if split == SMOKE:
        write_bytes(path, b"".join(orjson.dumps(row) + b"\n" for row in smoke_rows(benchmark)))
        return path
    recipe = benchmark.recipe(split)
    if not path.is_file():
        why = "is not prepared"
    elif read_json(cache.about(benchmark.name, split)).get("recipe") != recipe:
        why = "was prepared from another version of the benchmark"
    else:
        return path
    flag = "" if split == benchmark.default_split else f" --split {split}"
    raise UsageError(
        f"benchmark {benchmark.name}: split {split} {why}: "
        f"`gym-mcp eval prepare {benchmark.name}{flag}` fetches it; `--split {SMOKE}` runs offline at once"
    )


_LISTED: Final = ("domain", "category", "environment", "repeats", "tags", "license", "homepage")


def listed(entry: hub.Entry) -> JSONObject:
    """What `gym-mcp list benchmarks` says of an entry; read from its YAML as it stands.

    `status`: `prepared`, `smoke only`, `generated` (the environment makes the tasks), `no environment`, or
    `unreadable`.
    """
    facts = dict(entry.facts)
    splits = facts["splits"] if isinstance(facts.get("splits"), dict) else {}
    known: JSONObject = {key: facts[key] for key in _LISTED if key in facts}
    status = _status(entry, str(facts.get("environment", "")), list(splits))
    return {"repeats": 1, **known, "splits": [*splits, SMOKE], "status": status, "needs": facts.get("needs") or []}


def _status(entry: hub.Entry, environment: str, splits: list[str]) -> str:
    if not entry.facts:
        return "unreadable"
    try:
        hub.find("environment", environment.partition(":")[0])
    except UsageError:
        return "no environment"
    if not splits:
        return "generated"
    cache = Cache(default_root())
    return "prepared" if cache.prepared(entry.name, splits[0]).is_file() else "smoke only"

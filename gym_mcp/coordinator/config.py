"""What a run is asked to do: flags, one experiment file and dotted overrides end up here."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gym_mcp.errors import UsageError
from gym_mcp.suggest import did_you_mean
from gym_mcp.tools import explain

_NOUNS: Final = ("environment", "model", "harness")
_PLURALS: Final = ("environments", "models", "harnesses")


class LimitSettings(BaseModel):
    """Budgets of one rollout (see `gym_mcp.harness.Limits`)."""

    model_config = ConfigDict(extra="forbid")
    turns: int | None = Field(default=100, ge=1)
    tokens: int | None = Field(default=None, ge=1)
    cost: float | None = Field(default=None, gt=0)
    seconds: float | None = Field(default=3600.0, gt=0)


class RunConfig(BaseModel):
    """One run: an environment, a model, a harness and how often."""

    model_config = ConfigDict(extra="forbid")
    environment: str
    model: str
    harness: str = "simple"
    benchmark: str | None = None
    split: str | None = None
    base_url: str | None = None
    input: Path | None = None
    limit: int | None = Field(default=None, ge=1)
    repeats: int = Field(default=1, ge=1)
    concurrency: int = Field(default=64, ge=1)
    share: float = Field(default=1.0, gt=0)
    workers: int = Field(default=1, ge=1)
    seed: int = 0
    limits: LimitSettings = LimitSettings()
    sampling: dict[str, Any] = {}
    env: dict[str, Any] = {}
    record_calls: bool = False
    harness_options: dict[str, Any] = {}
    skills: str | None = None
    model_timeout: float = Field(default=600.0, gt=0)
    max_retries: int = Field(default=5, ge=0)
    max_attempts: int = Field(default=2, ge=1)
    max_memory: int | None = Field(default=None, ge=1)
    price: tuple[float, float] | None = None
    judge: str | None = None
    judge_base_url: str | None = None
    judge_price: tuple[float, float] | None = None
    judge_cache: bool = True


class Experiment(BaseModel):
    """Models x harnesses x environments; every other field of `RunConfig` applies to all of them.

    An entry of a list is a name, or a mapping with `name` and overrides for the runs it takes part in.
    """

    model_config = ConfigDict(extra="forbid")
    environments: list[str | dict[str, Any]]
    models: list[str | dict[str, Any]]
    harnesses: list[str | dict[str, Any]] = ["simple"]

    def runs(self, common: Mapping[str, Any], overrides: Mapping[str, Any]) -> list[RunConfig]:
        """One configuration for each cell of the grid; `overrides` win over the cells' own settings."""
        configs = []
        for cell in product(self.environments, self.models, self.harnesses):
            values = dict(common)
            for noun, entry in zip(_NOUNS, cell, strict=True):
                if isinstance(entry, str):
                    values[noun] = entry
                    continue
                rest = dict(entry)
                if "name" not in rest:
                    raise UsageError(f"experiment: an entry of `{noun}s` that is a mapping needs `name`")
                values[noun] = rest.pop("name")
                values = merged(values, rest)
            values = merged(values, {k: v for k, v in overrides.items() if k not in _NOUNS and k not in _PLURALS})
            configs.append(make_config(values))
        return configs


def make_config(values: Mapping[str, Any], where: str = "configuration") -> RunConfig:
    """Validated settings; `UsageError` that names the field and, for a typing error, the nearest one."""
    for key in values:
        if key not in RunConfig.model_fields:
            hint = did_you_mean(key, RunConfig.model_fields) or f"; an option of the environment is `env.{key}`"
            raise UsageError(f"{where}: no setting `{key}`{hint}")
    values = with_benchmark(values, where)
    for key, how in (("environment", "-e NAME"), ("model", "-m SPEC, e.g. -m builtin/noisy-oracle")):
        if not values.get(key):
            raise UsageError(f"{where}: no {key}: give {how} (`gym-mcp list {key}s`)")
    try:
        return RunConfig.model_validate(dict(values))
    except ValidationError as e:
        raise UsageError(f"{where}: {explain(e, RunConfig)}") from None


def with_benchmark(values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """`values` over the settings that their benchmark stands for. A resumed run's hold them already."""
    if not values.get("benchmark"):
        if values.get("split"):
            raise UsageError(f"{where}: a split belongs to a benchmark: give -b NAME")
        return values
    if values.get("environment"):
        return values
    if values.get("input"):
        raise UsageError(f"{where}: a benchmark has its own tasks: leave out --input, or -b and give -e")
    from gym_mcp.benchmarks import settings_of

    return merged(settings_of(values["benchmark"], values.get("split")), values)


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs of an experiment. `together`: at once, `concurrency` rollouts at a time in all; else one by one."""

    runs: list[RunConfig]
    together: bool
    concurrency: int


def load_experiment(path: Path, overrides: Mapping[str, Any]) -> Plan:
    """The runs of a YAML or TOML file. `overrides` (flags, `--set`) win over it."""
    return _plan(_read(path), overrides, str(path))


def make_plan(settings: Mapping[str, Any]) -> Plan:
    """The run, or the runs, that flags alone ask for."""
    where = "eval run"
    if any(plural in settings for plural in _PLURALS):
        return _plan({}, settings, where)
    config = make_config({k: v for k, v in settings.items() if k != "together"}, where)
    return Plan([config], False, config.concurrency)


def _plan(settings: Mapping[str, Any], overrides: Mapping[str, Any], where: str) -> Plan:
    """The runs of `settings`, with `overrides` on top. Runs together keep a `concurrency` of their own."""
    values = merged(settings, overrides)
    together = values.pop("together", False)
    if not isinstance(together, bool):
        raise UsageError(f"{where}: together: true or false is expected, not {together!r}")
    grid: dict[str, Any] = {k: values.pop(k) for k in _PLURALS if k in values}
    for noun, plural in zip(_NOUNS, _PLURALS, strict=True):
        if noun in values and (noun in overrides or plural not in grid):  # a flag narrows the grid to one
            grid[plural] = [values.pop(noun)]
    _add_benchmarks(grid, values)
    for plural, flag in zip(_PLURALS, ("-e NAME", "-m SPEC"), strict=False):
        if plural not in grid:
            raise UsageError(f"{where}: no `{plural}`, and no flag that gives one: {flag}")
    try:
        experiment = Experiment.model_validate(grid)
    except ValidationError as e:
        raise UsageError(f"{where}: {explain(e)}") from None
    own = {"concurrency"} if together else set()
    over = {k: v for k, v in overrides.items() if k not in own and k != "together"}
    total = values.get("concurrency", RunConfig.model_fields["concurrency"].default)
    return Plan(experiment.runs(values, over), together, total)


def _add_benchmarks(grid: dict[str, Any], values: dict[str, Any]) -> None:
    """`benchmarks: [NAME, ...]` of an experiment as environments with settings; the file's own settings win."""
    names = values.pop("benchmarks", [])
    if values.get("benchmark"):  # a flag narrows the grid to one
        names = [values.pop("benchmark")]
        grid.pop("environments", None)
    if not names:
        return
    from gym_mcp.benchmarks import settings_of

    split = values.pop("split", None)
    for name in names:
        settings = settings_of(name, split)
        own = {k: v for k, v in settings.items() if k != "environment" and k not in values}
        grid.setdefault("environments", []).append({"name": settings["environment"], **own})


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise UsageError(f"{path}: {e.strerror}") from None
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        import yaml

        value = yaml.safe_load(text)
    except Exception as e:  # both parsers have their own error types
        raise UsageError(f"{path}: {' '.join(str(e).split())}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: a mapping of settings is expected")
    return value


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`; mappings merge, everything else is replaced."""
    out = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), Mapping):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out


def parse_overrides(pairs: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """`env.tables=DIR`, `limits.turns=20` as nested settings; values are read as JSON, else as YAML."""
    out: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise UsageError(f"--set {pair}: KEY=VALUE is expected, e.g. --set limits.turns=20")
        nested: Any = _scalar(text)
        for part in reversed(key.split(".")):
            nested = {part: nested}
        out = merged(out, nested)
    return out


def _scalar(text: str) -> Any:
    """A value of the command line. YAML alone would read `1e-3` as a word and `2023-11-30` as a date."""
    import yaml

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return text if isinstance(value, datetime.date) else value

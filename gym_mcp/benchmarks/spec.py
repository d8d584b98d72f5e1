"""What `benchmark.yaml` says: environment, dataset, row mapping, prompt, repeats and sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from gym_mcp import hub
from gym_mcp.benchmarks.mapping import Value
from gym_mcp.errors import UsageError
from gym_mcp.identity import digest, json_digest
from gym_mcp.suggest import did_you_mean
from gym_mcp.tools import explain

SMOKE: Final = "smoke"
"""The split that every benchmark carries: a few self-made rows in the dataset's format."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Strict):
    """One file of a dataset. `sha256` null: recorded in the cache's lock at the first fetch and checked after."""

    path: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    url: str | None = None
    """Where the file lies when it is not in a repository of the dataset hub."""


class Split(Strict):
    """Where the rows of a split come from.

    `repo` is a dataset on the hub. `revision` is a commit; of a branch (null: the main one), the commit that is
    fetched first is recorded and kept to. `records` is the path to the list inside a JSON file. `where` keeps the
    rows whose field has one of the values, or lies in `{from: LOW, before: HIGH}`. `rows`: how many are left, when
    known; another number is refused.
    """

    repo: str | None = None
    revision: str | None = None
    files: list[File] = Field(min_length=1)
    records: str | None = None
    where: dict[str, Any] = {}
    rows: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _located(self) -> Split:
        if self.repo is None and any(f.url is None for f in self.files):
            raise ValueError("`repo` is missing, and a file has no `url`")
        return self


class Benchmark(Strict):
    """A benchmark. Without `splits` the environment's own tasks, made from `env`, are the dataset."""

    description: str
    environment: str
    domain: str
    category: str
    license: str = "not stated"
    homepage: str = ""
    tags: list[str] = []
    needs: list[str] = []
    repeats: int = Field(default=1, ge=1)
    env: dict[str, Any] = {}
    sampling: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    splits: dict[str, Split] = {}
    id: str | None = None
    prompt: str | Value | None = None
    fields: dict[str, Value] = {}

    _name: str = PrivateAttr(default="")
    _folder: Path = PrivateAttr(default=Path())

    @property
    def name(self) -> str:
        return self._name

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def hook(self) -> Path | None:
        """`prepare.py`, for what YAML cannot say: `rows(raw)` changes the dataset's rows, `read(files, folder)`
        reads files of another kind, and may leave things in `folder`, the `{prepared}` of `env`.
        """
        path = self._folder / "prepare.py"
        return path if path.is_file() else None

    @property
    def default_split(self) -> str | None:
        """The first split that is fetched; None when the environment makes the tasks."""
        return next(iter(self.splits), None)

    def split(self, name: str) -> Split:
        """A split that is fetched; `UsageError` with the known names for another."""
        if name not in self.splits:
            known = [*self.splits, SMOKE]
            hint = did_you_mean(name, known) or f" (it has {', '.join(known)})"
            raise UsageError(f"benchmark {self._name}: no split `{name}`{hint}")
        return self.splits[name]

    def recipe(self, name: str) -> str:
        """Digest of all that makes task rows out of a split's files."""
        body = self.model_dump(mode="json", include={"id", "prompt", "fields"})
        hook = self.hook.read_bytes() if self.hook else b""
        return digest([json_digest([body, self.split(name).model_dump(mode="json")]).encode(), hook])


def load_benchmark(name: str) -> Benchmark:
    """The benchmark of that name on the hubs; `UsageError` that names file and field when it does not fit."""
    return read_benchmark(hub.find("benchmark", name))


def read_benchmark(path: Path) -> Benchmark:
    """The benchmark that a `benchmark.yaml` describes, named after its folder."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as e:
        raise UsageError(f"{path}: {' '.join(str(e).split())}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: a mapping of fields is expected")
    for key in value:
        if key not in Benchmark.model_fields:
            raise UsageError(f"{path}: no field `{key}`{did_you_mean(str(key), Benchmark.model_fields)}")
    try:
        benchmark = Benchmark.model_validate(value)
    except ValidationError as e:
        raise UsageError(f"{path}: {explain(e)}") from None
    benchmark._name, benchmark._folder = path.parent.name, path.parent
    if SMOKE in benchmark.splits:
        raise UsageError(f"{path}: splits.{SMOKE}: that name is kept for smoke.jsonl")
    return benchmark

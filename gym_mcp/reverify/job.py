"""A run verified again, from its directory to the one that holds the new scores."""

from __future__ import annotations

import contextlib
import datetime
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gym_mcp.client import EnvironmentClient
from gym_mcp.coordinator import journal
from gym_mcp.coordinator.config import RunConfig, make_config
from gym_mcp.coordinator.connect import connect_environment, differences, is_url
from gym_mcp.coordinator.run import summarize
from gym_mcp.coordinator.rundir import RunDirectory, write_json
from gym_mcp.datasets import parse_task
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError
from gym_mcp.identity import json_digest
from gym_mcp.reverify import borrow
from gym_mcp.reverify.diff import Diff
from gym_mcp.reverify.plan import Decision, Plan, decide
from gym_mcp.reverify.rescore import CONCURRENCY, STATE, Rescoring
from gym_mcp.scrub import MASK, scrub_url
from gym_mcp.types import JSONObject

CHANGES: Final = "reverify-changes.jsonl"
REPORT: Final = "reverify.json"


@dataclass(frozen=True, slots=True)
class Wish:
    """What `eval reverify` is asked for. `out` None and not `in_place`: a directory beside the run's."""

    run: Path
    out: Path | None = None
    in_place: bool = False
    verifier_from: Path | None = None
    judge: str | None = None
    judge_base_url: str | None = None
    judge_cache: bool = True
    environment_url: str | None = None
    everything: bool = False
    despite_environment: bool = False
    concurrency: int = CONCURRENCY


@dataclass(slots=True)
class Job:
    """A wish with its parts: the plan may be shown, and then carried out."""

    wish: Wish
    source: RunDirectory
    manifest: JSONObject
    config: RunConfig
    client: EnvironmentClient
    environment_type: type[Environment[Any]]
    about: JSONObject
    """How the manifest describes the environment now: range and direction of its reward."""
    identity: JSONObject
    decision: Decision
    plan: Plan

    @property
    def target(self) -> Path:
        """Where the new scores go."""
        if self.wish.in_place:
            return self.source.path
        name = f"{self.source.path.resolve().name}-reverified-{json_digest(self.identity)[:6]}"
        return self.wish.out or self.source.path.parent / name

    async def carry_out(self, on_done: Callable[[], None] | None = None) -> JSONObject:
        """Verify again what the plan says; the diff. A killed try is gone on with by the next one."""
        before = summarize(self.source.path).metrics
        target = self._open_target()
        key = {"run_id": self.manifest["run_id"], "identity": self.identity, "all": self.wish.everything}
        rescoring = Rescoring(
            self.source,
            target,
            self.client,
            lambda row: parse_task(self.environment_type, row, str(self.source.tasks_path)),
            self.decision.wants,
            key,
            (self.manifest["tasks"], self.manifest["repeats"]),
            self.wish.concurrency,
            (await self.client.describe()).groups,
        )
        if rescoring.in_place:
            journal.repair(self.source.rollouts_path)
        await rescoring.run(on_done)
        diff = Diff(target.path / CHANGES)
        manifest = self._new_manifest()
        prefix = f"{manifest['run_id']}/"

        def rename(row: JSONObject) -> None:
            row["rollout_id"] = f"{prefix}{row['task_id']}/{row['repeat']}"

        rescoring.finish(diff.add, None if rescoring.in_place else rename)
        diff.close()
        if not rescoring.in_place:
            shutil.copyfile(self.source.tasks_path, target.tasks_path)
            target.tasks_path.chmod(0o600)
        target.write_manifest(manifest)
        after = summarize(target.path).metrics
        target.write_metrics(after)
        report = {"run": str(self.source.path), "out": str(target.path), "plan": self.plan.as_json()}
        report |= diff.as_json(before, after)
        write_json(target.path / REPORT, report)
        rescoring.forget()
        return report

    def _open_target(self) -> RunDirectory:
        path = self.target
        if self.wish.in_place:
            return self.source
        if path.exists() and any(path.iterdir()) and not (path / STATE).exists():
            raise UsageError(f"{path}: not empty; choose another --out, or remove it")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return RunDirectory(path)

    def _new_manifest(self) -> JSONObject:
        old, wish = self.manifest, self.wish
        note = {
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "of_run": old["run_id"],
            "changed": self.plan.changed,
            "verifier_from": str(wish.verifier_from.resolve()) if wish.verifier_from else None,
            "rollouts": self.plan.total("re-verify"),
        }
        config = {**old["config"], "judge": self.config.judge, "judge_base_url": None}
        if self.config.judge_base_url:
            config["judge_base_url"] = scrub_url(self.config.judge_base_url)
        return {
            **old,
            "run_id": old["run_id"] if wish.in_place else secrets.token_hex(6),
            "config": config,
            "identity": self.identity,
            "environment": {**old["environment"], **self.about},
            "reverified": [*old.get("reverified", ()), note],
            **({"verifier_from": note["verifier_from"]} if wish.verifier_from else {}),
        }


@contextlib.asynccontextmanager
async def prepared(wish: Wish) -> AsyncIterator[Job]:
    """The job of a wish, its plan made. The run is locked meanwhile, so that nothing adds to it."""
    if wish.in_place and wish.out is not None:
        raise UsageError("--in-place and --out: give one of the two")
    if wish.in_place and wish.verifier_from is not None:
        raise UsageError("--in-place: not with --verifier-from, whose scores are another measure; use --out")
    source = RunDirectory.existing(wish.run)
    if wish.in_place or os.access(source.path, os.W_OK):  # nobody can add to an archive that is read only
        source.lock()
    try:
        manifest = source.read_manifest()
        borrowed = None
        if wish.verifier_from is not None:
            borrowed = borrow.load_verifier(wish.verifier_from, manifest["config"].get("env") or {})
        config = _config(manifest, wish)
        if borrowed is not None and is_url(config.environment):
            raise UsageError(
                "--verifier-from: a served environment verifies where it is served; serve it with the other "
                "verifier and give --environment URL"
            )
        client, cls = await connect_environment(config)
        identity = dict((await client.describe()).identity)
        if borrowed is not None:
            identity = borrow.identity_with(cls, borrowed)
            cls = borrow.verified_by(cls, borrowed)
            client = DirectClient(cls)  # the one before it holds nothing yet
        async with client:
            try:
                yield await _job(wish, source, manifest, config, client, cls, identity)
            finally:
                await cls.judge.aclose()
    finally:
        source.unlock()


def _config(manifest: JSONObject, wish: Wish) -> RunConfig:
    over: JSONObject = {
        "judge": wish.judge,
        "judge_base_url": wish.judge_base_url,
        "environment": wish.environment_url,
    }
    over |= {"judge_cache": None if wish.judge_cache else False}
    settings = {**manifest["config"], **{k: v for k, v in over.items() if v is not None}}
    if wish.environment_url is not None and not is_url(manifest["config"]["environment"]):
        raise UsageError("--environment: only for a run of a served environment, which may have moved")
    if MASK in settings["environment"]:
        raise UsageError("the environment's URL held credentials, which no run keeps: give it with --environment")
    if settings["judge"] and MASK in (settings.get("judge_base_url") or ""):
        raise UsageError("the judge's URL held credentials, which no run keeps: give it with --judge-base-url")
    return make_config(settings, str(wish.run))


async def _job(
    wish: Wish,
    source: RunDirectory,
    manifest: JSONObject,
    config: RunConfig,
    client: EnvironmentClient,
    cls: type[Environment[Any]],
    identity: dict[str, str],
) -> Job:
    description = await client.describe()
    now = {**manifest["identity"], **identity, "environment_name": description.name}
    now |= {"judge": config.judge, "tasks": source.tasks_digest()}
    about = {
        "reward_range": list(description.reward_range),
        "higher_is_better": description.higher_is_better,
        "floor": description.floor,
    }
    old = manifest["identity"]
    decision = decide(old, now, everything=wish.everything, despite=wish.despite_environment)
    rows = journal.read_rows(source.rollouts_path)
    plan = Plan.of(decision, rows, manifest["expected"], differences(old, now))
    return Job(wish, source, manifest, config, client, cls, about, now, decision, plan)

"""Starts and resumes runs: settings in, a finished run directory out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from gym_mcp.coordinator import journal
from gym_mcp.coordinator.beside import beside
from gym_mcp.coordinator.config import RunConfig, make_config
from gym_mcp.coordinator.connect import Parts, connect, differences, gather_tasks, identity
from gym_mcp.coordinator.coordinator import Coordinator, remaining
from gym_mcp.coordinator.events import Listener, RoomBound, RunStarted, VerifierChanged, WorkersUnreached
from gym_mcp.coordinator.groups import Groups
from gym_mcp.coordinator.guard import guarded
from gym_mcp.coordinator.manifest import make_manifest
from gym_mcp.coordinator.memory import bound_by_memory
from gym_mcp.coordinator.past import load_done, set_failed_aside, verify_again
from gym_mcp.coordinator.rollout import Arm
from gym_mcp.coordinator.rundir import RunDirectory, digest_of_tasks
from gym_mcp.coordinator.shares import Share, Slots
from gym_mcp.datasets import parse_task
from gym_mcp.errors import UsageError
from gym_mcp.metrics.tally import Tally
from gym_mcp.observe.observed import Observe, Observed
from gym_mcp.reverify.rescore import by_index
from gym_mcp.scrub import MASK
from gym_mcp.types import JSONObject, Task


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to. `metrics` is the content of `metrics.json`."""

    run_dir: Path
    complete: bool
    metrics: JSONObject


OnReady = Callable[[Coordinator], None]


async def start(
    config: RunConfig,
    out: Path | None,
    listeners: Iterable[Listener] = (),
    on_ready: OnReady | None = None,
    *,
    observe: Observe | None = None,
) -> Outcome:
    """Run `config` in a new directory, or go on in `out` when it holds this very run."""
    async with opened(config, out) as (directory, parts):
        return await go_on(directory, config, parts, listeners, on_ready, observe=observe)


@asynccontextmanager
async def opened(config: RunConfig, out: Path | None) -> AsyncIterator[tuple[RunDirectory, Parts]]:
    """The locked directory and the parts of a run that can start. Nothing is left of one that cannot."""
    parts = await connect(config)
    try:
        if config.env_servers is not None and config.ray is None:
            raise UsageError("env_servers: these are actors of a cluster: give --ray (or see `gym-mcp serve`)")
        parts.join_cluster(config)
        directory = RunDirectory.new(out, _slug(f"{config.benchmark or parts.description.name}-{config.model}"))
        directory.lock()
        try:
            if directory.exists():
                await _refuse_another_run(directory, config, parts)
            else:
                count, digest = directory.write_tasks(await gather_tasks(config, parts), config.limit)
                if not count:
                    raise UsageError(_no_tasks(config, parts))
                directory.write_manifest(make_manifest(config, parts, count, digest))
            yield directory, parts
        except BaseException:
            directory.discard()
            raise
        finally:
            directory.unlock()
    finally:
        await parts.aclose()


async def _refuse_another_run(directory: RunDirectory, config: RunConfig, parts: Parts) -> None:
    digest = digest_of_tasks(await gather_tasks(config, parts), config.limit)
    changed = differences(directory.read_manifest()["identity"], identity(config, parts, digest))
    if changed:
        raise UsageError(f"{directory.path}: holds another run ({'; '.join(changed)}); choose another --out")


async def resume(
    path: Path,
    listeners: Iterable[Listener] = (),
    on_ready: OnReady | None = None,
    *,
    base_url: str | None = None,
    judge_base_url: str | None = None,
    concurrency: int | None = None,
    workers: int | None = None,
    ray: str | None = None,
    retry_failed: bool = False,
    observe: Observe | None = None,
) -> Outcome:
    """Run what `path` still lacks.

    Refused when anything that decides results has changed since; after a change of the verifier alone, what was
    scored is verified again from its ledger first.
    """
    directory = RunDirectory.existing(path)
    directory.lock()
    try:
        manifest = directory.read_manifest()
        if manifest.get("verifier_from"):
            raise UsageError(
                f"{path}: holds scores by the verifier of {manifest['verifier_from']}; "
                "resume the run that it was made from"
            )
        given: JSONObject = {"base_url": base_url, "judge_base_url": judge_base_url}
        given |= {"concurrency": concurrency, "workers": workers}
        over = {k: v for k, v in given.items() if v is not None}
        _ask_for_credentials({**manifest["config"], **over})
        if manifest["config"].get("ray"):  # where a run runs is not what it is: the cluster may be gone
            over = {"workers": None, **over}
        config = make_config({**manifest["config"], **over, "ray": ray}, str(path))
        parts = await connect(config)
        try:
            parts.join_cluster(config)
            await _prepare(directory, manifest, config, parts, listeners)
            if retry_failed:
                set_failed_aside(directory, groups=parts.description.groups)
            return await go_on(directory, config, parts, listeners, on_ready, observe=observe)
        finally:
            await parts.aclose()
    finally:
        directory.unlock()


def _ask_for_credentials(settings: JSONObject) -> None:
    for name, flag in (("base_url", "--base-url"), ("judge_base_url", "--judge-base-url")):
        if MASK in (settings.get(name) or ""):
            whose = "judge's" if name.startswith("judge") else "model's"
            raise UsageError(f"the {whose} URL held credentials, which no run keeps: give it again with {flag}")
    if MASK in settings["environment"]:
        raise UsageError("the environment's URL held credentials, which no run keeps: start a new run")


async def _prepare(
    directory: RunDirectory,
    manifest: JSONObject,
    config: RunConfig,
    parts: Parts,
    listeners: Iterable[Listener],
) -> None:
    """Refuse what no longer is the same run; bring its scores up to a changed verifier."""
    now = identity(config, parts, directory.tasks_digest())
    changed = differences(manifest["identity"], now)
    serious = [c for c in changed if not c.startswith("verifier:")]
    if serious:
        raise UsageError(
            f"{directory.path}: cannot be resumed, this changed: {'; '.join(serious)}; start a new run instead"
        )
    journal.repair(directory.rollouts_path)
    if changed:
        for listener in listeners:
            listener(VerifierChanged(tuple(changed)))
        groups = parts.description.groups
        await verify_again(directory, parts.client, _parser(parts, directory), manifest, now, groups=groups)


async def go_on(
    directory: RunDirectory,
    config: RunConfig,
    parts: Parts,
    listeners: Iterable[Listener] = (),
    on_ready: OnReady | None = None,
    share: Share | None = None,
    observe: Observe | None = None,
) -> Outcome:
    """Run what is missing, with the rollouts that are there counted in. `share`: of the slots of several runs."""
    manifest = directory.read_manifest()
    journal.repair(directory.rollouts_path)
    tally = _tally(manifest)
    done = load_done(directory, tally)
    groups: Groups | None = None
    if parts.description.groups:
        groups = Groups(directory.waiting_path, parts.client, tally.repeats)
        groups.load(done)
    here = None if parts.cluster else getattr(parts.harness, "memory_mib", None)
    bound = bound_by_memory(config.concurrency, here)
    room = parts.description.max_live or bound.allowed
    config = config.model_copy(update={"concurrency": min(bound.allowed, room)})
    if share is not None:
        share.begun = tally.done
        share.allow(min(share.maximum, config.concurrency))
    coordinator, work = _coordinator_of(directory, manifest, config, parts, tally, done, groups, share)
    for listener in listeners:
        coordinator.listen(listener)
    if on_ready is not None:
        on_ready(coordinator)
    observed = Observed(coordinator, directory.path, observe or Observe())
    title = f"{parts.description.name} · {parts.model.spec} · {parts.harness_name}"
    coordinator.emit(
        RunStarted(str(directory.path), tally.expected, tally.done, tally.tasks, tally.repeats, title)
    )
    if bound.allowed < bound.asked:
        coordinator.emit(bound)
    if config.concurrency < min(bound.allowed, tally.expected - tally.done):
        coordinator.emit(RoomBound(bound.allowed, config.concurrency, parts.description.name))
    if parts.description.unreached:
        coordinator.emit(WorkersUnreached(tuple(parts.description.unreached)))
    try:
        async with observed:
            complete = await work()
    finally:
        metrics = _metrics(manifest, tally)
        _write_metrics(directory, {**metrics, **coordinator.lags.as_json()})
    return Outcome(directory.path, complete, metrics)


def _coordinator_of(
    directory: RunDirectory,
    manifest: JSONObject,
    config: RunConfig,
    parts: Parts,
    tally: Tally,
    done: bytearray,
    groups: Groups | None,
    share: Share | None,
) -> tuple[Coordinator, Callable[[], Awaitable[bool]]]:
    """Who runs it, on a cluster, on worker processes or here, and what it has to do."""
    if parts.cluster is not None and tally.done < tally.expected:
        from gym_mcp.cluster.start import make_cluster_crew

        arm = make_arm(manifest, config, parts)
        return make_cluster_crew(parts.cluster, directory, arm, config, parts, tally, done, groups)
    if share is None and min(config.workers or 1, config.concurrency, tally.expected - tally.done) > 1:
        from gym_mcp.crew.start import make_crew

        return make_crew(directory, make_arm(manifest, config, parts), config, parts, tally, done, groups)
    return _in_process(directory, manifest, config, parts, tally, done, groups, share)


def _in_process(
    directory: RunDirectory,
    manifest: JSONObject,
    config: RunConfig,
    parts: Parts,
    tally: Tally,
    done: bytearray,
    groups: Groups | None,
    share: Share | None,
) -> tuple[Coordinator, Callable[[], Awaitable[bool]]]:
    """The coordinator of a run in this process, and what it has to do."""
    rows = journal.Journal(directory.rollouts_path)
    slots: Slots | None = None
    if share is None and hasattr(parts.harness, "processes"):
        slots = Slots(config.concurrency)  # unlike a plain number, they can be paused
        share = slots.join(config.concurrency)
    coordinator = Coordinator(make_arm(manifest, config, parts), rows, tally, config.concurrency, groups, share)
    parse = _parser(parts, directory)
    work = remaining(directory.task_rows, parse, tally.repeats, done, task_by_task=groups is not None)

    async def run() -> bool:
        async with beside(slots.open()) if slots is not None else nullcontext():
            return await coordinator.run(work, _ended(directory, parse, groups))

    if share is None:
        return coordinator, run
    hooks = {"emit": coordinator.emit, "pause": share.pause, "let_one": share.let_one}
    return coordinator, lambda: guarded(parts.harness, config.max_memory, run, **hooks)


def _ended(
    directory: RunDirectory, parse: Callable[[JSONObject], Task[Any]], groups: Groups | None
) -> Iterator[tuple[int, Task[Any]]]:
    """Groups that only wait for being scored: (task index, task)."""
    if groups is not None:
        rows = by_index(directory.tasks_path)
        for index in groups.complete():
            yield index, parse(rows(index))


def summarize(path: Path) -> Outcome:
    """What `path` holds so far, read only."""
    directory = RunDirectory.existing(path)
    manifest = directory.read_manifest()
    tally = _tally(manifest)
    seen: set[tuple[int, int]] = set()
    for row in journal.read_rows(directory.rollouts_path):
        key = (row["task_index"], row["repeat"])
        if key not in seen:
            seen.add(key)
            tally.add(row)
    metrics = _metrics(manifest, tally)
    return Outcome(path, metrics["complete"], metrics)


def make_arm(manifest: JSONObject, config: RunConfig, parts: Parts) -> Arm:
    return Arm(
        manifest["run_id"],
        config.seed,
        parts.description.name,
        parts.client,
        parts.model,
        parts.harness_name,
        parts.harness,
        parts.limits,
        config.max_attempts,
        config.record_calls,
        parts.skills_ref,
    )


def _tally(manifest: JSONObject) -> Tally:
    about = manifest["environment"]
    low, high = about["reward_range"]
    low, high = (-inf if low is None else low), (inf if high is None else high)  # JSON has no infinity
    return Tally(manifest["tasks"], manifest["repeats"], (low, high), higher_is_better=about["higher_is_better"])


def _metrics(manifest: JSONObject, tally: Tally) -> JSONObject:
    return {
        "schema": 1,
        "run_id": manifest["run_id"],
        "environment": manifest["environment"]["name"],
        "benchmark": manifest["identity"].get("benchmark"),
        "model": manifest["model"]["spec"],
        "harness": manifest["harness"],
        "complete": tally.done == tally.expected,
        **tally.metrics(),
    }


def _write_metrics(directory: RunDirectory, metrics: JSONObject) -> None:
    try:
        directory.write_metrics(metrics)
    except journal.DiskError as e:
        raise journal.JournalError(str(e)) from None


def _parser(parts: Parts, directory: RunDirectory) -> Callable[[JSONObject], Task[Any]]:
    return lambda row: parse_task(parts.environment_type, row, str(directory.tasks_path))


def _no_tasks(config: RunConfig, parts: Parts) -> str:
    if config.input is not None:
        return f"{config.input}: no tasks in it"
    name = parts.description.name
    return f"environment {name} comes without tasks: give some with --input FILE.jsonl"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.split("?")[0]).strip("-")[:80]

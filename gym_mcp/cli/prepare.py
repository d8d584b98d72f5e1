"""`gym-mcp eval prepare`: fetch a benchmark's dataset and make its task rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gym_mcp.cli.common import emit_json, json_option

if TYPE_CHECKING:
    from gym_mcp.benchmarks import Prepared
    from gym_mcp.benchmarks.fetch import Progress


@click.command(
    "prepare",
    epilog="""\b
Examples:
  gym-mcp eval prepare mmlu
  gym-mcp eval prepare livecodebench --split v6
  gym-mcp eval prepare gpqa --dir /data/datasets

Files come from the dataset hub (HF_ENDPOINT; HF_TOKEN for gated datasets) at a fixed commit and are checked
against their SHA-256; one that is not written in benchmark.yaml is recorded at the first fetch and checked from
then on. An interrupted download goes on where it stopped. What is in the cache is not fetched again.""",
)
@click.argument("name")
@click.option("--split", help="Which split.  [default: the benchmark's first]")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The cache.  [default: GYM_MCP_DATASETS, else gym-mcp/datasets in XDG_CACHE_HOME]",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
@json_option
def prepare_command(name: str, split: str | None, folder: Path | None, quiet: bool, as_json: bool) -> None:
    """Fetch the dataset of benchmark NAME and make its task rows."""
    from gym_mcp.benchmarks import SMOKE, load_benchmark, prepare
    from gym_mcp.benchmarks.cache import Cache, default_root
    from gym_mcp.benchmarks.fetch import Fetcher

    benchmark = load_benchmark(name)
    split = split or benchmark.default_split
    if split is None or split == SMOKE:
        why = "its environment makes the tasks" if split is None else "it comes with the benchmark"
        flag = "" if split is None else f" --split {SMOKE}"
        click.echo(f"{name}: nothing to prepare: {why} (gym-mcp eval run -b {name}{flag} -m SPEC)")
        return
    with _progress(quiet) as show, Fetcher(show) as fetcher:
        done = prepare(benchmark, split, Cache(folder or default_root()), fetcher)
    if as_json:
        emit_json(done.as_json())
    else:
        _report(done, folder, benchmark.default_split)


def _report(done: Prepared, folder: Path | None, default: str | None) -> None:
    at = f" at {done.revision}" if done.revision else ""
    click.echo(f"{done.benchmark}/{done.split}: {done.rows} rows{at}\n{done.path}")
    for file in done.files:
        note = "  (recorded, not pinned in benchmark.yaml)" if file["path"] in done.unpinned else ""
        click.echo(f"sha256 {file['sha256']}  {file['path']}{note}")
    if done.unpinned:
        click.echo(f"recorded in {done.lock}")
    flag = "" if done.split == default else f" --split {done.split}"
    where = f"GYM_MCP_DATASETS={folder} " if folder else ""
    click.echo(f"run it: {where}gym-mcp eval run -b {done.benchmark}{flag} -m SPEC")


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """A bar for each file on a terminal; elsewhere a line when a file begins and when it is there."""
    if quiet:
        yield lambda name, done, total: None
    elif sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _line


def _line(name: str, done: int, total: int | None) -> None:
    if done == total:
        click.echo(f"{name}: {done:,} bytes", err=True)


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich import progress
    from rich.console import Console

    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn())
    speed = (progress.TransferSpeedColumn(), progress.TimeRemainingColumn())
    with progress.Progress(*columns, *speed, console=Console(stderr=True)) as bars:
        known: dict[str, progress.TaskID] = {}

        def show(name: str, done: int, total: int | None) -> None:
            if name not in known:
                known[name] = bars.add_task(name, total=total)
            bars.update(known[name], completed=done, total=total)

        yield show

"""A report for the terminal: the headline in words, the map of tasks, failures, the profile's numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import Final

import click

from gym_mcp.cli import compare as compare_text
from gym_mcp.cli import profile as profile_text
from gym_mcp.report.cells import STATES, with_states
from gym_mcp.report.clean import clean, line
from gym_mcp.report.collect import RunReport
from gym_mcp.report.words import headline
from gym_mcp.types import JSONObject

TASKS: Final = 60
_CELLS: Final = dict(zip(STATES, "█▓▒░·x ", strict=True))
_COLOURS: Final = dict(zip(STATES, ("cyan", "cyan", "white", "yellow", "yellow", "magenta", "white"), strict=True))


def show_on_terminal(reports: Sequence[RunReport], comparison: JSONObject | None, refusal: str = "") -> None:
    """Print the report; colours only where stdout is a terminal."""
    if comparison is not None:
        click.echo(_clean(compare_text.text(comparison)) + "\n")
    if refusal:
        click.echo(f"The runs are not compared: {line(refusal, 1_000)}\n")
    for i, report in enumerate(reports):
        click.echo("\n".join(_run(report)) + ("\n" if i < len(reports) - 1 else ""))


def _clean(text: str) -> str:
    return "\n".join(clean(part) for part in text.split("\n"))


def _run(report: RunReport) -> Iterator[str]:
    yield _clean(profile_text.text(report.profile))
    yield ""
    yield " ".join(headline(report.profile))
    yield ""
    yield from _map(report)
    for failure in report.failures:
        yield ""
        yield f"failed, {failure.kind}: {failure.count:,}"
        yield from (f"  {count:>6,}  {message}" for message, count in failure.messages)
        if failure.others:
            yield f"  {failure.others:>6,}  with other messages"
    yield ""
    yield f"run directory: {report.run.path}   (as a page: -o report.html)"


def _map(report: RunReport) -> Iterator[str]:
    tasks = with_states(report)
    step = max(1, -(-len(tasks) // TASKS))
    drawn = tasks[::step]
    width = max((min(len(t["task_id"]), 28) for t in drawn), default=0)
    room = max(8, shutil.get_terminal_size().columns - width - 12)
    some = f"; one in {step} of {len(tasks):,}" if step > 1 else ""
    yield f"Tasks, the best first{some}:  █ full score  ▓▒░· quarters of the range  x failed"
    for task in drawn:
        cells = "".join(click.style(_CELLS[s], fg=_COLOURS[s]) for s in task["states"][:room])
        more = "…" if len(task["states"]) > room else ""
        yield f"  {line(task['task_id'], 28).ljust(width)}  {cells}{more}  {task['c']} of {task['n']}"

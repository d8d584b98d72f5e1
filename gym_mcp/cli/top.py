"""`gym-mcp top`: a running evaluation as it goes on, and the few things that it can be told."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import emit_json, json_option, table, width

if TYPE_CHECKING:
    from gym_mcp.types import JSONObject

_UNDER = Path("runs")
_INTERVAL = "Seconds between two looks.  [default: 1]"


@click.command(
    "top",
    epilog="""\b
Examples:
  gym-mcp top                                 the evaluations that run now
  gym-mcp top runs/mcqa-openai-gpt-5-3f9a1c   one of them, live; keys: p r c + - q
  gym-mcp top RUN --once --json
  gym-mcp top RUN --pause                     start nothing new; what is in flight goes on to its end
  gym-mcp top RUN --resume
  gym-mcp top RUN --concurrency 16 --model-limit 8
  gym-mcp top RUN --cancel                    finish what is in flight, then end; --now gives it up

Whatever is changed here decides how fast the run goes, never what comes out of it. A run that has ended is
shown by its table.""",
)
@click.argument("run_dir", metavar="[RUN]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=1.0, metavar="S", help=_INTERVAL)
@click.option("--pause", is_flag=True, help="Start no new rollouts.")
@click.option("--resume", is_flag=True, help="Go on after a pause.")
@click.option("--cancel", is_flag=True, help="Start no new rollouts and end with those in flight.")
@click.option("--now", is_flag=True, help="With --cancel: give up what is in flight.")
@click.option("--concurrency", type=click.IntRange(1), metavar="N", help="Rollouts at a time from now on.")
@click.option(
    "--model-limit", type=click.IntRange(1), metavar="N", help="Calls to the model's endpoint at a time."
)
@json_option
def top(
    run_dir: Path | None,
    once: bool,
    interval: float,
    pause: bool,
    resume: bool,
    cancel: bool,
    now: bool,
    concurrency: int | None,
    model_limit: int | None,
    as_json: bool,
) -> None:
    """Watch the evaluation that runs in RUN; pause, resume, cancel or re-tune it. Without RUN: list what runs."""
    from gym_mcp.errors import UsageError

    requests: list[JSONObject] = []
    if pause:
        requests.append({"do": "pause"})
    if resume:
        requests.append({"do": "resume"})
    if concurrency is not None:
        requests.append({"do": "set", "concurrency": concurrency})
    if model_limit is not None:
        requests.append({"do": "set", "model_limit": model_limit})
    if cancel:
        requests.append({"do": "cancel", "now": now})
    if pause + resume + cancel > 1:
        raise UsageError("top: --pause, --resume and --cancel: give one of them")
    if now and not cancel:
        raise UsageError("top: --now belongs to --cancel")
    if run_dir is None:
        if requests:
            raise UsageError("top: which run? Give its directory (`gym-mcp top` lists what runs)")
        _list(as_json)
    elif requests:
        _control(find(run_dir), requests, as_json)
    else:
        _watch(find(run_dir), once, interval, as_json)


def find(run_dir: Path) -> Path:
    """The run that a path or a name under ./runs means; `UsageError` when there is none."""
    from gym_mcp.coordinator.rundir import RunDirectory

    if not run_dir.exists() and (_UNDER / run_dir).exists():
        run_dir = _UNDER / run_dir
    return RunDirectory.existing(run_dir).path


def _list(as_json: bool) -> None:
    from gym_mcp.observe.control import NotRunning, ask
    from gym_mcp.observe.place import known_runs

    running: list[JSONObject] = []
    for path, entry in known_runs(_UNDER).items():
        try:
            running.append(ask(path, {"do": "status"})["status"])
        except NotRunning as e:
            if entry is not None and e.gone:  # left by a run that was killed
                entry.unlink(missing_ok=True)
    if as_json:
        emit_json(running)
    elif not running:
        click.echo("no evaluation runs (under ./runs, or started by you elsewhere)")
    else:
        rows = [
            [
                s["state"],
                f"{s['done']}/{s['expected']}",
                f"{s['rates']['rollouts']:.1f}/s",
                str(s["in_flight"]),
                s["run_dir"],
            ]
            for s in running
        ]
        click.echo(table(("state", "done", "rate", "in flight", "run"), rows, limit=width()))


def _control(run_dir: Path, requests: list[JSONObject], as_json: bool) -> None:
    from gym_mcp.errors import UsageError
    from gym_mcp.observe.control import NotRunning, ask

    answers: list[JSONObject] = []
    for request in requests:
        try:
            answer = ask(run_dir, request)
        except NotRunning as e:
            raise UsageError(f"{run_dir}: {why_not(run_dir, e)}") from None
        if "error" in answer:
            raise UsageError(f"{run_dir}: {answer['error']}")
        answers.append(answer)
        if not as_json:
            click.echo(answer["done"])
            if "note" in answer:
                click.echo(f"gym-mcp: {answer['note']}", err=True)
    if as_json:
        emit_json(answers[0] if len(answers) == 1 else answers)


def why_not(run_dir: Path, error: Any) -> str:
    """What it means that nobody answers for a run."""
    from gym_mcp.observe.place import is_locked

    if is_locked(run_dir):
        return "it runs, but does not answer: it is starting or ending, or it has no control socket"
    if error.gone:
        return f"it does not run (`gym-mcp eval resume {run_dir}` goes on with one that is not complete)"
    return str(error)


def statuses(run_dir: Path, interval: float) -> Iterator[JSONObject]:
    """The state of a run every `interval` seconds, as long as it answers."""
    from gym_mcp.observe.control import NotRunning, ask

    while True:
        try:
            yield ask(run_dir, {"do": "status"})["status"]
        except NotRunning as e:
            if not e.gone:
                click.echo(f"gym-mcp: {run_dir}: {why_not(run_dir, e)}", err=True)
            return
        time.sleep(interval)


def _watch(run_dir: Path, once: bool, interval: float, as_json: bool) -> None:
    from gym_mcp.cli.top_view import line, view

    if sys.stdout.isatty() and sys.stdin.isatty() and not (once or as_json):
        from gym_mcp.cli.top_screen import Screen

        if not Screen(run_dir, interval).run():
            return
    else:
        for status in statuses(run_dir, interval):
            if once:
                emit_json(status) if as_json else click.echo(view(status))
                return
            click.echo(json.dumps(status) if as_json else line(status))
            sys.stdout.flush()
    _show_end(run_dir, as_json)


def _show_end(run_dir: Path, as_json: bool) -> None:
    """The table of a run that does not run."""
    from gym_mcp.cli.summary import summary
    from gym_mcp.coordinator.run import summarize
    from gym_mcp.observe.place import is_locked

    outcome = summarize(run_dir)
    if as_json:
        emit_json({"state": "ended", "run_dir": str(run_dir), **outcome.metrics})
        return
    click.echo(summary(outcome))
    if is_locked(run_dir):
        click.echo("gym-mcp: it runs, but does not answer: it is starting or ending", err=True)
    elif not outcome.complete:
        click.echo(f"gym-mcp: it does not run; go on with: gym-mcp eval resume {run_dir}", err=True)

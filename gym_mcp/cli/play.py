"""`gym-mcp play`: a person plays an episode in the terminal, or from a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gym_mcp.cli.common import parse_settings, set_option
from gym_mcp.errors import RolloutError, UsageError

if TYPE_CHECKING:
    from gym_mcp.connect.seat import Seat
    from gym_mcp.types import JSONObject, ToolResult

_FAILED, _INTERRUPTED = 1, 130
_HELP = """\
TOOL name=value ...    call a tool (or: TOOL {"name": value}; or values in the order of its arguments)
/task                  the task again          /tools   the tools again
/say TEXT              speak to the user, where there is one
/submit [ANSWER]       finish: the episode is scored
/next                  the next task           /quit    leave (unfinished: recorded as cancelled)"""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("environment", metavar="ENV")
@click.option("--task", "task_id", metavar="ID", help="The task (default: the first).")
@click.option("--input", "source", type=click.Path(path_type=Path), metavar="FILE.jsonl", help="Tasks to use.")
@set_option
@click.option("--hide-score", is_flag=True, help="Do not tell the score.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="The run directory.")
@click.pass_context
def play(ctx: click.Context, /, environment: str, **options: Any) -> None:
    """Play an episode yourself, with the tools that an agent has; recorded as a rollout of harness `play`.

    \b
    Examples:
      gym-mcp play workplace_assistant --task 3
      printf '%s\\n' 'add amount=3' '/submit' | gym-mcp play counter.py
    """
    with asyncio.Runner() as runner:
        seat = _sit_down(environment, options)
        code = _FAILED
        try:
            runner.run(seat.take(options["task_id"]))
            code = Game(seat, runner.run).play()
        except KeyboardInterrupt:
            code = _INTERRUPTED
        finally:
            unfinished = seat.unfinished
            runner.run(_leave(seat))
        if unfinished:
            click.echo("not submitted: recorded as cancelled", err=True)
        click.echo(f"gym-mcp eval show {seat.book.path}", err=True)
    ctx.exit(code or (_FAILED if unfinished else 0))


def _sit_down(environment: str, options: dict[str, Any]) -> Seat:
    from gym_mcp.connect.record import Book
    from gym_mcp.connect.seat import LEASE, Seat
    from gym_mcp.hub import load_environment
    from gym_mcp.server.service import Service
    from gym_mcp.store import EpisodeStore

    settings: JSONObject = dict(parse_settings(options["settings"]))
    cls = load_environment(environment, settings)
    service = Service(cls, store=EpisodeStore(cls, ttl=LEASE), tasks=options["source"])
    tasks = list(service.tasks().values())
    if not tasks:
        raise UsageError(f"environment {service.name} has no tasks: give some with --input FILE.jsonl")
    if options["task_id"] is not None:
        service.task(options["task_id"])
    spec = str(Path(environment).resolve()) if environment.endswith(".py") else environment
    book = Book(
        cls,
        spec,
        harness="play",
        model="human",
        out=options["out"],
        settings=settings,
        source=options["source"],
    )
    return Seat(service, tasks, book, hide_score=options["hide_score"])


async def _leave(seat: Seat) -> None:
    await seat.aclose()
    await seat.service.store.close_all()


class Game:
    """A person at a seat: one line in, what came of it out."""

    def __init__(self, seat: Seat, run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._seat = seat
        self._run = run
        self._commands: dict[str, Callable[[str], None]] = {
            "task": lambda _: self._show_task(),
            "tools": lambda _: self._show_tools(),
            "say": self._say,
            "submit": self._submit,
            "next": lambda _: self._next(),
            "help": lambda _: click.echo(_HELP),
        }

    def play(self) -> int:
        """Read lines to `/quit` or the end of input."""
        self._show_task()
        self._show_tools()
        for line in _lines([*(s.name for s in self._seat.current.specs), *(f"/{c}" for c in self._commands)]):
            text = line.strip()
            if text == "/quit":
                break
            if not text:
                continue
            try:
                self._do(text)
            except (UsageError, RolloutError) as e:
                click.echo(f"! {e}")
        return 0

    def _do(self, text: str) -> None:
        if not text.startswith("/"):
            return self._call(text)
        name, _, rest = text[1:].partition(" ")
        if name not in self._commands:
            raise UsageError(f"no command /{name}; /help lists them")
        self._commands[name](rest.strip())

    def _show_task(self) -> None:
        from gym_mcp.types import text_of

        turn = self._seat.current
        click.echo(f"-- {self._seat.service.name}, task {turn.task.id}")
        for item in turn.task.prompt:
            click.echo(text_of(item))

    def _show_tools(self) -> None:
        for spec in self._seat.current.specs:
            click.echo(f"  {spec.name} {_arguments(spec.input_schema)}".rstrip())
            click.echo(f"      {spec.description.strip().split(chr(10), 1)[0]}")
        talk = "/say TEXT, " if self._seat.multi_turn else ""
        click.echo(f"-- {talk}/submit [ANSWER], /help")

    def _call(self, text: str) -> None:
        from gym_mcp.cli.calls import parse_call

        if not self._seat.current.specs and self._seat.multi_turn:
            return self._say(text)
        name, arguments = parse_call(text, {s.name: s.input_schema for s in self._seat.current.specs})
        result = self._run(self._seat.call(name, arguments))
        if result is None:
            raise UsageError("this episode is over: /next, or /quit")
        _print_result(result)
        if result.ended:
            click.echo("-- the episode has ended: /submit")

    def _say(self, text: str) -> None:
        if not self._seat.multi_turn:
            raise UsageError("nobody is there to answer: /submit ANSWER finishes the episode")
        answer = self._run(self._seat.say(text))
        click.echo("-- the conversation is over: /submit" if answer is None else answer)

    def _submit(self, answer: str) -> None:
        from gym_mcp.connect.plane import verdict

        click.echo(verdict(self._seat, self._run(self._seat.submit(answer))))
        click.echo("-- /next for the next task, or /quit" if self._seat.has_next else "-- that was the last task")

    def _next(self) -> None:
        self._run(self._seat.take())
        self._show_task()
        self._show_tools()


def _arguments(schema: JSONObject) -> str:
    required = set(schema.get("required", ()))
    shown = []
    for name, about in schema.get("properties", {}).items():
        kind = about.get("type", "any") if isinstance(about, dict) else "any"
        text = f"{name}={'|'.join(kind) if isinstance(kind, list) else kind}"
        shown.append(text if name in required else f"[{text}]")
    return " ".join(shown)


def _print_result(result: ToolResult) -> None:
    click.echo(f"! {result.text}" if result.is_error else result.text)
    for image in result.images:
        click.echo(f"[an image, {image.media_type}, {len(image.data)} bytes]")


def _lines(words: list[str]) -> Iterator[str]:
    """Lines of stdin; on a terminal with a prompt, history, and completion of `words`."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    with contextlib.suppress(ImportError):
        import readline

        readline.set_completer(lambda text, i: [*(f"{w} " for w in words if w.startswith(text)), None][i])
        readline.set_completer_delims(" ")
        readline.parse_and_bind("tab: complete")
    while True:
        try:
            yield input("> ")
        except EOFError:
            click.echo()
            return

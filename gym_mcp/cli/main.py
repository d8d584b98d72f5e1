"""The entry point: the table of verbs, and what each way to end means for stderr and the exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from gym_mcp import __version__
from gym_mcp.cli.lazy import LazyGroup, Verb
from gym_mcp.errors import GymError, UsageError

VERBS = {
    "eval": Verb("gym_mcp.cli.eval:eval_group", "Run an evaluation, resume it, show its results."),
    "top": Verb("gym_mcp.cli.top:top", "Watch a running evaluation; pause, resume, cancel or re-tune it."),
    "report": Verb("gym_mcp.cli.report:report", "Show runs to people: a page, Markdown, a table, the terminal."),
    "analyze": Verb("gym_mcp.cli.analyze:analyze", "Find out what went wrong in a run; check reports about it."),
    "judge": Verb("gym_mcp.cli.judge:judge_group", "See how far a judge agrees with labelled examples."),
    "results": Verb("gym_mcp.cli.results:results", "Serve finished runs to an agent that explains them."),
    "blade": Verb("gym_mcp.cli.blade:blade", "Check packages that grade reports about runs."),
    "list": Verb("gym_mcp.cli.catalogue:list_command", "List environments, benchmarks, harnesses or models."),
    "search": Verb("gym_mcp.cli.catalogue:search", "Search all of them by words."),
    "env": Verb("gym_mcp.cli.env:env_group", "Write, test, inspect and serve environments."),
    "harness": Verb(
        "gym_mcp.cli.harness:harness_group", "Write harnesses; install and check the agents they run."
    ),
    "serve": Verb("gym_mcp.cli.serve:serve", "Serve environments as MCP servers, over HTTP or stdio."),
    "gateway": Verb("gym_mcp.cli.gateway:gateway", "Serve any model as the APIs that agents speak."),
    "connect": Verb("gym_mcp.cli.connect:connect", "Connect your own agent (Claude Code, Cursor, ...) to one."),
    "next": Verb("gym_mcp.cli.connect:next_command", "Give a connected agent its next task."),
    "disconnect": Verb("gym_mcp.cli.connect:disconnect", "Stop what `connect` started."),
    "play": Verb("gym_mcp.cli.play:play", "Play an episode yourself, in the terminal."),
    "wrap": Verb("gym_mcp.cli.wrap:wrap", "Make an environment of any MCP server."),
    "export": Verb("gym_mcp.cli.export:export", "Write the rollouts of a run in another format."),
    "tools": Verb("gym_mcp.cli.bridge:tools", "List an episode's tools, for agents that have only a shell."),
    "call": Verb("gym_mcp.cli.bridge:call", "Call a tool of an episode from a shell."),
    "stdio": Verb("gym_mcp.cli.connect:stdio", "The stdio shim of `connect`, for clients' configurations."),
}
OK, FAILED, MISUSED, INTERRUPTED, PIPE_CLOSED = 0, 1, 2, 130, 141


def _add_hubs(ctx: click.Context, parameter: click.Parameter, folders: tuple[Path, ...]) -> None:
    if folders:
        from gym_mcp.hub import add_root

        for folder in folders:
            add_root(folder)


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Start here:
  gym-mcp list environments
  gym-mcp eval run -e workplace_assistant -m builtin/noisy-oracle --limit 20
  gym-mcp env new my_env --dir . && gym-mcp env test my_env/server.py

Keys of model endpoints come from the environment or a .env file, never from a flag.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 disk full, 130 interrupted.""",
)
@click.option(
    "--hub",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=_add_hubs,
    help="A folder with tool_servers/, harnesses/ or benchmarks/ of your own. Repeatable; the last one wins. "
    "GYM_MCP_HUB does the same.",
)
@click.version_option(__version__, message="gym-mcp %(version)s")
def cli() -> None:
    """Evaluate, train and diagnose agents on environments that are MCP servers.

    Any environment can be driven by any agent that speaks MCP: the environment holds the tools, the state and
    the verification; the agent only ever sees the tools.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code. `arguments` default to the process's own.

    A command's own exit code is what it gives to `ctx.exit`. Click's `main` is left out: it would look for
    shell-completion variables, and give interrupts and broken pipes its own codes.
    """
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter's own flush at exit must not complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return PIPE_CLOSED
    return code


def _run(arguments: Sequence[str]) -> int:
    try:
        with cli.make_context("gym-mcp", list(arguments)) as ctx:
            cli.invoke(ctx)
        return OK
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.exceptions.NoArgsIsHelpError as e:
        e.show()
        return MISUSED
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except BaseException as e:
        return _explain(_sole(e))


def _sole(error: BaseException) -> BaseException:
    """The one error inside nested exception groups; the error itself otherwise."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _explain(error: BaseException) -> int:
    """Say on stderr what went wrong: a line for a mistake or a known failure, a traceback for our bugs."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, UsageError):
        return _say(str(error), MISUSED)
    if isinstance(error, click.ClickException):
        return _say(_usage(error), error.exit_code)
    if isinstance(error, GymError):
        return _say(str(error), FAILED)
    if isinstance(error, OSError) and error.filename is not None:
        return _say(f"{error.filename}: {error.strerror}", FAILED)
    traceback.print_exception(error)
    return _say("this is a bug in gym-mcp: please report it, with the lines above", FAILED)


def _usage(error: click.ClickException) -> str:
    """Click's words on one line, with the command whose help to read."""
    text = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and error.option_name == "--hub":
        return "--hub stands before the command: gym-mcp --hub DIR COMMAND"
    ctx = getattr(error, "ctx", None)
    return text if ctx is None else f"{text} (see `{ctx.command_path} --help`)"


def _say(message: str, code: int) -> int:
    click.echo(f"gym-mcp: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())

"""`gym-mcp report`: what came out, for people: on the terminal, as a page, or as a table."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from gym_mcp.report.collect import RunReport

FORMATS = (".html", ".md", ".csv", ".parquet")


@click.command(
    "report",
    epilog="""\b
Examples:
  gym-mcp report runs/mcqa-openai-gpt-5-mini-3f9a1c
  gym-mcp report runs/mcqa-openai-gpt-5-mini-3f9a1c -o report.html
  gym-mcp report runs/base runs/new -o comparison.html
  gym-mcp report runs/* -o rollouts.parquet

The ending of the file says what is written: .html, one file that opens offline; .md; .csv or .parquet, a row for
each rollout. A report holds prompts and what agents wrote; reference answers only with --with-answers.""",
)
@click.argument("run_dirs", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="The file.  [default: the terminal]"
)
@click.option("--with-answers", is_flag=True, help="Also what only the verifier sees: task data, notes.")
@click.option("--no-transcripts", "transcripts", flag_value=False, default=True, help="Leave transcripts out.")
@click.option("--task", "tasks", multiple=True, metavar="ID", help="Show all rollouts of this task. Repeatable.")
@click.option(
    "--metric", default="pass", show_default=True, help="What runs are compared by: pass, reward, usage.cost, ..."
)
@click.option("--intersect", is_flag=True, help="Compare the tasks that are the same where the sets differ.")
@click.option("--across-prompts", is_flag=True, help="Tasks whose prompts differ, and nothing else, are the same.")
def report(
    run_dirs: tuple[Path, ...],
    out: Path | None,
    with_answers: bool,
    transcripts: bool,
    tasks: tuple[str, ...],
    metric: str,
    intersect: bool,
    across_prompts: bool,
) -> None:
    """Report on RUN_DIRS: one run, or several compared with the first."""
    from gym_mcp.errors import UsageError
    from gym_mcp.report.collect import collect

    ending = out.suffix.lower() if out is not None else ""
    if out is not None and ending not in FORMATS:
        raise UsageError(f"-o {out}: the ending says what is written: one of {', '.join(FORMATS)}")
    if ending in (".csv", ".parquet"):
        from gym_mcp.report.flat import write_flat

        assert out is not None
        write_flat(out, run_dirs, with_answers=with_answers)
        click.echo(out)
        return
    show = transcripts and ending in (".html", ".md")
    reports = [collect(path, transcripts=show, chosen_tasks=tasks if show else ()) for path in run_dirs]
    comparison, refusal = _compare(reports, metric=metric, intersect=intersect, across_prompts=across_prompts)
    if out is None:
        from gym_mcp.report.terminal import show_on_terminal

        show_on_terminal(reports, comparison, refusal)
        return
    from gym_mcp.coordinator.journal import replace_file

    form = import_module(f"gym_mcp.report.{'page' if ending == '.html' else 'markdown'}")
    text: str = form.render(reports, comparison, refusal, with_answers=with_answers)
    replace_file(out, [text.encode("utf-8", "replace")])
    click.echo(out)


def _compare(reports: list[RunReport], **how: Any) -> tuple[dict[str, Any] | None, str]:
    """(the comparison, or why there is none)."""
    from gym_mcp.analysis.compare import compare
    from gym_mcp.errors import UsageError

    if len(reports) < 2:
        return None, ""
    try:
        return compare([report.run for report in reports], **how), ""
    except UsageError as e:
        return None, str(e)

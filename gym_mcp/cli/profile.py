"""`gym-mcp eval profile`: everything about one run, with what each number means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gym_mcp.cli.common import emit_json, json_option, table, width
from gym_mcp.cli.summary import percent

Rows = list[tuple[str, str, str]]
_EFFORT = (
    ("usage.model_calls", "model calls"),
    ("usage.output_tokens", "output tokens"),
    ("usage.cost", "cost, USD"),
    ("tool_calls", "tool calls"),
    ("tool_errors", "tool errors"),
    ("timing.seconds", "seconds"),
)


@click.command(
    "profile",
    epilog="""\b
Examples:
  gym-mcp eval profile runs/mcqa-openai-gpt-5-mini-3f9a1c
  gym-mcp eval profile runs/mcqa-openai-gpt-5-mini-3f9a1c --by data.difficulty
  gym-mcp eval profile runs/mcqa-openai-gpt-5-mini-3f9a1c --per-task tasks.jsonl --json > profile.json

docs/statistics.md names the source of every number.""",
)
@click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--by", metavar="FIELD", help="Group by a task's field (data.difficulty) or a component (components.x)."
)
@click.option(
    "--per-task", type=click.Path(path_type=Path, dir_okay=False), help="Write a JSONL row for each task."
)
@json_option
def profile_command(run_dir: Path, by: str | None, per_task: Path | None, as_json: bool) -> None:
    """Profile RUN_DIR: scores with intervals, pass@k, majority votes, spread, effort."""
    from gym_mcp.analysis.profile import per_task as task_rows
    from gym_mcp.analysis.profile import profile
    from gym_mcp.analysis.read import read_run
    from gym_mcp.coordinator.journal import line_of, replace_file

    run = read_run(run_dir)
    found = profile(run, by)
    if per_task is not None:
        replace_file(per_task, (line_of(row) for row in task_rows(run)))
    if as_json:
        emit_json(found)
    else:
        click.echo(text(found))


def text(found: dict[str, Any]) -> str:
    """The profile as a page."""
    run = found["run"]
    title = f"{run['benchmark'] or run['environment']} · {run['model']} · {run['harness']}"
    parts = [title, "-" * len(title), _lines(_head(found))]
    parts += _section("By k", _curves(found))
    parts += _section("Components", _components(found))
    parts += _section("A rollout takes", _effort(found))
    if found["groups"]:
        parts += ["", *_groups(found["groups"])]
    if found["environment_metrics"]:
        parts += _section(
            "The environment's own",
            [(k, v if isinstance(v, str) else _plain(v), "") for k, v in found["environment_metrics"].items()],
        )
    parts += ["", *(f"- {note}" for note in found["notes"])] if found["notes"] else []
    parts += [f"{kind}: {message}" for kind, message in found["counts"]["failure_examples"].items()]
    return "\n".join(parts)


def _section(title: str, rows: Rows) -> list[str]:
    return ["", title, _lines(rows, indent="  ")] if rows else []


def _lines(rows: Rows, indent: str = "") -> str:
    label, value = max(len(r[0]) for r in rows), max(len(r[1]) for r in rows)
    return "\n".join(f"{indent}{a.ljust(label)}  {b.rjust(value)}  {c}".rstrip() for a, b, c in rows)


def _head(found: dict[str, Any]) -> Rows:
    counts, passes = found["counts"], found["score"]["pass"]["failed_excluded"]
    rewards = found["score"]["reward"]["failed_excluded"]
    over = f"{counts['tasks_scored']} tasks x {_repeats(counts)}"
    rows: Rows = [("pass@1", percent(passes["value"]), over)]
    rows += _intervals(passes, percent_range)
    exact = passes["clopper_pearson"]
    if exact:
        rows.append(("  exact", "", f"95% CI {percent_range(exact)}  Clopper-Pearson"))
    rows.append(("mean reward", _plain(rewards["value"]), ""))
    rows += _intervals(rewards, _plain_range)
    failed = sum(counts["failed"].values())
    if failed:
        worst = found["score"]["pass"]["failed_as_worst"]
        rows.append(("pass@1, failed as worst", percent(worst["value"]), "failures counted as the worst score"))
        rows += _intervals(worst, percent_range)
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts["failed"].items())
    missing = f", {counts['missing']} missing" if counts["missing"] else ""
    rows.append(
        ("scored / failed / expected", f"{counts['scored']} / {failed} / {counts['expected']}", kinds + missing)
    )
    b = found["buckets"]
    without = f"tasks; {b['missing']} without a score" if b["missing"] else "tasks"
    rows.append(("always / sometimes / never pass", f"{b['always']} / {b['sometimes']} / {b['never']}", without))
    split = passes["variance"]
    if split and split["icc"] is not None:
        rows.append(
            ("spread that is the tasks' (ICC)", percent(split["icc"]), "the rest is luck between rollouts")
        )
    single = found["by_repeat"]["pass"]
    if single:
        span = f"{percent(single['lowest'])} to {percent(single['highest'])}"
        rows.append(("single passes ranged", span, "each repeat alone; no error bar of the score"))
    return rows


def _repeats(counts: dict[str, Any]) -> str:
    found = counts["scored_per_task"]
    if found is None or counts["equal_repeats"] or found["min"] == found["max"]:
        return str(counts["repeats"] if found is None else found["max"])
    return f"{found['min']} to {found['max']} scored rollouts"


def _intervals(score: dict[str, Any], show: Any) -> Rows:
    rows: Rows = []
    for key, label in (("new_tasks", "  new tasks like these"), ("these_tasks", "  these tasks, tried for ever")):
        if score[key] is not None:
            rows.append((label, "", f"95% CI {show(score[key])}  {score[key]['method']}"))
    return rows


def _curves(found: dict[str, Any]) -> Rows:
    rows: Rows = []
    majority = {p["k"]: p for p in found["majority"]["at_k"]} if found["majority"] else {}
    hats = {p["k"]: p for p in found["pass_hat_k"]}
    points = [p for p in found["pass_at_k"] if p["k"] > 1]
    last = points[-1]["k"] if points else 0
    for point in points:
        k = point["k"]
        if k & (k - 1) and k != last:
            continue
        more = f"any of {k} passes {percent_range(point['new_tasks'])}   all pass {percent(hats[k]['value'])}"
        if k in majority:
            more += f"   majority's mean reward {_plain(majority[k]['value'])}"
        if not point["all_tasks"]:
            more += f"   over {point['tasks']} tasks only"
        rows.append((f"pass@{k}", percent(point["value"]), more))
    votes = found["majority"]
    if votes and votes["mean_entropy_bits"] is not None and found["run"]["repeats"] > 1:
        source = ", ".join(f"{count} {name}" for name, count in votes["answers"].items())
        rows.append(
            (
                "vote entropy",
                f"{votes['mean_entropy_bits']:.2f} bits",
                f"answers: {source}, {votes['blank']} blank",
            )
        )
    return rows


def _components(found: dict[str, Any]) -> Rows:
    prefix = "components."
    return [
        (
            name.removeprefix(prefix),
            _plain(f["mean"]),
            f"95% CI {_plain_range(f['new_tasks'])}  {f['rollouts']} rollouts",
        )
        for name, f in found["fields"].items()
        if name.startswith(prefix) and f["rollouts"]
    ]


def _effort(found: dict[str, Any]) -> Rows:
    rows: Rows = []
    for name, label in _EFFORT:
        field = found["fields"].get(name)
        if field and field["sum"]:
            most = f"median {_plain(field['median'])}, 95% below {_plain(field['p95'])}"
            more = f"{most}, in all {_plain(field['sum'])}"
            rows.append((label, _plain(field["pooled_mean"]), more))
    return rows


def _groups(groups: dict[str, Any]) -> list[str]:
    headers = (
        groups["field"],
        "tasks",
        "scored",
        "failed",
        "pass@1",
        "95% CI new tasks",
        "all groups at once",
        "reward",
    )
    rows = [
        (
            g["value"],
            str(g["tasks"]),
            str(g["scored"]),
            str(g["failed"]),
            percent(g["pass"]["value"]),
            percent_range(g["pass"]["new_tasks"]),
            percent_range(g["pass_simultaneous"]),
            _plain(g["reward"]["value"]) + _stands_out(g),
        )
        for g in groups["groups"]
    ]
    lines = [table(headers, rows, limit=width())]
    lines.append(
        "`all groups at once`: Bonferroni's, to compare groups by. *: differs from the rest, p < 0.05 after Holm."
    )
    if groups["of_rollouts"]:
        lines.append("Groups of rollouts by what came out of them: their difference says nothing about causes.")
    return lines


def _stands_out(group: dict[str, Any]) -> str:
    rest = group["vs_rest"]
    return " *" if rest and rest["p_holm"] < 0.05 else ""


def percent_range(interval: dict[str, Any] | None) -> str:
    return "-" if interval is None else f"[{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"


def _plain(value: float | None) -> str:
    if value is None:
        return "-"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"


def _plain_range(interval: dict[str, Any] | None) -> str:
    return "-" if interval is None else f"[{interval['low']:.3f}, {interval['high']:.3f}]"

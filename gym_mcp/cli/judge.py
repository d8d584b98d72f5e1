"""`gym-mcp judge calibrate`: how far a judge agrees with people."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import click

from gym_mcp.cli.common import emit_json, json_option, parse_price, table
from gym_mcp.cli.lazy import LazyGroup, Verb

VERBS = {"calibrate": Verb("gym_mcp.cli.judge:calibrate", "Compare a judge's verdicts with labelled examples.")}


@click.group("judge", cls=LazyGroup, verbs=VERBS)
def judge_group() -> None:
    """Models that verifiers ask: how good they are."""


@click.command(
    "calibrate",
    epilog="""\b
Examples:
  gym-mcp judge calibrate --judge openai/gpt-5-mini --prompt equivalence --labels labels.jsonl
  gym-mcp judge calibrate --judge openai/gpt-5-mini --prompt pairwise --labels pairs.jsonl --votes 3
  gym-mcp judge calibrate --judge openai/gpt-5-mini --prompt rate.txt --labels rated.jsonl --read score:1-10

A row of labels holds the prompt's fields and `label`, or `labels` of several people (null where one gave none):
equality: `equal` or `different`, or a boolean; pair: `first`, `second` or `tie`, with the answers in `first` and
`second`; grade: any words; score: numbers. docs/judges.md describes every number.""",
)
@click.option("--judge", "spec", required=True, help="The judge's model; replay:FILE.jsonl for recorded replies.")
@click.option("--judge-base-url", metavar="URL", help="The judge's endpoint.")
@click.option("--judge-price", metavar="IN,OUT", help="US dollars per million input and output tokens.")
@click.option("--no-judge-cache", "cached", flag_value=False, default=True, help="Ask the judge every time.")
@click.option("--prompt", "prompt_name", required=True, metavar="FILE", help="A text file, or a built-in name.")
@click.option("--labels", type=click.Path(path_type=Path), required=True, help="Labelled examples (JSONL).")
@click.option("--read", "how", default="auto", show_default=True, help="equality, grade, pair or score:LOW-HIGH.")
@click.option(
    "--which", type=click.Choice(["first", "last"]), default="last", show_default=True, help="Label of a reply."
)
@click.option("--ordered", is_flag=True, help="Grades have an order: that of their names.")
@click.option("--votes", type=click.IntRange(1), default=1, show_default=True, help="Times that each is asked.")
@click.option("--no-swap", "swap", flag_value=False, default=True, help="Show pairs in one order only.")
@click.option("--answer-field", default="answer", show_default=True, help="Whose length may matter.")
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Also write a line for each example (JSONL).")
@json_option
def calibrate(
    spec: str,
    judge_base_url: str | None,
    judge_price: str | None,
    cached: bool,
    prompt_name: str,
    labels: Path,
    how: str,
    which: Literal["first", "last"],
    ordered: bool,
    votes: int,
    swap: bool,
    answer_field: str,
    concurrency: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask a judge about labelled examples: agreement, repeatability, and bias by position and length."""
    from gym_mcp.coordinator.journal import line_of, replace_file
    from gym_mcp.errors import JudgeError
    from gym_mcp.judge import make_judge
    from gym_mcp.judging.calibrate import Judged, judge_all
    from gym_mcp.judging.calibration import calibration
    from gym_mcp.judging.examples import load_examples, reading

    prompt = _prompt(prompt_name)
    examples = load_examples(labels, prompt.fields)
    chosen = reading(how, examples, which, ordered)
    price = None if judge_price is None else parse_price(judge_price, "--judge-price")
    judge = make_judge(spec, base_url=judge_base_url, cached=cached, price=price)

    async def main() -> list[Judged]:
        try:
            return await judge_all(
                judge, prompt, examples, chosen, votes=votes, swap=swap, concurrency=concurrency
            )
        finally:
            await judge.aclose()

    judged = asyncio.run(main())
    if out is not None:
        replace_file(out, (line_of(one.as_json()) for one in judged))
    report = {
        "judge": spec,
        "prompt": {"name": prompt_name, "digest": prompt.digest},
        **calibration(judged, chosen, answer_field),
    }
    if as_json:
        emit_json(report)
    elif report["used"]:
        click.echo(text(report))
    if not report["used"]:
        why = report["failure_example"] or "no reply could be read; does --read fit the prompt?"
        raise JudgeError(f"nothing to compare: {why}")


def _prompt(name: str) -> Any:
    from gym_mcp.errors import UsageError
    from gym_mcp.judging.examples import verifiers

    path, module = Path(name), verifiers("judge")
    try:
        return module.Prompt.named(path if path.suffix or path.is_file() else name)
    except (OSError, UnicodeDecodeError):
        known = ", ".join(sorted(p.stem for p in Path(module.__file__).with_name("prompts").glob("*.txt")))
        raise UsageError(
            f"--prompt {name}: neither a readable text file nor a built-in prompt ({known})"
        ) from None


def text(report: dict[str, Any]) -> str:
    """A calibration for people."""
    title = f"{report['judge']} · {report['prompt']['name']} ({report['prompt']['digest']}) · {report['read']}"
    lines = [title, "-" * len(title)]
    lines += [f"{name:<30}{value}" for name, value in _numbers(report)]
    if report.get("confusion"):
        lines += ["", "label \\ judge says", _matrix(report)]
    return "\n".join(lines)


def _numbers(r: dict[str, Any]) -> list[tuple[str, str]]:
    usage = r["usage"]
    rows = [
        ("examples", f"{r['used']} of {r['examples']} used; {_left_out(r)}"),
        ("accuracy", _share(r["accuracy"])),
        ("always the commonest label", f"{100 * r['most_frequent_label']['share']:.1f}%"),
    ]
    for key, name in (
        ("kappa", "Cohen's kappa"),
        ("kappa_linear", "  linear"),
        ("kappa_quadratic", "  quadratic"),
    ):
        if key in r:
            rows.append((name, _number(r[key]["value"], r[key]["ci95"])))
    for level, alpha in r["alpha"].items():
        people = "" if alpha["people"] is None else f"; people alone {alpha['people']:.3f}"
        rows.append((f"Krippendorff, {level}", f"{_number(alpha['with_judge'])}{people}"))
    if "score" in r:
        score = r["score"]
        rows.append(("mean error", _number(score["mean_error"], score["mean_error_ci95"])))
        rows.append(("mean absolute error", _number(score["mean_absolute_error"])))
        rows.append(("Spearman", _number(score["spearman"])))
    rows += [*_position(r["position"]), *_repeat(r["repeat"]), *_length(r["length"])]
    cost = f", ${usage['cost']:.4f}" if usage["cost"] else ""
    rows.append(("judge calls", f"{usage['model_calls']}, {usage['cached_calls']} more from the cache{cost}"))
    return rows


def _left_out(r: dict[str, Any]) -> str:
    return f"{r['unreadable']} unreadable, {r['failed']} failed, {r['label_ties']} with tied labels"


def _position(p: dict[str, Any] | None) -> list[tuple[str, str]]:
    if p is None:
        return []
    always = f"always first {p['always_first']}, always second {p['always_second']}"
    return [
        ("same verdict when swapped", f"{_share(p['consistent'])}; {always}"),
        ("first shown wins", f"{_share(p['first_shown_wins'])}; sign test p = {p['p_value']:.3g}"),
    ]


def _repeat(r: dict[str, Any] | None) -> list[tuple[str, str]]:
    if r is None:
        return []
    return [
        (f"agreement of {r['votes']} votes", f"{100 * r['agreement']:.1f}%; unanimous {_share(r['unanimous'])}"),
    ]


def _length(r: dict[str, Any] | None) -> list[tuple[str, str]]:
    if r is None:
        return []
    if "longer_wins" in r:
        return [
            ("longer wins, judge", _share(r["longer_wins"]["judge"])),
            ("longer wins, people", _share(r["longer_wins"]["people"])),
            ("right when longer is better", _share(r["right_when_longer_is_better"])),
            ("right when shorter is better", _share(r["right_when_shorter_is_better"])),
        ]
    parts = ", ".join(f"{name} {100 * p['share']:.0f}%" for name, p in r["by_third"].items() if p["n"])
    rho = r["spearman_length_error"]
    return [("accuracy by length", parts + ("" if rho is None else f"; error grows with length: rho {rho:.2f}"))]


def _share(p: dict[str, Any]) -> str:
    if not p["n"]:
        return "-"
    low, high = p["ci95"]
    return f"{100 * p['share']:.1f}%  95% CI [{100 * low:.1f}, {100 * high:.1f}]  n = {p['n']}"


def _number(value: float | None, interval: list[float] | None = None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.3f}" + (f"  95% CI [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _matrix(report: dict[str, Any]) -> str:
    classes = report["classes"]
    return table(
        ["", *classes], [[name, *map(str, row)] for name, row in zip(classes, report["confusion"], strict=True)]
    )

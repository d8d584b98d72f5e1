"""`gym-mcp eval score`: recorded replies through an environment's verifier."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from gym_mcp.cli.common import json_option


@click.command(
    "score",
    epilog="""\b
Examples:
  gym-mcp eval score -e mcqa --rollouts example_rollouts.jsonl --input example.jsonl
  gym-mcp eval score -e mcqa --rollouts replies.jsonl --json > scores.jsonl

A rollout row is one of ours, one of NeMo Gym's, or {"task_id": ..., "reply": "text"}. Rows find their task by id,
by prompt text, or by `_ng_task_index` in --input; one that is in neither must hold its task itself. Calls in a row
are made again in a fresh episode before it is scored.

\b
--judge replay:FILE.jsonl takes the judge's replies from a file: rows {"task": ID, "reply": "text"}, used up in
order, or the rollouts themselves, where they hold `judge_evaluations`.""",
)
@click.option("-e", "--environment", required=True, help="A name or a FILE.py.")
@click.option("--rollouts", type=click.Path(path_type=Path), required=True, help="Recorded rollouts (JSONL).")
@click.option("--input", "source", type=click.Path(path_type=Path), help="Their tasks (JSONL).")
@click.option("--judge", help="The judge's model; replay:FILE.jsonl for recorded replies.")
@click.option("--judge-base-url", help="The judge's endpoint.")
@click.option("--no-judge-cache", "judge_cache", flag_value=False, default=True, help="Ask the judge every time.")
@click.option("--set", "overrides", multiple=True, metavar="env.KEY=VALUE", help="An option. Repeatable.")
@json_option
def score(
    environment: str,
    rollouts: Path,
    source: Path | None,
    judge: str | None,
    judge_base_url: str | None,
    judge_cache: bool,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Score recorded replies without any model: one line for each row, and a summary.

    With --json every line is a JSON object (`task`, `reward`, `components`, `notes`), the summary the last one.
    """
    from gym_mcp.cli.common import parse_settings
    from gym_mcp.coordinator.score import TaskIndex, recorded, score_all
    from gym_mcp.datasets import load_tasks
    from gym_mcp.direct import DirectClient
    from gym_mcp.hub import load_environment
    from gym_mcp.judge import make_judge

    cls = load_environment(environment, parse_settings(overrides))
    if judge is not None:
        cls = cls.judged_by(make_judge(judge, base_url=judge_base_url, cached=judge_cache))
    index = TaskIndex.of(load_tasks(cls, source, repeats=True), positions=source is not None)
    lines: list[dict[str, Any]] = []

    async def main() -> None:
        async with DirectClient(cls) as client:
            rows = recorded(cls, rollouts, index)
            async for line in score_all(client, rows):
                lines.append(line)
                click.echo(json.dumps(line, ensure_ascii=False) if as_json else _text(line))
        await cls.judge.aclose()

    asyncio.run(main())
    summary = _summary(lines)
    click.echo(json.dumps({"summary": summary}) if as_json else _summary_text(summary))


def _text(line: dict[str, Any]) -> str:
    if line["reward"] is None:
        return f"{line['task']}  failed ({line['failure']['kind']}): {line['failure']['message']}"
    was = line.get("recorded_reward")
    note = f"  {line['notes']}" if line["notes"] else ""
    recorded = "" if was in (None, line["reward"]) else f" (recorded {was:g})"
    return f"{line['task']}  {line['reward']:g}{recorded}{note}"


def _summary(lines: list[dict[str, Any]]) -> dict[str, Any]:
    rewards = [line["reward"] for line in lines if line["reward"] is not None]
    pairs = [(line["reward"], line["recorded_reward"]) for line in lines if "recorded_reward" in line]
    return {
        "rows": len(lines),
        "scored": len(rewards),
        "failed": len(lines) - len(rewards),
        "mean_reward": sum(rewards) / len(rewards) if rewards else None,
        "recorded": len(pairs),
        "agree": sum(1 for new, old in pairs if new is not None and abs(new - old) <= 1e-6),
    }


def _summary_text(summary: dict[str, Any]) -> str:
    mean = "-" if summary["mean_reward"] is None else f"{summary['mean_reward']:.3f}"
    text = f"{summary['scored']} scored, {summary['failed']} failed, mean reward {mean}"
    if summary["recorded"]:
        text += f"; {summary['agree']} of {summary['recorded']} as recorded"
    return text

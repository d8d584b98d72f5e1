"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gym_mcp.cli.common import table
from gym_mcp.coordinator.run import Outcome


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"


def interval(pair: Sequence[float] | None) -> str:
    return "" if pair is None else f"[{100 * pair[0]:.1f}, {100 * pair[1]:.1f}]"


def summary(outcome: Outcome) -> str:
    """What came out, in the words that people ask for."""
    m = outcome.metrics
    rows: list[tuple[str, str, str]] = [
        ("pass@1", percent(m["pass_at_1"]), _both(m)),
        ("mean reward", _number(m["mean_reward"]), _reward_note(m)),
    ]
    rows += _by_k(m)
    buckets = f"{m['always_pass']} / {m['sometimes_pass']} / {m['never_pass']}"
    rows.append(("always / sometimes / never pass", buckets, _unscored(m)))
    failed = sum(m["failed"].values())
    kinds = ", ".join(f"{kind} {count}" for kind, count in m["failed"].items())
    rows.append(("scored / failed / expected", f"{m['scored']} / {failed} / {m['expected']}", kinds))
    if failed:
        zero = m["failed_as_zero"]
        rows.append(("pass@1, failed as zero", percent(zero["pass_at_1"]), f"95% CI {interval(zero['ci95'])}"))
    rows += _effort(m)
    title = f"{m.get('benchmark') or m['environment']} · {m['model']} · {m['harness']}"
    lines = [title, "-" * len(title)]
    label, value = max(len(r[0]) for r in rows), max(len(r[1]) for r in rows)
    lines += [f"{a.ljust(label)}  {b.rjust(value)}  {c}".rstrip() for a, b, c in rows]
    lines += [f"{kind}: {message}" for kind, message in m["failure_examples"].items()]
    lines.append(f"run directory: {outcome.run_dir}")
    return "\n".join(lines)


def _both(m: dict[str, Any]) -> str:
    """The intervals for new tasks like these and, where repeats allow it, for these tasks."""
    if not m["ci95"]:
        return ""
    here = m.get("ci95_these_tasks")
    return f"95% CI {interval(m['ci95'])} for new tasks" + (f", {interval(here)} for these" if here else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _reward_note(m: dict[str, Any]) -> str:
    over = f"over {m['tasks'] - m['unscored_tasks']} tasks x {m['repeats']}"
    if m["mean_reward_ci95"] is None:
        return over
    low, high = m["mean_reward_ci95"]
    return f"95% CI [{low:.3f}, {high:.3f}] {over}"


def _by_k(m: dict[str, Any]) -> list[tuple[str, str, str]]:
    """pass@k at the powers of two and at the largest k, with pass^k beside it."""
    ks = sorted(map(int, m["pass_at_k"]))
    shown = [k for k in ks if k > 1 and (k & (k - 1) == 0 or k == ks[-1])]
    return [
        (f"pass@{k}", percent(m["pass_at_k"][str(k)]), f"pass^{k} {percent(m['pass_hat_k'][str(k)])}")
        for k in shown
    ]


def _unscored(m: dict[str, Any]) -> str:
    return f"tasks; {m['unscored_tasks']} without a score" if m["unscored_tasks"] else "tasks"


def _effort(m: dict[str, Any]) -> list[tuple[str, str, str]]:
    usage = m["usage"]
    rows = []
    if usage.get("model_calls"):
        tokens = f"{usage['input_tokens']:,} in / {usage['output_tokens']:,} out"
        cost = f"${usage['cost']:.4f}" if usage["cost"] else ""
        rows.append(("model calls", f"{usage['model_calls']:,}", f"tokens {tokens}  {cost}".rstrip()))
    if m["tool_calls"]:
        rows.append(("tool calls", f"{m['tool_calls']:,}", f"{m['tool_errors']:,} returned an error"))
    return rows


def grid(outcomes: Sequence[Outcome]) -> str:
    """One line a run, for an experiment."""
    headers = ("environment", "model", "harness", "pass@1", "95% CI", "reward", "failed", "run directory")
    rows = [
        (
            o.metrics.get("benchmark") or o.metrics["environment"],
            o.metrics["model"],
            o.metrics["harness"],
            percent(o.metrics["pass_at_1"]),
            interval(o.metrics["ci95"]),
            _number(o.metrics["mean_reward"]),
            str(sum(o.metrics["failed"].values())),
            str(o.run_dir),
        )
        for o in outcomes
    ]
    return "\n" + table(headers, rows)

"""How a run's state reads: on a screen, and in one line."""

from __future__ import annotations

from collections.abc import Iterator

from gym_mcp.cli.common import table
from gym_mcp.cli.progress import duration
from gym_mcp.report.clean import line as clean
from gym_mcp.types import JSONObject

_MIB = 1 << 20


def view(status: JSONObject) -> str:
    """Everything, in some twenty lines."""
    return "\n".join(_lines(status))


def line(status: JSONObject) -> str:
    """The state in one line."""
    return f"{status['state']} · {_progress(status)} · {_in_flight(status)}"


def _lines(s: JSONObject) -> Iterator[str]:
    yield f"{clean(s['title'])} · {s['state']}"
    yield f"{clean(s['run_dir'], 1_000)} · process {s['pid']} · for {duration(s['seconds'])}"
    yield ""
    yield _progress(s)
    yield _in_flight(s)
    yield _endpoint(s)
    yield _process(s)
    if s["failed"] or s["retried"]:
        yield _failures(s)
    if s["slowest"]:
        yield ""
        yield from table(
            ("longest in flight", "stage", "for", "turn", "attempt", "since start"), _slowest(s)
        ).split("\n")
    if s["failures"]:
        yield ""
        yield "last failures"
        for f in reversed(s["failures"]):
            yield f"{clean(f['task_id'], 40)} #{f['repeat']}  {f['kind']}: {clean(f['message'], 140)}"


def _progress(s: JSONObject) -> str:
    parts = [f"{s['done']}/{s['expected']} ({100 * s['done'] / max(s['expected'], 1):.0f}%)"]
    parts.append(f"{s['rates']['rollouts']:.1f}/s")
    if s["seconds_left"] is not None and s["state"] == "running":
        parts.append(f"ETA {duration(s['seconds_left'])}")
    if s["pass_at_1"] is not None:
        low_high = f" [{100 * s['ci95'][0]:.1f}, {100 * s['ci95'][1]:.1f}]" if s["ci95"] else ""
        parts.append(f"pass@1 {100 * s['pass_at_1']:.1f}%{low_high}")
    return " · ".join(parts)


def _in_flight(s: JSONObject) -> str:
    stages = ", ".join(f"{stage} {count}" for stage, count in s["stages"].items() if count)
    room = f" · {s['waiting_for_room']} wait for room in the environment" if s["waiting_for_room"] else ""
    return f"{s['in_flight']} in flight of at most {s['concurrency']}" + (f": {stages}" if stages else "") + room


def _endpoint(s: JSONObject) -> str:
    parts = [f"{s['rates']['model_calls']:.1f} model calls/s, {s['model_calls']:,} in all"]
    if (limit := s["limit"]) is not None:
        parts.append(
            f"endpoint: {limit['in_flight']} of {limit['limit']} calls at a time (at most {limit['maximum']}), "
            f"{limit['waiting']} waiting"
        )
    tokens = s["usage"].get("input_tokens", 0) + s["usage"].get("output_tokens", 0)
    if tokens:
        parts.append(f"{tokens:,} tokens")
    if s["usage"]["cost"]:
        parts.append(f"${s['usage']['cost']:.2f}")
    return " · ".join(parts)


def _process(s: JSONObject) -> str:
    parts = []
    if s["lag"]["p99"] is not None:
        p50, p99, most = (1000 * s["lag"][key] for key in ("p50", "p99", "max"))
        parts.append(f"loop lag p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {most:.0f} ms")
    parts.append(f"memory {s['rss']['run'] // _MIB} MiB")
    if s["workers"]:
        parts.append(f"{s['workers']} worker processes with {s['rss']['workers'] // _MIB} MiB")
    return " · ".join(parts)


def _failures(s: JSONObject) -> str:
    parts = [f"failed {kind} {count}" for kind, count in s["failed"].items()]
    return " · ".join(parts + [f"retried {kind} {count}" for kind, count in s["retried"].items()])


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else duration(seconds)


def _slowest(s: JSONObject) -> list[list[str]]:
    return [
        [
            f"{clean(r['task_id'], 40)} #{r['repeat']}",
            r["stage"],
            _short(r["stage_seconds"]),
            str(r["turn"]),
            str(r["attempt"]),
            _short(r["seconds"]),
        ]
        for r in s["slowest"]
    ]

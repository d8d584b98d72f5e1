"""Worker processes and thousands of live episodes, as ratios in one run: `python -m perf.scale`.

On a machine that others use, compare CPU-seconds: a wall-clock ratio says as much about the neighbours.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from perf.overhead import CALLS, background, cpu_of

ROOT = Path(__file__).resolve().parents[1]


def run(
    environment: str, tasks: Path, model: list[str], *more: object
) -> tuple[float, float, int, dict[str, object]]:
    """(CPU seconds, wall seconds, peak KiB, metrics.json) of one evaluation."""
    out = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-"))
    command = [sys.executable, "-m", "gym_mcp.cli.main", "eval", "run", "-q", "--json", "-e", environment]
    command += [*model, "--input", str(tasks), "--out", str(out), *map(str, more)]
    cpu, wall, peak = cpu_of(command)
    return cpu, wall, peak, json.loads((out / "metrics.json").read_text())


def compare(name: str, environment: str, tasks: Path, model: list[str], count: int, runs: int) -> None:
    """One worker beside two, alternately; the start-up of each, a run of two episodes, subtracted."""

    def times(workers: int, limit: int) -> tuple[float, float]:
        more = ("--limit", limit, "--concurrency", 256, "--workers", workers)
        cpu, wall, _, metrics = run(environment, tasks, model, *more)
        assert metrics["scored"] == limit, metrics
        return cpu, wall

    start = {workers: times(workers, 2) for workers in (1, 2)}
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(runs):
        for workers, values in found.items():
            whole, part = times(workers, count), start[workers]
            values.append((whole[0] - part[0], whole[1] - part[1]))
    for workers, values in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name}, {workers} worker(s): {count / cpu:8.0f} episodes/CPU-s {count / wall:8.0f} episodes/s")
        print(f"  start-up {start[workers][0]:.2f} CPU-s", flush=True)
    speed = statistics.median(a[1] / b[1] for a, b in zip(found[1], found[2], strict=True))
    cost = statistics.median(b[0] / a[0] for a, b in zip(found[1], found[2], strict=True))
    print(f"{name}: 2 workers are {speed:.2f} times as fast and take {cost:.2f} times the CPU", flush=True)


def live(tasks: Path, episodes: int) -> None:
    """Thousands of live episodes in one process: lag, memory, beside a run of 64."""
    command = [sys.executable, "-m", "perf.slow_endpoint", "--delay", "2", "--jitter", "0.2", "--every", "50"]
    with background([*command, "--calls", CALLS]) as (_, ready):
        model = ["-m", "openai/scripted", "--base-url", ready.split()[-1]]
        few = run("perf/environments/counter.py", tasks, model, "--limit", 128, "--concurrency", 64)
        many = run(
            *("perf/environments/counter.py", tasks, model, "--limit", 2 * episodes),
            *("--concurrency", episodes, "--max-retries", 9),
        )
    metrics, each = many[3], (many[2] - few[2]) / (episodes - 64)
    print(f"{episodes} live, 2 s latency +-20 %, 2 % faults:")
    print(f"  scored {metrics['scored']}, failed {metrics['failed']}")
    print(f"  {1000 * many[0] / (2 * episodes):.2f} CPU-ms an episode, {each:.1f} KiB of memory a live one")
    print(f"  loop lag p99 {metrics['loop_lag_p99_ms']} ms, greatest {metrics['loop_lag_max_ms']} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--live", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=4000)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}"
    )
    tasks = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-")) / "tasks.jsonl"
    row = {"prompt": "Go.", "target": 3, "expected": "done", "data": {"target": 3, "cpu": 0.005}}
    count = max(2 * args.live, args.episodes)
    tasks.write_text("".join(json.dumps({"id": f"t{i}", **row}) + "\n" for i in range(count)))
    busy = "tests/environments/deadly.py"
    compare("5 ms of CPU in verify", busy, tasks, ["-m", "builtin/oracle"], args.episodes // 4, args.runs)
    endpoint = [sys.executable, "tests/endpoint.py", "--fast", "--final", "done", "--calls", CALLS]
    with background(endpoint) as (_, ready):
        model = ["-m", "openai/scripted", "--base-url", ready.split()[-1]]
        compare("3 tool calls", "perf/environments/counter.py", tasks, model, args.episodes, args.runs)
    if args.live:
        live(tasks, args.live)


if __name__ == "__main__":
    main()

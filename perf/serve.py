"""A served environment on 1 and 2 workers, as ratios in one run: `python -m perf.serve`.

Each episode burns CPU in `verify`, so that the server is what a run waits for. The floor is that CPU in bare
processes, one or two: on a machine that others use, two get less than twice as much done, and workers no more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from perf.overhead import background, cpu_of, process_cpu

BUSY = "tests/environments/deadly.py"


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def once(workers: int, tasks: Path, count: int) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds of the server, CPU seconds of the client) of `count` episodes."""
    gym = [sys.executable, "-m", "gym_mcp.cli.main"]
    serve = [*gym, "serve", BUSY, "--http", "127.0.0.1:0", "--json", "--workers", str(workers)]
    with background(serve) as (server, ready):
        url = json.loads(ready)["environments"]["deadly"]["operator_url"]

        def run(limit: int) -> tuple[float, float]:
            out = tempfile.mkdtemp(prefix="gym-mcp-perf-")
            flags = [
                "-q",
                "--json",
                "-e",
                url,
                "-m",
                "builtin/oracle",
                "--input",
                str(tasks),
                "--limit",
                str(limit),
            ]
            cpu, wall, _ = cpu_of([*gym, "eval", "run", *flags, "--concurrency", "64", "--out", out])
            return cpu, wall

        start = run(2)
        serving = [server.pid, *children(server.pid)]
        before = sum(map(process_cpu, serving))
        cpu, wall = run(count)
        spent = sum(map(process_cpu, serving)) - before
    return wall - start[1], spent, cpu - start[0]


def burn(processes: int, seconds: float) -> float:
    """Wall seconds that processes without any work of ours need for so much CPU, shared out among them."""
    code = f"import time\nwhile time.process_time() < {seconds / processes}: pass"
    began = time.monotonic()
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(processes)]
    for process in running:
        process.wait(600)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--milliseconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    count = args.episodes
    load = os.getloadavg()[0]
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}"
    )
    tasks = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-")) / "tasks.jsonl"
    row = {"prompt": "Go.", "data": {"cpu": args.milliseconds / 1000}}
    tasks.write_text("".join(json.dumps({"id": f"t{i}", **row}) + "\n" for i in range(count)))
    found: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
    bare: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(args.runs):
        for workers, values in found.items():
            bare[workers].append(burn(workers, count * args.milliseconds / 1000))
            values.append(once(workers, tasks, count))
    each = count / statistics.median(bare[1])
    print(f"floor: a bare process burns {args.milliseconds:g} ms of CPU {each:.0f} times a second")
    for workers, values in found.items():
        wall, server, client = (statistics.median(column) for column in zip(*values, strict=True))
        told = f"{count / wall:7.0f} episodes/s, CPU-ms an episode: server {1000 * server / count:.2f}"
        print(f"{workers} worker(s): {told}, client {1000 * client / count:.2f}", flush=True)
    most = statistics.median(a / b for a, b in zip(bare[1], bare[2], strict=True))
    speed = statistics.median(a[0] / b[0] for a, b in zip(found[1], found[2], strict=True))
    cost = statistics.median(b[1] / a[1] for a, b in zip(found[1], found[2], strict=True))
    print(f"2 workers are {speed:.2f} times as fast (bare processes {most:.2f}) and take {cost:.2f} times the CPU")


if __name__ == "__main__":
    main()

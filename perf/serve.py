"""A served environment on 1 and 2 workers, as ratios in one run: `python -m perf.serve`.

Each episode burns CPU in `verify`, so that the server is what a run waits for. The floor is that CPU alone; the
client's own is told beside it. On a machine that others use, look at the ratio of CPU: the processes share it with
whoever else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
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
    for _ in range(args.runs):
        for workers, values in found.items():
            values.append(once(workers, tasks, count))
    began = time.monotonic()
    burnt = time.process_time() + 0.5
    while time.process_time() < burnt:
        pass
    share = 0.5 / (time.monotonic() - began)
    print(f"floor: {args.milliseconds:g} ms of CPU an episode; a busy process gets {share:.2f} of a core now")
    for workers, values in found.items():
        wall, server, client = (statistics.median(column) for column in zip(*values, strict=True))
        told = f"{count / wall:7.0f} episodes/s, CPU-ms an episode: server {1000 * server / count:.2f}"
        print(f"{workers} worker(s): {told}, client {1000 * client / count:.2f}", flush=True)
    speed = statistics.median(a[0] / b[0] for a, b in zip(found[1], found[2], strict=True))
    cost = statistics.median(b[1] / a[1] for a, b in zip(found[1], found[2], strict=True))
    print(f"2 workers are {speed:.2f} times as fast and take {cost:.2f} times the CPU")


if __name__ == "__main__":
    main()

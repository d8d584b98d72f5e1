"""The table of docs/performance.md, in one run and as ratios to the bare loop: `python -m perf.table`.

Every line is the same work against the same endpoint: CPU-seconds (user + system) of the orchestrator's whole
process tree per 1,000 episodes, start-up (the same command with one episode) subtracted, median of some runs.
Memory is the peak of the largest process; an episode's is what the run takes above one episode at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from perf import overhead
from perf.langgraph import profiled
from perf.overhead import CALLS, ROOT, background

Command = Callable[[int, int], list[str]]
"""The command for so many episodes, so many at a time."""
COUNTER = "perf/environments/counter.py"


@dataclass(frozen=True, slots=True)
class Run:
    cpu: float
    wall: float
    peak: int
    """KiB."""
    lag: float | None
    """99 % of the loop's delays are below, ms."""


def run(command: list[str]) -> Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    peak = 0
    assert process.stdout is not None
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:  # the greatest of all children so far would be another command's
        try:
            peak = max(peak, int(status.read_text().split("VmHWM:")[1].split()[0]))
        except (OSError, IndexError):
            pass
        time.sleep(0.02)
    out, errors = process.communicate(timeout=60)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{errors}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    said = json.loads(out)
    if "run_dir" in said:
        said = json.loads((Path(said["run_dir"]) / "metrics.json").read_text())
        assert not said["failed"], said
    return Run(cpu, time.monotonic() - started, peak, said.get("loop_lag_p99_ms"))


def floor(url: str, work: str) -> Command:
    return lambda n, c: overhead.floor(url, work, c)(n)


def evaluation(environment: str, tasks: Path, url: str, *more: str, program: str = "gym_mcp.cli.main") -> Command:
    def command(n: int, c: int) -> list[str]:
        words = overhead.evaluation(environment, tasks, url, c)(n)
        words[2:3] = program.split()  # after `python -m`
        return [*words, *more]

    return command


class Table:
    def __init__(self, episodes: int, concurrency: int, runs: int) -> None:
        self.episodes, self.concurrency, self.runs = episodes, concurrency, runs
        self.floor = 0.0
        heads = ("work", "CPU-s per 1,000", "x bare loop", "episodes/CPU-s", "start-up s", "peak MiB")
        self._print(*heads, "KiB an episode", "lag p99 ms")
        self._print("---", *["---:"] * 7)

    @staticmethod
    def _print(*cells: str) -> None:
        print("| " + " | ".join(cells) + " |", flush=True)

    def line(self, name: str, command: Command, *, base: bool = False, share: float = 1.0, least: int = 1) -> None:
        """Measure one kind of work; `share` of the episodes do for what is slow, `least` start all of it."""
        n = max(int(self.episodes * share), 50)
        starts = [run(command(least, least)) for _ in range(2)]
        start = min(s.cpu for s in starts)
        runs = [run(command(n, self.concurrency)) for _ in range(self.runs)]
        cpu = statistics.median(r.cpu - start for r in runs) / n * 1000
        if base:
            self.floor = cpu
        peak = statistics.median(r.peak for r in runs)
        each = (peak - min(s.peak for s in starts)) / min(self.concurrency, n)
        lags = [r.lag for r in runs if r.lag is not None]
        self._print(
            name,
            f"{cpu:.3f}",
            f"{cpu / self.floor:.2f}",
            f"{1000 / cpu:,.0f}",
            f"{min(s.wall for s in starts):.2f}",
            f"{peak / 1024:.0f}",
            f"{max(each, 0):.0f}",
            f"{statistics.median(lags):.1f}" if lags else "-",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=256)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"{args.episodes} episodes, {args.concurrency} at a time, median of {args.runs} runs; "
        f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the start\n"
    )
    tasks = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-")) / "tasks.jsonl"
    row = {"prompt": "Go.", "target": 3, "expected": "done"}
    tasks.write_text("".join(json.dumps({"id": f"t{i}", **row}) + "\n" for i in range(args.episodes)))
    table = Table(args.episodes, args.concurrency, args.runs)
    endpoint = [sys.executable, "tests/endpoint.py", "--fast", "--final", "done"]
    with background(endpoint) as (_, ready):
        url = ready.split()[-1]
        table.line("one model call: bare loop", floor(url, "single"), base=True)
        table.line("one model call", evaluation("perf/environments/echo.py", tasks, url))
    with background([*endpoint, "--calls", CALLS]) as (_, ready):
        url = ready.split()[-1]
        table.line("three tool calls: bare loop", floor(url, "tools"), base=True)
        table.line("three tool calls, direct", evaluation(COUNTER, tasks, url))
        table.line("... two worker processes", evaluation(COUNTER, tasks, url, "--workers", "2"), least=2)
        served = [sys.executable, "-m", "gym_mcp.cli.main", "serve", COUNTER, "--http", "127.0.0.1:0", "--json"]
        with background(served) as (_, said):
            operator = json.loads(said)["environments"]["counter"]["operator_url"]
            table.line("... over HTTP MCP", evaluation(operator, tasks, url))
        memory = evaluation(COUNTER, tasks, url, program="perf.rung memory")
        table.line("... the SDK's client, in memory", memory, share=0.5)
        stdio = evaluation(COUNTER, tasks, url, program="perf.rung stdio")
        table.line("... the SDK's client, stdio, server included", stdio, share=0.25)
        graph = evaluation(COUNTER, tasks, url, "-H", "langgraph_react")
        table.line("... with LangGraph (langgraph_react)", graph, share=0.25)
        total, shares = profiled(COUNTER, tasks, url, args.episodes, args.concurrency, "simple")
    print(f"\nwhere the time of three tool calls on the direct rung goes (profiled, {total:.2f} s, own time):")
    for group, seconds in sorted(shares.items(), key=lambda item: -item[1])[:8]:
        print(f"  {group:28} {100 * seconds / total:5.1f} %")


if __name__ == "__main__":
    main()

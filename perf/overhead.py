"""CPU-seconds per 1,000 episodes beside the bare loop, in one run: `python perf/overhead.py`.

Each line is user + system time of the orchestrator's whole process tree, its start-up (the same command with one
episode) subtracted, median of some runs. The model endpoint is a process of its own without latency; it does not
count.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "perf"
CALLS = json.dumps([["add", {"amount": 1}]] * 3)
REQUIRED = {"single turn": 0.4, "3 tool calls, direct": 0.9, "3 tool calls, HTTP MCP": 1.6}


def cpu_of(command: list[str]) -> tuple[float, float, int]:
    """(CPU seconds, wall seconds, peak KiB) of a command and the children it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    _, errors = process.communicate(timeout=600)
    if process.returncode:
        sys.exit(f"{' '.join(command)}\n{errors}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - started, after.ru_maxrss


@contextlib.contextmanager
def background(command: list[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that says one line when it is ready."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.terminate()
        process.wait(timeout=30)


def process_cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def per_thousand(command: Callable[[int], list[str]], count: int, runs: int) -> float:
    start_up = min(cpu_of(command(1))[0] for _ in range(2))
    return statistics.median((cpu_of(command(count))[0] - start_up) / count * 1000 for _ in range(runs))


def evaluation(environment: str, tasks: Path, url: str, concurrency: int) -> Callable[[int], list[str]]:
    def command(count: int) -> list[str]:
        out = tempfile.mkdtemp(prefix="gym-mcp-perf-")
        return [
            *(sys.executable, "-m", "gym_mcp.cli.main", "eval", "run", "-q", "--json", "-e", environment),
            *("-m", "openai/scripted", "--base-url", url, "--input", str(tasks), "--limit", str(count)),
            *("--concurrency", str(concurrency), "--out", out),
        ]

    return command


def floor(url: str, work: str, concurrency: int) -> Callable[[int], list[str]]:
    return lambda count: [sys.executable, str(HERE / "floor.py"), url, work, str(count), str(concurrency)]


def line(name: str, value: float, base: float, note: str = "") -> None:
    required = REQUIRED.get(name)
    target = f"must be <= {required}" if required else ""
    print(f"{name:34} {value:6.3f}  {value / base:5.2f} x floor  {target}{note}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=256)
    args = parser.parse_args()
    n, runs, c = args.episodes, args.runs, args.concurrency
    folder = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-"))
    row = {"prompt": "Go.", "target": 3, "expected": "done"}
    tasks = folder / "tasks.jsonl"
    tasks.write_text("".join(json.dumps({"id": f"t{i}", **row}) + "\n" for i in range(n)))
    endpoint = [sys.executable, "tests/endpoint.py", "--fast", "--final", "done"]
    print(f"CPU-seconds per 1,000 episodes; {n} episodes, concurrency {c}, median of {runs} runs")
    with background(endpoint) as (_, ready):
        url = ready.split()[-1]
        base = per_thousand(floor(url, "single", c), n, runs)
        line("bare loop, single turn", base, base)
        line("single turn", per_thousand(evaluation("perf/environments/echo.py", tasks, url, c), n, runs), base)
    with background([*endpoint, "--calls", CALLS]) as (_, ready):
        url = ready.split()[-1]
        base = per_thousand(floor(url, "tools", c), n, runs)
        line("bare loop, 3 tool calls", base, base)
        counter = "perf/environments/counter.py"
        line("3 tool calls, direct", per_thousand(evaluation(counter, tasks, url, c), n, runs), base)
        served(counter, tasks, url, c, n, runs, base)


def served(environment: str, tasks: Path, url: str, c: int, n: int, runs: int, base: float) -> None:
    command = [sys.executable, "-m", "gym_mcp.cli.main", "serve", environment, "--http", "127.0.0.1:0", "--json"]
    with background(command) as (server, ready):
        operator = json.loads(ready)["environments"]["counter"]["operator_url"]
        before = process_cpu(server.pid)
        value = per_thousand(evaluation(operator, tasks, url, c), n, runs)
        spent = (process_cpu(server.pid) - before) / (n * runs + 2) * 1000
        line("3 tool calls, HTTP MCP", value, base, f" (server side {spent:.3f})")


if __name__ == "__main__":
    main()

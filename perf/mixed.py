"""A slow and a fast environment in one run beside each alone: `python -m perf.mixed`.

Fair share: what the fast one does alone at half the concurrency. Throughput is taken while both run. On a busy
machine both numbers fall together; their ratio is what counts.
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
from dataclasses import dataclass
from pathlib import Path

from perf.overhead import ROOT

ENVIRONMENT = ROOT / "tests" / "environments" / "deadly.py"


@dataclass
class Cell:
    """When the rollouts of one run started and ended, and how late the loop was."""

    starts: list[float]
    ends: list[float]
    lag: float

    def rate(self, until: float) -> float:
        """Rollouts a second that ended between the first start and `until`."""
        return sum(end <= until for end in self.ends) / (min(until, max(self.ends)) - min(self.starts))

    @classmethod
    def read(cls, path: Path) -> Cell:
        rows = [json.loads(line)["timing"] for line in (path / "rollouts.jsonl").read_text().splitlines()]
        lag = json.loads((path / "metrics.json").read_text())["loop_lag_p99_ms"]
        return cls([row["started"] for row in rows], [row["started"] + row["seconds"] for row in rows], lag)


def evaluate(folder: Path, cells: list[dict[str, object]], concurrency: int) -> list[Cell]:
    """Run `cells` together."""
    experiment = folder / f"{len(list(folder.iterdir()))}.json.yaml"
    settings = {"environments": cells, "models": ["builtin/oracle"], "concurrency": concurrency, "together": True}
    experiment.write_text(json.dumps(settings))
    command = [
        sys.executable,
        "-m",
        "gym_mcp.cli.main",
        "eval",
        "run",
        "-q",
        "--json",
        "--config",
        str(experiment),
    ]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=600
    )
    if done.returncode:
        sys.exit(done.stderr.decode())
    found = json.loads(done.stdout)
    return [Cell.read(folder / run["run_dir"]) for run in found.get("runs", [found])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--slow", type=float, default=30.0, help="seconds of a tool call")
    parser.add_argument("--fast", type=float, default=0.2)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    half = args.concurrency // 2
    folder = Path(tempfile.mkdtemp(prefix="gym-mcp-perf-"))
    count = int(half * args.slow / args.fast) - half
    tasks = folder / "tasks.jsonl"
    tasks.write_text(
        "".join(json.dumps({"id": f"t{i}", "prompt": "Go.", "data": {}}) + "\n" for i in range(count))
    )

    def cell(seconds: float, limit: int, **more: object) -> dict[str, object]:
        env = {"seconds": seconds}
        return {"name": str(ENVIRONMENT), "env": env, "input": str(tasks), "limit": limit, **more}

    system = f"{platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{system}; {args.concurrency} at a time, tools of {args.slow:g} and {args.fast:g} s", flush=True)
    ratios, lags = [], []
    for _ in range(args.runs):
        slow, fast = evaluate(
            folder, [cell(args.slow, args.concurrency), cell(args.fast, count)], args.concurrency
        )
        (alone,) = evaluate(folder, [cell(args.fast, count)], half)
        together = fast.rate(min(max(slow.ends), max(fast.ends)))
        fair = alone.rate(max(alone.ends))
        ratios.append(together / fair)
        lags.append(fast.lag)
        print(f"fast: {together:.1f}/s beside the slow one, fair share {fair:.1f}/s, ratio {ratios[-1]:.2f}")
        lasted = max(slow.ends) - min(slow.starts)
        print(f"slow: {args.concurrency} rollouts in {lasted:.1f} s; lag p99 {fast.lag:.1f} ms", flush=True)
    print(f"ratio {statistics.median(ratios):.2f} (median), lag p99 {statistics.median(lags):.1f} ms")


if __name__ == "__main__":
    main()

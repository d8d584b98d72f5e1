"""A run of a million rollouts, profiled beside a floor: `python perf/million.py`.

Writes a run directory as `eval run` would (tasks, manifest, a journal of rows with transcripts and ledgers), then
times `gym-mcp eval profile` and `eval compare` of it. The floor is reading the journal once, line by line.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

TURNS = 3


def manifest(tasks: int, repeats: int, model: str) -> dict[str, Any]:
    identity = {"environment": "e", "environment_name": "made_up", "tasks": "t", "harness": "simple:h"}
    return {
        "schema": 1,
        "run_id": "0" * 12,
        "config": {"environment": "made_up", "env": {}},
        "identity": {**identity, "model": {"spec": model}, "seed": 0, "repeats": repeats},
        "environment": {
            "name": "made_up",
            "interaction": "tools",
            "reward_range": [0.0, 1.0],
            "higher_is_better": True,
            "tools": [],
        },
        "model": {"spec": model},
        "harness": "simple",
        "tasks": tasks,
        "repeats": repeats,
        "expected": tasks * repeats,
    }


def rows(tasks: int, repeats: int, model: str, seed: int, graded: bool) -> Iterator[bytes]:
    rng = random.Random(seed)
    ease = [rng.betavariate(1, 1) for _ in range(tasks)]
    output, ledger = transcript()
    for repeat in range(repeats):
        for task in range(tasks):
            luck = rng.random()
            reward = round(ease[task] * luck, 3) if graded else float(luck < ease[task])
            failed = luck > 0.99
            row = {
                "schema": 1,
                "rollout_id": f"{0:012x}/task-{task}/{repeat}",
                "environment": "made_up",
                "task_id": f"task-{task}",
                "task_index": task,
                "repeat": repeat,
                "seed": rng.getrandbits(63),
                "harness": "simple",
                "model": model,
                "outcome": "failed" if failed else "scored",
                "failure": {"kind": "model", "message": "no answer"} if failed else None,
                "attempts": 1,
                "reward": None if failed else reward,
                "components": {} if failed else {"exact": reward, "format": float(luck < 0.9)},
                "notes": "" if failed else "compared with the expected state",
                "response": {"output": output, "stop": "completed"},
                "ledger": ledger,
                "usage": {
                    "model_calls": TURNS + 1,
                    "input_tokens": int(2_000 * luck) + 500,
                    "output_tokens": int(900 * luck) + 20,
                    "cached_tokens": 0,
                    "reasoning_tokens": 0,
                    "retries": 0,
                    "cost": luck / 1_000,
                },
                "timing": {
                    "started": 1.7e9 + task,
                    "seconds": luck,
                    "model_seconds": luck / 2,
                    "tool_seconds": 0.001,
                },
            }
            yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def transcript() -> tuple[list[Any], list[Any]]:
    output: list[Any] = []
    ledger: list[Any] = []
    for turn in range(TURNS):
        arguments = {"customer_id": f"{turn:08}", "field": "status"}
        result = orjson.dumps({"output": {"status": "Progress: some text as tools return it"}}).decode()
        call = {"call_id": f"call_{turn:04}", "name": "crm_look_up", "arguments": orjson.dumps(arguments).decode()}
        output.append({"type": "function_call", "id": f"fc_{turn:04}", **call, "status": "completed"})
        output.append({"type": "function_call_output", "call_id": call["call_id"], "output": result})
        entry = {"seq": turn, "name": "crm_look_up", "arguments": arguments, "result": result, "error": None}
        ledger.append({**entry, "start": 0.1 * turn, "end": 0.1 * turn + 0.01})
    said = "All customers whose status had changed were updated. " * 4
    text = {"type": "output_text", "text": said, "annotations": []}
    output.append({"id": "msg", "type": "message", "role": "assistant", "status": "completed", "content": [text]})
    return output, ledger


def write_run(
    path: Path, tasks: int, repeats: int, model: str = "made/up", seed: int = 0, graded: bool = False
) -> None:
    """A finished run directory with `tasks` x `repeats` rows, 1 % of them failed."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "manifest.json").write_bytes(orjson.dumps(manifest(tasks, repeats, model)))
    with (path / "tasks.jsonl").open("wb") as file:
        for task in range(tasks):
            prompt = [{"role": "user", "content": f"Task {task}: " + "a prompt of some length. " * 8}]
            row = {"id": f"task-{task}", "prompt": prompt, "data": {"difficulty": task % 5}}
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    with (path / "rollouts.jsonl").open("wb") as file:
        file.writelines(rows(tasks, repeats, model, seed, graded))


def measured(command: list[str]) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, peak MiB) of a command. The peak is the highest of all children so far."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1_200)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, cpu, after.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=62_500)
    parser.add_argument("--repeats", type=int, default=16)
    parser.add_argument("--graded", action="store_true", help="rewards between 0 and 1")
    parser.add_argument("--compare", action="store_true", help="also a second run, and their comparison")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="million-") as folder:
        run, other = Path(folder) / "run", Path(folder) / "other"
        write_run(run, args.tasks, args.repeats, graded=args.graded)
        journal = run / "rollouts.jsonl"
        count = args.tasks * args.repeats
        print(f"{count:,} rollouts, {journal.stat().st_size / count:.0f} bytes each, {args.tasks:,} tasks")
        reading = f"import sys\nfor line in open({str(journal)!r}, 'rb', 1 << 20): pass"
        floor = measured([sys.executable, "-c", reading])
        show("floor: read the lines", floor, floor)
        cli = [sys.executable, "-m", "gym_mcp.cli.main", "eval"]
        show("eval profile", measured([*cli, "profile", str(run)]), floor)
        show(
            "eval profile --by --json",
            measured([*cli, "profile", str(run), "--by", "data.difficulty", "--json"]),
            floor,
        )
        if args.compare:
            write_run(other, args.tasks, args.repeats, "made/other", seed=1, graded=args.graded)
            show("eval compare", measured([*cli, "compare", str(run), str(other)]), floor)


def show(name: str, found: tuple[float, float, float], floor: tuple[float, float, float]) -> None:
    wall, cpu, peak = found
    ratio = f"{cpu / floor[1]:.1f} x the floor's CPU"
    print(f"{name:26} {wall:6.1f} s wall, {cpu:6.1f} s CPU, {peak:5.0f} MiB at most, {ratio}", flush=True)


if __name__ == "__main__":
    main()

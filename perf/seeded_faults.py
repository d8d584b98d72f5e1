"""Known faults, planted into real runs: which does `gym-mcp analyze` find, and what does it cry wolf about?

    python perf/seeded_faults.py [--json]

Each fault changes a run as the fault would have (rows, rewards, task rows), in a copy. Recall: planted faults
whose finding names a planted rollout or task. Precision: of all suspects and regressions found,
those that were planted.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gym_mcp.diagnosis.analyze import analyze

Row = dict[str, Any]
ALARMS = ("regressed", "category_regressed", "loop", "truncated", "refusal", "arguments", "unknown_tool")
"""Findings that a healthy run has none of, beside suspects."""


@dataclass
class Planted:
    """What a fault touched, and the findings of which one has to name it."""

    expect: tuple[str, ...]
    also: tuple[str, ...] = ()
    rollouts: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)


Fault = Callable[[list[Row], list[Row], random.Random], Planted]


def partial_verifier(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """The verifier does not read one format: answers in `\\text{}` of passing rollouts score 0."""
    p = Planted(("same_answer_different_reward", "right_answer_failed"))
    for row in _some(rows, rng, 0.2, lambda r: r["reward"] == 1.0):
        say(row, lambda t: t.replace("\\boxed{", "\\boxed{\\text{").replace("}", "}}"))
        row["reward"] = 0.0
        _mark(p, row)
    return p


def flaky_verifier(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """The verifier turns a quarter of the full scores down."""
    p = Planted(("same_transcript_different_reward", "right_answer_failed"), ("same_answer_different_reward",))
    for row in _some(rows, rng, 0.25, lambda r: r["reward"] == 1.0):
        row["reward"] = 0.0
        _mark(p, row)
    return p


def tool_timeout(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """One tool hangs: its calls end in a timeout, and their rollouts do not pass."""
    p = Planted(("tool_outage",), ("ends_in_error",))
    name = sorted({e["name"] for r in rows for e in r["ledger"]})[0]
    for row in rows:
        for entry in row["ledger"]:
            if entry["name"] == name:
                answer(row, entry, f"`{name}` gave no answer within 30.0 s", "timeout")
                row["reward"] = 0.0
                _mark(p, row)
    return p


def tool_outage(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """One tool's backend is down, half of the time."""
    p = Planted(("tool_outage",), ("ends_in_error", "pass_with_errors", "same_transcript_different_reward"))
    name = sorted({e["name"] for r in rows for e in r["ledger"]})[-1]
    for row in rows:
        for entry in row["ledger"]:
            if entry["name"] == name and rng.random() < 0.5:
                answer(row, entry, "upstream: 503 Service Unavailable", "tool")
                row["reward"] = 0.0
                _mark(p, row)
    return p


def truncated_prompt(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """Three prompts lose their last third."""
    p = Planted(("truncated_prompt",), ("prompt_lacks_data",))
    for task in rng.sample(tasks, 3):
        item = task["prompt"][-1]
        for part in [item] if isinstance(item["content"], str) else item["content"]:
            key = "content" if isinstance(item["content"], str) else "text"
            part[key] = part[key][: 2 * len(part[key]) // 3]
        p.tasks.add(task["id"])
    return p


def dropped_errors(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """The harness shows an empty result where a tool erred."""
    p = Planted(("error_not_shown",), ("ends_in_error", "same_call_different_result"))
    for row in _some(rows, rng, 0.3, lambda r: bool(r["ledger"])):
        entry = row["ledger"][-1]
        answer(row, entry, "no such record: it was deleted", "tool")
        outputs = [i for i in row["response"]["output"] if i["type"] == "function_call_output"]
        outputs[-1]["output"] = ""
        row["reward"] = 0.0
        _mark(p, row)
    return p


def wrong_keys(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """Two tasks' keys are wrong: what was right scores 0."""
    p = Planted(("never_pass_agreeing",))
    ids = {r["task_id"] for r in rows if sum(o["reward"] for o in rows if o["task_id"] == r["task_id"]) >= 3}
    for task in [t for t in tasks if t["id"] in sorted(ids)[:2]]:
        task["data"]["expected_answer"] = "E" if task["data"]["expected_answer"] != "E" else "A"
        p.tasks.add(task["id"])
        for row in rows:
            if row["task_id"] == task["id"]:
                row["reward"] = 0.0
    return p


def leaked_answer(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """Three prompts say the answer."""
    p = Planted(("answer_leak_prompt",))
    for task in rng.sample(tasks, 3):
        head = task["prompt"][0]
        head["content"] = f"(The correct answer is {task['data']['expected_answer']}.) {head['content']}"
        p.tasks.add(task["id"])
    return p


def free_passes(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """Rollouts that gave up get a full score."""
    p = Planted(
        ("pass_without_evidence", "pass_of_nothing", "wrong_answer_passed", "same_transcript_different_reward"),
        ("pass_against_notes", "pass_without_the_calls"),
    )
    for row in _some(rows, rng, 0.2, lambda r: r["reward"] == 0.0):
        row["reward"] = 1.0
        _mark(p, row)
    return p


def lost_rows(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """An endpoint that goes away for a tenth of the rollouts."""
    p = Planted(("failed_model",))
    for row in _some(rows, rng, 0.1, lambda r: True):
        row.update(outcome="failed", reward=None, ledger=[], response={"output": [], "stop": None})
        row["failure"] = {"kind": "model", "message": f"HTTP 502 after {rng.randint(1, 9)} tries"}
        _mark(p, row)
    return p


def loops(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """An agent that repeats its last call five times, until its turns are spent."""
    p = Planted(("loop",), ("budget_turns",))
    for row in _some(rows, rng, 0.2, lambda r: bool(r["ledger"])):
        last, output = row["ledger"][-1], row["response"]["output"]
        pair = [i for i in output if i["type"].startswith("function_call")][-2:]
        row["ledger"] += [{**last, "seq": last["seq"] + i} for i in range(1, 5)]
        row["response"] = {"output": output[:-1] + pair * 4, "stop": "max_turns"}
        row["reward"] = 0.0
        _mark(p, row)
    return p


def category(rows: list[Row], tasks: list[Row], rng: random.Random) -> Planted:
    """A model that lost one kind of task since the run before."""
    p = Planted(("category_regressed",), ("regressed", "same_transcript_different_reward", "right_answer_failed"))
    kinds = {t["id"]: t["data"]["category"] for t in tasks}
    for row in rows:
        if kinds[row["task_id"]] == "calendar":
            row["reward"] = 0.0
            row["ledger"] = []
            row["response"]["output"] = row["response"]["output"][-1:]
            say(row, lambda _: "I do not know.")
            _mark(p, row)
    return p


PLANTS: list[tuple[str, Fault, bool]] = [
    ("mcqa", partial_verifier, False),
    ("mcqa", flaky_verifier, False),
    ("mcqa", wrong_keys, False),
    ("mcqa", leaked_answer, False),
    ("mcqa", truncated_prompt, False),
    ("mcqa", free_passes, False),
    ("mcqa", lost_rows, False),
    ("workplace_assistant", flaky_verifier, False),
    ("workplace_assistant", tool_timeout, False),
    ("workplace_assistant", tool_outage, False),
    ("workplace_assistant", truncated_prompt, False),
    ("workplace_assistant", dropped_errors, False),
    ("workplace_assistant", free_passes, False),
    ("workplace_assistant", lost_rows, False),
    ("workplace_assistant", loops, False),
    ("workplace_assistant", category, True),
]


def say(row: Row, change: Callable[[str], str]) -> None:
    """Change what the agent said last."""
    part = row["response"]["output"][-1]["content"][0]
    part["text"] = change(part["text"])


def answer(row: Row, entry: Row, text: str, error: str) -> None:
    """Let a call end in an error, in the ledger and in the transcript."""
    outputs = [i for i in row["response"]["output"] if i["type"] == "function_call_output"]
    outputs[entry["seq"]]["output"] = text
    entry.update(result=text, error=error)


def _some(rows: list[Row], rng: random.Random, share: float, test: Callable[[Row], bool]) -> list[Row]:
    able = [r for r in rows if test(r)]
    return rng.sample(able, max(3, int(share * len(able))))


def _mark(p: Planted, row: Row) -> None:
    p.rollouts.add(row["rollout_id"])
    p.tasks.add(row["task_id"])


def plant(source: Path, to: Path, fault: Fault, seed: int) -> Planted:
    """Copy a run with a fault in it."""
    shutil.copytree(source, to)
    rows, tasks = _read(to / "rollouts.jsonl"), _read(to / "tasks.jsonl")
    planted = fault(rows, tasks, random.Random(seed))
    _write(to / "rollouts.jsonl", rows)
    _write(to / "tasks.jsonl", tasks)
    return planted


def judge(found: Row, planted: Planted) -> tuple[bool, int, int]:
    """Whether the fault was found; how many alarms there were, and how many of them were false."""
    alarms = [f for f in found["findings"] if f["suspect"] or f["kind"] in ALARMS]
    hit = any(
        f["kind"] in planted.expect and (planted.rollouts & set(f["rollouts"]) or planted.tasks & set(f["tasks"]))
        for f in alarms
    )
    false = [f for f in alarms if f["kind"] not in planted.expect + planted.also]
    return hit, len(alarms), len(false)


def measure(work: Path, seeds: int = 3) -> Row:
    """All plants, each with some seeds; and the runs as they were, where every alarm is false."""
    runs = {name: _run(name, work / name) for name in ("mcqa", "workplace_assistant")}
    results: list[Row] = []
    clean = 0
    for source in runs.values():
        clean += judge(analyze(source), Planted(()))[1]
    for name, fault, paired in PLANTS:
        for seed in range(seeds):
            to = work / f"{name}-{fault.__name__}-{seed}"
            planted = plant(runs[name], to, fault, seed)
            found = analyze(to, runs[name] if paired else None)
            hit, alarms, false = judge(found, planted)
            kinds = sorted({f["kind"] for f in found["findings"] if f["suspect"] or f["kind"] in ALARMS})
            results.append(
                {"run": name, "fault": fault.__name__, "seed": seed, "found": hit, "alarms": alarms,
                 "false": false, "kinds": kinds}
            )  # fmt: skip
    alarms = sum(r["alarms"] for r in results)
    false = sum(r["false"] for r in results)
    return {
        "recall": sum(r["found"] for r in results) / len(results),
        "precision": (alarms - false) / alarms if alarms else 1.0,
        "false_alarms_on_clean_runs": clean,
        "plants": results,
    }


def _run(name: str, out: Path) -> Path:
    command = [sys.executable, *"-m gym_mcp.cli.main eval run --limit 30 --repeats 4".split()]
    command += ["-e", name, "-m", "builtin/noisy-oracle?p=0.8", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return out


def _read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def main() -> int:
    """Print the table; 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    if arguments.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return 0
    for r in found["plants"]:
        mark = "found " if r["found"] else "MISSED"
        sys.stdout.write(f"{mark} {r['run']:20} {r['fault']:18} {r['seed']}  {', '.join(r['kinds'])}\n")
    sys.stdout.write(
        f"recall {found['recall']:.3f}, precision {found['precision']:.3f}, "
        f"{found['false_alarms_on_clean_runs']} alarms on clean runs\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Run directories made by hand: any size, any failure, any text that a model may have written."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gym_mcp.coordinator.journal import line_of
from gym_mcp.types import JSONObject

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
HOSTILE = (
    "<script>document.title='owned';alert(1)</script><img src=x onerror=alert(2)>"
    "</pre></svg></style><svg onload=alert(3)>{{ 7*7 }}{% raw %}"
    "<a href='javascript:alert(4)'>x</a> &lt; \" ' ` \\ | * _ [x](http://127.0.0.1:9/)\n"
    '\x00\x1b[2J\x1b]0;owned\x07\u202egnp.\u2066\ufeff\u2028 =HYPERLINK("http://127.0.0.1:9") ]]> <!-- --!>'
)


def manifest(tasks: int, repeats: int, model: str = "openai/gpt-5-mini", **about: Any) -> JSONObject:
    identity = {
        "environment": "0123456789abcdef",
        "verifier": "fedcba9876543210",
        "options": "00",
        "tasks": "11",
        "harness": "simple:22",
        "harness_options": "33",
        "model": {"spec": model},
        "sampling": {},
        "limits": {"turns": 100},
        "judge": None,
        "seed": 7,
        "repeats": repeats,
        "benchmark": None,
    }
    return {
        "schema": 1,
        "run_id": "abcdef012345",
        "created": "2026-11-25T20:00:00+00:00",
        "command": ["gym-mcp", "eval", "run"],
        "versions": {"gym_mcp": "0.1.0", "python": "3.11"},
        "config": {"environment": "no_such_environment", "env": {}},
        "identity": identity,
        "environment": {
            "name": "office",
            "version": "1",
            "interaction": "tools",
            "reward_range": [0.0, 1.0],
            "higher_is_better": True,
            "floor": 0.0,
            **about,
        },
        "model": {"spec": model},
        "harness": "simple",
        "tasks": tasks,
        "repeats": repeats,
        "expected": tasks * repeats,
    }


def output(text: str, *, turns: int = 1, image: str | None = None) -> list[JSONObject]:
    items: list[JSONObject] = []
    for i in range(turns):
        items.append({"type": "reasoning", "summary": [{"type": "summary_text", "text": f"I look it up. {text}"}]})
        arguments = json.dumps({"query": text, "page": i})
        items.append({"type": "function_call", "call_id": f"c{i}", "name": "search", "arguments": arguments})
        result: Any = f"Three hits for: {text}"
        if image is not None:
            result = [{"type": "input_text", "text": result}, {"type": "input_image", "image_url": image}]
        items.append({"type": "function_call_output", "call_id": f"c{i}", "output": result})
    content = [{"type": "output_text", "text": text, "annotations": []}]
    items.append({"type": "message", "role": "assistant", "content": content})
    return items


def row(index: int, repeat: int, reward: float | None, rng: random.Random, **over: Any) -> JSONObject:
    """A rollout row; without a reward a failed one."""
    failed = reward is None
    calls = rng.randint(1, 6)
    name = over.pop("task_id", f"errand-{index:03}")
    kind = rng.choice(["model", "environment", "timeout"])
    messages = {
        "model": "HTTP 503 after 5 retries: overloaded",
        "environment": "search took longer than 60 s",
        "timeout": "not finished after 600 s",
    }
    return {
        "schema": 1,
        "rollout_id": f"abcdef012345/{name}/{repeat}",
        "environment": "office",
        "task_id": name,
        "task_index": index,
        "repeat": repeat,
        "seed": index * 1000 + repeat,
        "harness": "simple",
        "model": "openai/gpt-5-mini",
        "outcome": "failed" if failed else "scored",
        "failure": {"kind": kind, "message": messages[kind]} if failed else None,
        "attempts": 1,
        "reward": reward,
        "components": {} if failed else {"right": float(reward == 1.0), "tidy": rng.random()},
        "notes": "" if failed else "the calendar holds 1 of 1 events",
        "response": {"output": output("I have booked the room for Friday.", turns=calls), "stop": "completed"},
        "ledger": [
            {
                "seq": i,
                "name": "search",
                "arguments": {},
                "result": "Three hits",
                "error": None,
                "start": 0.0,
                "end": 0.1,
            }
            for i in range(calls)
        ],
        "usage": {
            "model_calls": calls + 1,
            "input_tokens": calls * rng.randint(700, 1400),
            "output_tokens": calls * rng.randint(40, 160),
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "retries": 0,
            "cost": calls * rng.uniform(0.001, 0.004),
        },
        "timing": {
            "started": 1.0,
            "seconds": rng.lognormvariate(2.3, 0.6),
            "model_seconds": 3.0,
            "tool_seconds": 0.4,
        },
        **over,
    }


def write(
    path: Path,
    rewards: Sequence[Sequence[float | None]],
    *,
    change: Callable[[JSONObject], None] | None = None,
    task: Callable[[int], JSONObject] | None = None,
    seed: int = 0,
    model: str = "openai/gpt-5-mini",
    **about: Any,
) -> Path:
    """A run: for each task the rewards of its repeats, None for a failure, NaN for a missing one."""
    rng = random.Random(seed)
    path.mkdir(parents=True)
    whole = manifest(len(rewards), max(map(len, rewards)), model, **about)
    tasks = [
        task(i)
        if task
        else {"id": f"errand-{i:03}", "prompt": "Book a room for Friday.", "data": {"room": "the answer"}}
        for i in range(len(rewards))
    ]
    lines = b"".join(map(line_of, tasks))
    (path / "tasks.jsonl").write_bytes(lines)
    whole["identity"]["tasks"] = hashlib.sha256(lines).hexdigest()[:16]
    (path / "manifest.json").write_text(json.dumps(whole))
    with (path / "rollouts.jsonl").open("wb") as file:
        for i, of_task in enumerate(rewards):
            for repeat, reward in enumerate(of_task):
                made = row(i, repeat, reward, rng, task_id=tasks[i]["id"], model=model)
                if reward is not None and reward != reward:
                    continue
                if change is not None:
                    change(made)
                file.write(line_of(made))
    return path


def graded(
    tasks: int, repeats: int, seed: int = 0, *, failures: float = 0.04, skill: float = 0.0
) -> list[list[float | None]]:
    """Rewards of tasks of any difficulty: mostly 0 and 1, some in between, some failed."""
    rng = random.Random(seed)
    found: list[list[float | None]] = []
    for _ in range(tasks):
        p = min(1.0, rng.betavariate(0.8, 0.6) + skill)
        found.append(
            [
                None
                if rng.random() < failures
                else 1.0
                if rng.random() < p
                else rng.choice([0.0, 0.0, 0.25, 0.5, 0.8])
                for _ in range(repeats)
            ]
        )
    return found

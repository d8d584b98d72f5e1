"""NeMo Gym's formats: rollout rows, failure rows, materialized inputs and aggregate metrics.

Field names are those of NeMo Gym 0.5: `responses_create_params`, `response` (an OpenAI Response object), `reward`,
the verifier's fields at top level, `agent_ref`, `_ng_task_index`, `_ng_rollout_index`. Failed rollouts, which that
system keeps out of its main file, go to `<stem>_failures.jsonl` with `_ng_failure_class`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any, Final

import orjson

from gym_mcp.coordinator.journal import read_rows
from gym_mcp.coordinator.rundir import RunDirectory, write_json
from gym_mcp.export.tokens import with_tokens
from gym_mcp.types import Item, JSONObject

FILES: Final = {
    "rollouts": "rollouts.jsonl",
    "failures": "rollouts_failures.jsonl",
    "inputs": "rollouts_materialized_inputs.jsonl",
    "metrics": "rollouts_aggregate_metrics.json",
}
_STATS: Final = ("mean", "max", "min", "median", "std")


def export(run: RunDirectory, out: Path) -> dict[str, Path]:
    """Write the run's files under `out`; their paths by role."""
    out.mkdir(parents=True, exist_ok=True)
    manifest = run.read_manifest()
    paths = {role: out / name for role, name in FILES.items()}
    agent = {"type": "responses_api_agents", "name": f"{manifest['environment']['name']}_{manifest['harness']}"}
    tools = [_function(tool) for tool in manifest["environment"]["tools"]]
    inputs = [_input(row, index, tools, agent) for index, row in enumerate(run.task_rows())]
    _write(
        paths["inputs"],
        ({**row, "_ng_rollout_index": r} for row in inputs for r in range(manifest["repeats"])),
    )
    rows = [_rollout(row, inputs[row["task_index"]]) for row in read_rows(run.rollouts_path)]
    rows.sort(key=lambda row: (row["_ng_task_index"], row["_ng_rollout_index"]))
    scored = [row for row in rows if "_ng_failure_class" not in row]
    _write(paths["rollouts"], scored)
    _write(paths["failures"], (row for row in rows if "_ng_failure_class" in row))
    write_json(paths["metrics"], [_aggregate(agent, scored, len(inputs), manifest["repeats"])])
    return paths


def _write(path: Path, rows: Iterable[JSONObject]) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _function(tool: Mapping[str, Any]) -> Item:
    return {
        "type": "function",
        "name": tool["name"],
        "description": tool["description"],
        "parameters": tool["inputSchema"],
        "strict": False,
    }


def _input(row: JSONObject, index: int, tools: list[Item], agent: JSONObject) -> JSONObject:
    """A task row as NeMo Gym's: prompt, sampling and tools inside, the verifier's fields at top level."""
    allowed = row.get("tools")
    if allowed is not None:
        tools = [t for name in allowed for t in tools if t["name"] == name]
    params = {"input": row["prompt"], **row.get("params", {}), "tools": tools}
    data = row["data"] if isinstance(row["data"], dict) else {"data": row["data"]}
    return {**data, "responses_create_params": params, "agent_ref": agent, "_ng_task_index": index}


def _rollout(row: JSONObject, source: JSONObject) -> JSONObject:
    output, complete = with_tokens(row)
    out = {
        **source,
        **{k: v for k, v in row["components"].items() if k not in source},
        "response": _response(row, output, source["responses_create_params"]),
        "reward": row["reward"],
        "reward_components": row["components"],
        "_ng_rollout_index": row["repeat"],
        "_ng_rollout_id": row["rollout_id"],
        "task_id": row["task_id"],
    }
    if row["outcome"] == "failed":
        out["reward"] = None
        out["_ng_failure_class"] = row["failure"]["kind"]
        out["_ng_failure_terminal"] = True
        out["error"] = row["failure"]["message"]
    if not complete:
        out["mask_sample"] = True
    if row["attempts"] > 1:
        out["_ng_attempt_index"] = row["attempts"] - 1
    return out


def _response(row: JSONObject, output: list[Item], params: JSONObject) -> JSONObject:
    """The rollout as one OpenAI Response object, usage summed over its model calls."""
    usage = row["usage"] or dict.fromkeys(
        ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"), 0
    )
    incomplete = row["response"]["stop"] not in ("completed", "ended")
    return {
        "id": f"resp_{row['rollout_id']}",
        "object": "response",
        "created_at": row["timing"]["started"],
        "model": row["model"],
        "status": "incomplete" if incomplete else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if incomplete else None,
        "error": None,
        "instructions": None,
        "metadata": {},
        "output": [_with_id(item, i) for i, item in enumerate(output)],
        "parallel_tool_calls": bool(params.get("parallel_tool_calls", True)),
        "temperature": params.get("temperature"),
        "top_p": params.get("top_p"),
        "tool_choice": params.get("tool_choice", "auto"),
        "tools": params["tools"],
        "usage": {
            "input_tokens": usage["input_tokens"],
            "input_tokens_details": {"cached_tokens": usage["cached_tokens"], "cache_write_tokens": 0},
            "output_tokens": usage["output_tokens"],
            "output_tokens_details": {"reasoning_tokens": usage["reasoning_tokens"]},
            "total_tokens": usage["input_tokens"] + usage["output_tokens"],
        },
    }


def _with_id(item: Item, index: int) -> Item:
    prefix = {"message": "msg", "function_call": "fc", "reasoning": "rs"}.get(item.get("type", "message"))
    from_outside = prefix == "msg" and item.get("role") != "assistant"
    return item if prefix is None or from_outside or item.get("id") else {**item, "id": f"{prefix}_{index}"}


def _aggregate(agent: JSONObject, rows: list[JSONObject], tasks: int, repeats: int) -> JSONObject:
    """Statistics of every numeric field over all rollouts, and over each task's."""
    by_task: dict[int, list[JSONObject]] = {}
    for row in rows:
        by_task.setdefault(row["_ng_task_index"], []).append(row)
    metrics = _statistics(rows)
    return {
        "agent_ref": agent,
        "agent_metrics": metrics,
        "key_metrics": {k: v for k, v in metrics.items() if k.startswith("mean/")},
        "group_level_metrics": [_group(i, by_task.get(i, []), repeats) for i in range(tasks)],
    }


def _group(index: int, rows: list[JSONObject], expected: int) -> JSONObject:
    return {
        **_statistics(rows),
        "_ng_task_index": index,
        "num_rollouts": len(rows),
        "expected_num_rollouts": expected,
        "missing_num_rollouts": expected - len(rows),
        "reward_profile_completion_pct": 100.0 * len(rows) / expected,
        "rollout_infos": [
            {
                "rollout_id": row["_ng_rollout_id"],
                "_ng_task_index": index,
                "_ng_rollout_index": row["_ng_rollout_index"],
                "reward": row["reward"],
                **dict(_numbers(row)),
            }
            for row in rows
        ],
    }


def _numbers(row: JSONObject) -> Iterator[tuple[str, float]]:
    """Numeric and boolean fields at top level, and those of the usage."""
    for source in (row, row["response"]["usage"]):
        for key, value in source.items():
            if isinstance(value, int | float) and not key.startswith("_ng_"):
                yield key, float(value)


def _statistics(rows: list[JSONObject]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for row in rows:
        for key, value in _numbers(row):
            values.setdefault(key, []).append(value)
    return {f"{stat}/{key}": _STATISTIC[stat](found) for stat in _STATS for key, found in values.items()}


def _std(values: list[float]) -> float:
    """Sample standard deviation (n-1), 0 for a single value, as NeMo Gym writes it."""
    return stdev(values) if len(values) > 1 else 0.0


_STATISTIC: Final[dict[str, Callable[[list[float]], float]]] = {
    "mean": fmean,
    "max": max,
    "min": min,
    "median": median,
    "std": _std,
}

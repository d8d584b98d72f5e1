"""Runs in NeMo Gym's formats: what they hold, their numbers against another computation, and back again."""

from __future__ import annotations

import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai.types.responses import Response, ResponseInputItem
from pydantic import TypeAdapter

from gym_mcp import hub
from gym_mcp.coordinator.config import make_config
from gym_mcp.coordinator.run import start
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.coordinator.score import recorded, score_all
from gym_mcp.direct import DirectClient
from gym_mcp.export.nemo_gym import FILES, export
from gym_mcp.models.replay import is_input
from gym_mcp.types import JSONObject
from tests.coordinator.kit import POISONED, config, read_lines, rows, write_rows
from tests.endpoint import FAULTS, Answer, Body, Endpoint, Reply, call, message, tool_outputs
from tests.support import SHARED, run

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

PUBLISHED = (
    ("mcqa", "example"),
    ("mcqa", "example_with_template_metadata"),
    ("workplace_assistant", "example"),
    ("example_session_state_mgmt", "example"),
)
REASONING: JSONObject = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}


class Exported:
    """The files of one export, read."""

    def __init__(self, run_dir: Path, out: Path) -> None:
        self.paths = export(RunDirectory.existing(run_dir), out)
        self.rollouts = read_lines(self.paths["rollouts"])
        self.failures = read_lines(self.paths["failures"])
        self.inputs = read_lines(self.paths["inputs"])
        (self.metrics,) = orjson.loads(self.paths["metrics"].read_bytes())
        self.journal = {(r["task_index"], r["repeat"]): r for r in read_lines(run_dir / "rollouts.jsonl")}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Six tasks x 3 of the poisoned environment: full scores, no scores, model and verifier failures."""
    folder = tmp_path_factory.mktemp("mixed")
    task_rows = rows(6, t4={"where": "verify", "how": "raise"}, t5={"note": "kept"})
    task_rows[5]["params"] = {"temperature": 0.25, "parallel_tool_calls": False}
    task_rows[3]["tools"] = []

    def script(body: Body, n: int) -> Answer:
        prompt = body["input"][0]["content"]
        if prompt == "Count to 2.":
            return Reply([message("no")], output_tokens=n) if n < 6 else FAULTS["400"]
        if tool_outputs(body) or prompt == "Count to 3.":
            return Reply([message("done")], input_tokens=n)
        return Reply([REASONING, call("step", {}), call("step", {})] if n % 3 == 0 else [call("step", {})])

    async def main() -> Path:
        async with Endpoint(script) as endpoint:
            settings = {"base_url": endpoint.url, "max_retries": 0, "repeats": 3, "concurrency": 1}
            given = write_rows(folder / "rows.jsonl", task_rows)
            outcome = await start(config(POISONED, "openai/m", input=given, **settings), folder / "run")
            assert set(outcome.metrics["failed"]) == {"model", "verifier"}
            return outcome.run_dir

    return Exported(run(main), folder / "out")


def test_every_rollout_is_in_one_of_the_two_files(mixed: Exported) -> None:
    assert {p.name for p in mixed.paths.values()} == set(FILES.values())
    places = [(r["_ng_task_index"], r["_ng_rollout_index"]) for r in mixed.rollouts + mixed.failures]
    assert sorted(places) == [(t, r) for t in range(6) for r in range(3)]
    assert len(mixed.rollouts) == sum(r["outcome"] == "scored" for r in mixed.journal.values())
    assert [(r["_ng_task_index"], r["_ng_rollout_index"]) for r in mixed.inputs] == sorted(places)


def test_rows_carry_what_was_recorded(mixed: Exported) -> None:
    for row in mixed.rollouts:
        own = mixed.journal[row["_ng_task_index"], row["_ng_rollout_index"]]
        assert (row["reward"], row["_ng_rollout_id"], row["task_id"]) == (
            own["reward"],
            own["rollout_id"],
            own["task_id"],
        )
        usage = row["response"]["usage"]
        assert usage["input_tokens"] == own["usage"]["input_tokens"]
        assert usage["total_tokens"] == own["usage"]["input_tokens"] + own["usage"]["output_tokens"]
        stripped = [{k: v for k, v in item.items() if k != "id"} for item in row["response"]["output"]]
        assert stripped == [{k: v for k, v in i.items() if k != "id"} for i in own["response"]["output"]]
    for row in mixed.failures:
        own = mixed.journal[row["_ng_task_index"], row["_ng_rollout_index"]]
        assert (row["reward"], row["_ng_failure_class"], row["error"]) == (
            None,
            own["failure"]["kind"],
            own["failure"]["message"],
        )


def check_response(response: JSONObject) -> None:
    """OpenAI's type; what came from outside stands between the model's items, as NeMo Gym has it."""
    outside = [item for item in response["output"] if is_input(item)]
    own = [item for item in response["output"] if not is_input(item)]
    assert all(item["id"] for item in own)
    Response.model_validate({**response, "output": own})
    TypeAdapter(list[ResponseInputItem]).validate_python(outside)


def test_responses_are_openais(mixed: Exported) -> None:
    for row in mixed.rollouts + mixed.failures:
        check_response(row["response"])
    kinds = {item["type"] for row in mixed.rollouts for item in row["response"]["output"]}
    assert kinds == {"message", "reasoning", "function_call", "function_call_output"}


def test_sampling_and_tools_of_a_row(mixed: Exported) -> None:
    by_task = {row["_ng_task_index"]: row["responses_create_params"] for row in mixed.inputs}
    assert [t["name"] for t in by_task[0]["tools"]] == ["step"] and by_task[3]["tools"] == []
    assert (by_task[5]["temperature"], by_task[5]["parallel_tool_calls"]) == (0.25, False)
    last = [r["response"] for r in mixed.rollouts if r["_ng_task_index"] == 5]
    assert last and all((r["temperature"], r["parallel_tool_calls"]) == (0.25, False) for r in last)
    assert all(r["note"] == "kept" for r in mixed.rollouts if r["_ng_task_index"] == 5)


def numbers(row: JSONObject) -> dict[str, float]:
    """What NeMo Gym aggregates: numeric fields at top level and of the usage."""
    found = {k: v for k, v in row.items() if isinstance(v, int | float) and not k.startswith("_ng_")}
    found |= {k: v for k, v in row["response"]["usage"].items() if isinstance(v, int | float)}
    return {k: float(v) for k, v in found.items()}


def expected_statistics(found: list[JSONObject]) -> dict[str, float]:
    columns: dict[str, list[float]] = defaultdict(list)
    for row in found:
        for key, value in numbers(row).items():
            columns[key].append(value)
    out: dict[str, float] = {}
    for key, values in columns.items():
        out |= {f"mean/{key}": statistics.mean(values), f"median/{key}": statistics.median(values)}
        out |= {f"max/{key}": max(values), f"min/{key}": min(values)}
        out[f"std/{key}"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return out


def test_aggregates_against_another_computation(mixed: Exported) -> None:
    assert mixed.metrics["agent_metrics"] == pytest.approx(expected_statistics(mixed.rollouts))
    assert {"mean/reward", "std/input_tokens", "median/output_tokens"} <= mixed.metrics["agent_metrics"].keys()
    means = {k: v for k, v in mixed.metrics["agent_metrics"].items() if k.startswith("mean/")}
    assert mixed.metrics["key_metrics"] == means
    groups = mixed.metrics["group_level_metrics"]
    assert [g["_ng_task_index"] for g in groups] == list(range(6))
    for index, group in enumerate(groups):
        own = [r for r in mixed.rollouts if r["_ng_task_index"] == index]
        expected = expected_statistics(own)
        assert {k: group[k] for k in expected} == pytest.approx(expected)
        assert (group["num_rollouts"], group["expected_num_rollouts"]) == (len(own), 3)
        assert group["missing_num_rollouts"] == 3 - len(own)
        assert group["reward_profile_completion_pct"] == pytest.approx(100 * len(own) / 3)
        assert [i["reward"] for i in group["rollout_infos"]] == [r["reward"] for r in own]
        assert [i["_ng_rollout_index"] for i in group["rollout_infos"]] == [r["_ng_rollout_index"] for r in own]


def test_a_run_without_a_score_can_be_exported(tmp_path: Path) -> None:
    given = write_rows(tmp_path / "rows.jsonl", rows(1, t0={"where": "open", "how": "exit"}))

    async def main() -> Path:
        return (await start(config(POISONED, input=given, max_attempts=1), tmp_path / "run")).run_dir

    got = Exported(run(main), tmp_path / "out")
    assert got.rollouts == [] and len(got.failures) == 1
    assert got.metrics["agent_metrics"] == {} and got.metrics["group_level_metrics"][0]["num_rollouts"] == 0
    check_response(got.failures[0]["response"])


def played(name: str, variant: str, folder: Path, model: str) -> tuple[Path, Exported, dict[str, str]]:
    """(published rows, what a run on them is exported as, options of the environment)."""
    source = SHARED / "data" / "nemo_gym" / name / f"{variant}.jsonl"
    if not source.exists():
        pytest.skip("no published rows beside the repository")
    env = {"tables": str(source.parent / "tables")} if name == "workplace_assistant" else {}

    async def main() -> Path:
        made = make_config({"environment": name, "model": model, "input": source, "env": env, "repeats": 2})
        return (await start(made, folder / "run")).run_dir

    return source, Exported(run(main), folder / "out"), env


@pytest.mark.parametrize(("name", "variant"), PUBLISHED)
def test_published_rows_come_back(tmp_path: Path, name: str, variant: str) -> None:
    source, got, _ = played(name, variant, tmp_path, "builtin/null")
    published = [orjson.loads(line) for line in source.read_bytes().splitlines()]
    assert len(got.inputs) == len(got.rollouts) == 2 * len(published)
    for row in got.inputs + got.rollouts:
        origin = published[row["_ng_task_index"]]
        params, wanted = dict(row["responses_create_params"]), dict(origin["responses_create_params"])
        names = [t["name"] for t in params.pop("tools")]
        assert names == [t["name"] for t in wanted.pop("tools", [])]
        assert params == wanted
        fields = {k: v for k, v in origin.items() if k not in ("responses_create_params", "agent_ref")}
        assert {k: row[k] for k in fields} == fields


@pytest.mark.parametrize(("name", "variant"), PUBLISHED)
@pytest.mark.parametrize("model", ["builtin/noisy-oracle?p=0.5", "builtin/random"])
def test_exported_rollouts_can_be_scored_again(tmp_path: Path, name: str, variant: str, model: str) -> None:
    _, got, env = played(name, variant, tmp_path, model)
    assert got.rollouts and not got.failures
    cls = hub.load_environment(name, env)

    async def main() -> list[Any]:
        async with DirectClient(cls) as client:
            return [line async for line in score_all(client, recorded(cls, got.paths["rollouts"], None))]

    again = run(main)
    assert [line["reward"] for line in again] == [row["reward"] for row in got.rollouts]
    assert all("failure" not in line for line in again)


def test_recorded_answers_export_what_they_were_given(tmp_path: Path) -> None:
    """A conversation with a user: their messages are items of the transcript, too."""
    path = tmp_path / "talk.py"
    path.write_text(
        "from gym_mcp import Environment\n\n"
        "class Talk(Environment):\n    '''Talk.'''\n\n"
        "    def reply(self, message):\n        return None if message == 'bye' else 'go on'\n\n"
        "    def verify(self, transcript):\n        return 1.0\n"
    )
    given = write_rows(tmp_path / "rows.jsonl", [{"id": "a", "prompt": "Hello."}])

    def script(body: Body, n: int) -> Answer:
        return Reply([message("bye" if n else "hello")])

    async def main() -> Path:
        async with Endpoint(script) as endpoint:
            made = config(path, "openai/m", input=given, base_url=endpoint.url)
            return (await start(made, tmp_path / "run")).run_dir

    (row,) = Exported(run(main), tmp_path / "out").rollouts
    assert [i["role"] for i in row["response"]["output"]] == ["assistant", "user", "assistant"]
    check_response(row["response"])

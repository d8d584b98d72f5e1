"""Token ids out of answers of vLLM, SGLang and NeMo Gym, through the models and into rollout rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gym_mcp.coordinator.run import start
from gym_mcp.coordinator.rundir import RunDirectory
from gym_mcp.export.nemo_gym import export
from gym_mcp.models.base import Request, Tokens
from gym_mcp.models.openai_chat import OpenAIChat
from gym_mcp.models.spec import make_model
from gym_mcp.models.tokens import chat_tokens, item_tokens
from gym_mcp.types import user_message
from tests.coordinator.kit import POISONED, config, read_lines, rows, write_rows
from tests.endpoint import Answer, Body, Endpoint, Reply, call, message, tool_outputs
from tests.support import run

LOGPROBS = {"content": [{"token": "a", "logprob": -0.25}, {"token": "b", "logprob": -1.5}]}
NEMO = {"prompt_token_ids": [1, 2], "generation_token_ids": [3, 4], "generation_log_probs": [-0.25, -1.5]}
EXPECTED = Tokens([1, 2], [3, 4], [-0.25, -1.5])


def completion(choice: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"message": {"role": "assistant", "content": "ab"}, **choice}], **fields}


@pytest.mark.parametrize(
    "answer",
    [
        completion({"token_ids": [3, 4], "logprobs": LOGPROBS}, prompt_token_ids=[1, 2]),
        completion(
            {
                "prompt_token_ids": [1, 2],
                "meta_info": {"output_token_logprobs": [[-0.25, 3, "a"], [-1.5, 4, "b"]]},
            }
        ),
        completion({"message": {"role": "assistant", "content": "ab", **NEMO}}),
        completion({"message": {**NEMO, "prompt_token_ids": ["1", "2"], "generation_token_ids": ["3", "4"]}}),
    ],
    ids=["vllm", "sglang", "nemo", "nemo-text"],
)
def test_chat_completions(answer: dict[str, Any]) -> None:
    assert chat_tokens(answer) == EXPECTED


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"token_ids": None},
        {"token_ids": "34"},
        {"meta_info": {}},
        {"meta_info": {"output_token_logprobs": [3]}},
    ],
)
def test_answers_without_tokens(choice: dict[str, Any]) -> None:
    assert chat_tokens(completion(choice)) is None


def test_log_probs_that_do_not_fit_are_left_out() -> None:
    assert chat_tokens(completion({"token_ids": [3], "logprobs": LOGPROBS})) == Tokens([], [3], [])
    assert chat_tokens(completion({"token_ids": [3, 4]}, prompt_token_ids=[1])) == Tokens([1], [3, 4], [])


def test_items_of_nemo_gym() -> None:
    assert item_tokens([{"type": "message"}, {"type": "function_call", **NEMO}]) == EXPECTED
    assert item_tokens([{"type": "message"}]) is None


def test_they_are_asked_for_by_a_sampling_setting() -> None:
    model = OpenAIChat("m", base_url="http://127.0.0.1:1/v1", params={"return_token_ids": True})
    body = model.encode(Request([user_message("hi")]))
    assert (body["return_token_ids"], body["logprobs"]) == (True, True)
    plain = OpenAIChat("m", base_url="http://127.0.0.1:1/v1").encode(Request([user_message("hi")]))
    assert not {"return_token_ids", "logprobs"} & plain.keys()


def counting(body: Body, n: int) -> Answer:
    """Counts to the number in the prompt; the fake tokenizer makes one token of each message."""
    said = body.get("messages") or body["input"]
    target, done = int(str(said[0]["content"]).split()[-1].rstrip(".")), len(tool_outputs(body))
    items = [message("done")] if done >= target else [call("add", {"amount": 1}, f"call_{done}")]
    prompt, generation = list(range(2 * done + 1)), [2 * done + 1]
    if "messages" not in body:
        fields = {"prompt_token_ids": prompt, "generation_token_ids": generation, "generation_log_probs": [-0.5]}
        return Reply([{**items[0], **fields}])
    if not body.get("return_token_ids"):
        return Reply(items)
    logprobs = {"content": [{"token": "x", "logprob": -0.5}]}
    answer: Body = {"role": "assistant", "content": "done"}
    if done < target:
        function = {"name": items[0]["name"], "arguments": items[0]["arguments"]}
        calls = [{"id": items[0]["call_id"], "type": "function", "function": function}]
        answer = {"role": "assistant", "content": None, "tool_calls": calls}
    choice = {
        "index": 0,
        "message": answer,
        "finish_reason": "stop",
        "token_ids": generation,
        "logprobs": logprobs,
    }
    return Reply([], extra={"prompt_token_ids": prompt, "choices": [choice]})


def play(folder: Path, spec: str, **settings: Any) -> list[dict[str, Any]]:
    """The rows of a run of two tasks."""

    async def check() -> None:
        async with Endpoint(counting) as endpoint:
            task_file = write_rows(folder / "tasks.jsonl", rows(3)[1:])
            made = config(POISONED, spec, base_url=endpoint.url, input=task_file, **settings)
            await start(made, folder / "run")

    run(check)
    return read_lines(folder / "run" / "rollouts.jsonl")


@pytest.mark.parametrize(
    ("spec", "settings"),
    [("openai-chat/m", {"sampling": {"return_token_ids": True}}), ("openai/m", {})],
)
def test_rows_hold_them_once_and_nemo_gym_gets_its_own_form(
    spec: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    found = play(tmp_path, spec, **settings)
    assert len(found) == 2
    for row in found:
        assert row["outcome"] == "scored", row["failure"]
        assert len(row["calls"]) == row["usage"]["model_calls"]
        assert "token_ids" not in str(row["response"])
        assert "token_ids" not in str(row["messages"])
        assert [c["generation_token_ids"] for c in row["calls"]] == [[2 * i + 1] for i in range(len(row["calls"]))]
        assert row["calls"][1]["prompt_continues"] == 0
    exported = read_lines(export(RunDirectory.existing(tmp_path / "run"), tmp_path / "out")["rollouts"])
    for row in exported:
        trained = [item for item in row["response"]["output"] if "generation_token_ids" in item]
        assert "mask_sample" not in row
        for i, item in enumerate(trained):
            assert item["prompt_token_ids"] == list(range(2 * i + 1))
            assert item["generation_token_ids"] == [2 * i + 1]
            assert item["generation_log_probs"] == [-0.5]
        kinds = [item["type"] for item in trained]
        assert kinds == ["function_call"] * (len(trained) - 1) + ["message"]


def test_who_does_not_ask_gets_no_calls(tmp_path: Path) -> None:
    for row in play(tmp_path, "openai-chat/m"):
        assert row["outcome"] == "scored"
        assert not {"calls", "messages"} & row.keys()


def test_nemo_gym_reads_its_fields_back_on_the_next_turn() -> None:
    async def check() -> None:
        async with Endpoint(counting, record=True) as endpoint:
            model = make_model("openai/m", base_url=endpoint.url)
            first = await model.respond(Request([user_message("Count to 1.")]))
            await model.respond(Request([user_message("Count to 1."), *first.output]))
            await model.aclose()
            assert endpoint.bodies[1]["input"][1]["generation_token_ids"] == [1]

    run(check)

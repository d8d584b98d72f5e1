"""Faults of verifiers and of data, mixed into bundled environments."""

from __future__ import annotations

import copy
import inspect
import random
import re
import zlib
from collections.abc import Iterator
from typing import Any

from gym_mcp import Reward, Transcript
from gym_mcp.datasets import read_rows
from gym_mcp.environment import bundled_tasks

Row = dict[str, Any]


class Faulty:
    """A mixin: `options.fault` says what is wrong with this environment."""

    task: Any
    options: Any
    seed: int

    async def verify(self, transcript: Transcript) -> Reward:
        found = super().verify(transcript)  # type: ignore[misc]
        true: Reward = await found if inspect.isawaitable(found) else found
        rng = random.Random(f"{self.seed} faulty")
        score, text = true.score, transcript.text
        poisoned = self.task.id == first_id(type(self))
        match self.options.fault:
            case "verifier_wants_upper_case" if re.search(r"boxed\{[a-z]\}", text):
                score = 0.0
            case "verifier_reads_no_units" if "\\text{ cm}" in text:
                score = 0.0
            case "verifier_reads_no_comma" if re.search(r"boxed\{\d+,\d", text):
                score = 0.0
            case "verifier_reads_no_brackets" if re.search(r"boxed\{\(", text):
                score = 0.0
            case "verifier_wants_no_reasoning" if "\n" in text:
                score = 0.0
            case "verifier_flips" if rng.random() < 0.12:
                score = 1.0 - score
            case "verifier_says_yes" if rng.random() < 0.4:
                score = 1.0
            case "judge_is_cached":
                score = 1.0
            case "judge_is_down":
                score = 0.0
            case "poisoned_task" if poisoned:
                score = 1.0 - score
            case "never_on_one_task" if poisoned:
                score = 0.0
            case "half_marks" if score == 1.0 and rng.random() < 0.3:
                score = 0.5
            case "partial_state" if self.partial():
                score = 1.0
            case "always_on_one_task" if poisoned:
                score = 1.0
            case "verifier_reads_anywhere" if re.search(r"boxed\{[A-Z]\}", text) and "\n" in text:
                score = 1.0
            case "judge_likes_it_long" if len(text) > 40:
                score = 1.0
            case "one_worker_is_bad" if self.seed % 4 == 0:
                score = 0.0
            case "verifier_wants_json":
                score = score if text.lstrip().startswith(("{", "[")) else 0.0
            case "verifier_crashes" if "\n" in text:
                raise ValueError("not enough values to unpack (expected 2, got 1)")
        silent = self.options.fault.startswith("silent_")
        return Reward(score, true.components, "" if silent else true.notes, true.answer)

    def partial(self) -> bool:
        return False

    @classmethod
    def tasks(cls) -> Iterator[Row]:
        path = bundled_tasks(cls)  # type: ignore[arg-type]
        assert path is not None
        rows: list[Row] = copy.deepcopy(list(read_rows(path)))
        yield from with_fault(rows, cls.options.fault)


def first_id(cls: Any) -> str:
    return str(next(iter(cls.tasks()))["id"])


def user(row: Row) -> Row:
    """The last message of a prompt, as an item."""
    if isinstance(row["prompt"], str):
        row["prompt"] = [{"role": "user", "content": row["prompt"]}]
    item: Row = row["prompt"][-1]
    return item


def with_fault(rows: list[Row], fault: str) -> list[Row]:
    rng = random.Random(fault)
    picked = rng.sample(rows, 3)
    for row in picked if fault in DATA else ():
        DATA[fault](row, rows)
    for row in rows if fault == "wrong_keys" else ():
        if mislabelled(row["id"]):
            row["data"]["expected_answer"] = NEXT.get(row["data"]["expected_answer"], "A")
    if fault == "torn_tasks":
        rows += [torn(copy.deepcopy(r)) for r in picked]
    if fault == "copied_tasks":
        rows += [{**copy.deepcopy(r), "id": f"{r['id']}-b"} for r in picked]
    if fault == "near_copies":
        rows += [near_copy(copy.deepcopy(r)) for r in picked]
    return rows


def near_copy(row: Row) -> Row:
    user(row)["content"] = user(row)["content"].replace("?", " ?").replace("  ", " ") + "\n"
    return {**row, "id": f"{row['id']}-b"}


def torn(row: Row) -> Row:
    row["data"]["expected_answer"] = NEXT.get(row["data"]["expected_answer"], "A")
    return {**row, "id": f"{row['id']}-b"}


def translated(row: Row, _: list[Row]) -> None:
    row["prompt"] = "Welche der folgenden Antworten ist richtig? Bitte nur den Buchstaben in \\boxed{}."


def emptied(row: Row, _: list[Row]) -> None:
    user(row)["content"] = ""


NEXT = {"A": "B", "B": "C", "C": "D", "D": "A"}


def mislabelled(task: str) -> bool:
    """Which tasks have a wrong key: the student knows better there."""
    return zlib.crc32(task.encode()) % 5 == 0


def no_options(row: Row, _: list[Row]) -> None:
    item = user(row)
    item["content"] = "\n".join(x for x in item["content"].splitlines() if not re.match(r"[A-H]\)", x))


def swapped_prompt(row: Row, rows: list[Row]) -> None:
    row["prompt"] = copy.deepcopy(rows[0 if rows[0] is not row else 1]["prompt"])


def say(before: str, after: str = "") -> Any:
    def change(row: Row, _: list[Row]) -> None:
        item, key = user(row), row["data"].get("expected_answer")
        item["content"] = before.format(key=key) + item["content"] + after.format(key=key)

    return change


def template(row: Row, _: list[Row]) -> None:
    item = user(row)
    item["content"] = re.sub(r"^[^\n]*", "{question}", item["content"])


def mojibake(row: Row, _: list[Row]) -> None:
    item = user(row)
    item["content"] = item["content"].replace("e", "Ã©").replace("a", "Ã¤")


def head_cut(row: Row, _: list[Row]) -> None:
    item = user(row)
    item["content"] = item["content"][len(item["content"]) // 3 :]


def tail_cut(row: Row, _: list[Row]) -> None:
    item = user(row)
    item["content"] = item["content"][: len(item["content"]) // 2]


def no_system(row: Row, _: list[Row]) -> None:
    row["prompt"] = [item for item in row["prompt"] if item["role"] != "system"]


DATA: dict[str, Any] = {
    "translated": translated,
    "emptied": emptied,
    "no_options": no_options,
    "swapped_prompts": swapped_prompt,
    "leak_option": say("Hint: option {key} is what you want.\n\n"),
    "leak_comment": say("", "\n\n<!-- gold={key} -->"),
    "leak_json": say("", '\n\n{{"expected_answer": "{key}"}}'),
    "leak_said": say("My teacher told me that it is {key}.\n\n"),
    "unfilled_template": template,
    "mojibake": mojibake,
    "head_cut": head_cut,
    "tail_cut": tail_cut,
    "no_system": no_system,
}

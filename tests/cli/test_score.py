"""`gym-mcp eval score`: which task a recorded row belongs to, and whose judge's words are heard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.cli.support import COUNTER, gym

GUESS = '''
from gym_mcp import Environment

class Guess(Environment):
    """Say the row's word."""

    @classmethod
    def tasks(cls):
        yield {"id": "own", "prompt": "Guess.", "data": {"word": "own"}}

    def verify(self, transcript) -> float:
        return float(transcript.answer == self.task.data["word"])
'''
JUDGED = '''
from gym_mcp import Environment

class Judged(Environment):
    """Say `exact`, or what the judge likes."""

    async def verify(self, transcript) -> float:
        if transcript.answer == "exact":
            return 1.0
        return float(await self.judge.ask("Is it good?") == "yes")
'''


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def environment(tmp_path: Path, source: str = GUESS) -> Path:
    path = tmp_path / "guess.py"
    path.write_text(source)
    return path


def published(word: str | None, prompt: str = "Guess.", **more: Any) -> dict[str, Any]:
    own = {} if word is None else {"word": word}
    return {"responses_create_params": {"input": prompt}, **own, **more}


def rollout(said: str, prompt: str = "Guess.", **more: Any) -> dict[str, Any]:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]}
    return {"responses_create_params": {"input": prompt}, "response": {"output": [message]}, **more}


def rewards(*arguments: str | Path) -> list[Any]:
    done = gym("eval", "score", "--json", *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return [line["reward"] for line in map(json.loads, done.stdout.splitlines()) if "summary" not in line]


def test_tasks_of_one_prompt_are_told_apart_by_their_index_else_by_what_the_row_repeats(tmp_path: Path) -> None:
    tasks = written(tmp_path / "tasks.jsonl", published("a"), published("b"), published("c"))
    rows = written(
        tmp_path / "rows.jsonl",
        rollout("b", _ng_task_index=1),
        rollout("a", _ng_task_index=2),
        rollout("c", word="c"),
        rollout("a"),
    )
    assert rewards("-e", environment(tmp_path), "--rollouts", rows, "--input", tasks) == [1.0, 0.0, 1.0, 1.0]


def test_an_index_of_somebody_elses_file_finds_none_of_our_tasks(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", rollout("other", "Another prompt.", _ng_task_index=0, word="other"))
    assert rewards("-e", environment(tmp_path), "--rollouts", rows) == [1.0]


def test_materialized_inputs_hold_a_row_for_each_repeat(tmp_path: Path) -> None:
    repeats = [
        published(word, _ng_task_index=task, _ng_rollout_index=repeat)
        for task, word in enumerate("ab")
        for repeat in range(2)
    ]
    tasks = written(tmp_path / "tasks.jsonl", *repeats)
    rows = written(tmp_path / "rows.jsonl", *(rollout("b", _ng_task_index=task) for task in (0, 0, 1, 1)))
    assert rewards("-e", environment(tmp_path), "--rollouts", rows, "--input", tasks) == [0.0, 0.0, 1.0, 1.0]


def test_recorded_calls_are_made_again_under_both_spellings_of_their_names(tmp_path: Path) -> None:
    tasks = written(tmp_path / "tasks.jsonl", {"id": "t", "prompt": "Add.", "data": {"target": 3}})
    calls = [
        {"type": "function_call", "name": name, "arguments": json.dumps({"amount": amount}), "call_id": name}
        for name, amount in (("add", 1), ("mcp__counter__add", 2), ("mcp__add", 5))
    ]
    rows = written(tmp_path / "rows.jsonl", {"task_id": "t", "reply": calls}, {"task_id": "t", "reply": calls[:1]})
    assert rewards("-e", environment(tmp_path, COUNTER), "--rollouts", rows, "--input", tasks) == [1.0, 0.0]


def test_one_id_for_two_different_tasks_is_refused(tmp_path: Path) -> None:
    tasks = written(tmp_path / "tasks.jsonl", published("a", uuid="x"), published("b", uuid="x"))
    rows = written(tmp_path / "rows.jsonl", rollout("a"))
    done = gym("eval", "score", "-e", str(environment(tmp_path)), "--rollouts", str(rows), "--input", str(tasks))
    assert done.returncode == 2
    assert "tasks.jsonl:2: task id `x` is used twice" in done.stderr


def judged(said: str, *verdicts: str) -> dict[str, Any]:
    return rollout(said, judge_evaluations=[rollout(verdict) for verdict in verdicts])


def test_a_rollout_is_judged_by_the_words_in_its_own_row(tmp_path: Path) -> None:
    """The first row needs no judge: its words must not be taken for those about the second."""
    rows = written(
        tmp_path / "rows.jsonl", judged("exact", "no"), judged("x", "yes"), judged("y", "no"), judged("z")
    )
    tasks = written(tmp_path / "tasks.jsonl", published(None))
    arguments = ("-e", environment(tmp_path, JUDGED), "--rollouts", rows, "--input", tasks)
    assert rewards(*arguments, "--judge", f"replay:{rows}") == [1.0, 1.0, 0.0, None]


def test_recorded_words_are_found_by_task_and_their_lack_is_the_judges_failure(tmp_path: Path) -> None:
    rows = written(tmp_path / "rows.jsonl", {"task_id": "t", "reply": "x"}, {"task_id": "t", "reply": "y"})
    tasks = written(tmp_path / "tasks.jsonl", {"id": "t", "prompt": "Guess.", "data": {}})
    words = written(tmp_path / "judge.jsonl", {"task": "t", "reply": "yes"})
    arguments = ["-e", str(environment(tmp_path, JUDGED)), "--rollouts", str(rows), "--input", str(tasks)]
    done = gym("eval", "score", *arguments, "--json", "--judge", f"replay:{words}")
    first, second, _ = map(json.loads, done.stdout.splitlines())
    assert (first["reward"], second["reward"]) == (1.0, None)
    assert second["failure"]["kind"] == "judge"
    assert "no recorded reply is left for task t" in second["failure"]["message"]

"""Task rows in both forms: what becomes of each field, ids, and errors that name file, line and field."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from gym_mcp import Environment, Task, hub, tool
from gym_mcp.coordinator.config import make_config
from gym_mcp.coordinator.run import start
from gym_mcp.datasets import as_row, load_tasks, parse_task
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject, user_message
from tests.support import SHARED, run


class Row(BaseModel):
    target: int
    label: str = "none"


class Typed(Environment[Row]):
    """Reach the target."""

    @tool
    def add(self, amount: int) -> int:
        """Add."""
        return amount

    @tool
    def read(self) -> int:
        """Read."""
        return 0

    def verify(self, transcript: Any) -> float:
        return 0.0


class Untyped(Environment[Any]):
    """Anything goes."""

    def verify(self, transcript: Any) -> float:
        return 0.0


class FromData(Untyped):
    """Its tools come from the row."""

    def tools_for(self, task: Task[Any]) -> list[str]:
        return []


def load(tmp_path: Path, *rows: Any, cls: type[Environment[Any]] = Untyped) -> list[Task[Any]]:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"".join(r if isinstance(r, bytes) else orjson.dumps(r) + b"\n" for r in rows))
    return list(load_tasks(cls, path))


def refused(tmp_path: Path, *rows: Any, cls: type[Environment[Any]] = Untyped) -> str:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, *rows, cls=cls)
    told = str(caught.value)
    assert "\n" not in told
    return told.removeprefix(f"{tmp_path}/")


def test_our_own_form(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "prompt": [{"role": "system", "content": "Be brief."}, user_message("Go.")],
        "data": {"target": 3, "extra": 1},
        "params": {"temperature": 0.5},
        "tools": ["add"],
    }
    (task,) = load(tmp_path, row, cls=Typed)
    assert task == Task("a", row["prompt"], Row(target=3), {"temperature": 0.5}, ("add",))  # type: ignore[arg-type]
    assert as_row(task) == row, "a field that the model does not declare was lost"


def test_fields_that_are_nothing_else_are_data(tmp_path: Path) -> None:
    (task,) = load(tmp_path, {"prompt": "Go.", "target": 3, "label": "x"}, cls=Typed)
    assert task.data == Row(target=3, label="x") and task.prompt == [user_message("Go.")]


def test_without_a_prompt_the_environment_speaks(tmp_path: Path) -> None:
    (task,) = load(tmp_path, {"id": "a", "data": {}})
    assert task.prompt == [user_message("Anything goes.")]


def test_the_published_form(tmp_path: Path) -> None:
    params = {
        "input": [{"role": "user", "content": "Go."}],
        "tools": [{"type": "function", "name": "read", "parameters": {}}],
        "temperature": 0.7,
        "parallel_tool_calls": False,
        "top_p": None,
        "model": "somebody/else",
        "metadata": {"a": 1},
        "store": True,
        "stream": None,
    }
    row = {"responses_create_params": params, "target": 3, "uuid": "u-1", "agent_ref": {"name": "x"}}
    (task,) = load(tmp_path, row, cls=Typed)
    assert (task.id, task.prompt, task.tools) == ("u-1", params["input"], ("read",))
    assert task.params == {"temperature": 0.7, "parallel_tool_calls": False}
    assert task.data == Row(target=3)
    assert task.raw == {k: v for k, v in row.items() if k != "responses_create_params"}


def test_verifier_metadata_is_data_and_the_top_level_wins(tmp_path: Path) -> None:
    row = {
        "responses_create_params": {"input": "Go."},
        "verifier_metadata": {"target": 1, "label": "inner"},
        "label": "outer",
    }
    (task,) = load(tmp_path, row, cls=Typed)
    assert task.data == Row(target=1, label="outer") and task.prompt == [user_message("Go.")]


def test_own_tools_of_a_row_do_not_bind_an_environment_that_makes_its_own(tmp_path: Path) -> None:
    (task,) = load(tmp_path, {"id": "a", "prompt": "Go.", "tools": [{"name": "anything"}]}, cls=FromData)
    assert task.tools is None


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"{\n", "not JSON"),
        (b"\xff\n", "not JSON"),
        (b"[1]\n", "a row is a JSON object, not list"),
        ({"prompt": 3}, "prompt: a string or a list of Responses input items is expected"),
        ({"prompt": ["x"]}, "prompt.0: not a Responses input item"),
        ({"prompt": [user_message("a"), {"content": "b"}]}, "prompt.1: not a Responses input item"),
        ({"prompt": "x", "params": [1]}, "params: an object is expected"),
        ({"prompt": "x", "tools": "add"}, "tools: a list is expected"),
        ({"responses_create_params": "x"}, "responses_create_params: an object is expected"),
        ({"responses_create_params": {"input": {}}}, "responses_create_params.input: a string or a list"),
        ({"responses_create_params": {"input": "x"}, "verifier_metadata": 1}, "verifier_metadata: an object"),
    ],
)
def test_a_row_that_is_none_is_told_by_line(tmp_path: Path, row: Any, told: str) -> None:
    assert refused(tmp_path, {"prompt": "fine"}, b"\n", row).startswith(f"rows.jsonl:3: {told}")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "x", "data": {}}, "target: Field required"),
        ({"prompt": "x", "data": {"target": "many"}}, "target: Input should be a valid integer"),
        ({"prompt": "x", "data": {"target": 1, "label": 2}}, "label: Input should be a valid string"),
        ({"prompt": "x", "data": 3}, "value: Input should be"),
        ({"responses_create_params": {"input": "x"}, "targets": 1}, "target: Field required"),
        ({"prompt": "x", "data": {"target": 1}, "tools": ["sub"]}, "tools: environment typed has no tool `sub`"),
        (
            {"prompt": "x", "data": {"target": 1}, "tools": [{"name": ["x"]}]},
            "tools: environment typed has no tool",
        ),
        ({"prompt": "x", "data": {"target": 1}, "tools": [{}]}, "tools: environment typed has no tool ``"),
    ],
)
def test_a_row_that_does_not_fit_is_told_by_line_and_field(tmp_path: Path, row: Any, told: str) -> None:
    fine = {"prompt": "fine", "data": {"target": 1}}
    assert refused(tmp_path, fine, row, cls=Typed).startswith(f"rows.jsonl:2: {told}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent\.jsonl: No such file"):
        list(load_tasks(Untyped, tmp_path / "absent.jsonl"))
    with pytest.raises(UsageError, match="Is a directory"):
        list(load_tasks(Untyped, tmp_path))


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "a", "task_id": "b"}, "a"),
        ({"id": 0}, "0"),
        ({"task_id": "b", "uuid": "c"}, "b"),
        ({"uuid": "c", "_ng_task_index": 4}, "c"),
        ({"_ng_task_index": 4}, "4"),
    ],
)
def test_the_stated_id(tmp_path: Path, row: JSONObject, expected: str) -> None:
    assert load(tmp_path, {"prompt": "x", **row})[0].id == expected


@pytest.mark.parametrize("stated", [{}, {"id": ""}, {"id": None}, {"id": True}, {"id": [1]}])
def test_without_an_id_the_content_decides(tmp_path: Path, stated: JSONObject) -> None:
    row = {"prompt": "x", "data": {"b": 1, "a": 2}, **stated}
    digest = hashlib.sha256(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
    first = load(tmp_path, row, {"prompt": "y"})
    moved = load(tmp_path, {"prompt": "y"}, dict(reversed(row.items())))
    assert first[0].id == moved[1].id == digest
    assert first[1].id == moved[0].id


def test_a_stated_id_is_unique(tmp_path: Path) -> None:
    rows = [{"id": 1, "prompt": "x"}, {"id": "b", "prompt": "y"}, {"id": "1", "prompt": "z"}]
    assert refused(tmp_path, *rows) == "rows.jsonl:3: task id `1` is used twice; ids must be unique"


def test_equal_rows_without_ids_are_numbered(tmp_path: Path) -> None:
    ids = [task.id for task in load(tmp_path, *[{"prompt": "x"}] * 4)]
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3", f"{ids[0]}-4"]


def test_many_equal_rows_take_no_more_time_each(tmp_path: Path) -> None:
    tasks = load(tmp_path, *[{"prompt": "x"}] * 5_000)
    assert len({task.id for task in tasks}) == 5_000


def test_tasks_of_an_environment_are_told_by_their_place() -> None:
    class Own(Typed):
        @classmethod
        def tasks(cls) -> Iterator[JSONObject]:
            yield {"id": "a", "data": {"target": 1}}
            yield {"id": "b", "data": {}}

    with pytest.raises(UsageError, match=r"own\.tasks\(\)\[1\]: target: Field required"):
        list(load_tasks(Own))


def test_what_tasks_raises_is_its_authors_mistake_and_told_with_its_place() -> None:
    class Torn(Typed):
        @classmethod
        def tasks(cls) -> Iterator[JSONObject]:
            yield {"id": "a", "data": {"target": 1}}
            raise KeyError("rows")

    with pytest.raises(UsageError, match=r"torn\.tasks\(\) raised KeyError: 'rows' \(.*test_datasets\.py:\d+\)"):
        list(load_tasks(Torn))


def test_a_row_and_its_task_are_the_same_both_ways(tmp_path: Path) -> None:
    row = {"responses_create_params": {"input": "Go.", "temperature": 1}, "target": 2, "note": "kept", "id": "a"}
    (task,) = load(tmp_path, row, cls=Typed)
    again = parse_task(Typed, as_row(task), "here")
    assert again == task and again.raw == task.raw


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("mcqa", "example"),
        ("mcqa", "example_with_template_metadata"),
        ("workplace_assistant", "example"),
        ("example_session_state_mgmt", "example"),
    ],
)
def test_published_rows_run_end_to_end(tmp_path: Path, name: str, variant: str) -> None:
    folder = SHARED / "data" / "nemo_gym" / name
    source = folder / f"{variant}.jsonl"
    if not source.exists():
        pytest.skip("no published rows beside the repository")
    count = len(source.read_bytes().splitlines())
    env = {"tables": str(folder / "tables")} if name == "workplace_assistant" else {}
    settings = {"environment": name, "input": source, "repeats": 2, "env": env}

    async def main() -> None:
        oracle = await start(make_config({**settings, "model": "builtin/oracle"}), tmp_path / "oracle")
        assert oracle.complete and oracle.metrics["failed"] == {}
        assert oracle.metrics["scored"] == 2 * count and oracle.metrics["mean_reward"] == 1.0
        null = await start(make_config({**settings, "model": "builtin/null"}), tmp_path / "null")
        assert null.metrics["scored"] == 2 * count and null.metrics["mean_reward"] < 0.5

    run(main)


def test_a_misspelt_field_beside_data_is_told(tmp_path: Path) -> None:
    said = refused(tmp_path, {"id": "a", "promt": "Go.", "data": {"x": 1}})
    assert "rows.jsonl:1: no field `promt`; did you mean `prompt`?" in said
    (task,) = load(tmp_path, {"id": "a", "prompt": "Go.", "level": 3, "task_id": "b", "data": {"x": 1}})
    assert task.data == {"level": 3, "x": 1}


def test_bundled_rows_are_told_by_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(
        "from pydantic import BaseModel, ConfigDict\n"
        "from gym_mcp import Environment\n\n"
        "class Row(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n    loans: int\n\n"
        "class Desk(Environment[Row]):\n    'Lend.'\n"
    )
    (tmp_path / "tasks.jsonl").write_text('{"id": "a", "loans": 1}\n{"id": "b", "laons": 1}\n')
    cls = hub.load_environment(str(tmp_path / "server.py"))
    with pytest.raises(
        UsageError, match=r"tasks\.jsonl:2: loans: Field required; laons: no such field; did you mean"
    ):
        list(load_tasks(cls))


def test_rows_that_only_python_takes_for_json(tmp_path: Path) -> None:
    """A model's reply may end in the middle of an emoji; `json.dumps` writes that, and NaN."""
    (task,) = load(tmp_path, b'{"id": "a\\ud83d", "prompt": "\\ud83d\\ude00 \\ude00", "data": {"x": NaN}}\n')
    assert (task.id, task.prompt) == (
        "a\ufffd",
        [{"type": "message", "role": "user", "content": "\U0001f600 \ufffd"}],
    )
    assert task.raw is not None and math.isnan(task.raw["x"])
    assert "rows.jsonl:1: not JSON" in refused(tmp_path, b'{"id": nan}\n')
    assert "rows.jsonl:1: not JSON" in refused(tmp_path, b"[" * 100_000 + b"\n")

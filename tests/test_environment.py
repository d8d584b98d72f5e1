"""What a class says of itself: names, row types, options, tools; and what an instance can keep and restore."""

from __future__ import annotations

import copy
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, ValidationError
from typing_extensions import TypedDict

from gym_mcp import Environment, Options, Task, Transcript, tool
from gym_mcp.environment import bundled_tasks
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject


def subclass(name: str, *bases: type, **body: Any) -> type[Environment[Any]]:
    return type(name, bases or (Environment,), body)


# -- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("Counter", "counter"),
        ("MyCounter", "my_counter"),
        ("MCQA", "mcqa"),
        ("MCQAEnv", "mcqa_env"),
        ("Level2Maze", "level2_maze"),
        ("HTTPServerV2", "http_server_v2"),
    ],
)
def test_a_name_comes_from_the_class(class_name: str, name: str) -> None:
    cls = subclass(class_name)
    assert (cls.name, cls.named) == (name, False)


def test_a_name_that_is_given_stays_and_is_not_inherited() -> None:
    class Named(Environment):
        name = "given"

    class Other(Named):
        pass

    assert (Named.name, Named.named) == ("given", True)
    assert (Other.name, Other.named) == ("other", False)


def test_the_summary_is_the_first_line_of_the_docstring() -> None:
    class Documented(Environment):
        """Count to ten.

        And more.
        """

    assert Documented.summary() == "Count to ten."
    assert subclass("Bare").summary() == ""


# -- rows -----------------------------------------------------------------------------------------------------


class Row(BaseModel):
    target: int


class OtherRow(BaseModel):
    word: str


@dataclass
class DataRow:
    target: int
    note: str = ""


class DictRow(TypedDict):
    target: int


T = TypeVar("T")
S = TypeVar("S")


class Modelled(Environment[Row]): ...


class Inherited(Modelled): ...


class Shared(Environment[T], Generic[T]): ...


class Filled(Shared[OtherRow]): ...


class Twice(Shared[T], Generic[T, S]): ...


class Swapped(Twice[Row, OtherRow]): ...


class Extra(Modelled, Generic[S]): ...


class ExtraFilled(Extra[OtherRow]): ...


class Explicit(Modelled):
    row_type = OtherRow


class Reparametrised(Shared[Row]):
    row_type = OtherRow


@pytest.mark.parametrize(
    ("cls", "row_type"),
    [
        (Environment, None),
        (subclass("Plain"), None),
        (Modelled, Row),
        (Inherited, Row),
        (Shared, None),
        (Filled, OtherRow),
        (Swapped, Row),
        (ExtraFilled, Row),
        (Explicit, OtherRow),
        (Reparametrised, OtherRow),
    ],
)
def test_the_row_type_is_found_through_bases_and_generics(cls: type[Environment[Any]], row_type: Any) -> None:
    assert cls.row_type is row_type


def test_dicts_and_any_stay_as_they_are() -> None:
    class Loose(Environment[dict[str, int]]): ...

    class Looser(Environment[Any]): ...

    data = {"target": "not checked"}
    assert Loose.row_type is Looser.row_type is None
    assert Loose.parse_row(data) is data


class DataRows(Environment[DataRow]): ...


class DictRows(Environment[DictRow]): ...


@pytest.mark.parametrize(
    ("cls", "parsed"), [(Modelled, Row(target=3)), (DataRows, DataRow(3)), (DictRows, {"target": 3})]
)
def test_rows_are_parsed_whatever_kind_of_type_declares_them(cls: type[Environment[Any]], parsed: Any) -> None:
    assert cls.parse_row({"target": 3}) == parsed
    assert cls.parse_row({"target": 3}) == cls.parse_row({"target": 3})
    with pytest.raises(ValidationError, match="target"):
        cls.parse_row({"target": "three"})


def test_a_parsed_row_is_taken_as_it_is() -> None:
    row = Row(target=1)
    assert Modelled.parse_row(row) is row


# -- options --------------------------------------------------------------------------------------------------


class Tuned(Environment):
    """Tuned."""

    class Options(Options):
        speed: int = 1
        folder: Path | None = None
        strict: bool = False

    @tool
    def speed(self) -> int:
        return int(self.options.speed)


class Demanding(Environment):
    class Options(Options):
        folder: Path


def test_options_have_their_defaults_and_take_strings() -> None:
    assert Tuned.options == Tuned.Options()
    configured = Tuned.configured({"speed": "3", "folder": "/tmp/x", "strict": "true"})
    assert configured.options.model_dump() == {"speed": 3, "folder": Path("/tmp/x"), "strict": True}
    assert Tuned.options.speed == 1, "the class itself is not changed"
    assert (configured.name, configured.summary(), configured.__module__) == ("tuned", "Tuned.", __name__)
    assert configured.tools()["speed"].invoke(configured(), {}) == 3
    assert configured.configured({"speed": 4}).options.speed == 4


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"sped": 1}, "environment tuned: no option `sped`; did you mean `speed`?"),
        ({"zzz": 1}, "environment tuned: no option `zzz`; known: speed, folder, strict"),
        ({"speed": "fast"}, "environment tuned: option speed: Input should be a valid integer"),
        ({"strict": "maybe"}, "environment tuned: option strict: Input should be a valid boolean"),
    ],
)
def test_a_wrong_option_is_one_line(settings: JSONObject, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        Tuned.configured(settings)
    assert str(error.value).startswith(complaint) and "\n" not in str(error.value)


def test_a_required_option_is_asked_for_by_name() -> None:
    assert Demanding.options is None
    with pytest.raises(UsageError, match=r"^environment demanding: option folder: Field required$"):
        Demanding.configured({})
    assert Demanding.configured({"folder": "."}).options.folder == Path(".")


def test_options_cannot_be_changed_by_an_episode() -> None:
    with pytest.raises(ValidationError):
        Tuned().options.speed = 9


def test_a_subclass_keeps_its_bases_options() -> None:
    class Sub(Tuned): ...

    assert Sub.configured({"speed": 2}).options.speed == 2


# -- what the system asks ----------------------------------------------------------------------------------------


def test_interaction_follows_from_what_was_written() -> None:
    class Talker(Environment):
        def reply(self, message: str) -> str | None:
            return None

    class Varied(Environment):
        def tools_for(self, task: Task) -> list[str]:
            return []

    found = [cls.interaction() for cls in (Environment, Tuned, Varied, Talker)]
    assert found == ["single_turn", "tools", "tools", "multi_turn"]


def test_has_tells_methods_and_classmethods_apart_from_the_defaults() -> None:
    class Full(Environment):
        @classmethod
        def metrics(cls, rollouts: Iterable[JSONObject]) -> dict[str, float]:
            return {}

        def solution(self) -> str:
            return "done"

    for method in ("metrics", "solution", "reply", "tasks", "tools_for", "close", "snapshot"):
        assert not Environment.has(method)
        assert Full.has(method) == (method in ("metrics", "solution"))
    assert subclass("Sub", Full).has("metrics")


def test_what_is_not_written_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Tuned has no `verify"):
        Tuned().verify(Transcript())
    with pytest.raises(NotImplementedError, match=r"Tuned\.solution"):
        Tuned().solution()


def test_tools_are_built_once_and_the_list_is_the_callers() -> None:
    first = Tuned.tools()
    first.clear()
    assert Tuned.tools()["speed"] is Tuned.tools()["speed"]


def test_private_names_are_the_authors() -> None:
    class Private(Environment):
        _tools = "mine"
        _row_adapter = "mine"

        @tool
        def read(self) -> str:
            return self._tools

    assert Private.tools()["read"].invoke(Private(), {}) == "mine"


# -- bundled tasks --------------------------------------------------------------------------------------------


def load(path: Path) -> type[Environment[Any]]:
    path.write_text("from gym_mcp import Environment\n\nclass Found(Environment): ...\n")
    spec = importlib.util.spec_from_file_location(f"bundled_{path.stem}_{id(path)}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: type[Environment[Any]] = module.Found
    return found


def test_bundled_tasks_stand_beside_the_file(tmp_path: Path) -> None:
    cls = load(tmp_path / "maze.py")
    assert bundled_tasks(cls) is None and list(cls.tasks()) == []
    (tmp_path / "tasks.jsonl").write_text('{"id": "shared"}\n')
    assert list(cls.tasks()) == [{"id": "shared"}]
    (tmp_path / "maze.jsonl").write_text('{"id": "own"}\n')
    assert bundled_tasks(cls) == tmp_path / "maze.jsonl"
    assert bundled_tasks(cls.configured({})) == tmp_path / "maze.jsonl"


def test_a_server_file_has_tasks_jsonl_only(tmp_path: Path) -> None:
    (tmp_path / "server.jsonl").write_text("")
    assert bundled_tasks(load(tmp_path / "server.py")) is None
    (tmp_path / "tasks.jsonl").write_text("")
    assert bundled_tasks(load(tmp_path / "server.py")) == tmp_path / "tasks.jsonl"


# -- an episode's state -----------------------------------------------------------------------------------------


class Stateful(Environment):
    def open(self, task: Task) -> None:
        self.task = task
        self.items = [1, [2]]
        self.alias = self.items
        self._hidden = {"a": 1}
        self.handler = self.double
        self.target = task.data

    def double(self, x: int) -> int:
        return x * len(self.items)


def opened(seed: int = 7) -> Stateful:
    environment = Stateful()
    environment.seed = seed
    environment.open(Task("t", data={"answer": 42}))
    return environment


def test_random_numbers_hang_on_the_seed_alone() -> None:
    draws = [[opened(seed).rng.random() for _ in range(2)] for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    environment = opened()
    assert environment.rng is environment.rng


def test_a_snapshot_brings_everything_back_more_than_once() -> None:
    environment = opened()
    environment.rng.random()
    saved = environment.snapshot()
    drawn = environment.rng.random()
    for _ in range(2):
        environment.items.append(3)
        environment.items[1].append("changed")  # type: ignore[attr-defined]
        environment._hidden["b"] = 2
        environment.late = 1  # type: ignore[attr-defined]
        environment.done = True
        environment.restore(saved)
        assert environment.items == [1, [2]] and environment.alias is environment.items
        assert environment._hidden == {"a": 1} and not environment.done and not hasattr(environment, "late")
        assert environment.rng.random() == drawn
        assert environment.seed == 7 and environment.task.id == "t"


def test_a_snapshot_before_the_first_random_number_restarts_them() -> None:
    environment = opened()
    saved = environment.snapshot()
    first = environment.rng.random()
    environment.restore(saved)
    assert environment.rng.random() == first


def test_bound_methods_and_the_task_survive_a_restore() -> None:
    environment = opened()
    environment.restore(environment.snapshot())
    environment.items.append(3)
    assert environment.handler(2) == 6, "the method is bound to this instance, not to a copy"
    assert environment.task is environment.task


def test_what_cannot_be_copied_asks_for_methods_of_its_own(tmp_path: Path) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    environment = opened()
    environment.stream = numbers()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="generator"):
        environment.snapshot()
    del environment.stream  # type: ignore[attr-defined]
    with (tmp_path / "f").open("w") as file:
        environment.file = file  # type: ignore[attr-defined]
        with pytest.raises(TypeError):
            environment.snapshot()


def test_the_operator_sees_public_json() -> None:
    environment = opened()
    environment.unseen = {1, 2}  # type: ignore[attr-defined]
    loop: list[Any] = []
    loop.append(loop)
    environment.loop = loop  # type: ignore[attr-defined]
    environment.rng.random()
    assert environment.state() == {"items": [1, [2]], "alias": [1, [2]], "target": {"answer": 42}}
    environment.done = True
    assert environment.state()["done"] is True


def test_instances_share_nothing() -> None:
    one, other = opened(), opened()
    one.items.append(9)
    assert other.items == [1, [2]] and copy.copy(one).items is one.items


def test_mistakes_of_the_class_are_told_when_it_is_made() -> None:
    class Plain:
        n: int = 1

    with pytest.raises(UsageError, match=r"^Sub: `Options` is not of gym_mcp\.Options: write `class Options"):
        subclass("Sub", Environment, Options=Plain)
    with pytest.raises(UsageError, match=r"^Sub: `options` is not of gym_mcp\.Options"):
        subclass("Sub", Environment, options={"n": 1})
    with pytest.raises(UsageError, match=r"^Sub: reward_range is \(low, high\), not \(1, 0\)"):
        subclass("Sub", Environment, reward_range=(1, 0))

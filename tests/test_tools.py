"""From a typed, documented method to a schema, strict arguments and one text for the model."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, Optional, Union

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import AfterValidator, BaseModel, Field
from typing_extensions import TypedDict

from gym_mcp import Environment, Image, Tool, ToolError, tool
from gym_mcp.errors import UsageError
from gym_mcp.tools import InvalidArguments, render, storable, tools_of
from gym_mcp.types import JSONObject, ToolResult


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    depth: int
    tag: NotRequired[str]


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


class Node(BaseModel):
    value: int
    children: list[Node] = []


class Kinds(Environment):
    @tool
    def required(self, x: int) -> int:
        return x

    @tool
    def default(self, x: int = 3) -> int:
        return x

    @tool
    def optional(self, x: Optional[int] = None) -> Any:  # noqa: UP045 - the old form is the point
        return x

    @tool
    def union(self, x: int | str) -> Any:
        return x

    @tool
    def old_union(self, x: Union[int, list[int]]) -> Any:  # noqa: UP007
        return x

    @tool
    def literal(self, x: Literal["a", "b", 3]) -> Any:
        return x

    @tool
    def enumerated(self, x: Colour) -> Any:
        return x.value

    @tool
    def number(self, x: float) -> float:
        return x

    @tool
    def flag(self, x: bool) -> bool:
        return x

    @tool
    def text(self, x: str) -> str:
        return x

    @tool
    def items(self, x: list[int]) -> list[int]:
        return x

    @tool
    def mapping(self, x: dict[str, int]) -> dict[str, int]:
        return x

    @tool
    def anything(self, x: Any) -> Any:
        return x

    @tool
    def point(self, x: Point) -> Point:
        return x

    @tool
    def typed(self, x: Options) -> Options:
        return x

    @tool
    def person(self, x: Person) -> Person:
        return x

    @tool
    def tree(self, x: Node) -> Node:
        return x

    @tool
    def pair(self, x: tuple[int, str]) -> Any:
        return x

    @tool
    def day(self, x: datetime.date) -> Any:
        return x

    @tool
    def money(self, x: decimal.Decimal) -> Any:
        return x

    @tool
    def limited(self, x: Annotated[int, Field(ge=1, le=5, description="One to five.")] = 2) -> int:
        return x

    @tool
    def field(self, x: int = Field(7, lt=10, description="Below ten.")) -> int:
        return x


SCHEMAS: list[tuple[str, JSONObject]] = [
    ("required", {"type": "integer"}),
    ("default", {"type": "integer", "default": 3}),
    ("optional", {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}),
    ("union", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
    ("old_union", {"anyOf": [{"type": "integer"}, {"items": {"type": "integer"}, "type": "array"}]}),
    ("literal", {"enum": ["a", "b", 3]}),
    ("number", {"type": "number"}),
    ("flag", {"type": "boolean"}),
    ("text", {"type": "string"}),
    ("items", {"items": {"type": "integer"}, "type": "array"}),
    ("mapping", {"additionalProperties": {"type": "integer"}, "type": "object"}),
    ("anything", {}),
    ("limited", {"type": "integer", "minimum": 1, "maximum": 5, "description": "One to five.", "default": 2}),
    ("field", {"type": "integer", "exclusiveMaximum": 10, "description": "Below ten.", "default": 7}),
]


@pytest.mark.parametrize(("name", "schema"), SCHEMAS)
def test_a_hint_gives_the_schema(name: str, schema: JSONObject) -> None:
    found = Kinds.tools()[name].spec.input_schema
    assert found["properties"] == {"x": schema}
    assert found.get("required", []) == ([] if "default" in schema else ["x"])
    assert found["additionalProperties"] is False


@pytest.mark.parametrize("name", ["point", "typed", "person", "enumerated", "tree"])
def test_named_types_are_defined_in_the_schema_without_titles(name: str) -> None:
    schema = Kinds.tools()[name].spec.input_schema
    assert "$defs" in schema and '"title"' not in json.dumps(schema)


@pytest.mark.parametrize("name", list(Kinds.tools()))
def test_every_schema_is_one(name: str) -> None:
    built = Kinds.tools()[name]
    Draft202012Validator.check_schema(built.spec.input_schema)
    if built.output_schema is not None:
        Draft202012Validator.check_schema(built.output_schema)


FITS: list[tuple[str, Any, Any]] = [
    ("required", 3, 3),
    ("required", -(2**70), -(2**70)),
    ("optional", None, None),
    ("union", "1", "1"),
    ("union", 1, 1),
    ("literal", 3, 3),
    ("enumerated", "red", Colour.RED),
    ("number", 1, 1.0),
    ("number", 1e308, 1e308),
    ("flag", True, True),
    ("items", [1, 2], [1, 2]),
    ("mapping", {"a": 1}, {"a": 1}),
    ("anything", {"a": [None, 1.5, "x"]}, {"a": [None, 1.5, "x"]}),
    ("point", {"x": 1}, Point(1, 0)),
    ("typed", {"depth": 1, "tag": "t"}, {"depth": 1, "tag": "t"}),
    ("person", {"name": "Ann", "age": 3}, Person(name="Ann", age=3)),
    ("tree", {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
    ("pair", [1, "a"], (1, "a")),
    ("day", "2026-02-03", datetime.date(2026, 2, 3)),
    ("limited", 5, 5),
]


@pytest.mark.parametrize(("name", "given_value", "expected"), FITS)
def test_arguments_that_fit_arrive_as_the_hint_says(name: str, given_value: Any, expected: Any) -> None:
    value = Kinds.tools()[name].validate({"x": given_value})["x"]
    assert value == expected and type(value) is type(expected)


MISFITS: list[tuple[str, Any]] = [
    ("required", "1"),
    ("required", True),
    ("required", 1.0),
    ("required", 1.5),
    ("required", None),
    ("required", float("nan")),
    ("optional", "1"),
    ("literal", "c"),
    ("literal", "3"),
    ("enumerated", "green"),
    ("enumerated", "RED"),
    ("number", "1.0"),
    ("number", True),
    ("number", float("nan")),
    ("number", float("inf")),
    ("flag", 1),
    ("flag", "true"),
    ("text", 1),
    ("text", None),
    ("items", "12"),
    ("items", ["1"]),
    ("items", {"0": 1}),
    ("mapping", {"a": "1"}),
    ("mapping", []),
    ("point", {"x": "1"}),
    ("point", {}),
    ("point", [1, 2]),
    ("typed", {"depth": "1"}),
    ("typed", {"tag": "t"}),
    ("person", {"name": "Ann", "age": "3"}),
    ("person", {"name": "Ann", "age": -1}),
    ("tree", {"value": 1, "children": [{"value": "2"}]}),
    ("pair", [1]),
    ("day", "tomorrow"),
    ("limited", 0),
    ("limited", 6),
]


@pytest.mark.parametrize(("name", "misfit"), MISFITS)
def test_arguments_that_do_not_fit_are_refused_by_name(name: str, misfit: Any) -> None:
    with pytest.raises(InvalidArguments, match=rf"^Invalid arguments for {name}: x"):
        Kinds.tools()[name].validate({"x": misfit})


def test_unknown_and_missing_arguments_are_named() -> None:
    built = Kinds.tools()["required"]
    with pytest.raises(ToolError, match="y: Extra inputs are not permitted"):
        built.validate({"x": 1, "y": 2})
    with pytest.raises(ToolError, match="x: Field required"):
        built.validate({})
    with pytest.raises(ToolError, match=r"x: Field required; y: Extra inputs"):
        built.validate({"y": 1})


def test_an_error_text_does_not_repeat_the_input() -> None:
    with pytest.raises(ToolError) as error:
        Kinds.tools()["required"].validate({"x": "a long secret"})
    assert "secret" not in str(error.value) and "\n" not in str(error.value) and "http" not in str(error.value)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=3), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)
    )
)
def test_validation_raises_nothing_but_what_the_model_reads(arguments: dict[str, Any]) -> None:
    for built in Kinds.tools().values():
        try:
            built.validate(arguments)
        except InvalidArguments:
            continue


def test_text_that_utf8_cannot_carry_is_refused_or_kept_but_never_crashes() -> None:
    with pytest.raises(InvalidArguments):
        Kinds.tools()["text"].validate({"x": "\ud800"})


def test_nesting_past_what_json_can_carry_is_refused() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidArguments):
        Kinds.tools()["anything"].validate({"x": deep})


def test_defaults_are_not_shared_between_calls() -> None:
    class Shared(Environment):
        @tool
        def grow(self, items: list[int] = []) -> Any:  # noqa: B006 - the point
            return items

    built = Shared.tools()["grow"]
    built.validate({})["items"].append(1)
    assert built.validate({})["items"] == []


class Documented(Environment):
    @tool
    def google(self, query: str, limit: int = 5) -> str:
        """Search the archive.

        Only titles are searched.

        Args:
            query: What to look for.
            limit: Results at most,
                over two lines.

        Returns:
            The titles.

        Raises:
            ToolError: When nothing is found.
        """
        return query

    @tool
    def numpy(self, query: str) -> str:
        """Search.

        Parameters
        ----------
        query : str
            What to look for.
        """
        return query

    @tool
    def sphinx(self, query: str) -> str:
        """Search.

        :param query: What to look for.
        :returns: Titles.
        """
        return query

    @tool
    def silent(self, query: str) -> str:
        return query

    @tool(name="look-up", description="Said elsewhere.", read_only=True)
    def lookup(self, query: Annotated[str, Field(description="From the hint.")]) -> str:
        """Said here.

        Args:
            query: From the docstring.
        """
        return query


def described(name: str) -> Any:
    return Documented.tools()[name].spec.input_schema["properties"]["query"].get("description")


def test_descriptions_come_from_the_docstring() -> None:
    spec = Documented.tools()["google"].spec
    assert spec.description == "Search the archive.\n\nOnly titles are searched."
    assert spec.input_schema["properties"]["limit"]["description"] == "Results at most,\nover two lines."
    assert [described(name) for name in ("google", "numpy", "sphinx", "silent")] == ["What to look for."] * 3 + [
        None
    ]
    assert Documented.tools()["silent"].spec.description == ""


def test_what_the_mark_says_wins() -> None:
    spec = Documented.tools()["look-up"].spec
    assert (spec.name, spec.description, spec.read_only) == ("look-up", "Said elsewhere.", True)
    assert "lookup" not in Documented.tools()
    assert spec.input_schema["properties"]["query"]["description"] == "From the hint."


def test_a_docstring_describes_what_a_field_only_constrains() -> None:
    class Constrained(Environment):
        @tool
        def call(self, a: Annotated[int, Field(ge=0)], b: int = Field(1, ge=0)) -> None:
            """Call.

            Args:
                a: First.
                b: Second.
            """

    properties = Constrained.tools()["call"].spec.input_schema["properties"]
    assert properties["a"] == {"type": "integer", "minimum": 0, "description": "First."}
    assert properties["b"] == {"type": "integer", "minimum": 0, "default": 1, "description": "Second."}


class Base(Environment):
    @tool(read_only=True)
    def first(self, x: int) -> int:
        """First of the base.

        Args:
            x: A number.
        """
        return x

    @tool(name="renamed")
    def second(self) -> int:
        """Second."""
        return 2

    @tool
    def third(self) -> int:
        return 3


def test_an_override_without_the_mark_stays_the_tool() -> None:
    class Sub(Base):
        def first(self, x: int, y: int = 1) -> int:
            return x + y

        def second(self) -> int:
            """Second, again."""
            return 22

    tools = Sub.tools()
    assert list(tools) == ["first", "renamed", "third"]
    assert tools["first"].spec.read_only and tools["first"].spec.description == "First of the base."
    assert tools["first"].spec.input_schema["properties"]["x"]["description"] == "A number."
    assert tools["first"].invoke(Sub(), {"x": 1, "y": 2}) == 3
    assert tools["renamed"].invoke(Sub(), {}) == 22 and tools["renamed"].spec.description == "Second, again."
    assert Base.tools()["first"].invoke(Base(), {"x": 1}) == 1


def test_an_override_with_the_mark_speaks_for_itself() -> None:
    class Sub(Base):
        @tool
        def first(self, x: str) -> str:  # type: ignore[override]
            return x

    spec = Sub.tools()["first"].spec
    assert (
        not spec.read_only
        and spec.description == ""
        and spec.input_schema["properties"]["x"] == {"type": "string"}
    )


def test_none_takes_a_tool_away_and_a_subclass_may_bring_it_back() -> None:
    class Without(Base):
        third = None  # type: ignore[assignment]

    class Again(Without):
        @tool
        def third(self) -> int:  # type: ignore[override]
            return 33

    assert list(Without.tools()) == ["first", "renamed"]
    assert Again.tools()["third"].invoke(Again(), {}) == 33


def test_tools_of_mixins_count() -> None:
    class Mixin:
        @tool
        def extra(self) -> str:
            return "extra"

    class Mixed(Mixin, Base):
        pass

    assert set(Mixed.tools()) == {"extra", "first", "renamed", "third"}


def test_two_tools_of_one_name_are_refused() -> None:
    class Twice(Environment):
        @tool(name="go")
        def left(self) -> None: ...

        @tool(name="go")
        def right(self) -> None: ...

    with pytest.raises(UsageError, match=r"Twice: two tools are named `go`"):
        Twice.tools()


def broken(**members: Any) -> type:
    return type("Broken", (), members)


def no_hint(self, x): ...  # type: ignore[no-untyped-def]
def star(self: Any, *x: int) -> None: ...
def double_star(self: Any, **x: int) -> None: ...
def positional(self: Any, x: int, /) -> None: ...
def nobody() -> None: ...
def only_named(*, x: int) -> None: ...
def underscored(self: Any, _x: int) -> None: ...
def reserved(self: Any, model_config: int) -> None: ...
def undefined(self: Any, x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def nonsense(self: Any, x: Colour.GREEN) -> None: ...  # type: ignore[name-defined]
def no_schema(self: Any, x: object.__init__) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (no_hint, "give parameter `x` a type hint"),
        (star, "named parameters only"),
        (double_star, "named parameters only"),
        (positional, "named parameters only"),
        (nobody, "its first parameter is `self`"),
        (only_named, "its first parameter is `self`"),
        (underscored, "`_x` starts with an underscore"),
        (reserved, "`model_config` has a name that pydantic keeps"),
        (undefined, "names something undefined: name 'Nowhere' is not defined"),
        (nonsense, "cannot be read: AttributeError"),
        (no_schema, "no JSON schema for its parameters"),
        (staticmethod(nobody), "a tool is a plain method"),
        (classmethod(star), "a tool is a plain method"),
    ],
)
def test_a_method_that_cannot_be_a_tool_is_refused_in_one_line(function: Any, complaint: str) -> None:
    inner = getattr(function, "__func__", function)
    marked = tool(function)
    try:
        with pytest.raises(UsageError) as error:
            tools_of(broken(method=marked))
    finally:
        for holder in (inner, marked):
            vars(holder).pop("__gym_tool__", None)
    assert complaint in str(error.value) and "\n" not in str(error.value)


def test_parameters_may_have_the_names_of_pydantics_methods() -> None:
    class Names(Environment):
        @tool
        def call(self, json: str, copy: bool = False, schema: str = "s", model: int = 1) -> Any:
            return json, copy, schema, model

    built = Names.tools()["call"]
    arguments = {"json": "j", "copy": True, "schema": "x", "model": 2}
    assert built.validate(arguments) == arguments
    assert set(built.spec.input_schema["properties"]) == set(arguments)


def test_the_instance_may_be_called_anything() -> None:
    class This(Environment):
        @tool
        def call(this, x: int) -> int:
            return x

    assert list(This.tools()["call"].spec.input_schema["properties"]) == ["x"]


def test_async_methods_are_known() -> None:
    class Both(Environment):
        @tool
        async def later(self) -> None: ...

        @tool
        def now(self) -> None: ...

    assert [t.is_async for t in Both.tools().values()] == [True, False]


def fragile(value: int) -> int:
    raise KeyError("the answer")


def test_an_authors_validator_that_breaks_is_a_bug_and_not_the_models_mistake() -> None:
    class Fragile(Environment):
        @tool
        def call(self, x: Annotated[int, AfterValidator(fragile)]) -> int:
            return x

    with pytest.raises(KeyError):
        Fragile.tools()["call"].validate({"x": 1})


# -- tools that come from data -------------------------------------------------------------------------------

SCHEMA: JSONObject = {
    "type": "object",
    "properties": {"to": {"type": "string"}, "at": {"type": "array", "items": {"type": "integer"}}},
    "required": ["to"],
    "additionalProperties": False,
}


def from_data() -> Tool:
    return Tool.from_schema("send", "Send it.", SCHEMA, lambda environment, arguments: arguments, read_only=True)


def test_a_tool_from_a_schema_takes_what_fits() -> None:
    built = from_data()
    assert (built.spec.input_schema, built.spec.read_only, built.output_schema) == (SCHEMA, True, None)
    assert built.invoke(None, built.validate({"to": "Ann", "at": [1]})) == {"to": "Ann", "at": [1]}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "'to' is a required property"),
        ({"to": 1}, "to: 1 is not of type 'string'"),
        ({"to": "Ann", "cc": ""}, "Additional properties are not allowed"),
        ({"to": "Ann", "at": [1, "2"]}, "at.1: '2' is not of type 'integer'"),
    ],
)
def test_a_tool_from_a_schema_names_what_does_not_fit(arguments: JSONObject, complaint: str) -> None:
    with pytest.raises(InvalidArguments, match=r"^Invalid arguments for send: ") as error:
        from_data().validate(arguments)
    assert complaint in str(error.value)


def test_a_renamed_tool_is_the_same_under_another_name() -> None:
    other = from_data().renamed("post")
    assert other.name == "post" and other.spec.input_schema == SCHEMA
    with pytest.raises(ToolError, match="for post:"):
        other.validate({})


# -- results -------------------------------------------------------------------------------------------------

PNG = Image(b"\x89PNG")


class Shade(enum.StrEnum):
    DARK = "dark"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        ("", ""),
        (Shade.DARK, "dark"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ([1, "ü"], '[1, "ü"]'),
        ({"a": None}, '{"a": null}'),
        ((1, 2), "[1, 2]"),
        ({1: 2}, '{"1": 2}'),
        (Point(1, 2), '{"x": 1, "y": 2}'),
        ([Person(name="Ann", age=3)], '[{"name": "Ann", "age": 3}]'),
        (datetime.date(2026, 2, 3), '"2026-02-03"'),
        (Colour.RED, '"red"'),
        (2**70, str(2**70)),
    ],
)
def test_a_result_has_one_text_form(value: Any, text: str) -> None:
    result = render(value)
    assert (result.text, result.images, result.is_error, result.ended) == (text, (), False, False)
    assert type(result.text) is str


def test_images_are_images() -> None:
    assert render(PNG) == ToolResult("", images=(PNG,))
    assert render(["a", PNG, {"b": 1}, PNG]) == ToolResult('a\n{"b": 1}', images=(PNG, PNG))


def test_a_ready_result_is_copied() -> None:
    mine = ToolResult("kept", is_error=True)
    rendered = render(mine)
    rendered.ended = True
    assert rendered.is_error and not mine.ended


def test_output_schemas_follow_the_return_hint() -> None:
    class Returns(Environment):
        @tool
        def number(self) -> int:
            return 1

        @tool
        def nothing(self) -> None: ...

        @tool
        def unsaid(self):  # type: ignore[no-untyped-def]
            ...

        @tool
        def picture(self) -> Image:
            return PNG

        @tool
        def pictures(self) -> list[str | Image]:
            return [PNG]

        @tool
        def person(self) -> Person:
            return Person(name="Ann", age=1)

    schemas = {name: built.output_schema for name, built in Returns.tools().items()}
    assert schemas["number"] == {"type": "integer"}
    assert [schemas[n] for n in ("nothing", "unsaid", "picture", "pictures")] == [None] * 4
    assert schemas["person"] is not None and schemas["person"]["required"] == ["name", "age"]


# -- what can be written down ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["ü", {"a": [1, None]}, 1.5, [True]])
def test_json_is_storable_as_it_is(value: Any) -> None:
    assert storable(value) is value


def test_what_utf8_cannot_carry_is_replaced() -> None:
    assert storable("a\ud800b") == "a?b"
    assert storable({"k\udfff": ["\ud800"]}) == {"k?": ["?"]}
    json.dumps(storable({"k\udfff": ["\ud800"]}), ensure_ascii=False).encode()


def test_odd_values_become_text_and_huge_integers_stay() -> None:
    assert storable({"a": 2**70}) == {"a": 2**70}
    assert storable({"a": Point}) == {"a": str(Point)}

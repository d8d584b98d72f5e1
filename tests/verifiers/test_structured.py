"""Structured replies: five formats, bounds against bombs, strict schemas, coercion, key paths, the way back."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.datasets import read_rows
from tests.support import SHARED
from verifiers.structured import (
    Format,
    coerced,
    fenced,
    has_path,
    parse,
    paths_score,
    render,
    strictened,
    violation,
)

STRUCTEVAL = SHARED / "data" / "nemo_gym" / "structeval"
FORMATS: tuple[Format, ...] = ("json", "yaml", "toml", "xml", "csv")
LETTERS = st.characters(categories=("L", "N", "P", "S"), max_codepoint=0x2FF)
TEXT = st.text(alphabet=LETTERS, min_size=1)
SCALARS = TEXT | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
TREES = st.dictionaries(
    TEXT,
    st.recursive(SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(TEXT, t, max_size=3), max_leaves=6),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        ("json", ' {"a": [1, 2.5, null]}\n', {"a": [1, 2.5, None]}),
        ("yaml", "a:\n  - 1\n  - true\nb: &x [c]\nd: *x", {"a": [1, True], "b": ["c"], "d": ["c"]}),
        ("toml", 'a = 1\n[b]\nc = "d"', {"a": 1, "b": {"c": "d"}}),
        (
            "xml",
            '<?xml version="1.0"?><r k="v"><a> x </a><a/><b><c>1</c></b>t</r>',
            {"r": {"@k": "v", "a": ["x", None], "b": {"c": "1"}, "#text": "t"}},
        ),
        ("csv", 'a,b\n1,"x, ""y"""\n\n2', [{"a": "1", "b": 'x, "y"'}, {"a": "2", "b": None}]),
    ],
)
def test_five_formats(form: Format, text: str, value: Any) -> None:
    parsed = parse(text, form)
    assert (parsed.ok, parsed.value, parsed.note) == (True, value, "")


@pytest.mark.parametrize(
    ("form", "text", "note"),
    [
        ("json", "", "empty"),
        ("json", '{"a": 1} done', "not JSON: Extra data"),
        ("json", "NaN", "NaN is no JSON"),
        ("json", "9" * 5_000, "not JSON"),
        ("json", "[" * 99_000, "not JSON"),
        ("json", "[" * 500 + "]" * 500, "nested deeper than 100"),
        ("json", "[" + "0," * 30_000 + "0]", "more than 20000 parts"),
        ("json", '"' + "x" * 300_000 + '"', "more than 200000 characters"),
        ("yaml", "a: b: c", "not YAML"),
        ("yaml", "!!python/object/apply:os.getcwd []", "not YAML"),
        ("yaml", "[" * 500, "nested deeper than 100"),
        ("yaml", "[" * 5_000, "nest"),  # newer libyaml stops at a depth of its own first
        ("yaml", "- " * 5_000 + "x", "nested deeper than 100"),
        ("yaml", "a: &a [*a]", "an alias inside of what it names"),
        ("yaml", "a: *b", "an alias inside of what it names, or of nothing"),
        ("toml", "a = ", "not TOML"),
        ("toml", "a." * 10_000 + "b = 1", "more than 50000 characters of TOML, or a key of 100 parts"),
        ("toml", "a = " + "[" * 5_000, "not TOML"),
        ("xml", "<a><b></a>", "not XML"),
        ("xml", "<a>" * 300 + "</a>" * 300, "nested deeper than 100"),
        ("xml", "<a>" + "<b/>" * 30_000 + "</a>", "more than 20000 parts"),
        ("xml", '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', "a document type is not allowed"),
        ("csv", "a,b\n1,2,3", "row 2 has 3 cells, the header 2"),
        ("csv", "a,a\n1,2", "a column name is used twice"),
        ("csv", 'a\n"b', "not CSV"),
    ],
)
def test_what_does_not_parse(form: Format, text: str, note: str) -> None:
    start = time.perf_counter()
    parsed = parse(text, form)
    assert time.perf_counter() - start < 2
    assert (parsed.ok, parsed.value) == (False, None)
    assert note in parsed.note


def test_a_yaml_bomb_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert parse("\n".join(lines), "yaml").note == "more than 20000 parts"


def test_an_xml_entity_bomb_is_refused() -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    text = f'<!DOCTYPE r [<!ENTITY e0 "x">{entities}]><r>&e9;</r>'
    assert parse(text, "xml").note == "a document type is not allowed"
    assert not parse('<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>', "xml").ok


def test_fences_are_declared() -> None:
    text = 'Here:\n```json\n{"a": 1}\n```\nand ```this```'
    assert [parse(text, "json", fences=fences).ok for fences in ("refuse", "allow", "require")] == [
        *(False, True, True),
    ]
    assert [parse("[1]", "json", fences=fences).ok for fences in ("refuse", "allow", "require")] == [
        *(True, True, False),
    ]
    assert fenced("```\nopen") is None


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FORMATS), st.text(max_size=60) | st.text(alphabet="<>[]{}&*!:-,\"'=\n a1#|", max_size=60))
def test_no_text_raises(form: Format, text: str) -> None:
    for fences in ("refuse", "allow"):
        parsed = parse(text, form, fences=fences)
        assert parsed.ok or parsed.note
        violation(coerced(parsed.value, {"type": ["array", "null"]}), {"type": "object", "required": ["a"]})


@settings(max_examples=100, deadline=None)
@given(TREES, st.sampled_from(["json", "yaml", "toml"]))
def test_the_way_back(value: dict[str, Any], form: Format) -> None:
    parsed = parse(render(value, form), form)
    assert (parsed.ok, parsed.value) == (True, value)


SHOP = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "open": {"type": "boolean"},
        "floors": {"type": "integer"},
        "rent": {"type": ["number", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "staff": {
            "type": "array",
            "items": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}},
        },
    },
}
VALUE = {"name": "12", "open": True, "floors": 2, "rent": None, "tags": ["a"], "staff": [{"name": "B", "age": 3}]}


def test_xml_and_csv_come_back_by_the_schema() -> None:
    xml = parse(render(VALUE, "xml"), "xml").value
    assert coerced(xml["response"], SHOP) == VALUE
    assert coerced(parse(render(VALUE, "csv"), "csv").value[0], SHOP) == VALUE


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("7", {"type": "integer"}, 7),
        ("7.0", {"type": "integer"}, "7.0"),
        ("7", {"type": "number"}, 7.0),
        ("-.5e3", {"type": "number"}, -500.0),
        ("nan", {"type": "number"}, "nan"),
        ("TRUE", {"type": "boolean"}, True),
        ("1", {"type": "boolean"}, "1"),
        ("", {"type": ["string", "null"]}, None),
        (None, {"type": "string"}, ""),
        (None, {"type": "integer"}, None),
        (None, {"type": "array"}, []),
        ("x", {"type": "array", "items": {"type": "string"}}, ["x"]),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("[1", {"type": "array"}, "[1"),
        ("5", {"anyOf": [{"type": "boolean"}, {"type": "integer"}]}, 5),
        ({"tag": ["1", "2"]}, {"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ({"tag": "1"}, {"type": "array", "items": {"type": "integer"}}, [1]),
        ({"age": "3"}, SHOP["properties"]["staff"], [{"age": 3}]),  # type: ignore[index]
        ({"a": "1"}, True, {"a": "1"}),
    ],
)
def test_coercion(text: Any, schema: Any, value: Any) -> None:
    assert coerced(text, schema) == value
    assert type(coerced(text, schema)) is type(value)


def test_strict_schemas() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {"a": inner, "properties": {"type": "array", "items": inner}},
        "required": {"item": "broken"},
        "additionalProperties": "false",
        "anyOf": [inner],
        "default": {"properties": {}},
    }
    closed = {**inner, "required": ["b"], "additionalProperties": False}
    assert strictened(schema) == {
        "type": "object",
        "properties": {"a": closed, "properties": {"type": "array", "items": closed}},
        "required": ["a", "properties"],
        "additionalProperties": False,
        "anyOf": [inner],
        "default": {"properties": {}},
    }
    assert strictened(True) is True


def test_violations_say_where() -> None:
    schema = strictened(SHOP)
    assert violation(VALUE, schema) == ""
    assert violation({**VALUE, "floors": "2"}, schema) == "floors: '2' is not of type 'integer'"
    assert "'extra' was unexpected" in violation({**VALUE, "extra": 1}, schema)
    assert violation({1: 2}, {"patternProperties": {"a": False}}).startswith("cannot be validated")
    assert violation("x", {"format": "date"}) == ""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", True),
        ("a.b[0].c", True),
        ("a.b[1]", False),
        ("a.b.*.c", True),
        ("a.b[*].c", True),
        ("a.b.c", True),
        ("a.*.d", False),
        ("a.n", True),
        ("@k", True),
        ("k", True),
        ("x", False),
        ("", False),
        ("a.b[99999999999]", False),
        ("csv::c", False),
    ],
)
def test_paths(path: str, found: bool) -> None:
    assert has_path({"a": {"b": [{"c": 1}], "n": None}, "@k": "v"}, path) is found


def test_csv_columns_and_the_score() -> None:
    rows = [{"c": "1", "d": "2"}]
    assert has_path(rows, "csv::c")
    assert paths_score(rows, ["csv::c", "csv::d", "csv::e"]) == 0.73
    assert paths_score({}, ["a"]) == paths_score(None, []) == 0.0
    assert paths_score({"a": 1}, []) == 0.2


@pytest.mark.skipif(not STRUCTEVAL.is_dir(), reason="needs the published rows in ../shared")
def test_documents_built_from_published_paths_score_full() -> None:
    seen = set()
    for row in read_rows(STRUCTEVAL / "example.jsonl"):
        form, paths = row["output_type"].lower(), row["raw_output_metric"]
        parsed = parse(render(_built(paths), form), form)
        value = parsed.value["response"] if form == "xml" else parsed.value
        assert paths_score(value, paths) == 1.0, parsed.note
        assert paths_score(value, [*paths, "nowhere"]) < 1.0
        seen.add(form)
    assert seen == set(FORMATS)


def _built(paths: list[str]) -> dict[str, Any]:
    """An object in which every path leads somewhere."""
    top: dict[str, Any] = {}
    for path in paths:
        node = top
        names = path.removeprefix("csv::").replace("[", ".[").split(".")
        for name, following in zip(names, [*names[1:], None], strict=True):
            if name.startswith("[") or name == "*":
                continue
            if following is None:
                node[name] = "x"
            elif following.startswith("[") or following == "*":
                items = node.setdefault(name, [])
                items += [{} for _ in range(9 - len(items))]
                if path.endswith(following):
                    items[:] = ["x"] * 9
                node = items[int(following[1:-1]) if following.startswith("[") else 0]
            else:
                node = node.setdefault(name, {})
    return top

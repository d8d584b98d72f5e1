"""The row mapping of `benchmark.yaml`: paths, steps, templates, and rows that do not have what it says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gym_mcp.benchmarks.mapping import STEPS, Unmappable, Value, at, render

ROW: dict[str, Any] = {
    "question": "Why?",
    "Correct Answer": "b",
    "choices": ["a", "b", "c"],
    "answer": 1,
    "solution": r"So \boxed{1} or rather \boxed{\frac{1}{\sqrt{2}}}.",
    "gsm": "2 + 2 = 4\n#### 1,024",
    "nested": {"list": [{"x": 5}]},
    "none": None,
    "messages": '[{"role": "user", "content": "hi"}]',
}


def value(spec: Any) -> Any:
    return Value.model_validate(spec).of(ROW)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("question", "Why?"),
        ("Correct Answer", "b"),
        ("nested.list.0.x", 5),
        ({"value": 7}, 7),
        ({"value": None}, None),
        ({"template": "{question} {answer}"}, "Why? 1"),
        ({"from": "choices", "do": ["letters"]}, {"A": "a", "B": "b", "C": "c"}),
        ({"from": "choices", "do": [{"drop": ["a"]}, "letters"]}, {"A": "b", "B": "c"}),
        ({"from": "answer", "do": ["letter"]}, "B"),
        ({"from": "gsm", "do": [{"after": "####"}, {"replace": [",", ""]}]}, "1024"),
        ({"from": "solution", "do": ["boxed"]}, r"\frac{1}{\sqrt{2}}"),
        ({"from": "messages", "do": ["json"]}, [{"role": "user", "content": "hi"}]),
        ({"from": "answer", "do": ["text"]}, "1"),
        ({"from": "Correct Answer", "do": ["upper"]}, "B"),
        ({"template": " {question} ", "do": ["strip"]}, "Why?"),
        ({"from": "answer", "do": [{"map": {0: "no", 1: "yes"}}]}, "yes"),
        ({"value": {"a": 1, "b": None}, "do": ["without_nulls"]}, {"a": 1}),
        ({"from": "none", "default": 3}, 3),
        ({"from": "absent", "default": None}, None),
    ],
)
def test_values(spec: Any, expected: Any) -> None:
    assert value(spec) == expected


def test_every_step_is_tested_above() -> None:
    source = test_values.pytestmark[0].args[1]
    used = {name for spec, _ in source if isinstance(spec, dict) for s in spec.get("do", []) for name in _names(s)}
    assert used == set(STEPS)


def _names(step: Any) -> list[str]:
    return [step] if isinstance(step, str) else list(step)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("absent", "no field `absent`; there are question, Correct Answer"),
        ("nested.list.7", "no field `nested.list.7`"),
        ({"from": "question", "do": ["letters"]}, "step `letters` cannot take 'Why\\?'"),
        ({"value": 26, "do": ["letter"]}, "an index from 0 to 25"),
        ({"value": -1, "do": ["letter"]}, "an index from 0 to 25"),
        ({"from": "question", "do": [{"after": "####"}]}, "it has no '####'"),
        ({"from": "question", "do": ["boxed"]}, "no closed"),
        ({"from": "question", "do": ["json"]}, "step `json` cannot take"),
        ({"from": "question", "do": [{"map": {"x": 1}}]}, "step `map` cannot take"),
        ({"template": "{nothing}"}, "no field `nothing`"),
    ],
)
def test_rows_that_lack_it(spec: Any, message: str) -> None:
    with pytest.raises(Unmappable, match=message):
        value(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "one of `from`, `template` and `value`"),
        ({"from": "a", "value": 1}, "one of `from`, `template` and `value`"),
        ({"from": "a", "do": ["leter"]}, "no step `leter`; there are letters, letter"),
        ({"from": "a", "do": ["after"]}, "step `after` takes an argument"),
        ({"from": "a", "do": [{"letter": 1}]}, "step `letter` takes no argument"),
        ({"from": "a", "do": [{"letter": 1, "map": {}}]}, "a step is a name, or a mapping of one name"),
        ({"form": "a"}, "form"),
    ],
)
def test_mappings_that_make_no_sense(spec: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Value.model_validate(spec)


def test_templates() -> None:
    assert (
        render(r"{question} \boxed{} {{x}} {options}", {**ROW, "options": {"A": "a"}}) == r"Why? \boxed{} {x} A) a"
    )
    assert render("{none}|{choices}", ROW) == "|a\nb\nc"


@given(st.text())
def test_a_fields_own_braces_are_left_alone(text: str) -> None:
    assert render("<{question}>", {"question": text}) == f"<{text}>"


@given(st.recursive(st.text(max_size=5), lambda s: s.map(lambda t: "{" + t + "}"), max_leaves=4))
def test_boxes_are_balanced(inner: str) -> None:
    depth = inner.count("{") - inner.count("}")
    low = min((inner[:i].count("{") - inner[:i].count("}") for i in range(len(inner) + 1)), default=0)
    if depth == 0 and low == 0 and "\\" not in inner:
        assert Value.model_validate({"value": rf"\boxed{{{inner}}}", "do": ["boxed"]}).of({}) == inner


def test_keys_with_dots_are_found_as_they_stand() -> None:
    assert at({"a.b": 1, "a": {"b": 2}}, "a.b") == 1

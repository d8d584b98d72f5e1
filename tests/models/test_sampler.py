"""Random values fit their schemas: jsonschema and pydantic are the judges."""

from __future__ import annotations

import enum
import random
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field

from gym_mcp.models.sampler import Sampler

SCHEMAS: dict[str, dict[str, Any]] = {
    "empty": {},
    "string": {"type": "string", "minLength": 2, "maxLength": 4},
    "long string": {"type": "string", "minLength": 30},
    "no string": {"type": "string", "maxLength": 0},
    "integer": {"type": "integer", "minimum": 3, "maximum": 5},
    "integer, open": {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    "integer, one-sided": {"type": "integer", "minimum": 1_000},
    "integer, other side": {"type": "integer", "maximum": -1_000},
    "integer, steps": {"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 20},
    "integer, fractional bounds": {"type": "integer", "minimum": 0.5, "maximum": 2.5},
    "number": {"type": "number", "minimum": 0, "maximum": 1},
    "number, narrow": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    "number, steps": {"type": "number", "multipleOf": 0.25, "minimum": -1, "maximum": 1},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "types": {"type": ["string", "null", "integer"]},
    "enum": {"enum": [1, "a", None]},
    "const": {"const": {"a": [1]}},
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
    "set": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    "object": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "boolean"}},
        "required": ["a"],
        "additionalProperties": False,
    },
    "object, few": {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 1},
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    "required, undeclared": {"type": "object", "required": ["x"]},
    "any of": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    "one of": {
        "oneOf": [
            {"properties": {"kind": {"const": "a"}, "x": {"type": "integer"}}, "required": ["kind", "x"]},
            {"properties": {"kind": {"const": "b"}}, "required": ["kind"]},
        ]
    },
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "references": {
        "type": "object",
        "properties": {"p": {"$ref": "#/$defs/P", "description": "a point"}},
        "required": ["p"],
        "$defs": {"P": {"type": "object", "properties": {"x/y": {"$ref": "#/$defs/x~1y"}}}, "x/y": {"enum": [1]}},
    },
    "recursive": {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
                "required": ["children", "next"],
            }
        },
        "$ref": "#/$defs/Node",
    },
}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_values_fit_their_schema(name: str) -> None:
    schema = SCHEMAS[name]
    validator = Draft202012Validator(schema)
    for seed in range(40):
        validator.validate(Sampler(schema, random.Random(seed)).sample())


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    kind: Literal["leaf"]
    weight: Annotated[float, Field(gt=0, le=1)]


class Branch(BaseModel):
    kind: Literal["branch"]
    parts: list[Annotated[Leaf | Branch, Field(discriminator="kind")]]


class Arguments(BaseModel):
    """About what tools ask for."""

    name: Annotated[str, Field(min_length=1, max_length=8)]
    count: Annotated[int, Field(ge=1, lt=4)] = 1
    colours: Annotated[set[Colour], Field(max_length=2)]
    limits: tuple[int, int] | None = None
    scores: dict[str, float] = {}
    tree: Branch | None = None


def test_values_fit_what_pydantic_makes_of_type_hints() -> None:
    schema = Arguments.model_json_schema()
    validator = Draft202012Validator(schema)
    for seed in range(100):
        value = Sampler(schema, random.Random(seed)).sample()
        validator.validate(value)
        Arguments.model_validate(value)


def test_values_vary_and_a_seed_repeats_them() -> None:
    schema = Arguments.model_json_schema()
    first = [Sampler(schema, random.Random(seed)).sample() for seed in range(20)]
    assert [Sampler(schema, random.Random(seed)).sample() for seed in range(20)] == first
    assert len({str(v) for v in first}) > 10
    assert any("limits" in v for v in first)
    assert any("limits" not in v for v in first)


def test_every_member_of_an_enum_comes_up() -> None:
    rng = random.Random(0)
    assert {Sampler({"enum": [1, 2, 3]}, rng).sample() for _ in range(100)} == {1, 2, 3}

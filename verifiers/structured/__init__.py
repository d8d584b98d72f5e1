"""Structured replies: JSON, YAML, TOML, XML and CSV, read within bounds and held against a schema or key paths."""

from verifiers.structured.coerce import coerced
from verifiers.structured.parse import Fences, Format, Parsed, fenced, parse
from verifiers.structured.paths import has_path, paths_score
from verifiers.structured.render import render
from verifiers.structured.schema import strictened, violation

__all__ = [
    "Fences",
    "Format",
    "Parsed",
    "coerced",
    "fenced",
    "has_path",
    "parse",
    "paths_score",
    "render",
    "strictened",
    "violation",
]

"""Every way into a verifier, with texts that are out to break it: nothing raises, nothing takes long."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifiers import choice, citations, code_extract, extract, format, judge, normalise, sql, text, tool_calls
from verifiers.choice_last import extract_last_choice
from verifiers.instructions import check_all, known_ids, registry
from verifiers.structured import coerced, parse, paths_score, violation

SIZE: Final = 60_000
"""Characters; at four times the time for twice the text, a scan would not be done within `SECONDS`."""
SECONDS: Final = 3.0
OPTIONS: Final = {"A": "alpha", "B": "beta gamma", "C": "E. coli"}
SCHEMA: Final = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}},
}
CITED: Final[dict[str, Any]] = {
    "id_regex": r"[A-Z]{2}\d{3}:\w+",
    "valid_ids": ["AB123:x"],
    "expected_ids": ["AB123:x"],
}
Entry = Callable[[str], Any]


def _extractors() -> Iterator[tuple[str, Entry]]:
    for mode in get_args(choice.Mode):
        for box in get_args(choice.Box):
            yield f"{mode} {box}", partial(choice.extract_choice, options=OPTIONS, mode=mode, box=box)
    yield "last choice", partial(extract_last_choice, options=OPTIONS)
    for policy in get_args(extract.Thoughts):
        yield f"thoughts {policy}", partial(extract.without_thoughts, policy=policy)
    for which in get_args(extract.Which):
        yield f"label {which}", partial(extract.label, labels=["[[A=B]]", "Yes"], which=which, ignore_case=True)
        yield f"tagged {which}", partial(extract.tagged, tag="answer", which=which)
        yield f"number {which}", partial(extract.number, which=which)
        yield f"list {which}", partial(extract.json_list, which=which, of_objects=True)
        yield f"grid {which}", partial(extract.grid, which=which)
    yield "last line", extract.last_line
    for fence in get_args(code_extract.Fence):
        yield f"program {fence}", partial(code_extract.extract_program, fence=fence, think="strip")
    for comments in get_args(sql.Comments):
        yield f"sql {comments}", partial(sql.extract_sql, comments=comments)


def _comparers() -> Iterator[tuple[str, Entry]]:
    yield "folded", normalise.folded
    yield "squad", normalise.squad
    yield "number", partial(normalise.as_number, percent=True)
    yield "exact match", lambda said: text.exact_match(said, ["a b", ""])
    yield "token f1", lambda said: text.token_f1(said, ["a b", ""])
    yield "rouge", lambda said: text.rouge_l(said, "a b c " * 50)
    yield "sequence", lambda said: text.sequence_ratio(said, "Once upon a time. " * 50)
    yield "equality", judge.equality
    yield "grade", partial(judge.grade, grades=["A", "B", "CORRECT"])
    yield "absolute", partial(judge.absolute, low=0, high=10, after="Score:")
    yield "lines", partial(format.lines_matching, patterns=["^- .+"], least=3)
    yield "markers", partial(format.markers, expected=["[1]"], patterns=[r"\[\d+\]"])
    for grammar in get_args(citations.Grammar):
        yield f"citations {grammar}", partial(citations.check_citations, grammar=grammar, **CITED)
    yield "no citations", partial(citations.check_no_citations, id_regex=r"[A-Z]{2}\d{3}:\w+")
    yield "call", lambda said: str(tool_calls.read_call({"name": said, "arguments": said}))
    yield "alike", lambda said: tool_calls.alike({"a": said}, {"a": f"{said} b c"})


def _structured() -> Iterator[tuple[str, Entry]]:
    for form in ("json", "yaml", "toml", "xml", "csv"):
        for fences in ("refuse", "allow"):
            yield f"{form} {fences}", partial(_fitted, form=form, fences=fences)


def _fitted(said: str, form: Any, fences: Any) -> None:
    value = parse(said, form, fences=fences).value
    violation(coerced(value, SCHEMA), SCHEMA)
    paths_score(value, ["a.b[0].*", "csv::a"])


def _instructions() -> Iterator[tuple[str, Entry]]:
    for name in known_ids():
        parameters = inspect.signature(registry._CHECKERS[name]).parameters.values()
        keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        given_ = {p.name: _argument(p.name, str(p.annotation)) for p in keywords}
        assert not registry.problem(name, given_)
        yield name, partial(_checked, name, given_)


def _argument(name: str, annotation: str) -> Any:
    if name.endswith("relation"):
        return "at least"
    return 2 if annotation == "int" else "a" if annotation == "str" else ["a", "b"]


def _checked(name: str, arguments: dict[str, Any], said: str) -> None:
    check_all([name], [arguments], said, "a prompt", evaluation="loose")


ENTRIES: Final = dict([*_extractors(), *_comparers(), *_structured(), *_instructions()])
PIECES: Final = (
    *(
        "\\boxed{",
        "\\boxed{}",
        "\\boxed{\\text{",
        "}",
        "{",
        "[",
        "]",
        "[[",
        '{"a":',
        "[1,",
        "(",
        "<<",
        "【",
        "[ref:",
    ),
    *("answer:", "Answer: A or ", "answer ", "Final Answer: [", "Score: 1", "[[A=B]] ", "$([{"),
    *(
        "<think>",
        "</think>",
        "<think></thinking>",
        "<answer>",
        "<action>",
        "<a>",
        "<!DOCTYPE a [",
        "&a;",
        "<cite>",
    ),
    *("```", "```\n", "```sql\n", "```python\n", "--", "\n", "\r\n", " ", "\t \n", "\0", "\ud800", "\u0300", "ﷺ"),
    *(
        "9",
        "1,",
        "1e9",
        "-",
        "- a\n",
        "*",
        "* ",
        "**a",
        "***\n",
        "_",
        '"',
        "'",
        "''",
        ". ",
        ".",
        "A. ",
        "a.b.",
        "n't ",
    ),
    *(
        "a",
        "a ",
        "A ",
        "a\n",
        ",",
        ":",
        ": ",
        "? ",
        "- ",
        "a.",
        "a = 1\n",
        "&a [*a, *a]\n",
        "\\x",
        "AB123:x ",
        "Σ",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_no_repetition_takes_long(entry: str) -> None:
    for piece in PIECES:
        said = piece * (SIZE // len(piece))
        started = time.process_time()
        for one in (said, f"{said}x", f"```json\n{said}\n```"):
            ENTRIES[entry](one)
        assert time.process_time() - started < 3 * SECONDS, piece


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=40).map("".join))
def test_no_text_raises(said: str) -> None:
    for entry in ENTRIES.values():
        entry(said)

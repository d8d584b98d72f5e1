"""Line patterns, markers and citations, and the recorded verdicts on citations."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.datasets import read_rows
from tests.support import SHARED
from verifiers.citations import Grammar, check_citations, check_no_citations
from verifiers.format import Format, lines_matching, markers

DATA = SHARED / "data" / "nemo_gym" / "citation_if"
FULL = r"doc_[a-z0-9]{3}"
SNIPPET = FULL + r":part_[0-9]+"


def test_a_line_counts_once_however_often_it_matches() -> None:
    assert lines_matching("- a - b\n- c", [r"^- .+", r"- b"], 2) == Format(True, 1.0, "2 of 2 lines match")
    assert lines_matching("- a - b", [r"^- .+", r"- b"], 2) == Format(False, 0.5, "1 of 2 lines match")
    assert lines_matching("", ["^-"], 1) == Format(False, 0.0, "0 of 1 lines match")


def test_an_anchor_means_the_line() -> None:
    assert lines_matching("intro\n→ first\r\n→ second", ["^→ .+$"], 2).fits
    assert not lines_matching("so → first", ["^→ .+$"]).fits


def test_markers() -> None:
    assert markers("See [1] and [2].", ["[1]", "[2]"], [r"\[\d+\]"]) == Format(True, 1.0, "")
    assert markers("See [1].", ["[1]", "[2]"]) == Format(False, 0.5, "missing: [2]")
    assert markers("See [1] [3] [3].", ["[1]"], [r"\[\d+\]"]) == Format(False, 1.0, "not expected: [3]")
    assert markers("nothing", [], [r"\[\d+\]"]).fits


def test_bad_patterns_are_the_callers_error() -> None:
    with pytest.raises(re.error):
        lines_matching("x", ["(["])


def cite(text: str, grammar: Grammar = "ascii_brackets", id_regex: str = FULL, **settings: Any) -> str | None:
    valid = ["doc_aaa", "doc_bbb", "doc_ccc", "doc_aaa:part_1", "doc_bbb:part_1"]
    return check_citations(text, grammar=grammar, id_regex=id_regex, valid_ids=valid, **settings).gate


@pytest.mark.parametrize(
    ("grammar", "mark"),
    [
        ("ascii_brackets", "[{}]"),
        ("cite_xml", "<cite>{}</cite>"),
        ("double_angle", "<<{}>>"),
        ("ref_colon", "[ref:{}]"),
        ("web_brackets", "【{}】"),
    ],
)
def test_each_grammar(grammar: Grammar, mark: str) -> None:
    assert cite("It rained " + mark.format("doc_aaa"), grammar, expected_ids=["doc_aaa"]) is None
    assert cite("It rained " + mark.format("doc_aaa:part_1"), grammar, SNIPPET) is None
    assert cite("It rained " + mark.format("doc_aaa"), grammar, SNIPPET) == "malformed_attempt"
    assert cite("It rained (doc_aaa)", grammar) == "malformed_attempt"
    assert check_no_citations("It rained " + mark.format("doc_aaa"), id_regex=FULL).gate == "citation_present"


@pytest.mark.parametrize(
    ("text", "settings", "gate"),
    [
        ("[doc_aaa]", {}, "no_answer"),
        ("It rained.", {}, "too_few"),
        ("It rained [doc_zzz].", {}, "too_few"),
        ("It rained [doc_aaa] [doc_zzz].", {}, "unknown_id"),
        ("It rained [doc_aaa].", {"expected_ids": ["doc_bbb"]}, "missed_id"),
        ("It rained [doc_aaa] [doc_bbb].", {"expected_ids": ["doc_bbb"]}, None),
        ("It rained [doc_aaa] [doc_bbb].", {"expected_ids": ["doc_bbb"], "slack": 0}, "too_many"),
        ("It rained [doc_aaa] [doc_aaa].", {"expected_ids": ["doc_aaa"], "slack": 0}, None),
        ("It rained [doc_aaa].", {"least": 2}, "too_few"),
        ("It rained [doc_aaa], or <cite>", {}, "malformed_attempt"),
    ],
)
def test_gates(text: str, settings: dict[str, Any], gate: str | None) -> None:
    assert cite(text, **settings) == gate


def test_no_citations() -> None:
    assert check_no_citations("It rained.", id_regex=FULL).passed
    assert check_no_citations("", id_regex=FULL).gate == "no_answer"


@given(st.text())
def test_no_text_raises(text: str) -> None:
    lines_matching(text, [r"^\d+\.\s*.+"])
    markers(text, ["[1]"], [r"\[\d+\]"])
    assert cite(text) != "missed_id"
    check_no_citations(text, id_regex=FULL)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
def test_recorded_citations_get_their_recorded_gate() -> None:
    seen = 0
    for row in read_rows(DATA / "example_rollouts.jsonl"):
        rules, gate = row["verifier"], row["match_details"]["gate_failed"]
        text = row["response"]["output"][-1]["content"][0]["text"]
        if rules["mode"] == "no_cite":
            outcome = check_no_citations(text, id_regex=rules["id_regex"])
        else:
            outcome = check_citations(
                text,
                grammar=rules["grammar"],
                id_regex=rules["id_regex"],
                valid_ids=rules["valid_id_set"],
                expected_ids=rules["expected_ids"],
                slack=rules["expected_slack"],
                least=rules["min_valid_citations"],
            )
        assert (outcome.gate, float(outcome.passed)) == (gate, row["reward"])
        seen += 1
    assert seen == 5

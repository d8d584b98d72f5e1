"""True sentences are never flagged, false ones always are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gym_mcp.claims.check import check, open_data
from gym_mcp.claims.query import Data
from tests.claims.corpus import FALSE, TRUE
from tests.diagnosis.runs import office_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return open_data(office_run(tmp_path_factory.mktemp("run") / "run"))


def with_run(sentence: str, data: Data) -> str:
    return sentence.replace("{run}", data.scan.run.manifest["run_id"])


@pytest.mark.parametrize("sentence", TRUE)
def test_a_true_sentence_is_not_flagged(sentence: str, data: Data) -> None:
    assert check(with_run(sentence, data), data).problems == []


@pytest.mark.parametrize("sentence", FALSE)
def test_a_false_sentence_is_flagged(sentence: str, data: Data) -> None:
    assert check(with_run(sentence, data), data).problems != []


def test_the_corpus_is_large_enough() -> None:
    assert min(len(set(TRUE)), len(set(FALSE))) >= 60


@pytest.mark.parametrize("sentence", [s for s in TRUE if "[claim:" in s or "[cite:" in s])
def test_any_denial_of_a_true_sentence_is_flagged(sentence: str, data: Data) -> None:
    first = sentence if sentence[0] in '`"' or re.match(r"[\d]", sentence) else sentence[0].lower() + sentence[1:]
    denied = f"It is not the case that {first}"
    assert check(with_run(denied, data), data).problems != []


@pytest.mark.parametrize("sentence", [s for s in TRUE if re.search(r"\d", s.split("[")[0]) and "[claim:" in s])
def test_any_other_number_in_the_prose_is_flagged(sentence: str, data: Data) -> None:
    head, bracket, rest = sentence.partition("[")
    changed = re.sub(r"(?<![\w@-])\d+(?![\w-])", lambda m: str(int(m.group()) + 17), head)
    if changed != head:
        assert check(with_run(changed + bracket + rest, data), data).problems != []


@pytest.mark.parametrize("sentence", [s for s in TRUE if "[claim:" in s or "[cite:" in s])
def test_without_its_evidence_it_is_flagged(sentence: str, data: Data) -> None:
    without = re.sub(r"\s*\[(?:claim|cite):.*\]", "", sentence)
    assert check(with_run(without, data), data).problems != []


def test_a_report_file(data: Data, tmp_path: Path) -> None:
    report = "# The run\n\n" + "\n".join(f"- {with_run(s, data)}" for s in TRUE)
    verdict = check(report, data)
    assert (verdict.grade, verdict.problems) == (1.0, [])


@pytest.mark.parametrize("text", ["1 " * 50_000, "pass " * 20_000, "# " + "pass 1 " * 10_000])
def test_a_sentence_without_end_is_flagged_and_not_parsed(text: str, data: Data) -> None:
    (problem,) = check(text, data).problems
    assert problem.kind == "malformed"


@pytest.mark.parametrize("place", ["output:²", "output:" + "9" * 5_000, "ledger:-1", "nothing"])
def test_a_place_that_is_none_is_a_false_citation(place: str, data: Data) -> None:
    sentence = with_run(f'`{{run}}/reply-to-last-1/0` passed [cite: {{run}}/reply-to-last-1/0 {place} "x"].', data)
    assert "false_citation" in {p.kind for p in check(sentence, data).problems}

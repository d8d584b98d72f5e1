"""Reports made from runs: no true sentence is flagged, each false one is. And what a hostile report costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gym_mcp.claims.check import LONGEST_REPORT, check, check_paths, open_data
from gym_mcp.claims.query import Data
from gym_mcp.errors import UsageError
from tests.claims.generated import false_sentences, true_sentences, words
from tests.diagnosis.runs import choice_run, office_run

PASSED = "54 rollouts passed [claim: rollouts(passed) = 54]."


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return open_data(office_run(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module", params=["office", "mcqa"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, office: Data) -> Data:
    if request.param == "office":
        return office
    return open_data(choice_run(tmp_path_factory.mktemp("run") / "run"))


def test_what_is_true_of_a_run_is_not_flagged(data: Data) -> None:
    report = [*true_sentences(data)]
    assert len(report) >= 30
    assert {text: problems for text in report if (problems := check(text, data).problems)} == {}


def test_what_is_made_false_is_flagged(data: Data) -> None:
    missed = [(change, text) for change, text in false_sentences(data, 0) if not check(text, data).problems]
    assert missed == []


@pytest.mark.parametrize(
    "text",
    [
        "| outcome | rollouts |\n| --- | --- |\n| failed | 54 [claim: rollouts(passed) = 54] |",
        "| kind | failed |\n| --- | --- |\n| all rollouts | 54 [claim: rollouts(passed) = 54] |",
        "outcome | count\n--- | ---\npassed | 30",
        "54 rollouts crashed [claim: rollouts(passed) = 54].",
        "54k rollouts passed [claim: rollouts(passed) = 54].",
        "5\u200b5 rollouts passed [claim: rollouts(passed) = 54].",
        "3O rollouts passed [claim: rollouts(passed) = 54].",
        "54 rollouts f\u0430iled [claim: rollouts(passed) = 54].",
        "One third of the rollouts passed [claim: share(passed) = 67.5%].",
        "67% of the rollouts passed [claim: share(passed) = 67.5%].",
        "Less than half of the rollouts passed [claim: share(passed) = 67.5%].",
        "The pass rate is 54 [claim: rollouts(passed) = 54].",
        "54 rollouts passed by luck [claim: rollouts(passed) = 54].",
        "Its longest rollout made 0 calls, its shortest 8 [claim: most(calls) = 8] [claim: least(calls) = 0].",
        "---\ntitle: 30 of 80 rollouts passed\n---\n",
        "Most failed\n-----------",
        "<img alt='30 rollouts passed'>",
        '[list](http://a.b "30 rollouts passed")',
        "We note that `30 rollouts passed` [claim: rollouts(passed) = 54].",
        'In `reply-to-last-1`, repeat 2 says "I do know." '
        '[cite: {run}/reply-to-last-1/2 output:0 "I do not know."].',
        'In `reply-to-last-1` the agent timed out [cite: {run}/reply-to-last-1/2 output:0 "I do not know."].',
        "It cheats.",
        PASSED + "\n<!-- most rollouts failed -->",
        "pass@4 is 25% [claim: pass_hat(4) = 25%].",
        "Rollouts made 0-9 calls [claim: least(calls) = 0] [claim: most(calls) = 8].",
        "The run took less than 60 hours [claim: total(seconds) < 60 = true].",
        "Failures outnumber passes [claim: rollouts(passed) > rollouts(not passed) = true].",
        "54 out of 54 rollouts passed [claim: rollouts(passed) = 54].",
        "Tool errors are common: 0 of 131 calls [claim: errors() = 0] [claim: calls() = 131].",
    ],
)
def test_where_a_false_claim_hides(text: str, office: Data) -> None:
    assert check(text.replace("{run}", office.scan.run.manifest["run_id"]), office).problems != []


@pytest.mark.parametrize(
    "text",
    [
        "Fifty-four of the eighty rollouts passed [claim: rollouts(passed) = 54] [claim: rollouts() = 80].",
        "About two thirds of the rollouts (67.5%) passed [claim: share(passed) = 67.5%].",
        "Roughly two in three rollouts passed [claim: share(passed) = 67.5%].",
        "All but 26 rollouts passed [claim: rollouts(not passed) = 26].",
        "All 80 rollouts were scored [claim: rollouts(scored) = 80].",
        'No rollout was truncated [claim: rollouts(stop == "max_output_tokens") = 0].',
        'No task is never passed [claim: bucket("never") = 0].',
        '5 of 20 tasks pass in every repeat [claim: bucket("always") = 5] [claim: tasks() = 20].',
        "pass@1 rises from 67.5% to 100% at pass@4 [claim: pass_at(1) = 67.5%] [claim: pass_at(4) = 100%].",
        "More than 50 rollouts passed [claim: rollouts(passed) = 54].",
        "No more than 8 calls were made in any rollout [claim: most(calls) = 8].",
        "Each task was attempted 4 times [claim: rollouts() / tasks() = 4].",
        '- `reply-to-last-1`: 3 of 4 passed [claim: rollouts(task == "reply-to-last-1" and passed) = 3] '
        '[claim: rollouts(task == "reply-to-last-1") = 4]',
        "| metric | value | evidence |\n|---|---|---|\n| pass@1 | 67.5% | [claim: pass_at(1) = 67.5%] |",
        "| outcome | rollouts |\n| --- | --- |\n| not passed | 26 [claim: rollouts(not passed) = 26] |",
        "## 1 Overview",
        PASSED + "\n<!-- note to self -->",
        "Rollouts made 0-8 calls [claim: least(calls) = 0] [claim: most(calls) = 8].",
        "The run took less than a minute [claim: total(seconds) < 60 = true].",
        "Passes outnumber failures [claim: rollouts(passed) > rollouts(not passed) = true].",
    ],
)
def test_true_in_other_words(text: str, office: Data) -> None:
    assert check(text, office).problems == []


def test_numbers_in_words() -> None:
    assert [words(n) for n in (0, 12, 18, 20, 54)] == ["zero", "twelve", "eighteen", "twenty", "fifty-four"]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("pair")
    return open_data(office_run(folder / "now"), office_run(folder / "before", "builtin/noisy-oracle?p=0.5"))


def test_which_run_a_number_is_of(pair: Data) -> None:
    from gym_mcp.claims.query import evaluate

    now, then = (f"{100 * float(evaluate(q, pair)):.1f}%" for q in ("pass_rate()", "before(pass_rate())"))
    a, b = f"[claim: pass_rate() = {now}]", f"[claim: before(pass_rate()) = {then}]"
    more = "[claim: pass_rate() > before(pass_rate()) = true]"
    for text in (
        f"The pass rate rose from {then} to {now} {b} {a}.",
        f"The pass rate is {now}, up from {then} in the earlier run {a} {b}.",
        f"The earlier run passed {then}, the new one {now} {b} {a}.",
        f"The new run does better than the old one {more}.",
    ):
        assert check(text, pair).problems == []
    for text in (
        f"The pass rate rose from {now} to {then} {a} {b}.",
        f"The pass rate is {now}, down from {then} in the earlier run {a} {b}.",
        f"The earlier run passed {now}, the new one {then} {a} {b}.",
        f"The old run does better than the new one {more}.",
        f"The pass rate went down {more}.",
        f"The pass rate stayed the same {more}.",
        f"The pass rate is {then} {b}.",
    ):
        assert check(text, pair).problems != [], text


@pytest.mark.parametrize(
    "report",
    ["[claim: x]" * 30_000, "[a](" * 30_000, "<a " * 30_000, "|a" * 30_000, "\ue0000\ue001 " + PASSED,
     "---\n" + "a: b\n" * 3_000 + "---\n", "one third of " * 150, "from 1 to 2 " * 160],
    ids=["marks", "links", "tags", "cells", "private use", "front matter", "fractions", "from to"],
)  # fmt: skip
def test_hostile_text_is_read_in_no_time(report: str, office: Data) -> None:
    begun = time.process_time()
    check(report, office)
    assert time.process_time() - begun < 5


def test_a_check_has_an_end(office: Data, tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    report.write_text("\n".join(f"{n} rollouts passed [claim: rollouts(passed) + {n} = {n}]." for n in range(500)))
    run = office.scan.run.path
    with pytest.raises(UsageError, match=r"report\.md: line \d+: the check took more than 0.01 s"):
        check_paths(report, run, seconds=0.01)
    report.write_text("a" * (LONGEST_REPORT + 1))
    with pytest.raises(UsageError, match="split the report"):
        check_paths(report, run)
    assert check(PASSED, office).problems == []

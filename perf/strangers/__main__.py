"""Faults made by running them: does `gym-mcp analyze` find them, and what does it cry wolf about?

    python -m perf.strangers [--json] [--only NAME] [--keep DIR]

Unlike in `perf/seeded_faults.py` no row is edited: each run is made by `gym-mcp eval run` with an environment or a
harness that has the fault. It is found when a finding of a kind that fits is there. Runs of models from hopeless
to perfect have no fault: every suspect in them is false.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gym_mcp.diagnosis.analyze import analyze

HERE = Path(__file__).parent
ALARMS = ("regressed", "category_regressed", "loop", "truncated", "refusal", "says_nothing", "arguments",
          "unknown_tool", "weak_category")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One run. `where`: `env`, `harness`, or `` for no fault; `expect`: kinds of which one names it."""

    place: str
    where: str
    fault: str
    expect: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    p: float = 0.7
    repeats: int = 4
    limit: int = 24
    against: bool = False

    @property
    def name(self) -> str:
        plain = "" if self.fault else f"p={self.p:g},k={self.repeats},n={self.limit}"
        return f"{self.place}:{self.fault}{plain}"


FORMAT = ("right_answer_failed", "same_answer_different_reward", "format_never_passes")
FLAKY = ("same_transcript_different_reward", "same_answer_different_reward", "right_answer_failed",
         "wrong_answer_passed")  # fmt: skip
UNSUPPORTED = ("pass_without_evidence", "pass_without_the_calls", "pass_against_notes")
BROKEN = ("tool_outage", "tool_errs_often")
CASES = [
    Case("mcqa", "both", "lower_case/verifier_wants_upper_case", FORMAT),
    Case("mcqa", "both", "brackets/verifier_reads_no_brackets", FORMAT),
    Case("sums", "both", "unit/verifier_reads_no_units", FORMAT),
    Case("sums", "both", "comma/verifier_reads_no_comma", FORMAT),
    Case("mcqa", "env", "verifier_wants_no_reasoning", FORMAT),
    Case("sums", "env", "verifier_wants_no_reasoning", FORMAT),
    Case("mcqa", "env", "verifier_flips", FLAKY),
    Case("sums", "env", "verifier_flips", FLAKY),
    Case("office", "env", "verifier_flips", (*FLAKY, *UNSUPPORTED)),
    Case("mcqa", "env", "verifier_says_yes", FLAKY),
    Case("office", "env", "verifier_says_yes", (*FLAKY, *UNSUPPORTED)),
    Case("mcqa", "env", "judge_is_cached", ("wrong_answer_passed", "one_verdict", "wrong_answers_pass")),
    Case("mcqa", "env", "judge_is_down", ("right_answer_failed", "one_verdict")),
    Case("office", "env", "judge_is_cached", ("one_verdict", *UNSUPPORTED)),
    Case("mcqa", "env", "poisoned_task", FLAKY),
    Case("mcqa", "env", "never_on_one_task", ("right_answer_failed",)),
    Case("mcqa", "env", "always_on_one_task", ("wrong_answer_passed",)),
    Case("office", "env", "half_marks", ("same_transcript_different_reward",)),
    Case("mcqa", "env", "half_marks", FLAKY),
    Case("office", "env", "partial_state", (*UNSUPPORTED, "same_transcript_different_reward")),
    Case("mcqa", "env", "verifier_crashes", ("failed_verifier",)),
    Case("mcqa", "both", "knows_better/wrong_keys", ("never_pass_agreeing",), p=0.9),
    Case("mcqa", "env", "no_options", ("prompt_unlike_others", "truncated_prompt", "prompt_lacks_data")),
    Case("mcqa", "env", "swapped_prompts", ("contradictory_keys", "duplicate_tasks"), ("prompt_lacks_data",)),
    Case("mcqa", "env", "leak_option", ("answer_leak_prompt",)),
    Case("mcqa", "env", "leak_comment", ("answer_leak_prompt",)),
    Case("sums", "env", "leak_json", ("answer_leak_prompt",)),
    Case("sums", "env", "leak_said", ("answer_leak_prompt",)),
    Case("mcqa", "env", "unfilled_template", ("unfilled_prompt", "truncated_prompt"), ("prompt_lacks_data",)),
    Case("mcqa", "env", "mojibake", ("garbled_prompt",), ("prompt_lacks_data",)),
    Case("mcqa", "env", "head_cut", ("truncated_prompt", "prompt_unlike_others"), ("prompt_lacks_data",)),
    Case("sums", "env", "tail_cut", ("truncated_prompt", "prompt_lacks_data")),
    Case("office", "env", "tail_cut", ("truncated_prompt",)),
    Case("office", "env", "no_system", ("prompt_unlike_others", "truncated_prompt")),
    Case("mcqa", "env", "copied_tasks", ("duplicate_tasks",)),
    Case("sums", "env", "near_copies", ("duplicate_tasks",)),
    Case("office", "env", "tool_hangs", ("tool_outage",), ("failed_environment", "calls_not_in_ledger")),
    Case("office", "env", "tool_is_down", BROKEN),
    Case("office", "env", "error_as_text", (*BROKEN, "error_as_result"), ("same_call_different_result",)),
    Case("office", "env", "error_as_json", (*BROKEN, "error_as_result"), ("same_call_different_result",)),
    Case("office", "env", "html_page", (*BROKEN, "error_as_result"), ("same_call_different_result",)),
    Case("office", "env", "tool_says_nothing", (*BROKEN, "empty_results", "same_call_different_result")),
    Case("office", "env", "tool_says_null", (*BROKEN, "empty_results", "same_call_different_result")),
    Case("office", "env", "tool_is_cached", ("tool_says_one_thing",)),
    Case("office", "env", "tool_forbids", BROKEN),
    Case("office", "env", "tool_leaks", ("answer_leak_tool",)),
    Case("office", "harness", "hides_errors", ("error_not_shown",), p=0.5),
    Case("office", "harness", "softens_errors", ("error_not_shown",), p=0.5),
    Case("office", "harness", "cuts_results", ("result_not_shown",), ("error_not_shown",)),
    Case("office", "harness", "mixes_results", ("result_not_shown",), ("error_not_shown",)),
    Case("office", "harness", "drops_last_call", ("calls_not_in_ledger",)),
    Case("office", "harness", "swallows_calls", ("calls_not_in_ledger", "result_not_shown")),
    Case(
        "office",
        "harness",
        "calls_twice",
        ("calls_not_in_transcript",),
        ("result_not_shown", "same_transcript_different_reward"),
    ),
    Case("office", "harness", "bad_arguments", ("arguments",)),
    Case("office", "harness", "stuck", ("loop",)),
    Case("mcqa", "harness", "storm", ("failed_model",)),
    Case("mcqa", "harness", "cut", ("truncated",)),
    Case("mcqa", "harness", "says_nothing", ("says_nothing", "no_answer")),
    Case("mcqa", "harness", "refuses", ("refusal",)),
    Case("office", "harness", "refuses", ("refusal",)),
    Case("mcqa", "harness", "babble", ("babble",)),
    Case("mcqa", "harness", "always_a", ("one_answer", "stock_answer")),
    Case("mcqa", "harness", "same_every_time", ("repeats_identical",)),
    Case("office", "harness", "same_every_time", ("repeats_identical",)),
    Case("office", "harness", "weak_on_one_kind", ("category_regressed", "weak_category"), against=True, limit=58),
    Case("office", "harness", "weak_on_one_kind", ("weak_category",), limit=58),
    Case("office", "harness", "weak_on_long", ("weak_on_long_prompts", "weak_category"), limit=58, p=0.9),
    Case(
        "office",
        "harness",
        "gives_up_late",
        ("late_turns_fail", "regressed", "category_regressed"),
        against=True,
        limit=58,
        p=0.9,
    ),
    Case("mcqa", "harness", "worse_model", ("regressed",), against=True, p=1.0),
]
BLIND = [
    Case("mcqa", "env", "verifier_reads_anywhere", ("wrong_answer_passed", "wrong_answers_pass", *FLAKY)),
    Case("mcqa", "env", "judge_likes_it_long", ("wrong_answer_passed", *FLAKY)),
    Case("mcqa", "env", "one_worker_is_bad", FLAKY),
    Case("office", "env", "one_worker_is_bad", FLAKY),
    Case("sums", "env", "verifier_wants_json", ("right_answer_failed",)),
    Case("mcqa", "env", "torn_tasks", ("contradictory_keys",)),
    Case("mcqa", "env", "translated", ("prompt_unlike_others", "prompt_lacks_data")),
    Case("mcqa", "env", "emptied", ("empty_prompt",), ("prompt_lacks_data",)),
    Case("office", "harness", "sends_texts", ("arguments",)),
    Case("office", "harness", "renames_tools", ("unknown_tool",)),
    Case("office", "harness", "asks_again", ("calls_not_in_transcript",), p=0.5),
    Case("mcqa", "harness", "ends_early", ("ends_midway", "unread_answer")),
    Case("mcqa", "harness", "says_the_options", ("unread_answer", "stock_answer")),
    Case("office", "env", "wrong_record", ("same_call_different_result",)),
    Case("office", "env", "half_a_result", ("same_call_different_result",)),
    Case("office", "env", "rate_limited", ("error_as_result", "same_call_different_result", *BROKEN)),
    Case("mcqa", "both", "cut/wrong_keys", ("truncated",), ("never_pass_agreeing",)),
    Case("office", "both", "refuses/tool_is_down", BROKEN),
]
"""Written after the detectors had been mended on `CASES`."""
CLEAN = [
    Case(place, "", "", p=p, repeats=repeats, limit=limit)
    for place in ("mcqa", "sums", "office")
    for p, repeats, limit in (
        (0.0, 4, 24), (0.3, 4, 24), (0.5, 4, 24), (0.7, 4, 58), (0.9, 4, 24), (1.0, 4, 24), (0.7, 1, 58),
        (0.5, 16, 12), (0.7, 2, 24), (0.7, 4, 3),
    )
]  # fmt: skip


def play(case: Case, out: Path) -> Path:
    """Make the run."""
    if case.where == "both":
        harness, _, env = case.fault.partition("/")
    else:
        harness = env = case.fault
    command = [sys.executable, *"-m gym_mcp.cli.main eval run --concurrency 1 -m builtin/noisy-oracle?p=1".split()]
    command += ["-e", str(HERE / f"{case.place}.py"), "-H", str(HERE / "student.py"), "--out", str(out)]
    command += ["--repeats", str(case.repeats), "--limit", str(case.limit), "--set", f"harness_options.p={case.p}"]
    if case.where in ("env", "both"):
        command += ["--set", f"env.fault={env}"]
    if case.where in ("harness", "both"):
        command += ["--set", f"harness_options.fault={harness}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=HERE.parent.parent)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{case.name}: {done.stdout}{done.stderr}")
    return out


def alarms(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [f for f in found["findings"] if f["suspect"] or f["kind"] in ALARMS or f["kind"] in SHOWS]


SHOWS = {kind for case in (*CASES, *BLIND) for kind in case.expect}


@dataclass(frozen=True)
class Result:
    """What the findings of a case's run were."""

    case: str
    family: str
    found: list[str]
    """Kinds that name the fault."""
    other: list[str]
    """Suspects that do not."""
    shown: list[str]
    """What else would alarm a reader."""


def result(case: Case, family: str, run: Path, before: Path | None = None) -> Result:
    """Analyse a run."""
    seen = alarms(analyze(run, before))
    named = (*case.expect, *case.also)
    return Result(
        case.name,
        family,
        sorted({f["kind"] for f in seen if f["kind"] in case.expect}),
        sorted({f["id"] for f in seen if f["suspect"] and f["kind"] not in named}),
        sorted({f["id"] for f in seen if not f["suspect"] and f["kind"] not in case.expect}),
    )


def measure(work: Path, only: str = "") -> list[Result]:
    """All cases; a run that is in `work` already is not made again."""
    results = []
    for family, cases in (("known", CASES), ("later", BLIND), ("sound", CLEAN)):
        for number, case in enumerate(cases):
            if only not in case.name:
                continue
            out, before = work / f"{family}-{number}", work / f"{family}-{number}-before" if case.against else None
            if not out.exists():
                play(case, out)
            if before is not None and not before.exists():
                play(Case(case.place, "", "", p=case.p, repeats=case.repeats, limit=case.limit), before)
            results.append(result(case, family, out, before))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(arguments.keep or Path(folder), arguments.only)
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(r) for r in found], indent=2) + "\n")
        return 0
    for r in found:
        mark = "sound " if r.family == "sound" else "found " if r.found else "MISSED"
        other = f" | other: {', '.join(r.other)}" if r.other else ""
        shown = f" | shown: {', '.join(r.shown)}" if r.shown else ""
        sys.stdout.write(f"{mark} {r.case:48} {', '.join(r.found)}{other}{shown}\n")
    for family in ("known", "later"):
        own = [r for r in found if r.family == family]
        others = sum(len(r.other) for r in own)
        hits = sum(1 for r in own if r.found)
        sys.stdout.write(f"{family}: {hits} of {len(own)} found; {others} suspects that are something else\n")
    sound = [r for r in found if r.family == "sound"]
    sys.stdout.write(f"sound: {sum(len(r.other) for r in sound)} suspects in {len(sound)} runs\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

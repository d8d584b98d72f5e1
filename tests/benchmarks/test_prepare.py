"""Preparing a split: what is fetched, what is pinned, what is refused."""

from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.benchmarks import Prepared, load_benchmark, prepare, settings_of
from gym_mcp.benchmarks.cache import Cache
from gym_mcp.benchmarks.fetch import Fetcher, FetchError
from gym_mcp.benchmarks.rows import filled
from gym_mcp.errors import UsageError
from tests.benchmarks.conftest import REPO, ROWS, YAML
from tests.benchmarks.hub import COMMIT, NEXT_COMMIT, Hub

PATH = "data/test.jsonl"


def body(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def make(quiz: Path, split: str = "test") -> Prepared:
    with Fetcher(tries=2, backoff=0.01, timeout=5) as fetcher:
        return prepare(load_benchmark("quiz"), split, Cache(quiz.parents[2] / "cache"), fetcher)


def edit(quiz: Path, old: str, new: str) -> None:
    text = (quiz / "benchmark.yaml").read_text()
    assert old in text
    (quiz / "benchmark.yaml").write_text(text.replace(old, new))


def prepared_rows(done: Prepared) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.path.read_text().splitlines()]


def test_rows_are_mapped_and_stored(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    done = make(quiz)
    assert (done.rows, done.revision, done.unpinned) == (5, COMMIT, (PATH,))
    assert done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest()
    assert prepared_rows(done)[1] == {
        "id": "quiz-1",
        "prompt": "Is it 1?\nA) yes\nB) no\nGive the letter in \\boxed{}.",
        "data": {"options": {"A": "yes", "B": "no"}, "expected_answer": "B"},
    }


def test_what_is_there_is_not_fetched_again(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    first = make(quiz)
    count = len(hub.asked)
    assert make(quiz) == first
    assert len(hub.asked) == count


def test_the_first_commit_is_kept_to(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    first = make(quiz)
    hub.put(REPO, PATH, body(ROWS[:1]), commit=NEXT_COMMIT)
    for path in (quiz.parents[2] / "cache" / "files").rglob("*.jsonl"):
        path.unlink()
    assert make(quiz) == first
    assert f"/resolve/{COMMIT}/" in next(path for path, _ in reversed(hub.asked) if path.startswith("/datasets"))


def test_a_changed_file_at_the_same_place_is_refused(quiz: Path, hub: Hub) -> None:
    hub.names_commits = False
    hub.put(REPO, PATH, body(ROWS))
    make(quiz)
    stored = next((quiz.parents[2] / "cache" / "files").rglob("*.jsonl"))
    stored.unlink()
    hub.put(REPO, PATH, body(ROWS[:1]))
    with pytest.raises(FetchError, match=r"not \w{64} as .*locks/quiz\.json says: the file has changed"):
        make(quiz)
    assert not stored.exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    first = make(quiz)
    next((quiz.parents[2] / "cache" / "files").rglob("*.jsonl")).write_bytes(b"{}")
    assert make(quiz) == first


def test_a_checksum_of_the_yaml(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    sha = hashlib.sha256(body(ROWS)).hexdigest()
    edit(quiz, "{path: data/test.jsonl}", "{path: data/test.jsonl, sha256: " + sha + "}")
    assert make(quiz).unpinned == ()
    edit(quiz, sha, "a" * 64)
    with pytest.raises(FetchError, match=rf"sha256 is {sha}, not a{{64}} as benchmark\.yaml says"):
        make(quiz)


def test_a_pinned_revision(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    hub.put(REPO, PATH, body(ROWS[:2]), commit=NEXT_COMMIT)
    edit(quiz, "repo: someone/quiz\n", f"repo: someone/quiz\n    revision: {COMMIT}\n")
    assert make(quiz).rows == 5


def test_a_file_from_elsewhere(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    edit(quiz, "    repo: someone/quiz\n", "")
    edit(quiz, "{path: data/test.jsonl}", f"{{path: test.jsonl, url: '{hub.store}/store/{REPO}/{COMMIT}/{PATH}'}}")
    done = make(quiz)
    assert (done.rows, done.revision) == (5, None)


def test_several_files_come_from_one_commit(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, "a.jsonl", body(ROWS[:2]))
    hub.put(REPO, "b.jsonl", body(ROWS[2:]))
    edit(quiz, "[{path: data/test.jsonl}]", "[{path: a.jsonl}, {path: b.jsonl}]")
    assert make(quiz).rows == 5
    assert [path.split("/")[5] for path, _ in hub.asked if path.startswith("/datasets")] == ["main", COMMIT]


def test_where_and_the_number_of_rows(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    edit(quiz, "    files:", "    where: {answer: [1]}\n    rows: 2\n    files:")
    assert [row["id"] for row in prepared_rows(make(quiz))] == ["quiz-1", "quiz-3"]
    edit(quiz, "rows: 2", "rows: 3")
    with pytest.raises(UsageError, match="split test has 2 rows, not 3"):
        make(quiz)


def test_a_hook_changes_the_rows(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    (quiz / "prepare.py").write_text(
        "def rows(raw):\n    return [{**r, 'answer': 1 - r['answer']} for r in raw]\n"
    )
    assert [row["data"]["expected_answer"] for row in prepared_rows(make(quiz))] == list("BABAB")


def test_a_hook_reads_the_files_and_leaves_things(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    (quiz / "prepare.py").write_text(
        "import json\ndef read(files, folder):\n    (folder / 'extra').write_text('x')\n"
        "    return [json.loads(line) for line in files[0].read_text().splitlines()][:2]\n"
    )
    done = make(quiz)
    assert done.rows == 2
    assert (done.path.parent / "extra").read_text() == "x"


def test_the_environment_is_told_where_they_lie(quiz: Path) -> None:
    edit(quiz, "env: {grading_mode: strict_single_letter_boxed}", "env: {folder: '{prepared}/extra', n: 3}")
    folder = quiz.parents[2] / "cache" / "prepared" / "quiz"
    assert filled(load_benchmark("quiz").env, folder) == {"folder": f"{folder}/extra", "n": 3}
    assert settings_of("quiz", "smoke")["env"] == {"n": 3}


def test_a_branch_is_kept_to_the_commit_that_came_first(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    hub.branches["refs/convert/parquet"] = COMMIT
    edit(quiz, "repo: someone/quiz\n", "repo: someone/quiz\n    revision: refs/convert/parquet\n")
    first = make(quiz)
    assert first.revision == COMMIT and hub.asked[0][0].split("/")[5] == "refs%2Fconvert%2Fparquet"
    hub.put(REPO, PATH, body(ROWS[:1]), commit=NEXT_COMMIT)
    hub.branches["refs/convert/parquet"] = NEXT_COMMIT
    for path in (quiz.parents[2] / "cache" / "files").rglob("*.jsonl"):
        path.unlink()
    assert make(quiz) == first


def test_where_takes_ranges(quiz: Path, hub: Hub) -> None:
    days = ("2024-07-31", "2024-08-01", "2025-02-28", "2025-03-01")
    hub.put(REPO, PATH, body([{**ROWS[0], "day": day} for day in days]))
    edit(quiz, "    files:", "    where: {day: {from: '2024-08-01', before: '2025-03-01'}}\n    files:")
    assert [row["id"] for row in prepared_rows(make(quiz))] == ["quiz-1", "quiz-2"]


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        ("x = 1\n", r"prepare\.py: has neither `rows\(raw\)` nor `read\(files, folder\)`"),
        ("def read(files, folder):\n    raise OSError('torn')\n", r"prepare\.py: read\(\) raised OSError: torn"),
        ("def rows(raw):\n    raise KeyError('level')\n", r"prepare\.py: rows\(\) raised KeyError: 'level'"),
    ],
)
def test_a_broken_hook(quiz: Path, hub: Hub, hook: str, message: str) -> None:
    hub.put(REPO, PATH, body(ROWS))
    (quiz / "prepare.py").write_text(hook)
    with pytest.raises(UsageError, match=message):
        make(quiz)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "?"}, r"test\.jsonl:5: fields\.options: no field `choices`; there are question"),
        ({**ROWS[0], "answer": "x"}, r"test\.jsonl:5: fields\.expected_answer: step `letter` cannot take 'x'"),
        ({**ROWS[0], "choices": None}, r"test\.jsonl:5: fields\.options: step `letters`"),
    ],
)
def test_a_row_that_does_not_fit(quiz: Path, hub: Hub, row: dict[str, Any], message: str) -> None:
    hub.put(REPO, PATH, body([*ROWS, row]))
    with pytest.raises(UsageError, match=f"benchmark quiz: {message}"):
        make(quiz)


def test_rows_are_read_as_the_environment_reads_them(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    edit(quiz, "  expected_answer: {from: answer, do: [letter]}", "  expected_answer: answer")
    with pytest.raises(UsageError, match="benchmark quiz: row quiz-0: expected_answer: "):
        make(quiz)


def test_ids_are_unique(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    edit(quiz, "repeats: 2", "repeats: 2\nid: 'same-{answer}'")
    with pytest.raises(UsageError, match="id `same-0` is used twice"):
        make(quiz)


def test_two_at_a_time_are_refused(quiz: Path, hub: Hub) -> None:
    cache = quiz.parents[2] / "cache"
    cache.mkdir()
    with (cache / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="another process is preparing a dataset there"):
            make(quiz)


def test_settings_of_a_run(quiz: Path, hub: Hub) -> None:
    with pytest.raises(
        UsageError, match=r"split test is not prepared: `gym-mcp eval prepare quiz` .*`--split smoke`"
    ):
        settings_of("quiz")
    hub.put(REPO, PATH, body(ROWS))
    done = make(quiz)
    assert settings_of("quiz") == {
        "benchmark": "quiz",
        "environment": "mcqa",
        "split": "test",
        "input": done.path,
        "repeats": 2,
        "env": {"grading_mode": "strict_single_letter_boxed"},
        "sampling": {"temperature": 0.5},
    }
    assert settings_of("quiz", "smoke")["repeats"] == 1


def test_a_changed_benchmark_is_prepared_again(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    make(quiz)
    edit(quiz, "Give the letter", "State the letter")
    with pytest.raises(UsageError, match="was prepared from another version of the benchmark: `gym-mcp eval prep"):
        settings_of("quiz")
    count = len(hub.asked)
    make(quiz)
    assert settings_of("quiz")["split"] == "test"
    assert len(hub.asked) == count


def test_what_only_lists_show_may_change(quiz: Path, hub: Hub) -> None:
    hub.put(REPO, PATH, body(ROWS))
    make(quiz)
    edit(quiz, "description: A quiz.", "description: Another quiz.")
    assert settings_of("quiz")["split"] == "test"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("repeats: 2", "repeat: 2", r"benchmark\.yaml: no field `repeat`; did you mean `repeats`"),
        ("repeats: 2", "repeats: 0", r"benchmark\.yaml: repeats: "),
        ("    repo: someone/quiz\n", "", r"splits\.test: .*`repo` is missing"),
        ("do: [letters]", "do: [lettres]", r"fields\.options.*no step `lettres`"),
        ("  test:", "  smoke:", r"splits\.smoke: that name is kept"),
        (YAML, "- a", "a mapping of fields is expected"),
        (YAML, "a: [", r"benchmark\.yaml: while parsing"),
    ],
)
def test_a_benchmark_that_does_not_fit(quiz: Path, old: str, new: str, message: str) -> None:
    edit(quiz, old, new)
    with pytest.raises(UsageError, match=message):
        load_benchmark("quiz")


def test_no_such_split(quiz: Path) -> None:
    with pytest.raises(UsageError, match="benchmark quiz: no split `tset`; did you mean `test`"):
        settings_of("quiz", "tset")

"""Every benchmark of the repository: its smoke split, and a dataset of its form, are prepared and solved."""

from __future__ import annotations

import csv
import io
import json
import pickle
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from gym_mcp import hub as hubs
from gym_mcp.benchmarks import SMOKE, Benchmark, load_benchmark, prepare, settings_of
from gym_mcp.benchmarks.cache import Cache
from gym_mcp.benchmarks.fetch import Fetcher
from gym_mcp.benchmarks.formats import read_file
from gym_mcp.benchmarks.mapping import Value
from gym_mcp.benchmarks.spec import File, Split
from gym_mcp.datasets import load_tasks
from gym_mcp.hub import load_environment, load_module
from tests.benchmarks.hub import Hub
from tests.support import check_environment, run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2] / "benchmarks"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/benchmark.yaml"))
FETCHED = [name for name in NAMES if name not in ("birdbench", "reasoning_gym")]
WANTED = set(
    "aime24 aime25 aime26 math-500 gsm8k hendrycks_math hmmt_feb25 mmlu mmlu_pro mmlu-redux gpqa supergpqa ifeval "
    "livecodebench mbpp human_eval birdbench graphwalks mrcr reasoning_gym".split()
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("GYM_MCP_DATASETS", str(tmp_path / "cache"))
    return Cache(tmp_path / "cache")


def smoke(name: str) -> list[dict[str, Any]]:
    return [row for _, row in read_file(ROOT / name / "smoke.jsonl")]


def test_none_is_missing() -> None:
    assert set(NAMES) >= WANTED


@pytest.mark.parametrize("name", NAMES)
def test_the_smoke_split_is_solved(name: str) -> None:
    settings = settings_of(name, SMOKE)
    cls = load_environment(settings["environment"], settings.get("env"))
    tasks = list(load_tasks(cls, settings["input"]))
    assert 5 <= len(tasks) <= 10
    assert len({str(task.prompt) for task in tasks}) == len(tasks)
    assert run(check_environment, cls, tasks) == len(tasks)


@pytest.mark.parametrize("name", NAMES)
def test_what_lists_show(name: str) -> None:
    benchmark = load_benchmark(name)
    assert 20 <= len(benchmark.description) <= 110
    assert benchmark.homepage.startswith("https://")
    files = [file for split in benchmark.splits.values() for file in split.files]
    assert ("parquet" in benchmark.needs) == any(file.path.endswith(".parquet") for file in files)
    assert all(split.repo or file.url for split in benchmark.splits.values() for file in split.files)
    entry = next(e for e in hubs.entries("benchmark") if e.name == name)
    assert entry.summary == benchmark.description


def as_file(path: str, rows: list[dict[str, Any]]) -> bytes:
    """Rows in the format that a file's name says."""
    if path.endswith(".jsonl"):
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if path.endswith(".csv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def shortened(benchmark: Benchmark, name: str) -> Benchmark:
    """The benchmark without its number of rows, and with two files at most."""
    split = benchmark.splits[name]
    own = split.model_copy(update={"rows": None, "files": split.files[:2]})
    copy = benchmark.model_copy(update={"splits": {name: own}})
    copy._name, copy._folder = benchmark.name, benchmark.folder
    return copy


@pytest.mark.parametrize("name", FETCHED)
def test_a_dataset_of_its_form_is_prepared_and_solved(name: str, hub: Hub, cache: Cache) -> None:
    full = load_benchmark(name)
    assert full.default_split is not None
    benchmark = shortened(full, full.default_split)
    split = benchmark.splits[full.default_split]
    assert split.repo is not None
    rows = smoke(name)
    for number, file in enumerate(split.files):
        part = rows if len(split.files) == 1 else rows[:3] if number == 0 else rows[3:]
        hub.put(split.repo, file.path, as_file(file.path, part))
    hub.branches["refs/convert/parquet"] = hub.commits[split.repo]
    with Fetcher(tries=1) as fetcher:
        done = prepare(benchmark, full.default_split, cache, fetcher)
    assert done.rows == len(rows)
    cls = load_environment(benchmark.environment, benchmark.env)
    assert run(check_environment, cls, list(load_tasks(cls, done.path))) == len(rows)


def test_bird_unpacks_its_databases(hub: Hub, cache: Cache, tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE goods (name TEXT, price REAL, photo BLOB)")
    connection.executemany("INSERT INTO goods VALUES (?, ?, ?)", [("it's", 1.5, b"\x00"), ("b" * 300, None, None)])
    connection.commit()
    connection.close()
    question = {"question_id": 1, "db_id": "shop", "question": "Cheapest?", "evidence": "", "difficulty": "simple"}
    outer, inner = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as packed:
        packed.write(database, "dev_databases/shop/shop.sqlite")
        packed.writestr("dev_databases/../../../escape/escape.sqlite", b"")
        packed.writestr("__MACOSX/dev_databases/shop/._shop.sqlite", b"junk")
    with zipfile.ZipFile(outer, "w") as packed:
        packed.writestr("dev/dev.json", json.dumps([{**question, "SQL": "SELECT MIN(price) FROM goods"}]))
        packed.writestr("dev/dev_databases.zip", inner.getvalue())
    hub.put("x/y", "dev.zip", outer.getvalue())
    benchmark = load_benchmark("birdbench")
    url = f"{hub.store}/store/x/y/{hub.commits['x/y']}/dev.zip"
    own = Split(files=[File(path="dev.zip", url=url)])
    copy = benchmark.model_copy(update={"splits": {"dev": own}})
    copy._name, copy._folder = benchmark.name, benchmark.folder
    with Fetcher(tries=1) as fetcher:
        done = prepare(copy, "dev", cache, fetcher)
    folder = cache.folder("birdbench") / "databases"
    assert sorted(p.name for p in folder.rglob("*.sqlite")) == ["escape.sqlite", "shop.sqlite"]
    assert not (tmp_path / "escape").exists()
    row = json.loads(done.path.read_text())
    assert "INSERT INTO \"goods\" VALUES ('it''s', 1.5, '(binary)');" in row["prompt"]
    assert f"'{'b' * 100}', NULL, NULL" in row["prompt"]
    cls = load_environment("bird_sql", {"databases": str(folder)})
    assert run(check_environment, cls, list(load_tasks(cls, done.path))) == 1


def test_gpqa_mixes_its_options() -> None:
    rows = load_module(ROOT / "gpqa" / "prepare.py").rows
    raw = [{**smoke("gpqa")[0], "Record ID": f"r{i}", "Correct Answer": " right "} for i in range(40)]
    mixed = list(rows(raw))
    assert {row["answer"] for row in mixed} == {0, 1, 2, 3}
    assert all(row["choices"][row["answer"]] == "right" and len(row["choices"]) == 4 for row in mixed)
    assert mixed == list(rows(raw))


def test_hidden_tests_are_no_code() -> None:
    import base64
    import zlib

    hidden = load_module(ROOT / "livecodebench" / "prepare.py").hidden
    assert hidden('[{"input": "1"}]') == [{"input": "1"}]

    class Bomb:
        def __reduce__(self) -> Any:
            return print, ("boom",)

    packed = base64.b64encode(zlib.compress(pickle.dumps(Bomb()))).decode()
    with pytest.raises(pickle.UnpicklingError, match=r"hidden tests ask for builtins\.print"):
        hidden(packed)


def test_livecodebench_splits_by_date() -> None:
    from gym_mcp.benchmarks.rows import task_rows

    benchmark = load_benchmark("livecodebench")
    rows = [
        ("x", {**smoke("livecodebench")[0], "question_id": day, "contest_date": f"{day}T00:00:00"})
        for day in ("2024-07-31", "2024-08-01", "2025-02-28", "2025-03-01", "2025-05-31", "2025-06-01")
    ]
    ids = {
        name: [row["id"] for row in task_rows(benchmark, rows, split)] for name, split in benchmark.splits.items()
    }
    assert ids == {
        "v5": ["2024-08-01", "2025-02-28"],
        "v6": ["2024-08-01", "2025-02-28", "2025-03-01", "2025-05-31"],
    }


def test_a_box_in_the_solution_is_the_gold_answer() -> None:
    assert Value.model_validate({"from": "solution", "do": ["boxed"]}).of(smoke("hendrycks_math")[2]) == (
        "\\frac{1}{221}"
    )


def test_the_example_of_the_docs_is_the_file() -> None:
    text = (ROOT.parent / "docs" / "benchmarks.md").read_text()
    shown = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    file = yaml.safe_load((ROOT / "gsm8k" / "benchmark.yaml").read_text())
    assert shown == {key: file[key] for key in shown}

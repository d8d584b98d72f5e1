"""Text to SQL: bundled databases, published rows and rollouts, and queries that try something else."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.datasets import load_tasks, parse_task, read_rows
from gym_mcp.direct import DirectClient
from gym_mcp.environment import Environment
from gym_mcp.errors import UsageError, VerifierError
from gym_mcp.hub import load_environment
from gym_mcp.types import Reward, Transcript, assistant_message
from tests.support import SHARED, check_environment, run

DATA = SHARED / "data" / "nemo_gym" / "bird_sql"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs the published rows in ../shared")
STATIONS = {"db_id": "railway", "gt_sql": "SELECT name, tracks FROM stations"}
ONE = {"db_id": "railway", "gt_sql": "SELECT 1"}


def environment(**changes: Any) -> type[Environment[Any]]:
    return load_environment("bird_sql", changes)


async def _reward(cls: type[Environment[Any]], data: dict[str, Any], reply: str) -> Reward:
    async with DirectClient(cls) as client:
        task = parse_task(cls, {"id": "t", "prompt": "q", "data": data}, "row")
        episode = await client.open_episode(task, seed=0)
        return (await episode.verify(Transcript([assistant_message(reply)]))).reward


def score(data: dict[str, Any], query: str, **changes: Any) -> Reward:
    return asyncio.run(_reward(environment(**changes), data, f"So:\n```sql\n{query}\n```"))


def test_bundled_tasks() -> None:
    assert run(check_environment, environment()) == 13


def test_bundled_tasks_are_what_the_generator_writes() -> None:
    from tool_servers.bird_sql.generate_tasks import rows

    assert list(environment().tasks()) == rows()


def test_every_gold_query_finds_something() -> None:
    async def notes() -> list[str]:
        cls = environment()
        async with DirectClient(cls) as client:
            found = []
            for task in load_tasks(cls):
                episode = await client.open_episode(task, seed=0)
                reply = f"```sql\nSELECT * FROM ({task.data.gt_sql}) WHERE 0\n```"
                found.append((await episode.verify(Transcript([assistant_message(reply)]))).reward)
            return [reward.notes for reward in found if reward.score]

    assert asyncio.run(notes()) == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT name, tracks FROM stations ORDER BY 2 DESC", 1.0),
        ("SELECT name, tracks FROM stations UNION ALL SELECT name, tracks FROM stations", 1.0),
        ("SELECT tracks, name FROM stations", 0.0),
        ("SELECT name, tracks, code FROM stations", 0.0),
        ("SELECT name, tracks FROM stations LIMIT 3", 0.0),
        ("SELECT name FROM station", 0.0),
    ],
)
def test_rows_are_compared_as_sets(query: str, expected: float) -> None:
    reward = score(STATIONS, query)
    assert reward.score == expected
    assert reward.components == {"extracted": 1.0, "executed": float("station " not in query + " ")}


def test_options() -> None:
    assert score(STATIONS, "SELECT tracks, code, name FROM stations", equality="columns").score == 1.0
    commented = "SELECT name, -- why\ntracks FROM stations"
    assert score(STATIONS, commented).score == 0.0
    assert score(STATIONS, commented, comments="sql").score == 1.0
    with pytest.raises(UsageError, match="option databases"):
        environment(databases="/no/such/folder")


def test_no_query_is_no_answer_even_where_the_gold_is_one() -> None:
    assert asyncio.run(_reward(environment(), ONE, "I cannot.")).score == 0.0
    assert score(ONE, "SELECT 1").score == 1.0


def test_published_databases(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    connection = sqlite3.connect(tmp_path / "shop" / "shop.sqlite")
    connection.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (7);")
    connection.close()
    data = {"db_id": "shop", "gt_sql": "SELECT x FROM t"}
    assert score(data, "SELECT 7", databases=tmp_path).score == 1.0
    with pytest.raises(VerifierError, match="no database other below"):
        score({**data, "db_id": "other"}, "SELECT 7", databases=tmp_path)
    with pytest.raises(VerifierError, match=r"set env\.databases"):
        score(data, "SELECT 7")
    with pytest.raises(VerifierError, match="gold query fails: OperationalError"):
        score({**data, "gt_sql": "SELECT y FROM t"}, "SELECT 7", databases=tmp_path)


def test_rows_that_do_not_fit_are_refused() -> None:
    for data, message in (({"db_id": "x"}, "gt_sql: "), ({"db_id": "../x", "gt_sql": "SELECT 1"}, "db_id: ")):
        with pytest.raises(UsageError, match=rf"rows\.jsonl:7: {message}"):
            parse_task(environment(), {"id": "x", "data": data}, "rows.jsonl:7")


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
        "SELECT randomblob(999999999) FROM runs",
        "DROP TABLE stations",
        "UPDATE stations SET tracks = 0",
        "ATTACH '/etc/passwd' AS p",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT sql FROM sqlite_master; DELETE FROM stations",
        "VACUUM INTO '/tmp/copy.sqlite'",
        "PRAGMA query_only = 0",
    ],
)
def test_hostile_queries_get_nothing(query: str) -> None:
    started = time.monotonic()
    assert score(STATIONS, query, seconds=1).score == 0.0
    assert time.monotonic() - started < 8
    assert score(STATIONS, STATIONS["gt_sql"]).score == 1.0


@settings(max_examples=20, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_verify_never_raises(text: str) -> None:
    assert score(STATIONS, text).score == 0.0


@needs_data
def test_published_rows_are_solved() -> None:
    cls = environment()
    assert run(check_environment, cls, list(load_tasks(cls, DATA / "example.jsonl"))) == 5


@needs_data
def test_recorded_rollouts_get_their_recorded_reward() -> None:
    cls = environment()
    tasks = {task.prompt[-1]["content"]: task for task in load_tasks(cls, DATA / "example.jsonl")}

    async def rewards() -> list[tuple[float, float]]:
        out = []
        async with DirectClient(cls) as client:
            for recorded in read_rows(DATA / "example_rollouts.jsonl"):
                task = tasks[recorded["responses_create_params"]["input"][-1]["content"]]
                episode = await client.open_episode(task, seed=0)
                verdict = await episode.verify(Transcript(recorded["response"]["output"]))
                out.append((verdict.reward.score, recorded["reward"]))
        return out

    pairs = asyncio.run(rewards())
    assert len(pairs) == 5
    assert [mine for mine, _ in pairs] == [theirs for _, theirs in pairs]

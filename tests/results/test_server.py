"""The server over runs, driven by the official SDK's client over stdio and HTTP, in both eras of the protocol."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from gym_mcp.cli.main import main
from gym_mcp.diagnosis.scan import Scan, scan
from gym_mcp.results.server import ResultsApp, call
from gym_mcp.results.tools import Results
from gym_mcp.server.run import listening
from tests.diagnosis.runs import office_run
from tests.support import run as run_async

ERAS = ["legacy", "2026-07-28"]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return office_run(tmp_path_factory.mktemp("run") / "office")


@asynccontextmanager
async def over_stdio(office: Path, mode: Any) -> AsyncIterator[Client]:
    arguments = ["-m", "gym_mcp.cli.main", "results", "serve", str(office)]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments), mode=mode) as client:
        yield client


@asynccontextmanager
async def over_http(office: Path, mode: Any) -> AsyncIterator[Client]:
    app = ResultsApp(Results([office]), "secret")
    async with app.running(), listening(app) as origin, Client(f"{origin}/secret/mcp", mode=mode) as client:
        yield client


async def ask(client: Client, name: str, **arguments: Any) -> Any:
    with anyio.fail_after(60):
        found = await client.call_tool(name, arguments)
    text = found.content[0].text  # type: ignore[union-attr]
    assert not found.is_error, text
    return text if name == "read_rollout" else json.loads(text)


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("connect", [over_stdio, over_http])
def test_an_analysis_over_mcp(office: Path, connect: Any, mode: Any) -> None:
    async def talk() -> None:
        async with connect(office, mode) as client:
            runs = await ask(client, "list_runs")
            assert [r["name"] for r in runs] == ["office"]
            summary = await ask(client, "summary", run="office")
            assert summary["counts"]["scored"] == 80
            found = await ask(client, "find_rollouts", run="office", where="not passed", limit=2)
            assert found["count"] == 26 and len(found["rollouts"]) == 2
            failing = found["rollouts"][0]["rollout"]
            assert "I do not know." in await ask(client, "read_rollout", run="office", rollout=failing)
            passing = (await ask(client, "find_rollouts", run="office", where="passed"))["rollouts"][0]["rollout"]
            diff = await ask(client, "diff_rollouts", run="office", one=passing, other=failing)
            assert diff["rewards"] == [1.0, 0.0]
            again = await ask(client, "reverify", run="office", rollout=passing)
            assert (again["now"], again["divergences"]) == (1.0, [])
            true = "Of 80 rollouts, 54 passed [claim: rollouts() = 80] [claim: rollouts(passed) = 54]."
            assert (await ask(client, "check_claims", run="office", text=true))["problems"] == []
            false = true.replace("54 passed", "64 passed")
            assert (await ask(client, "check_claims", run="office", text=false))["problems"]
            prompt = await client.get_prompt("blade")
            assert "check_claims" in prompt.messages[0].content.text
            resource = (await client.list_resources()).resources[0]
            page = await client.read_resource(str(resource.uri))
            assert "Analysis of workplace_assistant" in page.contents[0].text

    run_async(talk)


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        ("summary", {"run": "../office"}, "no run `../office`; did you mean `office`?"),
        ("summary", {"run": "office", "against": "/etc"}, "no run `/etc`; known: office"),
        ("summary", {}, "Invalid arguments for summary: run: Field required"),
        ("read_rollout", {"run": "office", "rollout": "../../etc/passwd"}, "has no rollout `../../etc/passwd`"),
        ("read_rollout", {"run": "office", "rollout": "reply-to-last-1/2"}, "/reply-to-last-1/2`?"),
        ("find_rollouts", {"run": "office", "where": "__import__('os')"}, "a condition knows used("),
        ("query", {"run": "office", "query": "rollouts(nonsense)"}, "`nonsense` is no field"),
        ("nothing", {}, "no tool `nothing`; there are list_runs"),
    ],
)
def test_what_is_not_served_is_refused(office: Path, name: str, arguments: dict[str, Any], reason: str) -> None:
    async def talk() -> None:
        async with over_http(office, "2026-07-28") as client:
            with anyio.fail_after(60):
                found = await client.call_tool(name, arguments)
            assert found.is_error
            assert reason in found.content[0].text  # type: ignore[union-attr]

    run_async(talk)


def test_a_run_is_read_once_whatever_is_asked_at_once(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Scan:
        read.append(path)
        return scan(path)

    monkeypatch.setattr("gym_mcp.results.tools.scan", counted)

    async def talk() -> None:
        results = Results([office])
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for name in ("summary", "contrasts", "error_patterns") * 3:
                    tasks.start_soon(call, results, name, {"run": "office"})

    run_async(talk)
    assert read == [office]


def test_findings_of_the_earlier_run_and_against_it(office: Path, tmp_path: Path) -> None:
    better = office_run(tmp_path / "better", "builtin/oracle")

    async def talk() -> None:
        results = Results([office, better])
        for query, value in (
            ('before(finding("no_attempt"))', 26),
            ('finding("no_attempt")', 0),
            ('finding("improved") > 0', True),
        ):
            text, error = await call(results, "query", {"run": "better", "before": "office", "query": query})
            assert (json.loads(text)["value"], error) == (value, False)

    run_async(talk)


def test_a_wrong_key_finds_nothing(office: Path) -> None:
    async def knock() -> None:
        import httpx2

        app = ResultsApp(Results([office]), "secret")
        async with app.running(), listening(app) as origin, httpx2.AsyncClient() as client:
            assert (await client.post(f"{origin}/guess/mcp", json={})).status_code == 404

    run_async(knock)


@pytest.mark.parametrize("address", ["8770", "127.0.0.1:99999", "127.0.0.1:²"])
def test_an_address_that_is_none(office: Path, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["results", "serve", str(office), "--http", address]) == 2
    assert "expected HOST:PORT" in capsys.readouterr().err

"""`gym-mcp serve --workers`: workers and supervisor killed, stopped, changed; runs that go on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from gym_mcp.coordinator.run import start
from gym_mcp.errors import EpisodeGone
from gym_mcp.http import HTTPClient
from gym_mcp.types import JSONObject, Task, Transcript
from tests.coordinator.kit import config, read_lines
from tests.faults.process import (
    Folder,
    Process,
    begin,
    finish,
    gym,
    kill_group,
    read_until,
    refused,
    result,
    until,
)
from tests.faults.test_crew import DEADLY, children, gone, needs_proc, timeless
from tests.server.raw import MODERN, ask
from tests.support import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), needs_proc]
KEY = "k" * 40


@dataclass
class Served:
    """A server, what it said when it was ready, and its environment's operator planes."""

    process: Process
    told: JSONObject
    workers: list[str]

    @property
    def ports(self) -> list[int]:
        return [urlsplit(url).port or 0 for url in self.workers]

    @property
    def url(self) -> str:
        return self.workers[0].removesuffix("/operator/mcp")


@contextlib.contextmanager
def served(environment: Path, *flags: object, workers: int = 2) -> Iterator[Served]:
    flags = (environment, "--http", "127.0.0.1:0", "--workers", workers, "--json", *flags)
    process = begin("serve", *flags, GYM_MCP_OPERATOR_KEY=KEY)
    try:
        assert process.stdout is not None
        told = orjson.loads(process.stdout.readline())
        (endpoints,) = told["environments"].values()
        assert len(endpoints["workers"]) == workers and endpoints["workers"][0] == endpoints["operator_url"]
        yield Served(process, told, endpoints["workers"])
    finally:
        if process.poll() is None:
            kill_group(process)


def begin_run(folder: Folder, server: Served, model: str, *more: object) -> Process:
    flags = ("eval", "run", "-e", server.url, "-m", model, "--input", folder.input, "--out", folder.run)
    return begin(*flags, "--json", "-q", *more, GYM_MCP_OPERATOR_KEY=KEY)


def answers(port: int) -> bool:
    with (
        contextlib.suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as got,
    ):
        return bool(got.status == 200)
    return False


def test_a_killed_worker_costs_its_own_episodes_an_attempt_and_nothing_else(tmp_path: Path) -> None:
    folder, model = Folder(tmp_path, 100), "builtin/noisy-oracle?p=0.7"
    made = config(DEADLY, model, input=folder.input, repeats=2)
    assert run(lambda: start(made, tmp_path / "alone")).metrics["scored"] == 200
    expected = read_lines(tmp_path / "alone" / "rollouts.jsonl")
    with served(DEADLY, "--set", "env.seconds=0.2") as server:
        more = ("--repeats", 2, "--concurrency", 24, "--set", "max_attempts=5")
        process = begin_run(folder, server, model, *more)
        for lines in (20, 80):
            until(lambda lines=lines: folder.lines() >= lines, "rollouts")  # type: ignore[misc]
            until(lambda: all(map(answers, server.ports)), "both workers")
            victim = children(server.process)[-1]
            os.kill(victim, signal.SIGKILL)
            told = read_until(server.process, "the next one starts in")
            assert f"process {victim} died (SIGKILL), its episodes are lost" in told
        metrics = result(finish(process))
    assert (metrics["scored"], metrics["failed"]) == (200, {})
    rows = folder.check(100, 2)
    again = [row for row in rows if row["attempts"] > 1]
    assert 2 <= len(again) <= 48, "those of the dead, and no others"
    assert {e["kind"] for row in again for e in row["earlier_failures"]} == {"environment"}
    for found, known in zip(sorted(rows, key=place_of), sorted(expected, key=place_of), strict=True):
        for row in (found, known):
            row.update(attempts=1, run_id="")
            row.pop("earlier_failures", None)
        assert timeless(found) == timeless(known)


def place_of(row: JSONObject) -> tuple[int, int]:
    return row["task_index"], row["repeat"]


def free(ports: list[int]) -> bool:
    """Whether others can listen there now."""
    for port in ports:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                return False
    return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_and_ports_end_with_the_server(number: signal.Signals) -> None:
    with served(DEADLY) as server:
        workers = children(server.process)
        assert len(workers) == 2 and not free(server.ports)
        for pid in workers:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert KEY.encode() not in command
        os.kill(server.process.pid, number)
        done = finish(server.process, 20)
        assert done.returncode == (-9 if number == signal.SIGKILL else 0), done.stderr
        until(lambda: gone(workers)() and free(server.ports), "the end of all", 10)
        assert "died" not in done.stderr and "Traceback" not in done.stderr


def test_a_server_that_cannot_be_started_says_so_in_one_line(tmp_path: Path) -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        flags = ("serve", DEADLY, "--http", f"127.0.0.1:{port - 1}", "--workers", 2)
        refused(
            gym(*flags, GYM_MCP_OPERATOR_KEY=KEY), f"cannot listen on 127.0.0.1:{port}: Address already in use"
        )
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "prompt": 3}\n')
    more = ("--input", rows, "--http", "127.0.0.1:0", "--workers", 2)
    done = gym("serve", DEADLY, *more, GYM_MCP_OPERATOR_KEY=KEY)
    refused(done, f"{rows}:1: prompt")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_worker_with_other_code_is_not_let_in(tmp_path: Path) -> None:
    file = tmp_path / "deadly.py"
    text = DEADLY.read_text()
    file.write_text(text)

    async def count() -> Counter[int]:
        async with HTTPClient(server.url, KEY) as client:
            await client.describe()
            opened = [await client.open_episode(Task(f"t{i}"), seed=i) for i in range(6)]
            return Counter(urlsplit(episode.agent.url or "").port or 0 for episode in opened)

    with served(file) as server:
        assert run(count) == {port: 3 for port in server.ports}
        file.write_text(text.replace("self.stepped += 1", "self.stepped += 2"))
        second = children(server.process)[1]
        os.kill(second, signal.SIGKILL)
        told = read_until(server.process, "restart the server")
        assert re.search(
            r"worker 1: environment deadly changed since the server was started \(environment \w+ -> ", told
        )
        until(lambda: not answers(server.ports[1]), "a refusal")
        assert run(count) == {server.ports[0]: 6}, "the other one goes on"
        file.write_text(text)
        until(lambda: answers(server.ports[1]), "the worker, with the code that the others have", 20)
        assert run(count) == {port: 3 for port in server.ports}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """One server for tests that leave it as it was, and its record of calls."""
    record = tmp_path_factory.mktemp("shared") / "calls.jsonl"
    with served(DEADLY, "--record", record, "--max-episodes", 8, "--set", "env.seconds=0.02") as server:
        yield server, record


def test_each_worker_guards_its_own_planes(shared: tuple[Served, Path]) -> None:
    server, record = shared

    async def main() -> None:
        client = HTTPClient(server.url, KEY)
        async with client:
            about = await client.describe()
            assert list(about.workers) == server.workers and not about.unreached
            episodes = [await client.open_episode(Task(f"t{i}"), seed=i, key=f"r/{i}") for i in range(4)]
            await asyncio.gather(*(episode.agent.call("step", {}) for episode in episodes))
            for episode in episodes:
                url = episode.agent.url or ""
                port = urlsplit(url).port or 0
                other = next(p for p in server.ports if p != port)
                assert (await ask(url, MODERN, "tools/list")).status == 200
                there = await ask(url.replace(str(port), str(other), 1), MODERN, "tools/list")
                assert (there.status, there.body) == (404, b"Not Found"), "an episode is in one worker"
            for plane in server.workers:
                for key in ("", f"Bearer {KEY}x", f"Basic {KEY}"):
                    reply = await ask(plane, MODERN, "tools/call", {"name": "describe"}, Authorization=key)
                    assert (reply.status, reply.body) == (404, b"Not Found")
            with pytest.raises(EpisodeGone):  # not found where it never was
                await client._operate(client._workers._all[0].address, "episode_state", {"episode": "x"}, True)
            verdicts = [await episode.verify(Transcript()) for episode in episodes]
            assert [v.reward.score for v in verdicts] == [1.0] * 4
            assert [worker.live for worker in client._workers._all] == [0, 0]

    run(main)
    lines: list[Any] = [orjson.loads(line) for line in record.read_bytes().splitlines()]
    assert len(lines) == 4 and len({line["episode"] for line in lines}) == 4


def test_a_full_server_costs_no_attempt(tmp_path: Path, shared: tuple[Served, Path]) -> None:
    server, folder = shared[0], Folder(tmp_path, 20)

    async def main() -> None:
        """Another run has seven of the eight seats, then leaves."""
        async with HTTPClient(server.url, KEY) as client:
            await client.describe()
            held = [await client.open_episode(Task("t"), seed=i) for i in range(7)]
            process = begin_run(folder, server, "builtin/oracle", "--workers", 2)
            until(lambda: folder.lines() >= 8, "rollouts in turn")
            for episode in held:
                await episode.close()
            assert result(finish(process))["scored"] == 20

    run(main)
    rows = folder.check(20)
    assert {row["attempts"] for row in rows} == {1}
    assert sum("waited_seconds" in row["timing"] for row in rows) >= 7


def test_ports_that_are_forwarded(shared: tuple[Served, Path]) -> None:
    """Through another host name all workers are found; where only one port is forwarded, that one serves."""

    async def through(server: Served, back: bool) -> tuple[int, int]:
        async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await reader.read(65_536):
                    writer.write(data)
            writer.close()
            await writer.wait_closed()

        forwarding = set[asyncio.Task[Any] | None]()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            forwarding.add(asyncio.current_task())
            there = await asyncio.open_connection("127.0.0.1", server.ports[0])
            await asyncio.gather(pipe(reader, there[1]), pipe(there[0], writer))

        listener = await asyncio.start_server(forward, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        try:
            client = HTTPClient(f"http://localhost:{port if back else server.ports[0]}/deadly", KEY)
            async with client:
                about = await client.describe()
                episodes = [await client.open_episode(Task("t"), seed=i) for i in range(4)]
                assert all("//localhost:" in (e.agent.url or "") for e in episodes)
                for episode in episodes:
                    await episode.agent.call("step", {})
                    assert (await episode.verify(Transcript())).reward.score == 1.0
                return len(client._workers), len(about.unreached)
        finally:
            listener.close()
            async with asyncio.timeout(10):
                await asyncio.gather(*filter(None, forwarding))

    assert run(through, shared[0], False) == (2, 0)
    assert run(through, shared[0], True) == (1, 1), "its port is not of the row that the server tells"

"""The control socket: what it can do, what it refuses, and that no client can disturb the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import tempfile
from pathlib import Path

import orjson
import pytest

from gym_mcp.coordinator.events import Controlled, Notice
from gym_mcp.observe import control
from gym_mcp.observe.control import NotRunning, ask
from gym_mcp.observe.place import LONGEST, bind, known_runs, socket_of
from gym_mcp.types import JSONObject
from tests.observe.kit import Running, running, until
from tests.support import run


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="rt"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def test_a_paused_run_starts_nothing_and_finishes_what_it_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, concurrency=2) as r:
            await until(lambda: r.bench.endpoint.in_flight == 2)
            assert (await r.ask("pause"))["done"].startswith("paused: no new rollouts start; 2 in flight")
            assert (await r.ask("pause"))["done"] == "paused already"
            r.gate.open()
            await until(lambda: r.coordinator.in_flight == 0)
            await asyncio.sleep(0.1)
            status = await r.status()
            assert (status["state"], status["done"], status["in_flight"]) == ("paused", 2, 0)
            assert (await r.ask("resume"))["done"] == "resumed"
            assert (await r.ended()).complete
            assert [row["outcome"] for row in r.rows()] == ["scored"] * 6
            assert [entry["do"] for entry in r.journalled()] == ["pause", "resume"]
            assert [e.do for e in r.events if isinstance(e, Controlled)] == ["pause", "resume"]

    run(scenario)


def test_a_paused_run_can_be_cancelled_and_resumed_later(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, concurrency=2) as r:
            await until(lambda: r.bench.endpoint.in_flight == 2)
            await r.ask("pause")
            assert (await r.ask("cancel"))["done"] == "cancelled: no new rollouts start, 2 are being finished"
            assert "already" in (await r.ask("cancel"))["done"]
            assert "ending" in (await r.ask("pause"))["error"]
            assert not (await r.ended()).complete
            assert len(r.rows()) == 2

    run(scenario)


def test_cancelled_now_gives_up_what_is_in_flight(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, concurrency=2) as r:
            await until(lambda: r.bench.endpoint.in_flight == 2)
            assert "2 rollouts are given up" in (await r.ask("cancel", now=True))["done"]
            async with asyncio.timeout(10):
                outcome = await r.task
            assert not outcome.complete and r.rows() == []

    run(scenario)


def test_concurrency_and_the_model_limit_change_while_it_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, tasks=12, concurrency=2) as r:
            await until(lambda: r.bench.endpoint.in_flight == 2)
            assert (await r.ask("set", concurrency=5))["done"] == "concurrency 2 -> 5"
            limiter = r.coordinator.arm.model.limiter  # type: ignore[attr-defined]
            await until(lambda: r.coordinator.in_flight == 5)
            assert limiter.maximum == 5  # it follows, until it is set by hand
            assert (await r.ask("set", model_limit=3))["done"] == "at most 3 model calls at a time"
            assert (await r.ask("set", concurrency=1))["done"] == "concurrency 5 -> 1"
            assert limiter.maximum == 3
            peak = r.bench.endpoint.peak
            r.gate.open()
            await until(lambda: len(r.coordinator.arm.stages.active) <= 1)
            assert peak <= 5 and (await r.ended()).complete
            assert len(r.rows()) == 12
            assert [(e["value"], e["before"]) for e in r.journalled()] == [(5, 2), (3, 5), (1, 5)]

    run(scenario)


REFUSED = (
    ({"do": "set", "turns": 5}, "decides results"),
    ({"do": "set", "seconds": 5}, "decides results"),
    ({"do": "set", "temperature": 1}, "decides results"),
    ({"do": "set", "concurency": 5}, "did you mean `concurrency`"),
    ({"do": "set", "concurrency": 0}, "whole number from 1"),
    ({"do": "set", "concurrency": True}, "whole number from 1"),
    ({"do": "set", "concurrency": 10**9}, "whole number from 1"),
    ({"do": "set", "concurrency": 2.5}, "whole number from 1"),
    ({"do": "set", "concurrency": 1, "model_limit": 1}, "one of"),
    ({"do": "set"}, "one of"),
    ({"do": "cancel", "now": "yes"}, "true or false"),
    ({"do": "paus"}, "did you mean `pause`"),
    ({"do": 3}, "a request is an object"),
)


def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as r:
            for request, told in REFUSED:
                answer = await asyncio.to_thread(ask, r.bench.run_dir, request)
                assert told in answer["error"] and "\n" not in answer["error"], answer
            assert (await r.ended()).complete
            assert not (r.bench.run_dir / "events.jsonl").exists()

    run(scenario)


def test_a_model_without_endpoint_has_no_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as r:
            del r.coordinator.arm.model.limiter  # type: ignore[attr-defined]
            assert "calls no endpoint" in (await r.ask("set", model_limit=3))["error"]

    run(scenario)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _hostile(r: Running) -> None:
    path = str(socket_of(r.bench.run_dir))
    garbage = (b"\n", b"\xff\xfe\n", b"[]\n", b'"status"\n', b"{" * 9_000 + b"\n", b"null\n", b'{"do": null}\n')
    for line in garbage:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        assert "error" in orjson.loads(await reader.readline()), line
        writer.write(b'{"do": "sta')  # and dies in the middle
        await closed(writer)
    reader, writer = await asyncio.open_unix_connection(path)
    with pytest.raises(OSError):  # a line without an end: cut off after some kilobytes
        for _ in range(1_000):
            writer.write(b"x" * (1 << 20))
            await writer.drain()
    await closed(writer)
    many = [await asyncio.open_unix_connection(path) for _ in range(3 * control.CONNECTIONS)]
    reads = [asyncio.create_task(reader.read()) for reader, _ in many]
    refused: set[asyncio.Task[bytes]] = set()
    while len(refused) < len(many) - control.CONNECTIONS:  # the others are kept
        done, _ = await asyncio.wait(set(reads) - refused, return_when=asyncio.FIRST_COMPLETED)
        refused |= done
    for _, writer in many:
        await closed(writer)
    await asyncio.gather(*reads, return_exceptions=True)


def test_no_client_disturbs_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SLOW", 0.3)

    async def scenario() -> None:
        async with running(tmp_path) as r:
            async with asyncio.timeout(20):
                await _hostile(r)
            # A reader that takes nothing: its answers pile up to the socket's buffer, then it is dropped.
            with socket.socket(socket.AF_UNIX) as slow:
                slow.setblocking(False)
                slow.connect(str(socket_of(r.bench.run_dir)))
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                slow.send(b'{"do": "status"}\n' * 400)
                assert (await r.status())["state"] == "running"
            outcome = await r.ended()
            assert outcome.complete and len(r.rows()) == 6
            assert r.coordinator.lags.greatest < 2.0

    run(scenario)


def test_the_socket_is_its_owners_and_goes_with_the_run(tmp_path: Path, runtime: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as r:
            mode = (r.bench.run_dir / "control.sock").stat().st_mode
            assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
            assert r.bench.run_dir.resolve() in known_runs(tmp_path / "nothing")
            assert (await r.ended()).complete
            assert {p.name for p in r.bench.run_dir.iterdir()} == FILES
            assert list((runtime / "gym-mcp").iterdir()) == []
            with pytest.raises(NotRunning) as found:
                ask(r.bench.run_dir, {"do": "status"})
            assert found.value.gone

    run(scenario)


FILES = {".lock", "manifest.json", "tasks.jsonl", "rollouts.jsonl", "metrics.json"}


def test_a_long_path_has_its_socket_elsewhere_and_says_where(tmp_path: Path, runtime: Path) -> None:
    folder = tmp_path / ("a" * LONGEST)

    async def scenario() -> None:
        async with running(folder) as r:
            place = r.bench.run_dir / "control.sock"
            assert place.is_symlink() and socket_of(r.bench.run_dir).parent == runtime / "gym-mcp"
            assert (await r.status())["run_dir"] == str(r.bench.run_dir)
            assert (await r.ended()).complete
            assert not place.is_symlink() and list((runtime / "gym-mcp").iterdir()) == []

    run(scenario)


def test_a_run_goes_on_where_no_socket_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_to_all = Path(tempfile.mkdtemp(prefix="rt"))
    (open_to_all / "gym-mcp").mkdir(mode=0o777)
    os.chmod(open_to_all / "gym-mcp", 0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(open_to_all))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/nonexistent")

    async def scenario() -> None:
        async with running(tmp_path / ("a" * LONGEST), with_socket=False) as r:
            assert (await r.ended()).complete
            notices = [event.text for event in r.events if isinstance(event, Notice)]
            assert len(notices) == 1 and notices[0].startswith("no control socket")

    run(scenario)


def test_what_answers_but_is_no_run_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        for said in (b"hello\n", b"[1]\n", b"{}\n", b""):

            async def answer(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = said
            ) -> None:
                await reader.readline()
                writer.write(said)
                await closed(writer)

            path = tmp_path / "control.sock"
            async with await asyncio.start_unix_server(answer, str(path)):
                with pytest.raises(NotRunning, match=r"no run|before it answered"):
                    await asyncio.to_thread(ask, tmp_path, {"do": "status"})
            path.unlink(missing_ok=True)

    run(scenario)


def test_a_socket_that_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    left, files = bind(tmp_path)
    left.close()
    with pytest.raises(NotRunning):
        ask(tmp_path, {"do": "status"})
    again, _ = bind(tmp_path)
    with again, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(files[0]))


def test_a_status_is_small_however_much_is_in_flight(tmp_path: Path) -> None:
    async def scenario() -> JSONObject:
        async with running(tmp_path, tasks=300, concurrency=300) as r:
            await until(lambda: r.coordinator.in_flight == 300)
            return await r.status()

    status = run(scenario)
    assert status["stages"]["limit"] > 200 and len(orjson.dumps(status)) < 8_192

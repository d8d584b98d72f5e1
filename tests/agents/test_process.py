"""The warden: what a program gets, what is kept of it, and that nothing of it is left, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gym_mcp.agents import containment
from gym_mcp.agents.containment import jail_of
from gym_mcp.agents.package import Installed
from gym_mcp.agents.place import Place, new_place
from gym_mcp.agents.process import MAX_LINE, TAIL, Ended, Program, namespaces_permitted, run_program
from gym_mcp.errors import HarnessError
from tests.agents.kit import processes_with
from tests.support import missing, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="wardens are Linux's"),
]
SH = Path("/bin/sh")


@pytest.fixture
def place() -> Iterator[Place]:
    with new_place() as made:
        yield made


@pytest.fixture(params=["bare", "contained"])
def contained(request: pytest.FixtureRequest) -> bool:
    if request.param == "contained" and not run(namespaces_permitted):
        missing("namespaces are not permitted here")
    return bool(request.param == "contained")


def program(place: Place, script: str, *, contained: bool = False, **env: str) -> Program:
    jail = jail_of(place, Installed(SH, "1", ()), []) if contained else None
    if jail is not None and jail.uid is not None:
        place.give_to(jail.uid)
    return Program([str(SH), "-c", script], {**place.environment(SH), **env}, place.work, place.stdin, jail)


def left(place: Place) -> list[int]:
    """Processes that live in `place`."""
    return processes_with(str(place.root))


def play(place: Place, script: str, *, contained: bool = False, stdin: str = "") -> tuple[Ended, list[str]]:
    place.write(place.stdin, stdin)
    lines: list[str] = []
    ended = run(
        lambda: run_program(program(place, script, contained=contained), lambda b: lines.append(b.decode()))
    )
    return ended, lines


def test_output_exit_code_and_stdin(place: Place, contained: bool) -> None:
    ended, lines = play(place, "cat; pwd; echo oops >&2; exit 3", contained=contained, stdin="one\ntwo\n")
    assert (ended.exit_code, ended.stderr, lines) == (3, "oops\n", ["one", "two", str(place.work)])
    assert ended.peak_kib > 0 and ended.seconds > 0


def test_a_signal_is_told_as_one(place: Place, contained: bool) -> None:
    assert play(place, "kill -9 $$", contained=contained)[0].exit_code == -9


def test_the_environment_is_clean(place: Place, contained: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-users-own")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    _, lines = play(place, "env", contained=contained)
    env = dict(line.partition("=")[::2] for line in lines)
    assert env["HOME"] == str(place.home) and env["TMPDIR"].startswith(str(place.root))
    assert "sk-users-own" not in str(env) and "HTTPS_PROXY" not in env and "XDG_CONFIG_HOME" in env


def test_where_memory_gives_out_it_is_ended_before_the_run(place: Place, contained: bool) -> None:
    assert play(place, "cat /proc/self/oom_score_adj", contained=contained)[1] == ["800"]


def test_a_program_that_is_not_there(place: Place) -> None:
    place.write(place.stdin, "")
    absent = Program(["/no/such/program"], {}, place.work, place.stdin)
    ended = run(lambda: run_program(absent, print))
    assert ended.exit_code == 125 and "/no/such/program" in ended.stderr


def test_output_is_bounded(place: Place) -> None:
    long = f"head -c {MAX_LINE + 5} /dev/zero | tr '\\0' x; echo; echo short"
    script = f"{long}; head -c 300000 /dev/zero | tr '\\0' e >&2"
    ended, lines = play(place, script)
    assert lines == ["short"] and len(ended.stderr) == TAIL
    assert play(place, "printf 'no newline'")[1] == ["no newline"]


DAEMON = "(setsid sh -c 'trap \"\" TERM HUP; sleep 1000' >/dev/null 2>&1 &) ; "


def test_daemons_end_with_the_program(place: Place, contained: bool) -> None:
    ended, _ = play(place, DAEMON + "exit 0", contained=contained)
    assert ended.exit_code == 0 and left(place) == []


def test_children_that_hold_stdout_do_not_keep_it_open(place: Place) -> None:
    begun = time.monotonic()
    ended, lines = play(place, "echo hello; sleep 1000 & exit 0")
    assert (ended.exit_code, lines) == (0, ["hello"]) and time.monotonic() - begun < 20


async def _started(place: Place, script: str, contained: bool) -> asyncio.Task[Ended]:
    place.write(place.stdin, "")
    up = asyncio.Event()
    task = asyncio.create_task(run_program(program(place, script, contained=contained), lambda line: up.set()))
    await asyncio.wait([task, asyncio.ensure_future(up.wait())], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert up.is_set()
    return task


def test_cancelled_it_ends_everything_even_what_will_not(place: Place, contained: bool) -> None:
    async def main() -> None:
        task = await _started(place, DAEMON + "trap '' TERM; echo up; sleep 1000; sleep 1000", contained)
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert task.cancelled() and left(place) == []

    run(main)


def test_a_program_that_is_asked_to_end_may_say_goodbye(place: Place, contained: bool) -> None:
    async def main() -> None:
        told = place.work / "told"
        task = await _started(place, f"trap 'touch {told}; exit 0' TERM; echo up; sleep 1000 & wait", contained)
        task.cancel()
        await asyncio.wait([task], timeout=20)
        assert told.exists() and left(place) == []

    run(main)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_warden_leaves_nothing(place: Place, contained: bool, number: int) -> None:
    async def main() -> None:
        task = await _started(place, DAEMON + "trap '' TERM; echo up; sleep 1000; sleep 1000", contained)
        os.kill(_warden(), number)
        async with asyncio.timeout(20):
            ended = await task
        assert ended.exit_code is None if number == signal.SIGKILL else ended.exit_code != 0
        while left(place):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)

    run(main)


def _warden() -> int:
    """The child of this process that holds the program."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    (found,) = [int(c) for c in children if b"warden" in Path(f"/proc/{c}/cmdline").read_bytes()]
    return found


def test_a_killed_coordinator_leaves_nothing(place: Place, contained: bool) -> None:
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nimport tests.agents.test_process as t\n"
        "from gym_mcp.agents.place import Place\nfrom gym_mcp.agents.process import run_program\n"
        f"place = Place(Path({str(place.root)!r})); place.write(place.stdin, '')\n"
        f"p = t.program(place, t.DAEMON + 'echo up; sleep 1000', contained={contained})\n"
        "asyncio.run(run_program(p, lambda line: print(line.decode(), flush=True)))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None and process.stdout.readline() == b"up\n"
    assert left(place)
    process.kill()
    process.wait(20)
    process.stdout.close()
    end = time.monotonic() + 20
    while left(place) and time.monotonic() < end:
        time.sleep(0.01)
    assert left(place) == []


@pytest.mark.parametrize("another_user", [True, False])
def test_a_contained_program_has_no_privileges(
    place: Place, another_user: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it stays root, because there is no other user to become."""
    if not run(namespaces_permitted):
        missing("namespaces are not permitted here")
    if not another_user:
        monkeypatch.setattr(containment, "_another_user", lambda place: None)
    _, lines = play(place, "grep ^Cap /proc/self/status", contained=True)
    assert len(lines) == 5 and not any(int(line.split()[1], 16) for line in lines), lines


def test_a_jail_that_cannot_be_built_is_said(place: Place) -> None:
    if not run(namespaces_permitted):
        missing("namespaces are not permitted here")
    place.write(place.stdin, "")
    jailed = program(place, "true", contained=True)
    assert jailed.jail is not None
    (place.root / "root").rmdir()
    with pytest.raises(HarnessError, match="containment failed"):
        run(lambda: run_program(jailed, print))


@pytest.mark.timeout(20)
def test_what_an_agent_put_in_the_place_of_a_file_is_not_read(place: Place, tmp_path: Path) -> None:
    file, secret = place.shown / "told.json", tmp_path / "answers"
    secret.write_text("42")
    assert place.read(file) == b""
    file.symlink_to(secret)
    assert place.read(file) == b""
    file.unlink()
    os.mkfifo(file)
    assert place.read(file) == b"", "nobody ever writes to it"
    file.unlink()
    file.mkdir()
    assert place.read(file) == b""
    file.rmdir()
    file.write_bytes(b"mine")
    assert place.read(file) == b"mine"


def test_places_are_removed() -> None:
    with new_place() as made:
        assert made.work.is_dir() and made.root.stat().st_mode & 0o077 == 0
        secret = made.write(made.home / "key", "sk")
        assert secret.stat().st_mode & 0o777 == 0o600
    assert not made.root.exists()

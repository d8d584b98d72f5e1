"""`gym-mcp connect`, `next`, `disconnect`: the life of a background server, its crashes included."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mcp import Client, StdioServerParameters

from gym_mcp.connect.clients import CLIENTS, SEAT_VARIABLE
from tests.cli.support import COMMAND
from tests.connect.commands import User, user
from tests.connect.test_plane import said
from tests.server.raw import MODERN, ask, eventually
from tests.support import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # each starts many processes


@pytest.fixture
def person(tmp_path: Path) -> Iterator[User]:
    with user(tmp_path) as found:
        yield found


async def solve(url: str, amount: int, mode: str = "auto") -> str:
    """Play one episode with the SDK's client; what `submit` said."""
    async with Client(url, mode=mode) as client:
        await said(client, "add", amount=amount)
        return (await said(client, "submit"))[0]


def test_connect_play_next_disconnect(person: User) -> None:
    about = person.connect("claude")
    assert (about["task"], about["over"], about["rollouts"]) == ("t1", False, 0)
    assert "Score: 1 " in run(solve, about["url"], 1)
    assert "all" not in person.run("next").stdout
    assert "Score: 0 " in run(solve, about["url"], 5, "legacy")
    again = person.connect("claude")
    assert (again["url"], again["task"], again["run"]) == (about["url"], "t3", about["run"])
    stopped = person.run("disconnect").stdout
    assert "counter.py: stopped; cancelled: t3" in stopped and about["run"] in stopped
    rows = person.rows(about["run"])
    assert [(r["task_id"], r["outcome"], r["reward"]) for r in rows] == [
        ("t1", "scored", 1.0),
        ("t2", "scored", 0.0),
        ("t3", "failed", None),
    ]
    assert {(r["harness"], r["model"]) for r in rows} == {("connect:claude", "unknown")}
    shown = person.run("eval", "show", about["run"]).stdout
    assert "2 / 1 / 3" in shown and "connect:claude" in shown
    assert person.run("connect", "--list").stdout.strip() == "no seats"
    assert person.connect("claude")["url"] != about["url"], "the old URL is a credential still"


def test_a_killed_server_loses_nothing_and_keeps_its_url(person: User) -> None:
    about = person.connect("claude")
    run(solve, about["url"], 1)
    person.run("next")
    os.kill(person.pid(), signal.SIGKILL)
    again = person.connect("claude")
    assert again["url"] == about["url"] and again["run"] == about["run"]
    assert again["task"] == "t2", "the task that was lost is the one to do again"
    assert [(r["task_id"], r["outcome"]) for r in person.rows(about["run"])] == [
        ("t1", "scored"),
        ("t2", "failed"),
    ]
    assert "Score: 1 " in run(solve, about["url"], 2)
    assert [r["repeat"] for r in person.rows(about["run"])] == [0, 0, 1]


def test_a_seat_comes_back_at_the_first_request_to_its_url(person: User) -> None:
    claude = person.connect("claude")
    os.kill(person.pid(), signal.SIGKILL)
    cursor = person.connect("cursor")  # starts the server again, for another client
    assert urlsplit(cursor["url"]).port == urlsplit(claude["url"]).port
    assert "Score: 1 " in run(solve, claude["url"], 1)
    assert len(json.loads(person.run("connect", "--list", "--json").stdout)[0]["seats"]) == 2


def test_sigterm_records_what_is_unfinished(person: User) -> None:
    about = person.connect("claude")
    pid = person.pid()
    os.kill(pid, signal.SIGTERM)

    async def gone() -> None:
        await eventually(lambda: not person.server.is_running())

    run(gone)
    (row,) = person.rows(about["run"])
    assert row["failure"]["kind"] == "cancelled"
    assert person.server.state_file.exists(), "after a reboot the URL must be found again"


def test_state_is_its_owners_alone_and_holds_no_answer(person: User) -> None:
    person.connect("claude")
    home = person.server
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    for file in (home.state_file, home.job_file, home.socket):
        assert file.stat().st_mode & 0o077 == 0, file
    assert "target" not in home.state_file.read_text()
    command = Path(f"/proc/{person.pid()}/cmdline").read_bytes()
    handle = home.read(home.state_file)["seats"]["claude"]["handle"]
    assert handle.encode() not in command


def test_two_commands_at_once_start_one_server(person: User) -> None:
    command = [*COMMAND, "connect", "claude", "counter.py", "--json"]
    started = [
        subprocess.Popen(command, cwd=person.project, env=person.environ, stdout=-1, stderr=-1, text=True)
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert len({json.loads(out)["url"] for out in outputs}) == 1


def test_a_stale_socket_and_a_torn_state_are_no_obstacle(person: User) -> None:
    person.connect("claude")
    home = person.server
    os.kill(person.pid(), signal.SIGKILL)
    home.state_file.write_text('{"port": 1')
    assert home.socket.exists()
    assert person.connect("claude")["task"] == "t1"


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (("connect", "claud", "counter.py"), "did you mean `claude`?"),
    (("connect", "claude"), "a client and an environment are needed"),
    (("connect", "claude", "nothing.py"), "environment nothing.py: no such file"),
    (("connect", "claude", "blackjac"), "did you mean `blackjack`?"),
    (("connect", "claude", "broken.py"), "broken.py"),
    (("connect", "claude", "counter.py", "--task", "t9"), "no task `t9`"),
    (("connect", "claude", "idle.py"), "has no tasks"),
    (("connect", "claude", "counter.py", "--scope", "user", "--write", "--print"), "one of --write and --print"),
    (("connect", "claude-desktop", "counter.py", "--write", "--scope", "project"), "Claude Desktop has user only"),
    (("next",), "no server runs"),
    (("disconnect", "counter.py"), "nothing is connected"),
    (("stdio",), "GYM_MCP_SEAT_URL is not set"),
]


@pytest.mark.parametrize(("arguments", "told"), MISTAKES)
def test_mistakes_are_told_in_one_line_and_leave_nothing(
    arguments: tuple[str, ...], told: str, person: User
) -> None:
    (person.project / "broken.py").write_text("1 +")
    counter = (person.project / "counter.py").read_text()
    (person.project / "idle.py").write_text(counter.replace("def tasks", "def no_tasks"))
    done = person.run(*arguments, code=2)
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list((person.home / "state").rglob("job.json"))
    assert not list((person.project / "runs").glob("*"))


def test_the_last_words_of_a_server_that_crashed_are_in_its_log(person: User) -> None:
    person.connect("claude")
    os.kill(person.pid(), signal.SIGKILL)
    home = person.server
    home.write(home.job_file, {"environment": home.read(home.job_file)["environment"]})
    command = [sys.executable, "-m", "gym_mcp.connect.daemon", str(home.path)]
    done = subprocess.run(command, env=person.environ, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert home.log_file.read_text().strip().splitlines()[-1] == "KeyError: 'settings'"


def test_a_mistake_leaves_a_server_alone_that_has_seats(person: User) -> None:
    about = person.connect("claude")
    os.kill(person.pid(), signal.SIGKILL)
    assert "no task `t9`" in person.run("connect", "cursor", "counter.py", "--task", "t9", code=2).stderr
    assert person.connect("claude")["url"] == about["url"]


def test_a_changed_environment_is_not_served_unnoticed(person: User) -> None:
    about = person.connect("claude")
    file = person.project / "counter.py"
    file.write_text(file.read_text().replace("self.value += amount", "self.value += 2 * amount"))
    refused = person.run("connect", "claude", "counter.py", code=2).stderr
    assert "has changed since its server started" in refused
    os.kill(person.pid(), signal.SIGKILL)
    again = person.connect("claude")
    assert again["url"] == about["url"] and again["run"] != about["run"]


def test_an_unfinished_task_needs_skip(person: User) -> None:
    person.connect("claude")
    assert "give it up with --skip" in person.run("next", code=2).stderr
    assert json.loads(person.run("next", "--skip", "--json").stdout)["task"] == "t2"


OPERATOR = ("operator", "Bearer", "key", "rollouts", "/runs/", "job.json")


@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_written_and_printed_names_the_seat_and_nothing_of_the_operator(client: str, person: User) -> None:
    about = person.connect(client)
    person.run("connect", client, "counter.py", "--write")
    printed = person.run("connect", client, "counter.py").stdout
    spec = CLIENTS[client]
    files = [p for folder in (person.project, person.home) for p in folder.rglob("*") if p.is_file()]
    texts = [p.read_text(errors="replace") for p in files if "state" not in p.parts and "runs" not in p.parts]
    (written,) = [text for text in texts if about["url"] in text]
    assert about["url"] in printed or base64.b64encode(about["url"].encode())[4:-8] or client == "cursor"
    for text in (written, printed):
        assert not [word for word in OPERATOR if word in text.replace("keyring", "")], text
    if spec.files and client != "codex":
        assert json.loads(written) == spec.document("counter", about["url"])


def test_the_links_and_commands_hold_the_url(person: User) -> None:
    url = person.connect("cursor")["url"]
    link = urlsplit(person.run("connect", "cursor", "counter.py").stdout.splitlines()[0])
    query = parse_qs(link.query)
    assert (link.scheme, query["name"]) == ("cursor", ["counter"])
    assert json.loads(base64.b64decode(query["config"][0])) == {"url": url}
    lines = person.run("connect", "vscode", "counter.py").stdout.splitlines()
    words = shlex.split(lines[0])
    assert words[:2] == ["code", "--add-mcp"]
    assert json.loads(words[2])["type"] == "http" and json.loads(words[2])["name"] == "counter"
    assert lines[1].startswith("vscode:mcp/install?%7B")


def test_the_stdio_shim_speaks_both_eras_and_starts_a_server_that_died(person: User) -> None:
    about = person.connect("claude-desktop")
    config: dict[str, Any] = json.loads(person.run("connect", "claude-desktop", "counter.py").stdout)
    entry = config["mcpServers"]["counter"]
    assert about["url"] not in " ".join([entry["command"], *entry["args"]])
    assert entry["env"] == {SEAT_VARIABLE: about["url"]}
    env = {**person.environ, **entry["env"]}
    shim = StdioServerParameters(command=sys.executable, args=["-m", "gym_mcp.cli.main", "stdio"], env=env)

    async def main() -> None:
        async with Client(shim, mode="legacy") as client:
            assert client.instructions is not None and "Reach 1." in client.instructions
            assert (await said(client, "get_task"))[0].startswith("Reach 1.")
            await said(client, "add", amount=1)
            assert "Score: 1 " in (await said(client, "submit"))[0]
        person.run("next")
        os.kill(person.pid(), signal.SIGKILL)
        async with Client(shim, mode="auto") as client:
            assert client.protocol_version == MODERN
            await said(client, "add", amount=2)
            assert "Score: 1 " in (await said(client, "submit"))[0]

    run(main)


def test_in_the_foreground_it_ends_with_the_terminal(person: User) -> None:
    command = [*COMMAND, "connect", "claude", "counter.py", "--foreground", "--json"]
    process = subprocess.Popen(command, cwd=person.project, env=person.environ, stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1].rstrip() != "}":
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended early"
    about = json.loads("".join(line for line in lines if line.strip() != "noise"))
    assert run(ask, about["url"], MODERN, "tools/list").status == 200
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert person.rows(about["run"])[0]["failure"]["kind"] == "cancelled"

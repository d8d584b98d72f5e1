"""A wrapped server: its tools as they are, its process and directory, and its failures."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.client import EnvironmentClient
from gym_mcp.direct import DirectClient
from gym_mcp.errors import EnvironmentFailure
from gym_mcp.mcp_client import MemoryClient
from gym_mcp.types import Image, Task, Transcript
from tests.cli.support import ROOT
from tests.server.raw import eventually
from tests.servers import LADDER
from tests.support import check_environment, play, replay, run
from tests.wrapped.kit import Fake, alive, inside, opened, server_pid, styled

pytestmark = pytest.mark.slow  # real processes, or searches that take their time


def test_oracle_null_and_replay() -> None:
    assert run(check_environment, Fake) == 3


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_every_protocol_version_of_the_handshake(version: str, era: str) -> None:
    async def main() -> None:
        async with opened(styled("plain", version, era=era)) as episode:
            assert inside(episode).server == {"name": "fake", "version": "9", "protocol": version}
            assert (await episode.call("shout", {})).text == "no"

    run(main)


def test_paths_are_the_same_in_every_episode() -> None:
    async def main() -> None:
        seen = []
        for _ in range(2):
            async with opened() as episode:
                told = (await episode.call("where", {})).text
                assert str(inside(episode).workdir) not in told
                await episode.call("write", {"path": "/workdir/a.txt", "content": "/workdirs /workdir"})
                assert inside(episode).read("a.txt") == "/workdirs /workdir"
                seen.append((told, [t.spec.description for t in episode.tools.values()]))
        assert seen[0] == seen[1]
        assert seen[0][0] == "/workdir and /workdir-root/home; was told ['/workdir']"

    run(main)


def test_the_ledger_holds_what_reached_the_server() -> None:
    async def main() -> None:
        async with opened() as episode:
            await episode.call("write", {"path": "a.txt", "content": "hello"})
            await episode.call("shout", {})
            await episode.call("write", {})
            await episode.call("nothing", {})
            of_server = [(e.name, e.error, e.result) for e in inside(episode).ledger]
            assert of_server == [
                ("write", None, "wrote a.txt"),
                ("shout", "tool", "no"),
                ("write", "tool", "KeyError: 'path'"),
            ]
            assert [(e.name, e.error) for e in episode.ledger] == [
                *(o[:2] for o in of_server),
                ("nothing", "unknown_tool"),
            ]
            assert (await episode.verify(Transcript())).score == 1.0

    run(main)


def test_forms_of_results() -> None:
    async def main() -> None:
        async with opened() as episode:
            seen = await episode.call("picture", {})
            assert (seen.text, seen.images) == ("seen", (Image(b"hi", "image/png"),))
            assert (await episode.call("structured", {})).text == "text form"
            big = await episode.call("big", {})
            assert big.is_error and "too large" in big.text and episode.broken is None

    run(main)


def test_what_a_server_asks_of_its_client_is_refused() -> None:
    async def main() -> None:
        async with opened() as episode:
            for name in ("ask_roots", "ask_model"):
                assert (await episode.call(name, {})).text == "refused"

    run(main)


def test_a_server_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("PLAIN", "1")

    async def main() -> None:
        async with opened(styled("plain", inherit=("PLAIN",), env={"STORE": "{workdir}/s"})) as episode:
            names = json.loads((await episode.call("env", {})).text)
            assert "OPENAI_API_KEY" not in names and {"PLAIN", "STORE", "HOME", "PATH"} <= set(names)

    run(main)


def test_noise_on_its_output_is_no_obstacle() -> None:
    async def main() -> None:
        async with opened(styled("noisy")) as episode:
            assert (await episode.call("shout", {})).text == "no"
            assert inside(episode)._gym_connection.process.noise >= 4

    run(main)


def test_a_crash_is_the_environments_failure_and_no_zero() -> None:
    async def main() -> None:
        async with opened() as episode:
            told = await episode.call("crash", {})
            assert (told.text, told.ended) == ("The tool failed.", True)
            with pytest.raises(EnvironmentFailure, match="ended with code 7: it hurts") as caught:
                await episode.verify(Transcript())
            assert caught.value.retryable

    run(main)


def test_a_server_that_dies_between_two_calls() -> None:
    async def main() -> None:
        async with opened() as episode:
            os.kill(server_pid(episode), 9)
            assert (await episode.call("shout", {})).text == "The tool failed."
            assert episode.broken is not None and "broke off" in str(episode.broken)

    run(main)


@pytest.mark.parametrize(
    ("style", "said"),
    [("stillborn", "no such database"), ("mute", "did not answer in 3.6 s"), ("endless", "did not start")],
)
def test_a_server_that_does_not_start(
    style: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match=said):
            async with opened(styled(style, call_timeout=4.0 if style == "mute" else 20.0)):
                pass
        assert not list(tmp_path.iterdir())

    run(main)


def test_no_such_program() -> None:
    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match="`gym-no-such` cannot be started: No such file"):
            async with opened(type("Fake", (Fake,), {"command": ("gym-no-such",)})):
                pass

    run(main)


def test_a_tool_that_hangs_is_ended_with_all_its_children() -> None:
    async def main() -> None:
        async with opened(styled("stubborn", call_timeout=1.5)) as episode:
            pid = server_pid(episode)
            await episode.call("child", {})
            child = int(inside(episode).read("child.pid") or "0")
            assert alive(pid) and alive(child)
            assert (await episode.call("hang", {})).text == "The tool timed out."
            root = inside(episode).workdir.parent
        await eventually(lambda: not alive(pid) and not alive(child))
        assert not root.exists()

    run(main)


def test_a_server_that_leaves_children_behind_is_swept_too() -> None:
    async def main() -> None:
        async with opened() as episode:
            await episode.call("child", {})
            child = int(inside(episode).read("child.pid") or "0")
        await eventually(lambda: not alive(child))

    run(main)


def test_tools_can_be_narrowed() -> None:
    async def main() -> None:
        async with opened(styled("plain", hidden=("crash",), exposed=("write", "crash", "shout"))) as episode:
            assert list(episode.tools) == ["write", "shout"]
        async with opened(data={"tools": ["where", "paged"]}) as episode:
            assert list(episode.tools) == ["where", "paged"], "the second page of the list counts too"
            assert episode.tools["where"].spec.read_only and not episode.tools["paged"].spec.read_only
        with pytest.raises(EnvironmentFailure, match="no tool `wipe`"):
            async with opened(styled("plain", hidden=("wipe",))):
                pass

    run(main)


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "", "a\0b"])
def test_files_of_a_task_stay_inside(name: str) -> None:
    async def main() -> None:
        with pytest.raises(EnvironmentFailure, match="inside the working directory"):
            async with opened(data={"files": {name: "x"}}):
                pass

    run(main)


def test_files_are_laid_out_and_read_without_following_links(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "secret").write_text("s")
        async with opened(data={"files": {"a/b.bin": {"base64": "AAE="}, "c.txt": "ü"}}) as episode:
            environment = inside(episode)
            (environment.workdir / "link").symlink_to(tmp_path / "secret")
            (environment.workdir / "dir").symlink_to(tmp_path)
            assert environment.names() == ["a/b.bin", "c.txt"]
            assert environment.read("c.txt") == "ü" and environment.read("link") is None
            assert environment.read("dir/secret") is None and environment.read("nothing") is None
            assert (await episode.state())["files"] == {"a/b.bin": 2, "c.txt": 2}

    run(main)


def test_verify_may_ask_the_server() -> None:
    class Asking(Fake):
        async def verify(self, transcript: Transcript) -> float:  # type: ignore[override]
            return float("/workdir" in await self.ask("where"))

    async def main() -> None:
        async with opened(Asking) as episode:
            assert (await episode.verify(Transcript())).score == 1.0
            assert inside(episode).ledger == [] and episode.ledger == []

    run(main)


def test_many_at_once_share_nothing() -> None:
    async def one(client: EnvironmentClient, number: int) -> Any:
        episode = await client.open_episode(Task(f"t{number}", (), {}), seed=0)
        await episode.agent.call("write", {"path": "n.txt", "content": str(number)})
        state = await episode.state()
        await episode.close()
        return list(state["files"])

    async def main() -> None:
        async with DirectClient(Fake) as client:
            found = await asyncio.gather(*(one(client, n) for n in range(8)))
        assert found == [["n.txt"]] * 8

    run(main)


def test_the_same_over_mcp_and_replayed() -> None:
    async def main() -> None:
        task = Task("t", (), {"files": {"b.txt": "1"}})
        async with MemoryClient(Fake) as client, DirectClient(Fake) as direct:
            verdict, transcript = await play(client, task)
            again = await replay(direct, task, verdict.ledger, transcript=transcript)
            assert again.reward == verdict.reward and again.reward.score == 1.0

    run(main)


@pytest.mark.slow
def test_a_server_of_the_newest_protocol() -> None:
    """Our own stdio server, wrapped: it answers `server/discover`."""
    command = (sys.executable, "-m", "gym_mcp.cli.main", "serve", str(LADDER), "--stdio")
    cls = type("Fake", (Fake,), {"command": command, "env": {"PYTHONPATH": str(ROOT)}, "call_timeout": 45.0})

    async def main() -> None:
        async with opened(cls) as episode:
            assert inside(episode).server["protocol"] == "2026-07-28"
            assert episode.tools
            told = await episode.call(next(iter(episode.tools)), {"surely": "no argument"})
            assert told.is_error and episode.broken is None

    run(main)


@pytest.mark.slow
def test_a_killed_parent_leaves_no_server_behind() -> None:
    program = (
        "import asyncio, sys\n"
        "from tests.wrapped.kit import opened, server_pid\n"
        "async def main():\n"
        "    async with opened() as episode:\n"
        "        sys.stdout.write(f'{server_pid(episode)}\\n')\n"
        "        sys.stdout.flush()\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.communicate(timeout=10)

    async def gone() -> None:
        await eventually(lambda: not alive(pid))

    run(gone)

"""What a bad agent with a seat's URL can reach: its episode, its verdict, its next task, and no more."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gym_mcp.connect.seat import Seat
from tests.connect.kit import make_seat, serving
from tests.server.raw import LEGACY, MODERN, Reply, ask, message, request, send
from tests.server.vault import CANARY, ERAS, METHODS, OPERATOR_TOOLS, Vault
from tests.support import run

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

SECRETS = (CANARY, "Traceback", "ValueError", "verify_episode", "operator", "gym_mcp", ".py", "rollouts", "runs/")


def leaks(reply: Reply, seat: Seat, other: str) -> list[str]:
    """What must not be in an answer to an agent, and is."""
    secrets = (*SECRETS, str(seat.book.path), seat.book.path.name, other)
    return [s for s in secrets if s in reply.text]


def vaulted(out: Path) -> Seat:
    return make_seat(
        out, Vault, [{"id": i, "prompt": "Guess.", "data": {"word": CANARY}} for i in ("only", "bad")]
    )


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("over", [False, True])
def test_no_method_tells_what_an_agent_must_not_know(era: str, over: bool, tmp_path: Path) -> None:
    async def main() -> None:
        seat, other = vaulted(tmp_path / "mine"), vaulted(tmp_path / "other")
        async with serving(other) as unrelated, serving(seat) as url:
            if over:
                await seat.submit("")
            for method, params in METHODS:
                name = str(params.get("name", method if "verify" in method else ""))
                reply = await ask(url, era, method, params)
                echoed = Reply(reply.status, reply.head, reply.body.replace(name.encode() or b"\0", b""))
                assert leaks(echoed, seat, other.handle) == [], (method, params, reply.text)
                assert reply.status != 401
                assert reply.status < 500 or reply.json["error"]["code"] == -32603, reply.text
            listed = (await ask(url, era, "tools/list")).json["result"]["tools"]
            names = {t["name"] for t in listed}
            assert names == {"get_task", "submit", "next_task", "guess", "crash", "wait"}
            assert not names & set(OPERATOR_TOOLS) and all("outputSchema" not in t for t in listed)
            assert seat.unfinished is not over
            assert other.unfinished and unrelated != url

    run(main)


@pytest.mark.parametrize("era", [MODERN, LEGACY])
def test_a_verdict_names_no_answer(era: str, tmp_path: Path) -> None:
    async def main() -> None:
        seat = vaulted(tmp_path / "run")
        async with serving(seat) as url:
            for tool, arguments in (
                ("guess", {"word": "wrong"}),
                ("submit", {"answer": "wrong"}),
                ("submit", {}),
                ("next_task", {}),
                ("crash", {}),
                ("submit", {}),
            ):
                reply = await ask(url, era, "tools/call", {"name": tool, "arguments": arguments})
                assert leaks(reply, seat, "\0") == [], reply.text

    run(main)


PATHS = [
    "{p}/",
    "{p}?x=1/../",
    "{p}/../../../operator/mcp",
    "/{e}/seats/mcp",
    "/{e}/seats//mcp",
    "/{e}/seats/",
    "/{e}/seats",
    "/{e}/seats/{h}",
    "/{e}/seats/{h}x/mcp",
    "/{e}/seats/{s}/mcp",
    "/{e}/seats/{h}%2fmcp",
    "/{e}/episodes/{h}/mcp",
    "/{e}/operator/mcp",
    "/{e}/mcp",
    "/operator/mcp",
    "/control",
    "/",
    "//{e}/seats/{h}/mcp",
]


def test_every_path_but_the_right_one_is_the_same_404(tmp_path: Path) -> None:
    async def main() -> None:
        seat = vaulted(tmp_path / "run")
        async with serving(seat) as url:
            parts = urlsplit(url)
            assert seat.current.episode is not None
            inner = seat.current.episode.handle
            body, headers = message(MODERN, "tools/list")
            for path in PATHS:
                text = path.format(p=parts.path, e="vault", h=seat.handle, s=seat.handle.swapcase())
                if text.partition("?")[0] == parts.path:
                    continue
                for method in ("POST", "GET", "DELETE"):
                    reply = await send(parts.port or 0, request(text, body, method=method, **headers))
                    assert (reply.status, reply.body) == (404, b"Not Found"), (method, text)
            for credential in (seat.handle, inner, "x" * 43):
                for path in ("/vault/operator/mcp", "/vault/mcp", f"/vault/episodes/{inner}/mcp"):
                    bearer = f"Bearer {credential}"
                    reply = await send(parts.port or 0, request(path, body, **headers, Authorization=bearer))
                    assert (reply.status, reply.body) == (404, b"Not Found"), path

    run(main)


def test_host_and_origin_come_first(tmp_path: Path) -> None:
    async def main() -> None:
        seat = vaulted(tmp_path / "run")
        async with serving(seat) as url:
            parts = urlsplit(url)
            body, headers = message(MODERN, "tools/list")
            for more, status in (({"host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)):
                reply = await send(parts.port or 0, request(parts.path, body, **{**headers, **more}))
                assert reply.status == status

    run(main)


def test_a_seat_that_ended_leaves_no_way_in(tmp_path: Path) -> None:
    async def main() -> None:
        seat = vaulted(tmp_path / "run")
        async with serving(seat) as url:
            assert seat.current.episode is not None
            handle = seat.current.episode.handle
            await seat.submit("")
            for era in ERAS:
                call = {"name": "guess", "arguments": {"word": CANARY}}
                reply = await ask(url, era, "tools/call", call)
                assert reply.json["result"]["isError"]
                files = await ask(url, era, "resources/read", {"uri": "gym://task/hint.txt"})
                assert "five letters" not in files.text
            assert seat.service.store.finished(handle) is not None
            assert next(iter(seat.book.rows()))["ledger"] == []

    run(main)

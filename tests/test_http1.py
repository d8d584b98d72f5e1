"""The HTTP/1.1 pool against a server that answers with whatever bytes a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gym_mcp.http1 import Address, Answer, ConnectionLost, Pool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Script:
    """A server that sends the next of its answers for each request; None hangs up, and `b""` says nothing."""

    def __init__(self, *answers: bytes | None, pieces: int = 1 << 30, close: bool = False) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self._pieces = pieces
        self._close = close

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    return
                for i in range(0, len(answer), self._pieces):
                    writer.write(answer[i : i + self._pieces])
                    await writer.drain()
                if self._close:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Callable[..., asyncio.Future[Answer]]]:
    """A function that posts to the scripted server through one pool."""
    server = await asyncio.start_server(script.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(connect_timeout=5)
    address = Address.of(f"http://127.0.0.1:{port}/a/b?c=d")

    def post(body: bytes = b"{}", *, timeout: float = 5) -> asyncio.Future[Answer]:
        return asyncio.ensure_future(pool.post(address, b"X-One: 1\r\n", body, timeout=timeout))

    try:
        async with asyncio.timeout(20):
            yield post
    finally:
        pool.close()
        server.close()


def test_one_connection_carries_many_posts() -> None:
    async def main() -> None:
        script = Script(*[OK] * 3)
        async with serving(script) as post:
            for body in (b"one", b"two", b""):
                answer = await post(body)
                assert (answer.status, answer.body, answer.headers[b"content-length"]) == (200, b"ok", b"2")
        assert script.connections == 1
        head, _, body = script.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:") and b"\r\nX-One: 1" in head
        assert body == b"one"

    asyncio.run(main())


def test_as_many_connections_as_there_are_posts_at_once() -> None:
    async def main() -> None:
        script = Script(*[OK] * 40)
        async with serving(script) as post:
            for _ in range(2):
                answers = await asyncio.gather(*[post() for _ in range(20)])
                assert [a.body for a in answers] == [b"ok"] * 20
        assert script.connections == 20

    asyncio.run(main())


@pytest.mark.parametrize("pieces", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 202 Accepted\r\ncontent-length:0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n\r\n\r\r\n5;x=1\r\n\nhey!\r\n0\r\n\r\n",
            b"\r\n\r\nhey!",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: 1\r\n\r\n", b"x"),
    ],
)
def test_forms_of_an_answer(answer: bytes, body: bytes, pieces: int) -> None:
    async def main() -> None:
        script = Script(answer, OK, pieces=pieces)
        async with serving(script) as post:
            assert (await post()).body == body
            assert (await post()).body == b"ok"
        assert script.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"],
)
def test_an_answer_that_ends_with_its_connection(head: bytes) -> None:
    async def main() -> None:
        script = Script(head + b"all of it", OK, close=True)
        async with serving(script) as post:
            assert (await post()).body == b"all of it"
            assert (await post()).body == b"ok"
        assert script.connections == 2

    asyncio.run(main())


def test_an_idle_connection_is_not_used_too_long() -> None:
    async def main() -> None:
        short = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok"
        script = Script(short, OK)
        async with serving(script) as post:
            await post()
            await post()
        assert script.connections == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (None, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", True),
        (b"HTTP/1.1 200 OK\r\nContent-Le", True),
        (b"garbage\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-6\r\n\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, True),
    ],
)
def test_a_broken_answer_is_a_lost_connection(answer: bytes | None, answered: bool) -> None:
    async def main() -> None:
        script = Script(answer, OK, close=True)
        async with serving(script) as post:
            with pytest.raises(ConnectionLost) as caught:
                await post()
            assert caught.value.answered is answered
            assert (await post()).body == b"ok"
        assert len(script.requests) == 2

    asyncio.run(main())


def test_a_late_answer_reaches_nobody_else() -> None:
    async def main() -> None:
        script = Script(b"", OK)
        async with serving(script) as post:
            with pytest.raises(TimeoutError):
                await post(timeout=0.05)
            cancelled = post()
            script.answers.insert(0, b"")
            while len(script.requests) < 2:  # noqa: ASYNC110 - bounded by `serving`
                await asyncio.sleep(0.001)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            assert (await post()).body == b"ok"
        assert script.connections == 3

    asyncio.run(main())


def test_nobody_is_listening() -> None:
    async def main() -> None:
        pool = Pool(connect_timeout=5)
        with pytest.raises(ConnectionRefusedError):
            await pool.post(Address.of("http://127.0.0.1:9/x"), b"", b"", timeout=5)

    asyncio.run(main())


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y",
        "http:///y",
        "http://a:b@c/d",
        "http://h/a b",
        "http://h/ü",
        "http://h/a\r\nX: 1",
        "nothing",
        "",
    ],
)
def test_urls_that_cannot_be_sent(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Address.of(url)

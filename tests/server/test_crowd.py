"""An episode that asks too much at once: refused before it is read, others are answered, our client asks again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gym_mcp.errors import UsageError
from gym_mcp.http import HTTPClient
from gym_mcp.hub import load_environment
from gym_mcp.server import app, crowd
from gym_mcp.server.crowd import Crowd
from gym_mcp.server.gate import Refused
from gym_mcp.server.offer import Offer
from gym_mcp.server.row import Place, split_port
from gym_mcp.store import EpisodeStore
from gym_mcp.types import Task
from tests.server.raw import MODERN, ask, eventually, message, request
from tests.server.vault import Vault, vault
from tests.servers import LADDER, running
from tests.support import run


def test_one_episode_cannot_take_all_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "Crowd", partial(Crowd, each=8))

    async def main() -> None:
        async with vault(tmp_path) as (_, mine, other, url):
            waiting = [
                asyncio.create_task(ask(url, MODERN, "tools/call", {"name": "wait", "arguments": {}}))
                for _ in range(8)
            ]
            vaulted = mine.environment
            await eventually(lambda: isinstance(vaulted, Vault) and vaulted.waiting)
            for _ in range(20):
                refused = await ask(url, MODERN, "tools/list")
                assert refused.status == 503 and "retry-after: 1" in refused.head.lower(), refused.text
            assert (await ask(url.replace(mine.handle, other.handle), MODERN, "tools/list")).status == 200
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

            async with asyncio.timeout(10):
                while (await ask(url, MODERN, "tools/list")).status == 503:
                    pass

    asyncio.run(main())


def test_our_client_sends_again_what_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "Crowd", partial(Crowd, each=8))
    monkeypatch.setattr(crowd, "RETRY_AFTER", 0)

    async def main() -> None:
        async with running(tmp_path) as server, HTTPClient(server.url, server.key) as client:
            episode = await client.open_episode(Task("t1", data={"target": 40}), seed=1)
            results = await asyncio.gather(*(episode.agent.call("add", {"amount": 1}) for _ in range(40)))
            assert sorted(int(result.text) for result in results) == list(range(1, 41))
            assert len(await episode.ledger()) == 40, "none was made twice"

    run(main)


def test_a_client_that_left_its_place_in_the_line_gets_no_episode(tmp_path: Path) -> None:
    async def main() -> None:
        store = EpisodeStore(load_environment(str(LADDER)), max_episodes=1)
        async with running(tmp_path, store.environment_type, service={"store": store}) as server:
            held = await store.open(Task("t1", data={"target": 1}), 1)
            asked = {"name": "open_episode", "arguments": {"task_id": "t1", "key": "killed/t", "wait": 20.0}}
            body, headers = message(MODERN, "tools/call", asked)
            port = urlsplit(server.url).port or 0
            head = {**headers, "Authorization": f"Bearer {server.key}"}
            writers = list[asyncio.StreamWriter]()
            for _ in range(3):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(
                    request("/ladder/operator/mcp", body.replace(b"killed", b"run%03d" % len(writers)), **head)
                )
                writers.append(writer)
            await eventually(lambda: store._seats.waiting == 3)
            for writer in writers[:2]:
                writer.close()
                await writer.wait_closed()
            await store.close(held.handle)
            await eventually(lambda: [e.key for e in store] == ["run002/t"])
            assert store._seats.waiting == 0
            writers[2].close()
            await writers[2].wait_closed()

    run(main)


def test_the_crowd_counts_what_leaves() -> None:
    crowd = Crowd(each=2, all=3)
    for handle in ("a", "a", "b"):
        crowd.enter(handle)
    for handle in ("a", "b", "c"):
        with pytest.raises(Refused):
            crowd.enter(handle)
    crowd.leave("a")
    crowd.enter("b")
    for handle in ("a", "b", "b"):
        crowd.leave(handle)
    assert not crowd._inside and crowd._total == 0


def test_workers_share_what_a_server_holds() -> None:
    offer = Offer(environments=[str(LADDER)], max_episodes=8, max_calls=5)
    services = [offer.services(Place(i, 3))[0] for i in range(3)]
    assert [s.store.max_episodes for s in services] == [3, 3, 2] and {s.max_live for s in services} == {8}
    assert [s.store.slots.limit for s in services if s.store.slots] == [2, 2, 1]
    with pytest.raises(UsageError, match="--workers 9: --max-calls is 5, and each worker needs one"):
        offer.services(Place(0, 9))
    with pytest.raises(UsageError, match="--workers 9: --max-episodes is 8, and each worker needs one"):
        offer.model_copy(update={"max_calls": None}).services(Place(0, 9))


@pytest.mark.parametrize(
    ("own", "place", "origins"),
    [
        ("http://h:8765", Place(0, 2), ["http://h:8765", "http://h:8766"]),
        ("http://h:9001", Place(1, 2), ["http://h:9000", "http://h:9001"]),
        ("http://[::1]:80", Place(1, 2), ["http://[::1]:79", "http://[::1]:80"]),
        ("http://h", Place(0, 2), ["http://h:80", "http://h:81"]),
        ("http://h", Place(0, 1), ["http://h"]),
        ("http://h:1", Place(3, 4), ["http://h:1"]),
        ("http://h:65535", Place(0, 2), ["http://h:65535"]),
    ],
)
def test_workers_are_found_by_counting(own: str, place: Place, origins: list[str]) -> None:
    assert place.origins(own) == origins


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("h:1", ("h", 1)),
        ("h", ("h", None)),
        ("[::1]:2", ("[::1]", 2)),
        ("[::1]", ("[::1]", None)),
        ("::1", ("::1", None)),
    ],
)
def test_a_port_is_told_from_an_address(text: str, parts: tuple[str, int | None]) -> None:
    assert split_port(text) == parts
    assert Place(1, 2).hosts(["h:8765", "h"]) == ["h:8765", "h", "h:8766"]

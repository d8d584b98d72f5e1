"""A judge behind an endpoint: what it costs, what the cache saves, and what it must not keep."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gym_mcp.errors import JudgeError, UsageError
from gym_mcp.judge import Hearing, Judge, hearing, make_judge
from gym_mcp.judge_cache import JudgeCache
from tests.cli.support import process_env
from tests.endpoint import Body, Endpoint, Reply, Script, message, status
from tests.support import run

HELLO: Script = lambda body, n: Reply([message(f"reply {n}")])  # noqa: E731


def asked(script: Script, body: Callable[[Endpoint], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Endpoint(script, record=True) as endpoint:
            await body(endpoint)

    run(main)


async def ask(judge: Judge, prompt: str, **params: Any) -> tuple[str, Hearing]:
    current = Hearing("t")
    token = hearing.set(current)
    try:
        return await judge.ask(prompt, **params), current
    finally:
        hearing.reset(token)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GYM_MCP_JUDGE_CACHE", str(tmp_path / "judge"))
    return tmp_path / "judge"


def test_the_same_question_is_asked_once(cache: Path) -> None:
    async def body(endpoint: Endpoint) -> None:
        for _ in range(2):  # another process would see the same folder
            judge = make_judge("openai/j", base_url=endpoint.url, price=(1.0, 2.0))
            reply, bill = await ask(judge, "same?")
            assert reply == "reply 0"
            await judge.aclose()
        assert endpoint.requests == 1
        assert (bill.usage.calls, bill.cached, bill.cost) == (0, 1, 0.0)
        assert bill.judge_usage is not None and bill.judge_usage["cached_calls"] == 1

    asked(HELLO, body)


def test_what_makes_it_another_question(cache: Path) -> None:
    async def body(endpoint: Endpoint) -> None:
        url = endpoint.url
        for spec, prompt, params in (
            ("openai/j", "p", {}),
            ("openai/j", "q", {}),
            ("openai/j", "p", {"vote": 1}),
            ("openai/j", "p", {"temperature": 1.0}),
            ("openai/k", "p", {}),
            ("openai/j?temperature=0.5", "p", {}),
            ("openai-chat/j", "p", {}),
        ):
            judge = make_judge(spec, base_url=url)
            await ask(judge, prompt, **params)
            await judge.aclose()
        assert endpoint.requests == 7
        assert len(endpoint.bodies) == 7 and all("vote" not in sent for sent in endpoint.bodies)

    asked(HELLO, body)


def test_cost_and_calls_are_the_judges(cache: Path) -> None:
    async def body(endpoint: Endpoint) -> None:
        judge = make_judge("openai/j", base_url=endpoint.url, price=(1.0, 2.0))
        _, bill = await ask(judge, "p")
        assert bill.judge_usage == {
            "model_calls": 1,
            "input_tokens": 10,
            "output_tokens": 5,
            "cached_tokens": 0,
            "reasoning_tokens": 0,
            "cost": pytest.approx(20 / 1e6),
            "cached_calls": 0,
        }
        unpriced = make_judge("openai/other", base_url=endpoint.url)
        assert (await ask(unpriced, "p"))[1].cost is None
        await judge.aclose()
        await unpriced.aclose()
        assert Hearing("t").judge_usage is None

    asked(HELLO, body)


def test_twins_in_flight_share_one_call(cache: Path) -> None:
    async def body(endpoint: Endpoint) -> None:
        judge = make_judge("openai/j", base_url=endpoint.url)
        replies = await asyncio.gather(*(judge.ask("p") for _ in range(20)))
        assert set(replies) == {"reply 0"} and endpoint.requests == 1
        await judge.aclose()

    asked(HELLO, body)


@pytest.mark.parametrize("reply", [Reply([message("cut")], incomplete="max_output_tokens"), Reply([message(" ")])])
def test_half_replies_and_empty_ones_are_not_kept(cache: Path, reply: Reply) -> None:
    async def body(endpoint: Endpoint) -> None:
        judge = make_judge("openai/j", base_url=endpoint.url)
        for _ in range(2):
            await judge.ask("p")
        assert endpoint.requests == 2 and list(cache.rglob("*.json")) == []
        await judge.aclose()

    asked(lambda body, n: reply, body)


def test_a_failure_is_the_judges_and_is_not_kept(cache: Path) -> None:
    def script(body: Body, n: int) -> Any:
        return status(500) if n == 0 else Reply([message("well")])

    async def body(endpoint: Endpoint) -> None:
        judge = make_judge("openai/j", base_url=endpoint.url, max_retries=0)
        with pytest.raises(JudgeError, match="judge openai/j: "):
            await judge.ask("p")
        assert await judge.ask("p") == "well"
        await judge.aclose()

    asked(script, body)


def test_opting_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(endpoint: Endpoint) -> None:
        off = make_judge("openai/j", base_url=endpoint.url, cached=False)
        assert [await off.ask("p"), await off.ask("p")] == ["reply 0", "reply 1"]
        monkeypatch.setenv("GYM_MCP_JUDGE_CACHE", "off")
        also = make_judge("openai/j", base_url=endpoint.url)
        assert [await also.ask("p"), await also.ask("p")] == ["reply 2", "reply 3"]
        assert not cache.exists()
        await off.aclose()
        await also.aclose()

    asked(HELLO, body)


def test_the_cache_holds_no_secret_and_no_question(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GYM_MCP_API_KEY", "sk-very-secret")

    async def body(endpoint: Endpoint) -> None:
        url = endpoint.url.replace("http://", "http://me:pass-word@")
        judge = make_judge("openai/j", base_url=url)
        await judge.ask("the question")
        await judge.aclose()
        (file,) = cache.rglob("*.json")
        text = file.read_text()
        assert "secret" not in text and "pass-word" not in text and "question" not in text
        assert file.stat().st_mode & 0o077 == 0 and cache.stat().st_mode & 0o077 == 0

    asked(HELLO, body)


def test_a_damaged_entry_is_asked_anew(tmp_path: Path) -> None:
    cache = JudgeCache(tmp_path)
    key = cache.key({"spec": "j"}, [{"role": "user", "content": "\ud800"}], {"big": 2**70}, 0)
    assert cache.put(key, {"reply": "one"}) == {"reply": "one"}
    assert cache.put(key, {"reply": "two"}) == {"reply": "one"}, "the first reply stays"
    (file,) = tmp_path.rglob("*.json")
    for damage in (b"", b"[]", b'{"reply": 3}', b"\xff"):
        file.write_bytes(damage)
        assert cache.get(key) is None
        assert cache.put(key, {"reply": "new"}) == {"reply": "new"}
    with pytest.raises(UsageError, match="name another with GYM_MCP_JUDGE_CACHE"):
        JudgeCache(file / "below")


def test_processes_share_it(tmp_path: Path) -> None:
    """Eight processes keep other replies to the same 50 questions at once: each question has one reply for all."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom gym_mcp.judge_cache import JudgeCache\n"
        "cache = JudgeCache(Path(sys.argv[1]))\n"
        "import json\n"
        "keys = [cache.key({}, [], {}, i) for i in range(50)]\n"
        "print(json.dumps([cache.put(key, {'reply': sys.argv[2]})['reply'] for key in keys]))"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(n)], env=process_env(), stdout=subprocess.PIPE
        )
        for n in range(8)
    ]
    found = [json.loads(child.communicate(timeout=50)[0]) for child in children]
    assert all(one == found[0] for one in found)
    assert len(list(tmp_path.rglob("*.json"))) == len([p for p in tmp_path.rglob("*") if p.is_file()]) == 50

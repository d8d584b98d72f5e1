"""A scripted model endpoint on 127.0.0.1: Responses, Chat Completions, Messages, and the faults of servers.

In a test: `async with Endpoint(fixed("hello")) as endpoint: make_model("openai/m", base_url=endpoint.url)`.
On its own: `python tests/endpoint.py --port 8000 --calls '[["add", {"amount": 1}]]' --final done`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import orjson
import uvloop
from aiohttp import web

Body: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """Output items, served in the dialect of the request. `extra` is merged into the body."""

    items: Sequence[Item]
    input_tokens: int = 10
    output_tokens: int = 5
    incomplete: str | None = None
    extra: Body = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Any bytes with any status and headers."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """No answer until the endpoint closes, or none after the first `after` bytes of it."""

    after: int | None = None


@dataclass(frozen=True)
class Cut:
    """Cut the connection: at once, or after the first `after` bytes of a body that promised more."""

    after: int | None = None


@dataclass(frozen=True)
class Slow:
    """`then` after `seconds`."""

    seconds: float
    then: Reply | Raw


Fault: TypeAlias = "Raw | Hang | Cut | Slow"
Answer: TypeAlias = "Reply | Fault"
Script: TypeAlias = "Callable[[Body, int], Answer | Awaitable[Answer]]"


def status(number: int, message: str = "no", *, retry_after: str | None = None, **error: Any) -> Raw:
    """An HTTP error in OpenAI's form."""
    body = orjson.dumps({"error": {"message": message, **error}})
    return Raw(body, number, {} if retry_after is None else {"Retry-After": retry_after})


FAULTS: dict[str, Fault] = {
    "429": status(429, "slow down", retry_after="1"),
    "500": status(500, "internal error"),
    "503": status(503, "overloaded"),
    "400": status(400, "bad request"),
    "hang": Hang(),
    "cut": Cut(),
    "cut-body": Cut(20),
    "broken-json": Raw(b'{"id": "resp_1", "output": [{"type": "mess'),
    "wrong-shape": Raw(b'{"id": "resp_1", "object": "response", "result": "hello"}'),
}


def message(text: str) -> Item:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def call(name: str, arguments: Any, call_id: str = "call_1") -> Item:
    """A function call; `arguments` that are a string go out as they are, even when they are not JSON."""
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode()
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": text,
        "status": "completed",
    }


def tool_outputs(body: Body) -> list[str]:
    """Texts of the tool results that a request carries, in any dialect."""
    if "messages" in body:
        blocks = [b for m in body["messages"] if isinstance(m.get("content"), list) for b in m["content"]]
        results = [str(b.get("content")) for b in blocks if b.get("type") == "tool_result"]
        return results + [str(m.get("content")) for m in body["messages"] if m.get("role") == "tool"]
    items = body["input"] if isinstance(body.get("input"), list) else []
    return [str(i.get("output")) for i in items if i.get("type") == "function_call_output"]


def fixed(text: str) -> Script:
    """Always the same message."""
    return lambda body, n: Reply([message(text)])


def calling(calls: Sequence[tuple[str, Any]], final: str) -> Script:
    """One call a turn, then `final`. Stateless: the number of tool results in the request says where it is."""

    def script(body: Body, n: int) -> Answer:
        done = len(tool_outputs(body))
        if done >= len(calls):
            return Reply([message(final)])
        name, arguments = calls[done]
        return Reply([call(name, arguments, f"call_{done}")])

    return script


def parallel(calls: Sequence[tuple[str, Any]], final: str) -> Script:
    """All calls in one turn, then `final`."""

    def script(body: Body, n: int) -> Answer:
        if tool_outputs(body):
            return Reply([message(final)])
        return Reply([call(name, arguments, f"call_{i}") for i, (name, arguments) in enumerate(calls)])

    return script


def unknown_tool(final: str = "done") -> Script:
    return calling([("no_such_tool", {})], final)


def malformed_arguments(name: str, final: str = "done") -> Script:
    return calling([(name, '{"amount": ')], final)


def in_turn(*answers: Answer) -> Script:
    """Request `n` gets answer `n`; the last one stays."""
    return lambda body, n: answers[min(n, len(answers) - 1)]


def faulty(script: Script, fault: Fault, *, every: int = 0, first: int = 0) -> Script:
    """`script` with `fault` instead of the first `first` answers and of each `every`-th."""

    def faults(body: Body, n: int) -> Answer | Awaitable[Answer]:
        return fault if n < first or (every and n % every == every - 1) else script(body, n)

    return faults


def as_responses(reply: Reply, body: Body, n: int) -> Body:
    """A Responses body."""
    return {
        "id": f"resp_{n}",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": body.get("model"),
        "status": "incomplete" if reply.incomplete else "completed",
        "incomplete_details": {"reason": reply.incomplete} if reply.incomplete else None,
        "error": None,
        "output": list(reply.items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": body.get("tools", []),
        "usage": {
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.input_tokens + reply.output_tokens,
        },
        **reply.extra,
    }


def as_chat(reply: Reply, body: Body, n: int) -> Body:
    """A chat completion body."""
    texts = [p["text"] for i in reply.items if i["type"] == "message" for p in i["content"] if "text" in p]
    calls = [i for i in reply.items if i["type"] == "function_call"]
    answer: Body = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if calls:
        answer["tool_calls"] = [
            {"id": i["call_id"], "type": "function", "function": {"name": i["name"], "arguments": i["arguments"]}}
            for i in calls
        ]
    reasons = {"max_output_tokens": "length", "content_filter": "content_filter"}
    finish = reasons.get(reply.incomplete or "", "tool_calls" if calls else "stop")
    return {
        "id": f"chatcmpl-{n}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body.get("model"),
        "choices": [{"index": 0, "message": answer, "finish_reason": finish, "logprobs": None}],
        "usage": {
            "prompt_tokens": reply.input_tokens,
            "completion_tokens": reply.output_tokens,
            "total_tokens": reply.input_tokens + reply.output_tokens,
        },
        **reply.extra,
    }


def as_messages(reply: Reply, body: Body, n: int) -> Body:
    """An Anthropic message body."""
    content: list[Body] = []
    for item in reply.items:
        if item["type"] == "message":
            content += [{"type": "text", "text": part["text"]} for part in item["content"]]
        elif item["type"] == "function_call":
            given = {"name": item["name"], "input": orjson.loads(item["arguments"])}
            content.append({"type": "tool_use", "id": item["call_id"], **given})
    reasons = {"max_output_tokens": "max_tokens", "content_filter": "refusal"}
    calls = any(block["type"] == "tool_use" for block in content)
    return {
        "id": f"msg_{n}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": content,
        "stop_reason": reasons.get(reply.incomplete or "", "tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens},
        **reply.extra,
    }


class Endpoint:
    """Serves a script. `requests` counts, `peers` are the client's sockets; `record=True` keeps what was sent."""

    def __init__(self, script: Script, *, port: int = 0, record: bool = False) -> None:
        self.script = script
        self.requests = 0
        self.in_flight = 0
        self.peak = 0
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.peers: set[Any] = set()
        self._record, self._port = record, port
        self._closing = asyncio.Event()
        self._arrival = asyncio.Condition()
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/responses", self._responses)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._messages)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    @property
    def url(self) -> str:
        """Base URL, good for `--base-url`."""
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Endpoint:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def arrived(self, count: int, timeout: float = 10.0) -> None:
        """Wait until `count` requests have come in."""
        async with asyncio.timeout(timeout), self._arrival:
            await self._arrival.wait_for(lambda: self.requests >= count)

    async def _responses(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, as_responses)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, as_chat)

    async def _messages(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, as_messages)

    async def _serve(self, request: web.Request, render: Callable[[Reply, Body, int], Body]) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        n = self.requests
        self.peers.add(request.transport and request.transport.get_extra_info("peername"))
        async with self._arrival:
            self.requests += 1
            self._arrival.notify_all()
        if self._record:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            answer = self.script(body, n)
            answer = await answer if isinstance(answer, Awaitable) else answer
            return await self._answer(request, answer, lambda reply: render(reply, body, n))
        finally:
            self.in_flight -= 1

    async def _answer(
        self, request: web.Request, answer: Answer, render: Callable[[Reply], Body]
    ) -> web.StreamResponse:
        if isinstance(answer, Slow):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), answer.seconds)
            answer = answer.then
        if isinstance(answer, Reply):
            return web.Response(body=orjson.dumps(render(answer)), content_type="application/json")
        if isinstance(answer, Raw):
            headers = {"Content-Type": "application/json", **answer.headers}
            return web.Response(body=answer.body, status=answer.status, headers=headers)
        response = web.StreamResponse(headers={"Content-Length": "10000"})
        if answer.after is not None:
            await response.prepare(request)
            await response.write(b"{" * answer.after)
        if isinstance(answer, Hang):
            await self._closing.wait()
        if request.transport is not None:
            request.transport.close()
        return response


class FastProtocol(asyncio.Protocol):
    """Just enough HTTP for performance runs: the answer is looked up by the number of tool results in the body."""

    answers: dict[bytes, list[bytes]]

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            head = buffer[:end].lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            if len(buffer) < end + 4 + length:
                break
            self._answer(head, buffer[end + 4 : end + 4 + length])
            buffer = buffer[end + 4 + length :]
        self._buffer = buffer

    def _answer(self, head: bytes, body: bytes) -> None:
        chat = b"/chat/completions" in head.partition(b"\r\n")[0]
        mark = b'"role":"tool"' if chat else b'"type":"function_call_output"'
        answers = self.answers[b"chat" if chat else b"responses"]
        self._transport.write(answers[min(body.replace(b'": "', b'":"').count(mark), len(answers) - 1)])


async def serve_fast(port: int, calls: Sequence[tuple[str, Any]], final: str) -> None:
    """The script `calling(calls, final)` from bytes made beforehand. Runs until cancelled."""
    replies = [Reply([call(name, arguments, f"call_{i}")]) for i, (name, arguments) in enumerate(calls)]
    replies.append(Reply([message(final)]))
    body = {"model": "scripted"}
    FastProtocol.answers = {
        b"responses": [_http(as_responses(reply, body, i)) for i, reply in enumerate(replies)],
        b"chat": [_http(as_chat(reply, body, i)) for i, reply in enumerate(replies)],
    }
    server = await asyncio.get_running_loop().create_server(FastProtocol, "127.0.0.1", port, backlog=1_024)
    _announce(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    await server.serve_forever()


def _http(body: Body) -> bytes:
    content = orjson.dumps(body)
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    return f"{head}{len(content)}\r\n\r\n".encode() + content


async def serve(port: int, script: Script) -> None:
    """The full endpoint. Runs until cancelled."""
    async with Endpoint(script, port=port) as endpoint:
        _announce(endpoint.url)
        await asyncio.Event().wait()


def _announce(url: str) -> None:
    sys.stdout.write(url + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Prints its base URL once it listens; serves until killed.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--calls", type=orjson.loads, default=[], help='JSON: [["tool", {"argument": 1}], ...]')
    parser.add_argument("--parallel", action="store_true", help="all calls in one turn")
    parser.add_argument("--final", default="done", help="the message after the calls")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds that the delay varies by, more or less")
    parser.add_argument("--fault", choices=sorted(FAULTS))
    parser.add_argument("--every", type=int, default=0, help="the fault comes at each N-th request")
    parser.add_argument("--first", type=int, default=0, help="the fault comes at the first N requests")
    parser.add_argument(
        "--fast", action="store_true", help="precomputed answers; no faults, delays, parallel calls"
    )
    options = parser.parse_args()
    script = (parallel if options.parallel else calling)(options.calls, options.final)
    if options.delay:
        script = _delayed(script, options.delay, options.jitter)
    if options.fault:
        script = faulty(script, FAULTS[options.fault], every=options.every, first=options.first)
    fast = options.fast and serve_fast(options.port, options.calls, options.final)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(fast or serve(options.port, script))


def _delayed(script: Script, seconds: float, jitter: float) -> Script:
    def slow(body: Body, n: int) -> Answer:
        answer = script(body, n)
        delay = max(0.0, seconds + jitter * random.uniform(-1.0, 1.0))
        return Slow(delay, answer) if isinstance(answer, Reply | Raw) else Hang()

    return slow


if __name__ == "__main__":
    main()

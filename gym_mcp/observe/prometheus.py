"""A run's metrics in the text format of Prometheus, and the page that serves them.

The format is "Text-based format" 0.0.4 of Prometheus' exposition formats.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from gym_mcp.errors import UsageError
from gym_mcp.observe.numbers import Histogram, Numbers
from gym_mcp.observe.stages import MODEL, OPEN, TOOL, VERIFY
from gym_mcp.types import JSONObject

if TYPE_CHECKING:
    from gym_mcp.observe.status import Status

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_CLIENT_BYTES: Final = 1_024
Sample = tuple[Mapping[str, str], float]


def render(status: Status, numbers: Numbers) -> str:
    """The page."""
    return "".join(_families(status, status.as_json(), numbers))


def _families(status: Status, s: JSONObject, numbers: Numbers) -> Iterator[str]:
    counts, lag = numbers.counts, s["lag"]
    about = {"run_dir": s["run_dir"], "title": s["title"]}
    yield _family("run_info", "gauge", "Which run this is.", [(about, 1)])
    states = [({"state": state}, float(s["state"] == state)) for state in ("running", "paused", "draining")]
    yield _family("run_state", "gauge", "1 for the state that the run is in.", states)
    yield _one("rollouts_expected", "gauge", "Rollouts of the whole run.", s["expected"])
    scored = s["done"] - sum(s["failed"].values())
    rollouts: list[Sample] = [({"outcome": "scored", "kind": ""}, scored)]
    rollouts += [({"outcome": "failed", "kind": kind}, n) for kind, n in s["failed"].items()]
    yield _family("rollouts_total", "counter", "Terminal rollouts, those of earlier processes included.", rollouts)
    retried = [({"kind": kind}, float(n)) for kind, n in s["retried"].items()]
    yield _family("attempts_retried_total", "counter", "Attempts that failed and were made again.", retried)
    yield _one("reward_sum", "gauge", "Sum of the rewards of this process's rollouts.", status.reward_sum)
    stages = [({"stage": stage}, float(n)) for stage, n in s["stages"].items()]
    yield _family("rollouts_in_flight", "gauge", "Rollouts in flight, by what they do now.", stages)
    yield _one("concurrency", "gauge", "Rollouts at a time, at most.", s["concurrency"])
    calls = [({"outcome": o}, float(counts[f"model_{o}"])) for o in ("ok", "error")]
    yield _family("model_calls_total", "counter", "Model calls that have ended, retries not counted.", calls)
    tokens = [({"type": kind}, float(counts[kind])) for kind in ("input", "output", "cached", "reasoning")]
    yield _family("model_tokens_total", "counter", "Tokens; cached is part of input, reasoning of output.", tokens)
    yield _one(
        "model_retries_total", "counter", "Further tries of model calls that were answered.", counts["retries"]
    )
    tools = [({"outcome": o}, float(counts[f"tool_{o}"])) for o in ("ok", "error")]
    yield _family("tool_calls_total", "counter", "Tool calls that have ended; error: the model read one.", tools)
    for name, kind, what in _TIMES:
        yield _histogram(name, what, numbers.seconds[kind])
    if (limit := s["limit"]) is not None:
        for name, key, what in _LIMITS:
            yield _one(name, "gauge", what, limit[key])
    if lag["p99"] is not None:
        lags = [
            ({"quantile": "0.5"}, lag["p50"]),
            ({"quantile": "0.99"}, lag["p99"]),
            ({"quantile": "1"}, lag["max"]),
        ]
        yield _family("loop_lag_seconds", "gauge", "How late the event loops were since the start.", lags)
    memory = [({"process": process}, float(n)) for process, n in s["rss"].items()]
    yield _family("resident_memory_bytes", "gauge", "Memory of the run's process and of its workers.", memory)
    yield _one("workers", "gauge", "Worker processes.", s["workers"])


_TIMES: Final = (
    ("model_call_seconds", MODEL, "Model calls, waits and retries included."),
    ("tool_call_seconds", TOOL, "Tool calls."),
    ("open_seconds", OPEN, "Opening of episodes."),
    ("verify_seconds", VERIFY, "Scoring of episodes."),
)
_LIMITS: Final = (
    ("endpoint_limit", "limit", "Calls to the model's endpoint at a time, as it is now."),
    ("endpoint_limit_maximum", "maximum", "The most that the limit may become."),
    ("endpoint_calls_in_flight", "in_flight", "Calls that the endpoint is working on."),
    ("endpoint_calls_waiting", "waiting", "Calls that wait for the limit."),
)


def _one(name: str, kind: str, what: str, value: float) -> str:
    return _family(name, kind, what, [({}, value)])


def _family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> str:
    lines = [_line(f"gym_mcp_{name}", labels, value) for labels, value in samples]
    return _head(name, kind, what) + "".join(lines)


def _head(name: str, kind: str, what: str) -> str:
    return f"# HELP gym_mcp_{name} {what}\n# TYPE gym_mcp_{name} {kind}\n"


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value!r}\n" if inside else f"{name} {value!r}\n"


def _escaped(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _histogram(name: str, what: str, histogram: Histogram) -> str:
    lines, seen = [], 0
    for bound, count in zip((*map(repr, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        seen += count
        lines.append(_line(f"gym_mcp_{name}_bucket", {"le": bound}, seen))
    lines.append(_line(f"gym_mcp_{name}_sum", {}, histogram.total))
    lines.append(_line(f"gym_mcp_{name}_count", {}, seen))
    return _head(name, "histogram", what) + "".join(lines)


def listening(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket; `UsageError` where there is none to be had. Port 0: any free one."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family)
    except OSError as e:
        reason = os.strerror(e.errno) if e.errno and e.errno > 0 else e.strerror  # a resolver's number is negative
        raise UsageError(f"{flag} {host}:{port}: {reason}") from None


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"


@contextlib.asynccontextmanager
async def serving(sock: socket.socket, page: Callable[[], str]) -> AsyncIterator[None]:
    """Serve `page()` at /metrics meanwhile. The socket stays open: the next run of an experiment uses it, too."""
    from aiohttp import web

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=page().encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(client_max_size=_CLIENT_BYTES)
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, sock.dup()).start()
        yield
    finally:
        await runner.cleanup()

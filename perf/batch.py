"""The largest batch that a served environment carries: `python -m perf.batch [--openenv PYTHON]`.

OpenEnv's protocol (its tutorial on scaling): N episodes begin at the same moment; each opens, makes one step that
waits a second, is scored and closed. The batch holds when 95 % of them succeed, each request within 60 s. N
doubles until it no longer does, or `--up-to` ends it. One server process; the client is a process of its own on
the same cores. With `--openenv`, a Python that has `openenv-core` and uvloop, its server and client do the same in
the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvloop

from gym_mcp.client import EnvironmentClient
from gym_mcp.http import HTTPClient
from gym_mcp.types import Task, Transcript, user_message
from perf.overhead import ROOT, background, process_cpu

ENOUGH = 0.95
LIMIT = 60.0
"""Seconds for one request."""


async def episode(client: EnvironmentClient, number: int, seconds: float) -> float | None:
    """Seconds that it took; None when it failed."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(LIMIT):
            opened = await client.open_episode(Task(id="t", prompt=[user_message("Wait.")]), seed=number)
        async with asyncio.timeout(LIMIT + seconds):
            await opened.agent.call("wait", {"seconds": seconds})
        async with asyncio.timeout(LIMIT):
            verdict = await opened.verify(Transcript([]))
    except Exception:  # whatever it is, the episode failed
        return None
    return time.perf_counter() - started if verdict.reward.score == seconds else None


async def ask(url: str, size: int, seconds: float) -> None:
    async with HTTPClient(url) as client:
        started = time.perf_counter()
        found = await asyncio.gather(*(episode(client, i, seconds) for i in range(size)))
        print(json.dumps({"wall": time.perf_counter() - started, "took": [t for t in found if t is not None]}))


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def grow(name: str, pid: int, command: Callable[[int], list[str]], up_to: int, env: dict[str, str]) -> int:
    """Double the batch until it fails; the largest that held."""
    size, held, before = 128, 0, peak_mib(pid)
    while size <= up_to:
        spent = process_cpu(pid)
        done = subprocess.run(
            command(size), cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, timeout=900, check=True
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        took = sorted(answer["took"])
        share = len(took) / size
        p99 = f"{took[int(0.99 * (len(took) - 1))]:6.2f}" if took else "     -"
        print(
            f"{name:9} {size:6}  {100 * share:5.1f} %  p99 {p99} s  {len(took) / answer['wall']:6.0f} episodes/s  "
            f"{1000 * (process_cpu(pid) - spent) / size:6.2f} server CPU-ms  "
            f"{(peak_mib(pid) - before) * 1024 / size:6.1f} KiB an episode",
            flush=True,
        )
        if share < ENOUGH:
            break
        held, size = size, 2 * size
    return held


def ours(up_to: int, seconds: float) -> int:
    command = [sys.executable, "-m", "gym_mcp.cli.main", "serve", "perf/environments/waiting.py"]
    command += ["--http", "127.0.0.1:0", "--json", "--max-episodes", str(up_to)]
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        with background([*command, "--operator-key-file", str(key)]) as (server, ready):
            url = json.loads(ready)["environments"]["waiting"]["operator_url"]
            env = {**os.environ, "GYM_MCP_OPERATOR_KEY": key.read_text().strip()}

            def batch(size: int) -> list[str]:
                return [sys.executable, "-m", "perf.batch", "--ask", url, str(size), "--seconds", str(seconds)]

            return grow("gym-mcp", server.pid, batch, up_to, env)


def openenv(python: str, up_to: int, seconds: float) -> int:
    with listening(python) as (pid, url):

        def batch(size: int) -> list[str]:
            return [python, "perf/openenv/client.py", url, str(size), str(seconds)]

        return grow("OpenEnv", pid, batch, up_to, dict(os.environ))


@contextlib.contextmanager
def listening(python: str) -> Iterator[tuple[int, str]]:
    """OpenEnv's server, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(  # it logs a traceback for every session that its own client closes
        [python, "perf/openenv/server.py", str(port)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        else:
            sys.exit("OpenEnv's server does not answer")
        yield process.pid, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(timeout=30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--up-to", type=int, default=16_384)
    parser.add_argument("--seconds", type=float, default=1.0, help="what the step waits")
    parser.add_argument("--openenv", metavar="PYTHON")
    parser.add_argument("--ask", nargs=2, metavar=("URL", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if args.ask:
        uvloop.run(ask(args.ask[0], int(args.ask[1]), args.seconds))
        return
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    found = {"gym-mcp": ours(args.up_to, args.seconds)}
    if args.openenv:
        found["OpenEnv"] = openenv(args.openenv, args.up_to, args.seconds)
    for name, size in found.items():
        print(f"{name}: {size} episodes at once" + (" or more" if 2 * size > args.up_to else ""))


if __name__ == "__main__":
    main()

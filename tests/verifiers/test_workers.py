"""Worker processes: reused while well, replaced when they die or overrun, gone with their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from verifiers.workers import WorkerDied, WorkerPool, WorkerTimeout

SCRIPT = """
import json, os, sys, time
print("{}", flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request.get("sleep"):
        time.sleep(request["sleep"])
    if request.get("die"):
        os._exit(3)
    if request.get("garble"):
        print("no json", flush=True)
    else:
        print(json.dumps({"pid": os.getpid(), "environment": sorted(os.environ)}), flush=True)
"""


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[WorkerPool]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    pool = WorkerPool(script, size=1)
    yield pool
    pool.close()


def test_one_warm_worker(pool: WorkerPool) -> None:
    assert len({pool.ask({}, timeout=10)["pid"] for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("request_", "error"), [({"sleep": 60}, WorkerTimeout), ({"die": 1}, WorkerDied), ({"garble": 1}, WorkerDied)]
)
def test_a_bad_one_is_replaced(pool: WorkerPool, request_: dict[str, int], error: type[Exception]) -> None:
    first = pool.ask({}, timeout=10)["pid"]
    with pytest.raises(error):
        pool.ask(request_, timeout=0.2)
    assert gone(first)
    assert pool.ask({}, timeout=10)["pid"] != first


def test_a_worker_killed_while_idle_is_replaced(pool: WorkerPool) -> None:
    first = pool.ask({}, timeout=10)["pid"]
    os.kill(first, 9)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    assert pool.ask({}, timeout=10)["pid"] != first


def test_secrets_of_the_parent_stay_there(pool: WorkerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    assert "SOME_API_KEY" not in pool.ask({}, timeout=10)["environment"]


def test_a_script_that_does_not_start(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit(1)")
    with pytest.raises(WorkerDied):
        WorkerPool(script).ask({}, timeout=5)


def test_a_busy_worker_does_not_outlive_its_parent() -> None:
    code = (
        "import threading, time\n"
        "from verifiers.math import WORKER, verify_math\n"
        "from verifiers.workers import pool_of\n"
        "verify_math('1', '2')\n"
        "print(*pool_of(WORKER).pids(), flush=True)\n"
        "threading.Thread(target=verify_math, args=('1', '9^{9^{9^{9}}}'), daemon=True).start()\n"
        "time.sleep(60)"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < deadline, "the worker is still there"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Whether the process ended (a zombie that nobody waits for has)."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True

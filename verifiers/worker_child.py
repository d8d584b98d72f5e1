"""The loop of a child that answers: `python -P worker_child.py SCRIPT`, started by `verifiers.workers.pool_of`.

SCRIPT has `prepare()`, which imports what takes long, and `answer(request)`, from one JSON object to another.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import queue
import sys
import threading
from types import ModuleType
from typing import BinaryIO, Final

MEMORY: Final = 4 * 1024**3
"""Bytes of address space."""


def _loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("worker", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _confine() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass


def _read(source: BinaryIO, lines: queue.Queue[bytes]) -> None:
    for line in source:
        lines.put(line)
    os._exit(0)  # the parent is gone, whatever is being computed


def main() -> None:
    """Answer lines from stdin on stdout until stdin ends; libraries print to nowhere."""
    out = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    logging.disable(logging.CRITICAL)
    _confine()
    script = _loaded(sys.argv[1])
    script.prepare()
    out.write(b"{}\n")
    out.flush()
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True).start()
    while True:
        out.write(json.dumps(script.answer(json.loads(lines.get()))).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()

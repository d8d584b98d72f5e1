"""A large journal read by several processes: `python -m gym_mcp.analysis.parts RUN_DIR START END` reads a part."""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

from gym_mcp.analysis.sheet import Part, Sheet

LARGE: Final = 100 << 20
"""Bytes of a journal from which on further processes pay."""
_MOST: Final = 8
_SECONDS: Final = 600.0


def ranges(path: Path, parts: int) -> list[tuple[int, int]]:
    """Byte ranges of about the same length that begin and end with a line."""
    size = path.stat().st_size
    ends = [0]
    with path.open("rb") as file:
        for i in range(1, parts):
            file.seek(max(size * i // parts, ends[-1]))
            file.readline()
            ends.append(file.tell())
    ends.append(size)
    return [(a, b) for a, b in pairwise(ends) if a < b]


def workers(path: Path) -> int:
    """How many processes a journal is worth: one below `LARGE`, else one a processor that we may use."""
    if not path.exists() or path.stat().st_size < LARGE:
        return 1
    return max(1, min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1))


@contextlib.contextmanager
def reading(run: Path, spans: list[tuple[int, int]]) -> Iterator[list[IO[bytes]]]:
    """Processes that read `spans` of a run's journal, as the pipes that their parts come through."""
    command = [sys.executable, "-m", "gym_mcp.analysis.parts", str(run)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    children = [
        subprocess.Popen([*command, str(a), str(b)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        for a, b in spans
    ]
    try:
        yield [child.stdout for child in children if child.stdout is not None]
    finally:
        for child in children:
            child.kill()
            with child:
                child.wait(timeout=_SECONDS)


def receive(pipe: IO[bytes]) -> Part | None:
    """What one process read; None when it could not: the caller will find out why."""
    try:
        part: Part = pickle.load(pipe)
    except (EOFError, pickle.UnpicklingError, ValueError):
        return None
    return part


def main(run: str, start: str, end: str) -> None:
    from gym_mcp.analysis.read import enter_rows, open_run

    found = open_run(Path(run))
    enter_rows(found, (int(start), int(end)))
    sheet: Sheet = found.sheet
    pickle.dump(sheet.part(), sys.stdout.buffer, protocol=5)


if __name__ == "__main__":
    main(*sys.argv[1:])

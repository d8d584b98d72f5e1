"""Rows of a journal without their transcripts, for statistics: a third of the time of reading all of it.

A row's transcript is most of its bytes and no number. A row is cut before and after it, at keys whose bytes cannot
occur inside a JSON string (a quote there is escaped); a cut inside a nested object leaves a bracket too many, and
the parser refuses it. Then, and for rows that others wrote in another order, the whole row is parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from gym_mcp.coordinator.journal import DamagedJournal
from gym_mcp.types import JSONObject, Transcript

_CHUNK: Final = 1 << 20
_RESPONSE: Final = b',"response":{"output":'
_LEDGER: Final = b',"ledger":['
_USAGE: Final = b',"usage":'
_STOP: Final = b',"stop":'
_NEEDED: Final = frozenset({"task_id", "task_index", "repeat", "outcome"})


def slim_rows(path: Path, *, texts: bool = False, span: tuple[int, int] | None = None) -> Iterator[JSONObject]:
    """Rows in order without `response`, but with `stop`, and `text` (the last thing that the agent said) if asked.

    `span`: the byte range to read, from the start of a line to the end of one; else everything. A torn last line
    is skipped; any other broken line raises `DamagedJournal`.
    """
    if not path.exists():
        return
    with path.open("rb", buffering=_CHUNK) as file:
        left = float("inf")
        if span is not None:
            file.seek(span[0])
            left = span[1] - span[0]
        for number, line in enumerate(file, 1):
            if left <= 0:
                return
            left -= len(line)
            row = _cut(line, texts) or _whole(line, texts)
            if row is not None:
                yield row
            elif line.endswith(b"\n"):
                file.seek(0)
                number += file.read(span[0]).count(b"\n") if span else 0
                raise DamagedJournal(
                    f"{path}:{number}: not a rollout; something else changed the file: remove that line"
                )


def _cut(line: bytes, texts: bool) -> JSONObject | None:
    """The row by its parts; None when it cannot be cut safely."""
    start, tail = line.find(_RESPONSE), line.rfind(_USAGE)
    middle = line.rfind(_LEDGER, start, tail)
    stop = line.rfind(_STOP, start, middle)
    if stop < 0 or line[start - 1 : start] != b'"':  # `notes` or `answer` stand before it, which are text
        return None
    try:
        row: JSONObject = orjson.loads(line[:start] + line[tail:])
        row["ledger"] = () if tail - middle == _EMPTY else orjson.loads(line[middle + len(_LEDGER) - 1 : tail])
        row["stop"] = orjson.loads(line[stop + len(_STOP) : middle - 1])
        if texts:
            output = orjson.loads(line[start + len(_RESPONSE) : stop])
            row["text"] = Transcript(output).answer
    except (orjson.JSONDecodeError, TypeError, ValueError, AttributeError):
        return None
    return row if row.keys() >= _NEEDED else None


_EMPTY: Final = len(_LEDGER) + 1


def _whole(line: bytes, texts: bool) -> JSONObject | None:
    try:
        row: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(row, dict) or not row.keys() >= _NEEDED:
        return None
    response = row.pop("response", None) or {}
    row["stop"] = response.get("stop")
    if texts:
        row["text"] = Transcript([i for i in response.get("output") or () if isinstance(i, dict)]).answer
    return row

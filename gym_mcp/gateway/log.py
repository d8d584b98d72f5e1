"""A session's calls in a file, as they end: a JSON line for each new message (`node`), tool list and call."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import orjson

from gym_mcp.calls import CallRecord, Recorder, calls_json
from gym_mcp.errors import UsageError
from gym_mcp.gateway.ask import Refused
from gym_mcp.types import JSONObject


class CallLog:
    """Appends to `path`, readable by its owner only. Each message is written once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as e:
            raise UsageError(f"{path}: {e.strerror}") from None
        self._nodes = 0
        self._tools: set[str] = set()

    def write(self, recorder: Recorder, record: CallRecord) -> None:
        """Append what `record` brought. `Refused` when the disk does not take it: no call goes unrecorded."""
        lines: list[JSONObject] = []
        nodes = recorder.graph.nodes
        for node, (parent, item) in islice(nodes.items(), self._nodes, None):
            lines.append({"node": {"id": node, "parent": parent, "item": item}})
        if record.tools and record.tools not in self._tools:
            lines.append({"tools": {"id": record.tools, "tools": recorder.toolsets[record.tools]}})
        lines.append({"call": calls_json([record])[0]})
        left = memoryview(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as e:
            raise Refused("model", f"the gateway cannot record calls: {self._path}: {e.strerror}") from None
        self._nodes = len(nodes)
        self._tools.add(record.tools)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

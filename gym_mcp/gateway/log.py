"""A session's calls in a file, as they end: a JSON line for each new message (`node`), tool list and call."""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from gym_mcp.calls import CallRecord, Recorder, calls_json
from gym_mcp.errors import UsageError
from gym_mcp.types import JSONObject


class CallLog:
    """Appends to `path`, readable by its owner only. Each message is written once."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as e:
            raise UsageError(f"{path}: {e.strerror}") from None
        self._nodes = 0
        self._tools: set[str] = set()

    def write(self, recorder: Recorder, record: CallRecord) -> None:
        """Append what `record` brought."""
        lines: list[JSONObject] = []
        nodes = list(recorder.graph.nodes.items())
        for node, (parent, item) in nodes[self._nodes :]:
            lines.append({"node": {"id": node, "parent": parent, "item": item}})
        self._nodes = len(nodes)
        if record.tools and record.tools not in self._tools:
            self._tools.add(record.tools)
            lines.append({"tools": {"id": record.tools, "tools": recorder.toolsets[record.tools]}})
        lines.append({"call": calls_json([record])[0]})
        os.write(self._fd, b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

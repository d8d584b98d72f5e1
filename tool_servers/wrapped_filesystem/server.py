"""File errands on the reference filesystem server of MCP, as it is published on npm."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

from gym_mcp import Call, Reward, Transcript
from gym_mcp.errors import UsageError
from gym_mcp.wrapped import WrappedEnvironment

if shutil.which("node") is None or shutil.which("npm") is None:
    raise UsageError("wrapped_filesystem needs Node.js 18 or newer with npm: install it, e.g. `apt install npm`")


class Row(BaseModel):
    """`files` at first; of each path in `expected`, the text at the end, or null where it must be gone."""

    model_config = ConfigDict(extra="forbid")
    files: dict[str, str]
    expected: dict[str, str | None]


class WrappedFilesystem(WrappedEnvironment[Row]):
    """Edit, move, collect and search files with the tools of MCP's filesystem server."""

    domain = "tools"
    tags = ("files", "third-party-server")
    command = ("npx", "-y", "@modelcontextprotocol/server-filesystem@2026.8.31", "{workdir}")
    hidden = ("get_file_info", "read_file")  # the first tells times, the second is deprecated

    def verify(self, transcript: Transcript) -> Reward:
        row = self.task.data
        right = [_same(self.read(path), text) for path, text in row.expected.items()]
        others = {path: text for path, text in row.files.items() if path not in row.expected}
        kept = [_same(self.read(path), text) for path, text in others.items()]
        extra = [name for name in self.names() if name not in row.files and name not in row.expected]
        done = all(right) and all(kept) and not extra
        return Reward(
            float(done),
            {"expected": sum(right) / len(right), "untouched": sum(kept) / len(kept) if kept else 1.0},
            notes=f"files that nobody asked for: {', '.join(extra)[:200]}" if extra else "",
        )

    def solution(self) -> Iterator[Call | str]:
        row = self.task.data
        gone = [path for path, text in row.expected.items() if text is None]
        for folder in sorted({path.rpartition("/")[0] for path in row.expected} - {""}):
            yield Call("create_directory", path=f"{self.alias}/{folder}")
        for path, text in row.expected.items():
            source = next((g for g in gone if text is not None and _same(row.files.get(g), text)), None)
            if source is not None:
                gone.remove(source)
                yield Call("move_file", source=f"{self.alias}/{source}", destination=f"{self.alias}/{path}")
            elif text is not None:
                yield Call("write_file", path=f"{self.alias}/{path}", content=text)
        yield "Done."


def _same(found: str | None, wanted: str | None) -> bool:
    """Equal texts, whatever blank they end with; both absent counts too."""
    if found is None or wanted is None:
        return found is wanted
    return found.rstrip() == wanted.rstrip()

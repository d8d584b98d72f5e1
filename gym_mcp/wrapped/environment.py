"""`WrappedEnvironment`: a third-party MCP server and a verifier make an environment; the server stays as it is."""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import mcp_types as types

from gym_mcp.environment import Environment
from gym_mcp.errors import EnvironmentFailure, ToolError
from gym_mcp.ledger import LedgerEntry, Outcome, entry
from gym_mcp.tools import Tool
from gym_mcp.types import Image, JSONObject, Row, Task, ToolResult
from gym_mcp.wrapped.connection import Connection
from gym_mcp.wrapped.npm import resolved
from gym_mcp.wrapped.workdir import Workdir

WORKDIR: Final = "{workdir}"
_CACHES: Final = {"npm_config_cache": ".npm", "UV_CACHE_DIR": ".cache/uv"}
"""Download caches that a HOME of its own must not empty."""


class WrappedEnvironment(Environment[Row]):
    """One server process per episode, in a directory of its own; `verify` reads the directory and the ledger.

    `{workdir}` in `command` and `env` stands for that directory. The agent sees it under the fixed name `alias`,
    so that two episodes of one seed read alike: real paths in results are shown by that name, and arguments that
    are such a path are given to the server as the real one.
    """

    command: ClassVar[Sequence[str]] = ()
    """What starts the server on stdio. `npx -y PACKAGE@1.2.3` is installed once and started without npx."""
    env: ClassVar[Mapping[str, str]] = {}
    """Variables for the server besides PATH, a HOME of its own, UTC and UTF-8."""
    inherit: ClassVar[tuple[str, ...]] = ()
    """Names of our own environment's variables that the server gets too."""
    exposed: ClassVar[tuple[str, ...] | None] = None
    """Names of the server's tools that agents get; None for all."""
    hidden: ClassVar[tuple[str, ...]] = ()
    """Names of tools that agents do not get: those that tell the time, say."""
    alias: ClassVar[str] = "/workdir"
    era: ClassVar[str] = "auto"
    """`auto` asks for the newest protocol first; `legacy` begins with the handshake of 2024 and 2025."""

    ledger: list[LedgerEntry]
    """The calls that reached the server, with what it answered."""
    workdir: Path
    server: JSONObject
    """Name, version and protocol, as the server gave them."""

    # -- what authors override -------------------------------------------------------------------------------

    def files(self, task: Task[Row]) -> Mapping[str, Any]:
        """Files laid out before the server starts, by relative path: text, or `{"base64": ...}`.

        By default the task's data field `files`.
        """
        data: Any = task.data
        found = data.get("files") if isinstance(data, Mapping) else getattr(data, "files", None)
        return found or {}

    def tidy(self, text: str) -> str:
        """The text of a result as the agent reads it: the place to take out times and the like."""
        return text

    def read(self, name: str) -> str | None:
        """The text of a file of the working directory, for `verify`; None when there is no such plain file."""
        data = self._gym_place.read(name)
        return None if data is None else data.decode("utf-8", "replace")

    def names(self) -> list[str]:
        """All plain files of the working directory by relative path, for `verify`."""
        return self._gym_place.names()

    async def ask(self, name: str, **arguments: Any) -> str:
        """The text of a tool's result, for an `async def verify`: not the agent's call, so in no ledger."""
        return (await self._forward(name, arguments)).text

    # -- one episode -----------------------------------------------------------------------------------------

    async def open(self, task: Task[Row]) -> None:
        """Lay out the task's files, start the server, and shake hands."""
        if not self.command:
            raise EnvironmentFailure(f"{self.name}: `command` is empty: what starts the MCP server?")
        self.ledger = []
        self._gym_clock = time.monotonic()
        self._gym_place = Workdir()
        self.workdir = self._gym_place.work
        self._gym_place.lay_out(self.files(task))
        self._gym_connection = await Connection.open(
            [self._placed(word) for word in await resolved(self.command)],
            cwd=self.workdir,
            env=self._environ(),
            era=self.era,
            seconds=0.9 * self.call_timeout,  # so that it is told what the server said, not only that it is late
        )
        self.server = self._gym_connection.server

    def _placed(self, text: str) -> str:
        return text.replace(WORKDIR, str(self.workdir))

    def _environ(self) -> dict[str, str]:
        own = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._gym_place.home), "TZ": "UTC"}
        caches = {name: str(Path.home() / folder) for name, folder in _CACHES.items()}
        inherited = {name: os.environ[name] for name in self.inherit if name in os.environ}
        given = {name: self._placed(value) for name, value in self.env.items()}
        return {**own, "LANG": "C.UTF-8", "TMPDIR": str(self._gym_place.home), **caches, **inherited, **given}

    def tools_for(self, task: Task[Row]) -> Iterable[str | Tool]:
        """The server's tools with their own schemas; a task may narrow them by the field `tools` of its data."""
        wanted = self._wanted(task)
        return [
            Tool.from_schema(
                tool.name,
                self._shown(tool.description or tool.title or tool.name),
                dict(tool.input_schema),
                _handler(tool.name),
                read_only=bool(tool.annotations and tool.annotations.read_only_hint),
                validated=False,  # the server says itself what it does not take
            )
            for tool in self._gym_connection.tools
            if tool.name in wanted
        ]

    def _wanted(self, task: Task[Row]) -> set[str]:
        names = {tool.name for tool in self._gym_connection.tools}
        data: Any = task.data
        listed = data.get("tools") if isinstance(data, Mapping) else getattr(data, "tools", None)
        of_task = [t["name"] if isinstance(t, Mapping) else t for t in listed or ()]
        for name in (*(self.exposed or ()), *self.hidden, *of_task):
            if name not in names:
                raise EnvironmentFailure(
                    f"{self.name}: the server has no tool `{name}`; it has {', '.join(names)}"
                )
        allowed = names if self.exposed is None else set(self.exposed)
        return (allowed & set(of_task) if of_task else allowed) - set(self.hidden)

    async def _forward(self, name: str, arguments: JSONObject) -> ToolResult:
        real = _with_paths(arguments, self.alias, str(self.workdir))
        answered = await self._gym_connection.call(name, real, self.call_timeout)
        return as_result(answered, lambda text: self.tidy(self._shown(text)))

    def _shown(self, text: str) -> str:
        place = self._gym_place
        return text.replace(str(place.work), self.alias).replace(str(place.root), f"{self.alias}-root")

    async def _gym_call(self, name: str, arguments: JSONObject) -> ToolResult:
        start = time.monotonic() - self._gym_clock
        outcome = Outcome.failed("exception", "")
        try:
            result = await self._forward(name, arguments)
            outcome = Outcome(result, "tool" if result.is_error else None)
            return result
        except ToolError as e:
            outcome = Outcome.failed("tool", self._shown(str(e)))
            raise ToolError(outcome.result.text) from None
        finally:
            end = time.monotonic() - self._gym_clock
            self.ledger.append(entry(len(self.ledger), name, arguments, outcome, start, end))

    def state(self) -> JSONObject:
        """What the operator is shown: the server, and the files with their sizes."""
        sizes = {name: (self.workdir / name).stat().st_size for name in self.names()}
        return {"server": self.server, "files": sizes}

    async def close(self) -> None:
        """End the server's process group and remove its directory."""
        try:
            if hasattr(self, "_gym_connection"):
                await self._gym_connection.close()
        finally:
            if hasattr(self, "_gym_place"):
                self._gym_place.remove()


def _handler(name: str) -> Any:
    async def call(environment: WrappedEnvironment[Any], arguments: dict[str, Any]) -> ToolResult:
        return await environment._gym_call(name, arguments)

    return call


def _with_paths(value: Any, alias: str, real: str) -> Any:
    """`value` with each string in it that is a path below `alias` turned into the path below `real`."""
    if isinstance(value, str):
        below = value == alias or value.startswith(f"{alias}/")
        return f"{real}{value[len(alias) :]}" if below else value
    if isinstance(value, list):
        return [_with_paths(v, alias, real) for v in value]
    if isinstance(value, dict):
        return {k: _with_paths(v, alias, real) for k, v in value.items()}
    return value


def as_result(answered: types.CallToolResult, shown: Any) -> ToolResult:
    """A server's result as one text and images. What is neither (audio, links, files) is described in the text."""
    texts: list[str] = []
    images: list[Image] = []
    for block in answered.content:
        if isinstance(block, types.ImageContent):
            try:
                images.append(Image(base64.b64decode(block.data, validate=True), block.mime_type))
            except (binascii.Error, ValueError):
                texts.append(f"[an image of type {block.mime_type} that cannot be read]")
        else:
            texts.append(shown(_described(block)))
    if not answered.content and answered.structured_content is not None:
        texts.append(shown(json.dumps(answered.structured_content, ensure_ascii=False)))
    return ToolResult("\n".join(texts), is_error=bool(answered.is_error), images=tuple(images))


def _described(block: Any) -> str:
    if isinstance(block, types.TextContent):
        return block.text
    if isinstance(block, types.EmbeddedResource):
        held = block.resource
        if isinstance(held, types.TextResourceContents):
            return held.text
        return f"[a file {held.uri} of type {held.mime_type or 'unknown'}, {len(held.blob) * 3 // 4} bytes]"
    if isinstance(block, types.ResourceLink):
        return f"[a link to {block.uri}: {block.name}]"
    return f"[{block.type} of type {getattr(block, 'mime_type', 'unknown')}]"

"""Which clients can be connected, and what each wants to be told: a command, a link, a file.

The formats are the clients' own; `docs/connect.md` says which of them were run and which were read about.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gym_mcp.connect.merge import merge_json, merge_toml
from gym_mcp.errors import UsageError

SEAT_VARIABLE: Final = "GYM_MCP_SEAT_URL"
"""Where the stdio shim finds the URL of its seat: not on its command line, which every user can list."""
Entry = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Client:
    """One kind of client. `files` by scope; `keys` lead to its servers in them."""

    title: str
    files: Mapping[str, Callable[[], Path]]
    keys: tuple[str, ...]
    entry: Entry
    command: Callable[[str, str], str] | None = None
    """(server's name, URL) -> the client's own command line that adds a server."""
    link: Callable[[str, str], str] | None = None
    fresh: Mapping[str, Any] = field(default_factory=dict)
    after: str = ""
    """What to do in the client once it is configured."""

    def path(self, scope: str | None) -> Path:
        """The file of a scope, the first one by default."""
        chosen = scope or next(iter(self.files))
        if chosen not in self.files:
            raise UsageError(f"--scope {chosen}: {self.title} has {' and '.join(self.files)} only")
        return self.files[chosen]()

    def write(self, name: str, url: str, scope: str | None) -> Path:
        """Put the server into the client's file; the file."""
        path = self.path(scope)
        if path.suffix == ".toml":
            merge_toml(path, self.keys[0], name, url)
        else:
            merge_json(path, (*self.keys, name), self.entry(url), self.fresh)
        return path

    def shown(self, name: str, url: str, scope: str | None) -> Iterator[str]:
        """The lines of `--print`: the command or link where there is one, else the file's content."""
        if self.command is not None:
            yield self.command(name, url)
        if self.link is not None:
            yield self.link(name, url)
        if self.command is None:
            yield json.dumps(self.document(name, url), indent=2)

    def document(self, name: str, url: str) -> dict[str, Any]:
        """A whole configuration file with this server alone."""
        value: dict[str, Any] = {name: self.entry(url)}
        for key in reversed(self.keys):
            value = {key: value}
        return {**self.fresh, **value}


def shim() -> tuple[str, list[str]]:
    """(command, arguments) of the stdio shim, by absolute path: a desktop application has another PATH."""
    script = Path(sys.executable).parent / "gym-mcp"
    if script.is_file():
        return str(script), ["stdio"]
    return sys.executable, ["-m", "gym_mcp.cli.main", "stdio"]


def _shimmed(url: str) -> dict[str, Any]:
    command, arguments = shim()
    return {"command": command, "args": arguments, "env": {SEAT_VARIABLE: url}}


def _add(*words: str) -> Callable[[str, str], str]:
    """A client's `mcp add` command, with NAME and URL filled in."""
    return lambda name, url: shlex.join([{"NAME": name, "URL": url}.get(w, w) for w in words])


def _desktop() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Claude" / "claude_desktop_config.json"
    return (
        Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        / "Claude"
        / "claude_desktop_config.json"
    )


def _cursor_link(name: str, url: str) -> str:
    config = base64.b64encode(json.dumps({"url": url}).encode()).decode()
    return f"cursor://anysphere.cursor-deeplink/mcp/install?name={quote(name)}&config={quote(config, safe='')}"


def _vscode_add(name: str, url: str) -> str:
    return shlex.join(["code", "--add-mcp", json.dumps({"name": name, "type": "http", "url": url})])


def _vscode_link(name: str, url: str) -> str:
    return f"vscode:mcp/install?{quote(json.dumps({'name': name, 'type': 'http', 'url': url}), safe='')}"


def _folders(folder: str, file: str) -> dict[str, Callable[[], Path]]:
    """The file of a client that has one in a project's folder, and one of the same name at home."""
    return {"project": lambda: Path(folder, file), "user": lambda: Path.home() / folder / file}


def _home(variable: str, folder: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / folder)


CLIENTS: Final[Mapping[str, Client]] = {
    "claude": Client(
        "Claude Code",
        {"project": lambda: Path(".mcp.json"), "user": lambda: _home("CLAUDE_CONFIG_DIR", "") / ".claude.json"},
        ("mcpServers",),
        lambda url: {"type": "http", "url": url},
        command=_add("claude", "mcp", "add", "--transport", "http", "NAME", "URL"),
        after="run `claude` here, then /mcp__NAME__task",
    ),
    "codex": Client(
        "Codex",
        {"user": lambda: _home("CODEX_HOME", ".codex") / "config.toml"},
        ("mcp_servers",),
        lambda url: {"url": url},
        command=_add("codex", "mcp", "add", "NAME", "--url", "URL"),
        after="run `codex`, and tell it to call get_task of NAME",
    ),
    "cursor": Client(
        "Cursor",
        _folders(".cursor", "mcp.json"),
        ("mcpServers",),
        lambda url: {"url": url},
        link=_cursor_link,
        after="enable NAME in Cursor's settings, and tell the agent to call its get_task",
    ),
    "vscode": Client(
        "VS Code",
        {"project": lambda: Path(".vscode", "mcp.json")},
        ("servers",),
        lambda url: {"type": "http", "url": url},
        command=_vscode_add,
        link=_vscode_link,
        after="start NAME in mcp.json, and use /mcp.NAME.task in agent mode",
    ),
    "claude-desktop": Client(
        "Claude Desktop",
        {"user": _desktop},
        ("mcpServers",),
        _shimmed,
        after="restart Claude Desktop, and tell it to call get_task of NAME",
    ),
    "opencode": Client(
        "opencode",
        {
            "project": lambda: Path("opencode.json"),
            "user": lambda: _home("XDG_CONFIG_HOME", ".config") / "opencode" / "opencode.json",
        },
        ("mcp",),
        lambda url: {"type": "remote", "url": url, "enabled": True},
        fresh={"$schema": "https://opencode.ai/config.json"},
        after="run `opencode` here, and tell it to call get_task of NAME",
    ),
    "gemini": Client(
        "Gemini CLI",
        _folders(".gemini", "settings.json"),
        ("mcpServers",),
        lambda url: {"url": url, "type": "http"},
        command=_add("gemini", "mcp", "add", "-t", "http", "NAME", "URL"),
        after="run `gemini` here, then /task",
    ),
    "qwen": Client(
        "Qwen Code",
        _folders(".qwen", "settings.json"),
        ("mcpServers",),
        lambda url: {"httpUrl": url},
        command=_add("qwen", "mcp", "add", "-t", "http", "NAME", "URL"),
        after="run `qwen` here, then /task",
    ),
}

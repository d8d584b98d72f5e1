"""A small MCP server over stdio in a style of one's choice: `python fake.py STYLE`. It depends on nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STYLE = sys.argv[1] if len(sys.argv) > 1 else "plain"
VERSION = sys.argv[2] if len(sys.argv) > 2 else "2025-06-18"
TOOLS = "write where env shout crash hang picture big ask_roots ask_model structured child paged".split()


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": value}], **more}


def ask_client(method: str, params: dict[str, Any]) -> str:
    """The error or result of a request to the client, as one word."""
    send({"id": "from-server", "method": method, "params": params})
    for line in sys.stdin:
        answer = json.loads(line)
        if answer.get("id") == "from-server":
            return "refused" if "error" in answer else "answered"
    return "left"


def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if name == "write":
        Path(arguments["path"]).write_text(arguments["content"])
        return text(f"wrote {arguments['path']}")
    if name == "where":
        return text(f"{os.getcwd()} and {os.environ['HOME']}; was told {sys.argv[3:]}")
    if name == "env":
        return text(json.dumps(sorted(os.environ)))
    if name == "shout":
        return text("no", isError=True)
    if name == "crash":
        sys.stderr.write("it hurts\n")
        os._exit(7)
    if name == "hang":
        time.sleep(600)
    if name == "picture":
        return {"content": [{"type": "image", "data": "aGk=", "mimeType": "image/png"}, *text("seen")["content"]]}
    if name == "big":
        return text("x" * 500_000)
    if name == "ask_roots":
        return text(ask_client("roots/list", {}))
    if name == "ask_model":
        return text(ask_client("sampling/createMessage", {"messages": [], "maxTokens": 1}))
    if name == "structured":
        return text("text form", structuredContent={"wrong": "shape"})
    if name == "child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path("child.pid").write_text(str(child.pid))
        return text("started")
    raise KeyError(name)


def tools(page: str | None) -> dict[str, Any]:
    listed = [
        {
            "name": name,
            "description": f"Tool {name} of {os.getcwd()}.",
            "inputSchema": {"type": "object", "properties": {}},
            **({"outputSchema": {"type": "object", "required": ["n"]}} if name == "structured" else {}),
            **({"annotations": {"readOnlyHint": True}} if name == "where" else {}),
        }
        for name in TOOLS
    ]
    return {"tools": listed[:-1], "nextCursor": "2"} if page is None else {"tools": listed[-1:]}


def answer(message: dict[str, Any]) -> None:
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message:
        return
    try:
        if method == "initialize":
            capabilities: dict[str, Any] = {"tools": {}}
            about = {"name": "fake", "version": "9"}
            result = {"protocolVersion": VERSION, "capabilities": capabilities, "serverInfo": about}
        elif method == "tools/list":
            result = tools(params.get("cursor"))
        elif method == "tools/call":
            result = call(params["name"], params.get("arguments") or {})
        else:
            return send({"id": message["id"], "error": {"code": -32601, "message": "Method not found"}})
    except Exception as e:
        return send({"id": message["id"], "error": {"code": -32602, "message": f"{type(e).__name__}: {e}"}})
    send({"id": message["id"], "result": result})


def main() -> None:
    if STYLE == "noisy":
        sys.stdout.write("Welcome!\n{not json}\n[1, 2\n\n")
        send({"method": "notifications/message", "params": {"level": "x"}})
    if STYLE == "stillborn":
        sys.exit("no such database")
    if STYLE == "mute":
        time.sleep(600)
    if STYLE == "endless":
        while True:
            sys.stdout.write("y" * 1_000_000)
    for line in sys.stdin:
        if STYLE == "noisy":
            sys.stdout.write(f"handling {line.strip()[:20]} ...\n")
            sys.stderr.write("log line\n" * 200)
        answer(json.loads(line))
    if STYLE == "stubborn":
        time.sleep(600)


if __name__ == "__main__":
    main()

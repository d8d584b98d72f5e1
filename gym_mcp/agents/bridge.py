"""An episode's tools as shell commands, for agents that have a shell and no MCP: `gym-mcp tools`, `gym-mcp call`.

The episode's URL comes from GYM_MCP_URL, so that it is on no command line; it may also be given as first argument.
The standard library alone: an agent pays for a start with each call, and contained ones get this file by itself.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

VARIABLE = "GYM_MCP_URL"
USAGE = """usage: gym-mcp tools [URL]
       gym-mcp call [URL] TOOL [--KEY VALUE ...]
       gym-mcp call [URL] TOOL JSON-OBJECT    (- reads it from stdin)"""
OK, TOLD, WRONG = 0, 1, 2
"""Exit codes: done; the tool answered with an error, printed as its result; wrong usage, or no answer."""
_PROTOCOL = "2026-07-28"
_META = {
    "io.modelcontextprotocol/protocolVersion": _PROTOCOL,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_SECONDS = 3_600.0


class Mistake(Exception):
    """One line for stderr."""


def main(arguments: Sequence[str]) -> int:
    """Run `tools ...` or `call ...`; the exit code."""
    try:
        verb, *rest = arguments or [""]
        url = rest.pop(0) if rest and rest[0].startswith(("http://", "https://")) else os.environ.get(VARIABLE, "")
        if verb not in ("tools", "call") or (verb == "call") != bool(rest):
            raise Mistake(USAGE)
        if not url:
            raise Mistake(f"gym-mcp: no episode: set {VARIABLE}, or give its URL first")
        tools = {tool["name"]: tool for tool in request(url, "tools/list", {})["tools"]}
        if verb == "tools":
            print("\n\n".join(describe(tool) for tool in tools.values()))
            return OK
        name = rest[0]
        result = request(url, "tools/call", {"name": name, "arguments": read(tools.get(name), rest[1:])}, name)
        show(result)
        return TOLD if result.get("isError") else OK
    except Mistake as e:
        print(e, file=sys.stderr)
        return WRONG


def request(url: str, method: str, params: dict[str, Any], name: str | None = None) -> dict[str, Any]:
    """The result of one MCP request."""
    parts = urlsplit(url)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream;q=0.5",
        "MCP-Protocol-Version": _PROTOCOL,
        "Mcp-Method": method,
    }
    if name is not None:
        plain = name.isascii() and name.isprintable() and name == name.strip()
        headers["Mcp-Name"] = name if plain else f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": _META}}
    try:
        connection = connect(parts.netloc, timeout=_SECONDS)
        connection.request("POST", parts.path or "/", json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException) as e:
        raise Mistake(f"gym-mcp: the episode cannot be reached: {e}") from None
    try:
        message = json.loads(data)
    except ValueError:
        raise Mistake(f"gym-mcp: no such episode (HTTP {answer.status})") from None
    if "result" not in message:
        raise Mistake(f"gym-mcp: {message.get('error', {}).get('message', 'refused')}")
    result: dict[str, Any] = message["result"]
    return result


def read(tool: dict[str, Any] | None, words: Sequence[str]) -> dict[str, Any]:
    """The arguments of a call, from `--key value` words or one JSON object."""
    if len(words) == 1 and not words[0].startswith("--"):
        text = sys.stdin.read() if words[0] == "-" else words[0]
        try:
            value = json.loads(text)
        except ValueError as e:
            raise Mistake(f"gym-mcp: the arguments are no JSON: {e}") from None
        if not isinstance(value, dict):
            raise Mistake("gym-mcp: the arguments are no JSON object")
        return value
    properties = ((tool or {}).get("inputSchema") or {}).get("properties") or {}
    found: dict[str, Any] = {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise Mistake(f"gym-mcp: `{word}`: arguments are given as --KEY VALUE, or as one JSON object")
        key, equals, text = word[2:].partition("=")
        if key not in properties and key.replace("-", "_") in properties:
            key = key.replace("-", "_")
        if not equals:
            text = words.pop(0) if words and not words[0].startswith("--") else "true"
        value = typed(properties.get(key) or {}, text)
        if isinstance(value, list) and isinstance(found.get(key), list):
            found[key] += value
        else:
            found[key] = value
    return found


def typed(schema: dict[str, Any], text: str) -> Any:
    """`text` as the schema wants it; text where it wants that or nobody knows. A list may be given by one item."""
    branches = (schema, *schema.get("anyOf", ()))
    kinds = [branch.get("type") for branch in branches]
    kinds = [k for kind in kinds for k in (kind if isinstance(kind, list) else [kind]) if k]
    if "string" in kinds and not (text == "null" and "null" in kinds):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if set(kinds) - {"null"} != {"array"} or isinstance(value, list) or (value is None and "null" in kinds):
        return value
    items: dict[str, Any] = next((b["items"] for b in branches if isinstance(b.get("items"), dict)), {})
    return [typed(items, text)]


def describe(tool: dict[str, Any]) -> str:
    """A tool in a few lines: how it is called, what it does, what it takes."""
    schema = tool.get("inputSchema") or {}
    required = set(schema.get("required") or ())
    properties = schema.get("properties") or {}
    words = [f"--{key} {_kind(value)}" for key, value in properties.items() if key in required]
    words += [f"[--{key} {_kind(value)}]" for key, value in properties.items() if key not in required]
    lines = [" ".join(["gym-mcp call", tool["name"], *words])]
    lines += [f"    {line}" for line in (tool.get("description") or "").splitlines()]
    lines += [f"    --{key}: {v['description']}" for key, v in properties.items() if v.get("description")]
    return "\n".join(lines)


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return "|".join(map(str, schema["enum"]))
    kinds = [branch.get("type") for branch in (schema, *schema.get("anyOf", ())) if branch.get("type")]
    return "|".join("JSON" if kind in ("object", "array") else str(kind).upper() for kind in kinds) or "JSON"


def show(result: dict[str, Any]) -> None:
    """Print a result's text; images become files, whose names are printed."""
    for number, block in enumerate(result.get("content", ())):
        if block.get("type") == "text":
            print(block["text"])
        elif block.get("type") == "image":
            name = f"image-{os.getpid()}-{number}.{block.get('mimeType', 'image/png').rpartition('/')[2]}"
            with open(name, "wb") as file:
                file.write(base64.b64decode(block["data"]))
            print(f"(an image, saved as {name})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

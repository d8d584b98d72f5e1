"""The MCP server over runs: tools, a summary of each run as a resource, and the BLADE instructions as a prompt."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import mcp_types as types
import orjson
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from starlette.types import Scope

from gym_mcp import __version__
from gym_mcp.diagnosis.page import page
from gym_mcp.errors import GymError, ToolError
from gym_mcp.hub import roots
from gym_mcp.results.tools import Results
from gym_mcp.server import gate
from gym_mcp.server.agent import as_mcp_tool
from gym_mcp.server.app import AgentManagers, GatedApp
from gym_mcp.server.gate import Headers, Refused
from gym_mcp.server.listener import listen, origin
from gym_mcp.server.run import run_apps
from gym_mcp.tools import tools_of

log = logging.getLogger(__name__)
PROMPT: Final = "blade"
LONGEST: Final = 60_000
"""Characters of an answer; agents refuse or cut longer ones."""
_TOOLS: Final = tools_of(Results)


def results_server(results: Results) -> Server[Any]:
    """The server of some runs, for any transport."""

    async def list_tools(ctx: Any, params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[as_mcp_tool(t.spec) for t in _TOOLS.values()])

    async def call_tool(ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        text, error = await call(results, params.name, params.arguments or {})
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=error)

    async def list_prompts(ctx: Any, params: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(
            prompts=[types.Prompt(name=PROMPT, description="Explain the score of a run, and prove it.")]
        )

    async def get_prompt(ctx: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        if params.name != PROMPT:
            raise MCPError(types.INVALID_PARAMS, "No such prompt.")
        message = types.PromptMessage(role="user", content=types.TextContent(text=instructions(results)))
        return types.GetPromptResult(messages=[message])

    async def list_resources(ctx: Any, params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=_uri(name), name=f"Analysis of {name}", mime_type="text/markdown")
                for name in results.paths
            ]
        )

    async def read_resource(ctx: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        name = next((n for n in results.paths if _uri(n) == str(params.uri)), None)
        if name is None:
            raise MCPError(types.INVALID_PARAMS, "No such resource.", {"uri": str(params.uri)})
        text = bounded(page(await asyncio.to_thread(results.analysis, name)))
        contents = types.TextResourceContents(uri=str(params.uri), mime_type="text/markdown", text=text)
        return types.ReadResourceResult(contents=[contents])

    server: Server[Any] = Server(
        "gym-mcp results",
        version=__version__,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_list_resources=list_resources,
        on_read_resource=read_resource,
    )
    server.middleware.clear()
    return server


async def call(results: Results, name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    """The text of a tool's answer, and whether it is an error."""
    found = _TOOLS.get(name)
    if found is None:
        return f"no tool `{name}`; there are {', '.join(_TOOLS)}", True
    try:
        checked = found.validate(arguments)
        if inspect.iscoroutinefunction(getattr(Results, name)):
            value = await found.invoke(results, checked)
        else:
            value = await asyncio.to_thread(getattr(Results, name), results, **checked)
    except (GymError, ToolError) as e:
        return str(e), True
    except TimeoutError:
        return f"`{name}` took too long", True
    except Exception as e:
        log.exception("results tool %s", name)
        return f"`{name}` failed: {type(e).__name__}", True
    return bounded(value if isinstance(value, str) else orjson.dumps(value, default=str).decode()), False


def bounded(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n... {len(text) - LONGEST} characters more: ask for less"


def instructions(results: Results) -> str:
    """The skill, and how its steps are done with the tools of this server."""
    skill = next((p for root in roots() if (p := root / "analysis_skills" / "blade" / "SKILL.md").is_file()), None)
    text = skill.read_text(encoding="utf-8").split("---", 2)[-1].strip() if skill else ""
    names = ", ".join(results.paths)
    return (
        f"Explain the score of the run ({names}) with the tools of this server: `summary` for findings.sh, "
        "`read_rollout` in place of rollout.sh, `check_claims` in place of check.sh. Give the report as your "
        f"answer.\n\n{text}"
    )


def _uri(name: str) -> str:
    return f"results://{quote(name, safe='')}/analysis"


async def serve_stdio(paths: Sequence[Path]) -> None:
    """Serve one client over stdin and stdout until it leaves."""
    server = results_server(Results(paths))
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


class ResultsApp(GatedApp):
    """The server over HTTP, at `/KEY/mcp`: runs hold the answers of their tasks."""

    def __init__(self, results: Results, key: str, hosts: Sequence[str] = ()) -> None:
        super().__init__(hosts)
        self._key = key.encode()
        self._managers = AgentManagers(results_server(results))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._managers.streaming.run())
            await stack.enter_async_context(self._managers.plain.run())
            yield

    def admit(self, scope: Scope, headers: Headers) -> StreamableHTTPSessionManager:
        path: bytes = scope["raw_path"]
        if path == b"/healthz":
            raise Refused(200, "ok")
        if not hmac.compare_digest(path, b"/" + self._key + b"/mcp"):
            raise gate.not_found()
        return self._managers.answering(headers)


async def serve_http(
    paths: Sequence[Path],
    *,
    host: str,
    port: int,
    ready: Callable[[str], Any],
    key: str | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until `stop` is set, or SIGINT or SIGTERM where none is given. `ready` is told the URL."""
    key = key or secrets.token_urlsafe(16)
    app = ResultsApp(Results(paths), key, [host])
    with closing(listen(host, port)) as listener:
        url = f"{origin(listener, host)}/{key}/mcp"
        async with app.running():
            await run_apps([app], [listener], stop, lambda: ready(url))

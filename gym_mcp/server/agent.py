"""The agent plane: what an agent sees of one episode, and nothing else.

One SDK server per environment type; the episode comes with each request. Every method answers from the episode's
tools, its prompt and its files: verification, other episodes and the operator have no name here.
"""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from gym_mcp.environment import Environment
from gym_mcp.episode import FINISHED, Episode
from gym_mcp.errors import EpisodeGone
from gym_mcp.server.service import EpisodeOf, Service
from gym_mcp.server.wire import CALLER, ENDED
from gym_mcp.tools import Tool
from gym_mcp.types import Image, Item, JSONObject, ToolResult, ToolSpec, text_of

Context = ServerRequestContext[Any, Any]
PROMPT: Final = "task"
LIST_TTL_MS: Final = 3_600_000  # an episode's lists never change
_NO_RESOURCE: Final = "No such resource."


def agent_server(service: Service, episode_of: EpisodeOf) -> Server[Any]:
    """The agent plane of one environment type. `episode_of(ctx)` finds the episode of a request."""
    cls = service.environment_type
    server: Server[Any] = Server(
        cls.name, version=cls.version, **handlers(AgentPlane(service, episode_of), LIST_TTL_MS)
    )
    server.middleware.clear()  # OpenTelemetry, on by default: 15 us a call, and nothing leaves the machine
    return server


def handlers(plane: AgentPlane, ttl_ms: int) -> dict[str, Any]:
    """What an SDK server needs to be `plane`, whose lists a client may keep for `ttl_ms`."""
    hint = CacheHint(ttl_ms=ttl_ms, scope="private")
    return dict(
        on_list_tools=plane.list_tools,
        on_call_tool=plane.call_tool,
        on_list_prompts=plane.list_prompts,
        on_get_prompt=plane.get_prompt,
        on_list_resources=plane.list_resources,
        on_list_resource_templates=plane.list_templates,
        on_read_resource=plane.read_resource,
        get_tool_input_schema=_annotated(plane.environment_type.tools()).get,
        cache_hints={
            "tools/list": hint,
            "prompts/list": hint,
            "resources/list": hint,
            "resources/templates/list": hint,
            "resources/read": CacheHint(scope="private"),
            "server/discover": hint,
        },
    )


class AgentPlane:
    """The handlers of the agent plane."""

    def __init__(self, service: Service, episode_of: EpisodeOf) -> None:
        self._service = service
        self._episode = episode_of

    @property
    def environment_type(self) -> type[Environment[Any]]:
        return self._service.environment_type

    async def list_tools(self, ctx: Context, params: Any) -> types.ListToolsResult:
        episode = self._episode(ctx)
        episode.seen = True
        return types.ListToolsResult(tools=[as_mcp_tool(t.spec) for t in episode.tools.values()])

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        episode = self._episode(ctx)
        try:
            return as_mcp(await episode.call(params.name, params.arguments or {}, _caller(ctx)))
        finally:
            self._service.record(episode)

    async def list_prompts(self, ctx: Context, params: Any) -> types.ListPromptsResult:
        self._episode(ctx)
        return prompt_list()

    async def get_prompt(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        return task_prompt(params.name, self._episode(ctx).task.prompt)

    async def list_resources(self, ctx: Context, params: Any) -> types.ListResourcesResult:
        files = await _files(self._episode(ctx))
        return types.ListResourcesResult(
            resources=[
                types.Resource(uri=uri, name=name, mime_type=_media_type(name, value))
                for uri, (name, value) in files.items()
            ]
        )

    async def list_templates(self, ctx: Context, params: Any) -> types.ListResourceTemplatesResult:
        self._episode(ctx)
        return types.ListResourceTemplatesResult(resource_templates=[])

    async def read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        files = await _files(self._episode(ctx))
        if params.uri not in files:
            raise MCPError(types.INVALID_PARAMS, _NO_RESOURCE, {"uri": params.uri})
        name, value = files[params.uri]
        media_type = _media_type(name, value)
        if isinstance(value, str):
            text = types.TextResourceContents(uri=params.uri, mime_type=media_type, text=value)
            return types.ReadResourceResult(contents=[text])
        data = value.data if isinstance(value, Image) else value
        blob = base64.b64encode(data).decode()
        return types.ReadResourceResult(
            contents=[types.BlobResourceContents(uri=params.uri, mime_type=media_type, blob=blob)]
        )


def _caller(ctx: Context) -> str:
    caller = ctx.meta.get(CALLER) if ctx.meta else None
    return caller if isinstance(caller, str) else ""


def _annotated(tools: Mapping[str, Tool]) -> dict[str, JSONObject]:
    """Input schemas whose arguments are mirrored in headers, which the SDK then checks: a walk of 30 us a call."""
    schemas = {t.name: t.spec.input_schema for t in tools.values()}
    return {name: schema for name, schema in schemas.items() if "x-mcp-header" in json.dumps(schema)}


def prompt_list() -> types.ListPromptsResult:
    """The one prompt of an episode: its task."""
    prompt = types.Prompt(name=PROMPT, description="What to do in this episode.")
    return types.ListPromptsResult(prompts=[prompt])


def task_prompt(name: str, prompt: Iterable[Item]) -> types.GetPromptResult:
    """The prompt `name` of an episode whose task says `prompt`."""
    if name != PROMPT:
        raise MCPError(types.INVALID_PARAMS, "No such prompt.")
    return types.GetPromptResult(messages=[m for item in prompt for m in prompt_messages(item)])


def as_mcp_tool(spec: ToolSpec, meta: Any = None) -> types.Tool:
    """A tool as agents see it: no output schema, whatever the tool returns."""
    # Codex refuses calls without a question unless a tool is declared harmless; it acts on the episode alone.
    hints = (
        types.ToolAnnotations(read_only_hint=True, open_world_hint=False)
        if spec.read_only
        else types.ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
    )
    return types.Tool(
        name=spec.name,
        description=spec.description,
        input_schema=spec.input_schema,
        annotations=hints,
        _meta=meta,
    )


def as_mcp(result: ToolResult) -> types.CallToolResult:
    """Text and images only: some agents show structured content in place of the text."""
    content: list[types.ContentBlock] = []
    if result.text or not result.images:
        content.append(types.TextContent(text=result.text))
    for image in result.images:
        data = base64.b64encode(image.data).decode()
        content.append(types.ImageContent(data=data, mime_type=image.media_type))
    meta: Any = {ENDED: True} if result.ended else None
    return types.CallToolResult(content=content, is_error=result.is_error, _meta=meta)


def prompt_messages(item: Item) -> list[types.PromptMessage]:
    """A Responses message item as MCP prompt messages: one for its text, one for each inline image.

    MCP knows no system role: system and developer messages become the user's.
    """
    if item.get("type", "message") != "message":
        return []
    role: Literal["user", "assistant"] = "assistant" if item.get("role") == "assistant" else "user"
    blocks: list[types.TextContent | types.ImageContent] = []
    text = text_of(item)
    if text:
        blocks.append(types.TextContent(text=text))
    parts = item.get("content")
    for part in parts if isinstance(parts, list) else ():
        image = _inline_image(part)
        if image is not None:
            blocks.append(image)
    return [types.PromptMessage(role=role, content=block) for block in blocks]


def _inline_image(part: Any) -> types.ImageContent | None:
    url = part.get("image_url") if isinstance(part, dict) and part.get("type") == "input_image" else None
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    head, _, data = url[5:].partition(",")
    return types.ImageContent(data=data, mime_type=head.partition(";")[0])


async def _files(episode: Episode) -> Mapping[str, tuple[str, str | bytes | Image]]:
    """URI -> (name, content) of the files that the author shows; a plain name becomes a `gym://task/` URI."""
    try:
        found = await episode.resources()
    except EpisodeGone:
        raise MCPError(types.INVALID_PARAMS, FINISHED) from None
    except Exception:  # its text may hold the answer
        raise MCPError(types.INTERNAL_ERROR, "The resources could not be read.") from None
    return {name if ":" in name else f"gym://task/{quote(name)}": (name, value) for name, value in found.items()}


def _media_type(name: str, value: str | bytes | Image) -> str:
    if isinstance(value, Image):
        return value.media_type
    guessed = mimetypes.guess_type(name)[0]
    return guessed or ("text/plain" if isinstance(value, str) else "application/octet-stream")

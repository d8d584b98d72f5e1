"""An environment's tools as LangChain tools. Arguments go to the environment as the model wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, overload

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from gym_mcp.langgraph.messages import RAW
from gym_mcp.langgraph.stage import has_stage, stage
from gym_mcp.toolcalls import image_urls
from gym_mcp.types import JSONObject, ToolResult, ToolSpec


class EnvironmentTool(BaseTool):
    """One tool of the episode that runs. Nothing is checked here: the model reads the environment's own errors."""

    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    function: JSONObject
    """The tool in the form of the Responses API."""
    read_only: bool = False

    @classmethod
    def of(cls, spec: ToolSpec) -> EnvironmentTool:
        return cls(
            name=spec.name,
            description=spec.description,
            args_schema=spec.input_schema,
            function=spec.as_function(),
            read_only=spec.read_only,
        )

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # One dict, not keywords: an environment may call its parameters `config` or `self`.
        return (tool_input, tool_call_id or ""), {}

    async def _arun(self, tool_input: str | JSONObject, call_id: str) -> tuple[Any, JSONObject]:
        arguments = {RAW: tool_input} if isinstance(tool_input, str) else tool_input
        result = await stage().call(self.name, arguments, call_id)
        return blocks_of(result), {"is_error": result.is_error, "ended": result.ended}

    def _run(self, tool_input: str | JSONObject, call_id: str) -> tuple[Any, JSONObject]:
        return stage().wait_in_thread(self._arun(tool_input, call_id))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return _marked(await super().ainvoke(input, config, **kwargs))

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        return _marked(super().invoke(input, config, **kwargs))


def _marked(output: Any) -> Any:
    if isinstance(output, ToolMessage) and (output.artifact or {}).get("is_error"):
        output.status = "error"
    return output


async def run_calls(message: BaseMessage) -> list[ToolMessage]:
    """Run the tool calls of the model's message in their order; the environment answers unknown ones too."""
    calls, at = message.tool_calls if isinstance(message, AIMessage) else [], stage()
    at.keep([message])
    results = await asyncio.gather(*(at.call(c["name"], c["args"], c["id"] or "") for c in calls))
    return [
        ToolMessage(
            blocks_of(result),
            tool_call_id=call["id"] or "",
            name=call["name"],
            status="error" if result.is_error else "success",
            artifact={"is_error": result.is_error, "ended": result.ended},
        )
        for call, result in zip(calls, results, strict=True)
    ]


class LiveTools(Sequence[BaseTool]):
    """The tools of whichever rollout runs; none outside one."""

    def _now(self) -> list[BaseTool]:
        return [EnvironmentTool.of(spec) for spec in stage().specs] if has_stage() else []

    def __iter__(self) -> Iterator[BaseTool]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    @overload
    def __getitem__(self, index: int) -> BaseTool: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[BaseTool]: ...
    def __getitem__(self, index: int | slice) -> BaseTool | Sequence[BaseTool]:
        return self._now()[index]

    def __add__(self, other: Iterable[Any]) -> list[Any]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Any]) -> list[Any]:
        return [*other, *self]


def blocks_of(result: ToolResult) -> str | list[str | dict[str, Any]]:
    """A result as the content of a ToolMessage: text, or blocks where there are images."""
    if not result.images:
        return result.text
    blocks: list[str | dict[str, Any]] = [{"type": "text", "text": result.text}] if result.text else []
    return [*blocks, *({"type": "image_url", "image_url": {"url": url}} for url in image_urls(result))]


tools = LiveTools()

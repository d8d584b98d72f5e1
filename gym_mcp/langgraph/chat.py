"""A LangChain chat model over our own: usage, limits and items pass through, there is no second client."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from gym_mcp.langgraph.messages import response_message, to_items
from gym_mcp.langgraph.stage import stage
from gym_mcp.langgraph.toolbox import EnvironmentTool, LiveTools
from gym_mcp.types import Item, JSONObject

_OWN = {"tools", "tool_choice", "stop", "ls_structured_output_format"}


class ChatModel(BaseChatModel):
    """The model of the rollout that runs. Its answers hold usage, and their items for the next turn.

    Parameters of the Responses API may be bound (`model.bind(temperature=0)`); they win over the task's own.
    Raises what a model raises: `ModelError`, and `LimitReached` for a spent budget, both of which end the graph.
    """

    @property
    def _llm_type(self) -> str:
        return "gym-mcp"

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        at = stage()
        tools = [tool for given in _listed(kwargs.get("tools")) for tool in as_functions(given)]
        params = {k: v for k, v in kwargs.items() if k not in _OWN and v is not None}
        if kwargs.get("tool_choice") is not None:
            params["tool_choice"] = tool_choice(kwargs["tool_choice"])
        if stop:
            params["stop"] = stop
        response = await at.respond(to_items(messages), tools, params)
        message = response_message(response, at.message_id(response))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return stage().wait_in_thread(self._agenerate(messages, stop, **kwargs))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools. Our `tools` stands for those of whichever rollout runs; others are taken as they are."""
        given = tools if isinstance(tools, LiveTools) else list(tools)
        return self.bind(tools=given, tool_choice=tool_choice, **kwargs)


def _listed(tools: Any) -> Sequence[Any]:
    return [] if tools is None else tools


def as_functions(tool: Any) -> list[Item]:
    """The Responses function tools of anything that LangChain takes for one."""
    if isinstance(tool, LiveTools):
        return [function for one in tool for function in as_functions(one)]
    if isinstance(tool, EnvironmentTool):
        return [tool.function]
    if isinstance(tool, dict) and tool.get("type") == "function" and "name" in tool:
        return [tool]
    function: JSONObject = convert_to_openai_tool(tool)["function"]
    return [{"type": "function", "strict": False, **function}]


def tool_choice(choice: Any) -> Any:
    """The Responses form of LangChain's: `any`, `auto`, `none`, a tool's name, True, or OpenAI's own forms."""
    if choice in ("any", True):
        return "required"
    if isinstance(choice, str) and choice not in ("auto", "none", "required"):
        return {"type": "function", "name": choice}
    if isinstance(choice, dict) and isinstance(choice.get("function"), dict):
        return {"type": "function", "name": choice["function"].get("name")}
    return choice


model = ChatModel()

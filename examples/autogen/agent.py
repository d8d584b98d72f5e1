"""One episode with AutoGen, whose MCP extension needs mcp 1.x.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import McpWorkbench, StreamableHttpServerParams


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    client = OpenAIChatCompletionClient(
        model=model,
        base_url=model_base_url,
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
        model_info=ModelInfo(
            vision=False, function_calling=True, json_output=False, structured_output=False, family="unknown"
        ),
    )
    async with McpWorkbench(StreamableHttpServerParams(url=episode_url)) as environment:
        task = await environment.get_prompt("task")
        prompt = "\n".join(message.content.text for message in task.messages)
        agent = AssistantAgent("agent", client, workbench=environment, max_tool_iterations=50)
        result = await agent.run(task=prompt)
    await client.close()
    return str(result.messages[-1].content)


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

"""One episode with Microsoft's Agent Framework, the successor of AutoGen.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from agent_framework import Agent, MCPStreamableHTTPTool
from agent_framework.openai import OpenAIChatCompletionClient
from mcp import Client


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    async with Client(episode_url) as environment:
        task = await environment.get_prompt("task")
    prompt = "\n".join(message.content.text for message in task.messages)
    key = os.environ.get("OPENAI_API_KEY", "none")
    client = OpenAIChatCompletionClient(model=model, base_url=model_base_url, api_key=key)
    # Its prompts would become tools of the agent.
    tools = MCPStreamableHTTPTool("environment", episode_url, load_prompts=False)
    async with Agent(client, tools=[tools]) as agent:
        return (await agent.run(prompt)).text


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

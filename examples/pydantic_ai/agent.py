"""One episode with Pydantic AI.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from fastmcp import Client
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    async with Client(episode_url) as environment:
        task = await environment.get_prompt("task")
    prompt = "\n".join(message.content.text for message in task.messages)
    provider = OpenAIProvider(base_url=model_base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    agent = Agent(OpenAIChatModel(model, provider=provider), toolsets=[MCPToolset(episode_url)])
    async with agent:
        return (await agent.run(prompt)).output


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

"""One episode with the OpenAI Agents SDK: the environment is an MCP server like any other.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=model_base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    async with MCPServerStreamableHttp(params={"url": episode_url}) as environment:
        task = await environment.get_prompt("task")
        prompt = "\n".join(message.content.text for message in task.messages)
        agent = Agent(
            name="agent",
            model=OpenAIResponsesModel(model=model, openai_client=client),
            mcp_servers=[environment],
        )
        result = await Runner.run(agent, prompt, max_turns=50)
        return str(result.final_output)


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

"""One episode with smolagents, whose agent ends with a tool of its own, `final_answer`.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from smolagents import MCPClient, OpenAIModel, ToolCallingAgent


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    prompt = await task(episode_url)
    return await asyncio.to_thread(play, episode_url, model_base_url, model, prompt)


async def task(episode_url: str) -> str:
    """smolagents knows tools only: the task comes through the SDK."""
    async with streamablehttp_client(episode_url) as (read, write, _), ClientSession(read, write) as environment:
        await environment.initialize()
        got = await environment.get_prompt("task")
        return "\n".join(message.content.text for message in got.messages)


def play(episode_url: str, model_base_url: str, model: str, prompt: str) -> str:
    """The agent runs in a thread: it is sync."""
    key = os.environ.get("OPENAI_API_KEY", "none")
    server = {"url": episode_url, "transport": "streamable-http"}
    with MCPClient(server, structured_output=False) as tools:
        agent = ToolCallingAgent(tools, OpenAIModel(model, model_base_url, key), max_steps=50, verbosity_level=0)
        return str(agent.run(prompt))


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

"""One episode with LangChain and langchain-mcp-adapters, which needs mcp 1.x: in a process of its own it may.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import os
import sys

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    key = os.environ.get("OPENAI_API_KEY", "none")
    client = MultiServerMCPClient({"environment": {"transport": "streamable_http", "url": episode_url}})
    agent = create_agent(
        ChatOpenAI(model=model, base_url=model_base_url, api_key=key),
        await client.get_tools(),
    )
    prompt = await client.get_prompt("environment", "task")
    result = await agent.ainvoke({"messages": prompt})
    return str(result["messages"][-1].text)


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

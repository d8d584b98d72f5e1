"""One episode with the plain SDK, mcp 2.x: the stateless protocol of 2026.

python agent.py EPISODE_URL MODEL_BASE_URL [MODEL]; the key of the model comes from OPENAI_API_KEY.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from mcp import Client
from openai import AsyncOpenAI


async def main(episode_url: str, model_base_url: str, model: str = "scripted") -> str:
    """Play the episode; the agent's last word."""
    async with Client(episode_url) as environment:
        task = await environment.get_prompt("task")
        listed = await environment.list_tools()
        tools = [function(t.name, t.description, t.input_schema) for t in listed.tools]
        prompt = "\n".join(message.content.text for message in task.messages)
        return await play(environment, tools, prompt, model, model_base_url)


async def play(environment: Any, tools: list[Any], prompt: str, model: str, model_base_url: str) -> str:
    """The tool loop over Chat Completions."""
    client = AsyncOpenAI(base_url=model_base_url, api_key=os.environ.get("OPENAI_API_KEY", "none"))
    messages: list[Any] = [{"role": "user", "content": prompt}]
    while True:
        answer = await client.chat.completions.create(model=model, messages=messages, tools=tools)
        said = answer.choices[0].message
        messages.append(said.model_dump(exclude_none=True))
        if not said.tool_calls:
            return said.content or ""
        for call in said.tool_calls:
            result = await environment.call_tool(call.function.name, json.loads(call.function.arguments))
            text = "\n".join(block.text for block in result.content if block.type == "text")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": text})


def function(name: str, description: str | None, schema: dict[str, Any]) -> dict[str, Any]:
    """A tool in OpenAI's form."""
    return {"type": "function", "function": {"name": name, "description": description or "", "parameters": schema}}


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:])))

"""A model's tool calls and their results, between Responses items and an episode: what every harness needs."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import orjson

from gym_mcp.types import Item, JSONObject, ToolResult


def read_arguments(call: Item) -> JSONObject | ToolResult:
    """Arguments of a function call, or the error for the model when they are no JSON object."""
    name = call.get("name", "")
    try:
        arguments = orjson.loads(call.get("arguments") or "{}")
    except orjson.JSONDecodeError as e:
        return ToolResult(f"Invalid arguments for {name}: not valid JSON ({e}).", is_error=True)
    if not isinstance(arguments, dict):
        return ToolResult(f"Invalid arguments for {name}: a JSON object is expected.", is_error=True)
    return arguments


def output_item(call_id: str, result: ToolResult) -> Item:
    """A result as the Responses API takes it: text, or parts when there are images."""
    return {"type": "function_call_output", "call_id": call_id, "output": output_of(result)}


def output_of(result: ToolResult) -> str | list[Item]:
    """The `output` of such an item."""
    if not result.images:
        return result.text
    parts: list[Item] = [{"type": "input_text", "text": result.text}] if result.text else []
    return [*parts, *({"type": "input_image", "image_url": url} for url in image_urls(result))]


def image_urls(result: ToolResult) -> Iterator[str]:
    """The images of a result as `data:` URLs."""
    for image in result.images:
        yield f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def call_item(name: str, arguments: JSONObject, call_id: str) -> Item:
    """A function call that a harness makes itself."""
    text = orjson.dumps(arguments, default=str).decode()
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": text}

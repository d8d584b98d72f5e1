"""A tool's result as the Responses API takes it."""

from __future__ import annotations

import base64

from gym_mcp.types import Item, ToolResult


def output_of(result: ToolResult) -> str | list[Item]:
    """The `output` of a `function_call_output` item: text, or parts when there are images."""
    if not result.images:
        return result.text
    parts: list[Item] = [{"type": "input_text", "text": result.text}] if result.text else []
    for image in result.images:
        data = base64.b64encode(image.data).decode()
        parts.append({"type": "input_image", "image_url": f"data:{image.media_type};base64,{data}"})
    return parts

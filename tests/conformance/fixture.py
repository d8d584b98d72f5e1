"""The fixture that the official MCP conformance suite asks for, as far as an agent plane has it by design."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import Field

from gym_mcp import Environment, Image, Task, Tool, ToolError, Transcript, tool

PIXEL: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SCHEMA_2020: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class Conformance(Environment):
    """Tools and resources by the names that the suite calls."""

    domain = "test"

    @tool(read_only=True)
    def test_simple_text(self) -> str:
        """Give a text."""
        return "This is a simple text response for testing."

    @tool(read_only=True)
    def test_image_content(self) -> Any:
        """Give an image."""
        return Image(PIXEL)

    @tool(read_only=True)
    def test_multiple_content_types(self) -> Any:
        """Give a text and an image."""
        return ["Multiple content types test:", Image(PIXEL)]

    @tool
    def test_error_handling(self) -> str:
        """Fail."""
        raise ToolError("This tool intentionally returns an error for testing")

    @tool(read_only=True)
    def mirrored(self, region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        """Say the region, which clients mirror in a header."""
        return region

    def tools_for(self, task: Task) -> Iterable[str | Tool]:
        nested = Tool.from_schema(
            "json_schema_2020_12_tool",
            "Take arguments under a schema of the 2020-12 draft.",
            SCHEMA_2020,
            lambda environment, arguments: "ok",
        )
        return [*type(self).tools(), nested]

    def resources(self) -> dict[str, str | bytes | Image]:
        return {
            "test://static-text": "This is the content of the static text resource.",
            "test://static-binary": Image(PIXEL),
        }

    def verify(self, transcript: Transcript) -> float:
        return 1.0

    @classmethod
    def tasks(cls) -> list[dict[str, Any]]:
        return [{"id": "one", "prompt": "Say hello.", "data": {}}]

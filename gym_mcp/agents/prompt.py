"""A task's prompt as the one text that an agent is started with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gym_mcp.errors import HarnessError
from gym_mcp.types import Item, text_of

_SPEAKERS: Final = {"user": "User", "assistant": "Assistant"}


def task_text(prompt: Sequence[Item]) -> str:
    """System and developer texts first, then the user's; a longer conversation is told with who says what.

    `HarnessError` for prompts that a command line cannot take: images, files, tool calls.
    """
    rules: list[str] = []
    said: list[tuple[str, str]] = []
    for item in prompt:
        if item.get("type", "message") != "message":
            raise HarnessError(f"the task's prompt holds a {item.get('type')}, which agents take no part in")
        parts = item.get("content")
        for part in parts if isinstance(parts, list) else ():
            if "text" not in part:
                raise HarnessError(f"the task's prompt holds a {part.get('type')}, which agents cannot be given")
        role, text = item.get("role", "user"), text_of(item)
        if role in ("system", "developer"):
            rules.append(text)
        else:
            said.append((role, text))
    if len(said) > 1:
        rest = "\n\n".join(f"{_SPEAKERS.get(role, role)}: {text}" for role, text in said)
    else:
        rest = "".join(text for _, text in said)
    return safe("\n\n".join([*rules, rest]))


def safe(text: str) -> str:
    """`text` so that no agent takes its beginning for a command or an option."""
    return f"Task: {text}" if text[:1] in ("/", "-", "!", "@", "#", "$") else text

"""What real agents were seen to send: odd shapes that must be read, and what of them is dropped."""

from __future__ import annotations

from typing import Any

import pytest

from gym_mcp.gateway import chat_in, gemini_in, messages_in, responses_in
from gym_mcp.gateway.ask import Ask
from gym_mcp.gateway.responses_out import answer
from gym_mcp.gateway.upstream import portable
from gym_mcp.models.base import Response
from gym_mcp.types import text_of
from tests.gateway.kit import Scripted, call, say, served
from tests.gateway.raw import APIS, HELLO, ask
from tests.support import run

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
MCP = {"name": "mcp__env__guess", "description": "Guess.", "input_schema": SCHEMA}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
CLAUDE: dict[str, Any] = {
    "model": "claude",
    "max_tokens": 32_000,
    "stream": True,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "medium"},
    "context_management": {"edits": []},
    "metadata": {"user_id": "u"},
    "some_future_field": 1,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ],
    "tools": [
        {**MCP, "defer_loading": True, "cache_control": {"type": "ephemeral"}, "eager_input_streaming": True},
        {"name": "DeferredToolPlaceholder", "input_schema": {"type": "object"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "messages": [
        {"role": "system", "content": "MCP instructions."},
        {"role": "user", "content": [{"type": "text", "text": "Guess.", "cache_control": {"type": "ephemeral"}}]},
        {"role": "system", "content": [{"type": "text", "text": "Environment."}, {"type": "tool_addition"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "any string"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "tool_use", "id": "t1", "name": "mcp__env__guess", "input": {"n": 1}, "caller": None},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>now</system-reminder>"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "low"},
                        PNG,
                        {"type": "tool_reference", "tool_name": "mcp__env__look"},
                    ],
                },
            ],
        },
    ],
}


def test_claude_code() -> None:
    asked = messages_in.read(CLAUDE)
    assert [tool["name"] for tool in asked.tools] == ["mcp__env__guess"]
    shown = [(i.get("role") or i["type"], text_of(i)) for i in asked.items]
    assert shown == [
        ("system", "You are Claude Code."),
        ("system", "MCP instructions."),
        ("user", "Guess."),
        ("system", "Environment."),
        ("reasoning", "hm"),
        ("reasoning", ""),
        ("function_call", ""),
        ("function_call_output", ""),
        ("user", "<system-reminder>now</system-reminder>"),
    ]
    kinds = [part["type"] for part in asked.items[7]["output"]]
    assert kinds == ["input_text", "input_image", "input_text"]
    for what in ("billing", "DeferredToolPlaceholder", "web_search_20250305", "tool_addition", "server_tool_use"):
        assert any(what in line for line in asked.dropped), what
    for what in ("is_error", "context_management", "some_future_field"):
        assert any(what in line for line in asked.dropped), what


def test_open_models_get_one_system_message_first() -> None:
    asked = messages_in.read(CLAUDE)
    items, _, params = portable("openai-chat/m", asked.items, asked)
    roles = [i["role"] for i in items if i["type"] == "message"]
    assert roles == ["system", "user", "user", "user"]
    assert text_of(items[0]) == "You are Claude Code.\n\nMCP instructions."
    assert text_of(items[2]) == "<system-reminder>\nEnvironment.\n</system-reminder>"
    assert not {"thinking", "output_config", "max_output_tokens"} & params.keys()
    assert "a limit of 16000 output tokens or more" in asked.dropped


def test_anthropics_own_models_get_their_own_settings() -> None:
    asked = messages_in.read(CLAUDE)
    params = portable("anthropic/claude", asked.items, asked)[2]
    assert params["max_output_tokens"] == 32_000
    assert params["thinking"] == {"type": "adaptive"}
    assert params["output_config"] == {"effort": "medium"}


def test_openai_takes_system_messages_in_any_place() -> None:
    asked = messages_in.read(CLAUDE)
    assert portable("openai/gpt", asked.items, asked)[0] == asked.items


GUESS = {"type": "function", "name": "guess", "description": "Guess.", "parameters": SCHEMA}
CODEX: dict[str, Any] = {
    "model": "m",
    "instructions": "You are Codex.",
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "k",
    "client_metadata": {"x": "y"},
    "reasoning": {"effort": "medium", "summary": "auto"},
    "text": {"verbosity": "low"},
    "tool_choice": "auto",
    "tools": [
        {"type": "namespace", "name": "mcp__env", "description": "Guess a number.", "tools": [GUESS]},
        {"type": "web_search", "external_web_access": False},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}},
        {"type": "local_shell"},
        {"type": "function", "name": "shell", "parameters": SCHEMA, "strict": False},
    ],
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Rules."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Guess."}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "function_call", "namespace": "mcp__env", "name": "guess", "arguments": "{}", "call_id": "c1"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "low"}]},
        {"type": "web_search_call", "id": "w1"},
    ],
}


def test_codex() -> None:
    asked = responses_in.read(CODEX)
    assert [tool["name"] for tool in asked.tools] == ["mcp__env__guess", "shell"]
    assert asked.names == {"mcp__env__guess": ("mcp__env", "guess")}
    assert text_of(asked.items[0]) == "You are Codex.\n\n# mcp__env\nGuess a number."
    assert asked.items[4] == {
        "type": "function_call",
        "name": "mcp__env__guess",
        "arguments": "{}",
        "call_id": "c1",
    }
    for what in ("web_search", "custom tool `apply_patch`", "local_shell", "client_metadata", "verbosity"):
        assert any(what in line for line in asked.dropped), what
    assert portable("openai/m", asked.items, asked)[2]["reasoning"]["effort"] == "medium"
    assert "reasoning" not in portable("openai-chat/m", asked.items, asked)[2]


def test_codex_gets_namespace_and_name() -> None:
    """A bare `guess` is an unsupported call to it."""
    asked = responses_in.read(CODEX)
    output = answer(Response([call("mcp__env__guess", "{}"), call("shell", "{}")]), asked)["output"]
    assert [(i.get("namespace"), i["name"]) for i in output] == [("mcp__env", "guess"), (None, "shell")]


def test_responses_that_refer_to_what_is_not_stored_are_refused() -> None:
    async def check() -> None:
        async with served(Scripted([say("never")])) as session:
            answered = await ask(session, "responses", body={"previous_response_id": "resp_1"})
            assert answered.status == 400
            assert "send the whole conversation" in answered.text

    run(check)


def test_chat_agents() -> None:
    body: dict[str, Any] = {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Rules."}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "function": {"name": "guess"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "low"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "guess"}}, {"type": "custom", "custom": {}}],
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 5,
        "reasoning_effort": "low",
        "n": 1,
        "stop": ["x"],
        "response_format": {"type": "json_object"},
        "prediction": {},
    }
    asked = chat_in.read(body)
    assert [i.get("role") or i["type"] for i in asked.items] == [
        *("system", "user", "function_call", "function_call_output"),
    ]
    assert asked.params["max_output_tokens"] == 5
    assert asked.params["text"] == {"format": {"type": "json_object"}}
    assert portable("openai-chat/m", asked.items, asked)[2]["stop"] == ["x"]
    assert "stop" not in portable("openai/m", asked.items, asked)[2]
    assert asked.dropped == ["tool `custom`", "`prediction`"]


def test_gemini_cli() -> None:
    body: dict[str, Any] = {
        "systemInstruction": {"role": "user", "parts": [{"text": "Rules."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AA"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "g", "args": {"n": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {"output": "low"}}}]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "g", "parametersJsonSchema": SCHEMA},
                    {"name": "h", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}},
                ]
            },
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"temperature": 0, "topP": 0.9, "thinkingConfig": {}, "maxOutputTokens": 9},
    }
    asked = gemini_in.read(body)
    assert [i.get("call_id") or i["role"] for i in asked.items] == ["system", "user", "call_1", "call_1"]
    assert asked.items[3]["output"] == "low"
    assert asked.tools[1]["parameters"] == {"type": "object", "properties": {"a": {"type": "string"}}}
    assert asked.params["tool_choice"] == "required"
    assert (asked.params["temperature"], asked.params["max_output_tokens"]) == (0, 9)
    assert asked.dropped == ["tool `googleSearch`", "`thinkingConfig`"]


@pytest.mark.parametrize("text", ["", "hi"])
def test_an_ask_reports_a_thing_once(text: str) -> None:
    asked = Ask()
    asked.drop(text)
    asked.drop(text)
    assert asked.dropped == [text]


def test_what_was_dropped_is_recorded() -> None:
    async def check() -> None:
        async with served(Scripted([say("hi")])) as session:
            await ask(session, "messages", body={**CLAUDE, "stream": False})
            assert any("DeferredToolPlaceholder" in line for line in session.calls[0].dropped)
            assert APIS["messages"].body["messages"] == [HELLO]

    run(check)

"""Bodies that nobody sends: each is read, or refused with a reason; none is a crash."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_mcp.errors import HarnessError
from gym_mcp.gateway.ask import Ask, Refused
from gym_mcp.gateway.dialects import CHAT, GEMINI, MESSAGES, RESPONSES, Dialect
from gym_mcp.gateway.upstream import portable
from tests.gateway.kit import Scripted, say, served
from tests.gateway.raw import ask
from tests.gateway.test_server import message_of
from tests.support import run

pytestmark = pytest.mark.slow  # real processes, or searches that take their time

KEYS = st.sampled_from(
    """type role content text input output messages system tools tool_choice function name parameters arguments id
    call_id tool_calls tool_use_id tool_call_id image_url url source data media_type signature thinking summary
    namespace encrypted_content contents parts functionCall functionResponse functionDeclarations inlineData args
    response mimeType generationConfig systemInstruction toolConfig functionCallingConfig stream_options
    response_format reasoning_content thoughtSignature thought mode max_tokens max_output_tokens n stop file
    format""".split()
)
WORDS = st.sampled_from(
    """user assistant system developer tool model function message text tool_use tool_result thinking image
    image_url redacted_thinking function_call function_call_output reasoning namespace custom input_text
    input_image auto base64 url refusal json_schema data:image/png;base64,AA gym-mcp:eJw= { {} ANY""".split()
)
scalars = (
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats(allow_nan=False) | st.text(max_size=3) | WORDS
)
values = st.recursive(
    scalars | WORDS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=6
)
settings_of_calls = st.dictionaries(
    st.sampled_from(
        """tool_choice response_format toolConfig generationConfig systemInstruction system instructions text stop
        reasoning thinking output_config max_tokens temperature stream_options n tools""".split()
    ),
    values,
    max_size=4,
)
ROLES = st.sampled_from("user assistant system developer tool model".split())
FIELDS = """text input output content name arguments id call_id tool_use_id image_url source signature thinking
    summary encrypted_content namespace data url file refusal is_error""".split()
PARTS = "text functionCall functionResponse inlineData fileData thought thoughtSignature".split()
TURN_FIELDS = "tool_calls tool_call_id reasoning_content refusal name type".split()
block = st.fixed_dictionaries({"type": WORDS}, optional={field: values for field in FIELDS})
part = st.dictionaries(st.sampled_from(PARTS), values | st.dictionaries(KEYS, values), min_size=1, max_size=2)
turn = st.fixed_dictionaries(
    {"role": ROLES, "content": st.lists(block, max_size=3) | WORDS, "parts": st.lists(part, max_size=3)},
    optional={field: values | st.lists(block, max_size=2) for field in TURN_FIELDS},
)
turns = st.lists(turn, min_size=1, max_size=3)
conversation = st.one_of(turns, turns, st.lists(turn | block, max_size=3)).map(
    lambda given: {"messages": given, "input": given, "contents": given}
)
bodies = st.tuples(st.dictionaries(KEYS, values, max_size=3), settings_of_calls, conversation).map(
    lambda parts: {**parts[0], **parts[1], **parts[2]}
)


@pytest.mark.parametrize("dialect", [MESSAGES, CHAT, RESPONSES, GEMINI], ids=lambda d: str(d.name))
@settings(max_examples=60)
@given(body=bodies)
def test_every_body_is_read_or_refused(dialect: Dialect, body: dict[str, Any]) -> None:
    try:
        asked = dialect.read(body)
    except Refused as refused:
        assert refused.kind == "bad_request"
        assert str(refused)
        return
    for spec in ("openai/m", "openai-chat/m", "anthropic/m", "builtin/null"):
        items, tools, params = portable(spec, asked.items, asked)
        assert all(isinstance(item, dict) for item in [*items, *tools])
        assert isinstance(params, dict)
    assert dialect.count(asked)


def test_our_own_mistakes_are_told_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(body: Any) -> Ask:
        raise ZeroDivisionError("a bug")

    async def check() -> None:
        async with served(Scripted([say("never")])) as session:
            monkeypatch.setattr(Dialect, "read", property(lambda self: broken))
            answer = await ask(session, "messages")
            assert answer.status == 400
            assert "a bug" not in message_of(answer)
            assert isinstance(session.error, HarnessError)
            assert "a bug" in session.error.detail

    run(check)


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = [deep]

    async def check() -> None:
        async with served(Scripted([say("hi")])) as session:
            use = {"type": "tool_use", "id": "t", "name": "n", "input": {"x": deep}}
            body = {"messages": [{"role": "assistant", "content": [use]}]}
            answer = await ask(session, "messages", data=json.dumps(body).encode())
            assert answer.status == 400
            assert "nested" in message_of(answer)
            assert session.error is None
            many = b"[" * 100_000 + b"]" * 100_000
            assert (await ask(session, "chat", data=many)).status == 400
            assert orjson.loads(answer.text)["type"] == "error"

    run(check)

"""Messages of a worker process with the rows that follow them, however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.cluster.remote import messages_in
from gym_mcp.types import JSONObject

SENT: list[tuple[JSONObject, list[bytes]]] = [
    ({"ready": 7}, []),
    ({"id": 1, "rows": [{"a": 1}], "lines": 1}, [b'{"task_id": "one\\nline \\r of it"}\n']),
    ({"id": 1, "over": True}, []),
    ({"id": 2, "rows": [{}, {}], "lines": 2}, [b'{"b": "\xe2\x80\xa8"}\n', b'{"c": 3}\n']),
    ({"id": 3, "kept": 0, "lines": 0}, []),
    ({"lags": {}, "greatest": 0.5}, []),
]
STREAM = b"".join(orjson.dumps(message) + b"\n" + b"".join(lines) for message, lines in SENT)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_messages(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    found: list[JSONObject] = []
    rest = b""
    for start, end in pairwise(places):
        messages, rest = messages_in(rest + STREAM[start:end])
        found += messages
    assert rest == b""
    for got, (message, lines) in zip(found, SENT, strict=True):
        expected = {**message, "lines": lines} if "lines" in message else message
        assert got == expected


def test_a_message_whose_rows_are_not_all_there_waits() -> None:
    whole = orjson.dumps({"id": 1, "rows": [{}], "lines": 1}) + b"\n"
    assert messages_in(whole) == ([], whole)
    assert messages_in(whole + b'{"half') == ([], whole + b'{"half')

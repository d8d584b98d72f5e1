"""Where keys come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.errors import UsageError
from gym_mcp.models.keys import find_key, parse_dotenv, variables

DOTENV = r"""
# a comment
PLAIN=value
export EXPORTED=yes
SPACES =  around it
SINGLE='a "b" # c \n'
DOUBLE="a 'b' # c\n\"d\""
TRAILING=value # comment
HASH=a#b
QUOTED_COMMENT="x"  # comment
EMPTY=
EMPTY_COMMENT= # nothing
no equals sign
1BAD=name
EQUALS=a=b=c
"""


def test_parse_dotenv() -> None:
    assert parse_dotenv(DOTENV) == {
        "PLAIN": "value",
        "EXPORTED": "yes",
        "SPACES": "around it",
        "SINGLE": 'a "b" # c \\n',
        "DOUBLE": "a 'b' # c\n\"d\"",
        "TRAILING": "value",
        "HASH": "a#b",
        "QUOTED_COMMENT": "x",
        "EMPTY": "",
        "EMPTY_COMMENT": "",
        "EQUALS": "a=b=c",
    }


def test_the_environment_wins_and_empty_is_absent(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=file\nB=file\nC=\n", encoding="utf-8-sig")
    assert variables({"A": "set", "B": ""}, tmp_path) == {"A": "set", "B": "file"}
    assert variables({}, tmp_path / "nowhere") == {}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        variables({}, tmp_path)


def test_openai_needs_its_key(tmp_path: Path) -> None:
    assert find_key(own_endpoint=False, environ={"OPENAI_API_KEY": "k1"}, directory=tmp_path) == "k1"
    for environ in ({}, {"GYM_MCP_API_KEY": "k"}, {"OPENAI_API_KEY": "  "}):
        with pytest.raises(UsageError, match="OPENAI_API_KEY"):
            find_key(own_endpoint=False, environ=environ, directory=tmp_path)
    (tmp_path / ".env").write_text("OPENAI_API_KEY='k2'\n")
    assert find_key(own_endpoint=False, environ={}, directory=tmp_path) == "k2"


def test_another_endpoint_needs_none(tmp_path: Path) -> None:
    both = {"GYM_MCP_API_KEY": "mine", "OPENAI_API_KEY": "theirs"}
    assert find_key(own_endpoint=True, environ=both, directory=tmp_path) == "mine"
    assert find_key(own_endpoint=True, environ={"OPENAI_API_KEY": "theirs"}, directory=tmp_path) == "theirs"
    assert find_key(own_endpoint=True, environ={}, directory=tmp_path) == ""


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "sk-“quoted”", "tab\there"])
def test_a_key_that_cannot_be_one_is_named_but_not_shown(key: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="OPENAI_API_KEY: it holds") as caught:
        find_key(own_endpoint=False, environ={"OPENAI_API_KEY": key}, directory=tmp_path)
    assert key not in str(caught.value)

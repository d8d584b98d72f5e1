"""Clients' configuration files: one server set, everything else kept to the letter, or nothing changed at all."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.connect import jsonc
from gym_mcp.connect.merge import merge_json, merge_toml
from gym_mcp.errors import UsageError

URL = "http://127.0.0.1:4000/counter/seats/abc/mcp"
NEW = "http://127.0.0.1:4001/counter/seats/xyz/mcp"
KEYS = ("mcpServers", "counter")
COMMENTED = """{
    // my servers
    "mcpServers": {
        "other": {"command": "x", "args": ["-y"]}, // keep
        /* old */
    },
    "theme": "dark", // trailing comma is fine here
}
"""
scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6)
values = st.recursive(
    scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=4), v, max_size=3), max_leaves=8
)


def put(path: Path, text: str, url: str = URL) -> str:
    path.write_bytes(text.encode())
    merge_json(path, KEYS, {"url": url}, {})
    return path.read_bytes().decode()


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / ".cursor" / "mcp.json"
    merge_json(path, KEYS, {"url": URL}, {"$schema": "s"})
    assert json.loads(path.read_text()) == {"$schema": "s", "mcpServers": {"counter": {"url": URL}}}
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["mcp.json"]


def test_comments_and_layout_are_kept(tmp_path: Path) -> None:
    after = put(tmp_path / "mcp.json", COMMENTED)
    lines = after.splitlines()
    for line in COMMENTED.splitlines():
        assert line in lines, line
    value = jsonc.parse(after).value
    assert value["mcpServers"]["counter"] == {"url": URL} and value["theme"] == "dark"
    assert after.count('        "counter": {\n            "url"') == 1, "not indented as the file is"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{ }\n",
        '{"a": 1}',
        '{"mcpServers": {}}',
        '{"mcpServers":{"a":{}}}',
        '{\r\n\t"a": [1,\r\n\t2]\r\n}\r\n',
        "\ufeff{}",
        '{\n  "a": 1 // last\n}',
        '{"a": "}//{", "b": {"c": "\\""}}',
        "",
        "  \n",
    ],
)
def test_layouts(text: str, tmp_path: Path) -> None:
    after = put(tmp_path / "f.json", text)
    before = jsonc.parse(text).value if text.strip() else {}
    servers = {**before.get("mcpServers", {}), "counter": {"url": URL}}
    assert jsonc.parse(after).value == {**before, "mcpServers": servers}
    assert ("\r\n" in after) == ("\r\n" in text) and after.startswith("\ufeff") == text.startswith("\ufeff")
    if "\r\n" in text:
        assert "\n" not in after.replace("\r\n", "")


@given(st.dictionaries(st.text(max_size=4), values, max_size=4), st.sampled_from([None, 1, 2, "\t"]))
def test_any_json_object_keeps_its_members(value: dict[str, Any], indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    assert jsonc.parse(text).value == value
    after = jsonc.set_member(text, ["\x00new", "b"], {"c": [1]})
    assert json.loads(after) == {**value, "\x00new": {"b": {"c": [1]}}}


def test_our_own_entry_is_renewed_and_what_the_user_added_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    mine = {"mcpServers": {"counter": {"url": URL, "alwaysAllow": ["add"]}}}
    first = put(path, json.dumps(mine), NEW)
    assert json.loads(first)["mcpServers"]["counter"] == {"url": NEW, "alwaysAllow": ["add"]}
    assert put(path, first, NEW) == first, "setting it again changed something"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"mcpServers": {"counter": {"url": "https://example.com/mcp"}}}', "another server `counter`"),
        ('{"mcpServers": {"counter": {"command": "x"}}}', "another server `counter`"),
        ('{"mcpServers": []}', "`mcpServers` is no object"),
        ("[]", "`the file` is no object"),
        ('{"a": 1', "mend it"),
        ('{"a" 1}', "mend it"),
        ("{'a': 1}", "mend it"),
        ('{"a": 1 "b": 2}', "mend it"),
        ("{} {}", "mend it"),
        ("[" * 100_000, "mend it"),
    ],
)
def test_what_cannot_be_merged_is_not_touched(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    with pytest.raises(UsageError) as caught:
        put(path, text)
    assert said in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text and os.listdir(tmp_path) == ["mcp.json"]


def test_modes_and_links_survive(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    real.chmod(0o644)
    link = tmp_path / "mcp.json"
    link.symlink_to(real)
    merge_json(link, KEYS, {"url": URL}, {})
    assert link.is_symlink() and URL in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o644


TOML = """# mine
model = "m"   # keep

[mcp_servers.other]
command = "x"
"""


def test_toml(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(TOML)
    merge_toml(path, "mcp_servers", "counter", URL)
    after = path.read_text()
    assert after.startswith(TOML)
    assert tomllib.loads(after)["mcp_servers"] == {"other": {"command": "x"}, "counter": {"url": URL}}
    path.write_text(after + "tool_timeout_sec = 60\n")
    merge_toml(path, "mcp_servers", "counter", NEW)
    assert tomllib.loads(path.read_text())["mcp_servers"]["counter"] == {"url": NEW, "tool_timeout_sec": 60}
    assert path.read_text().startswith(TOML)


def test_a_new_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "codex" / "config.toml"
    merge_toml(path, "mcp_servers", "a.b", URL)
    assert tomllib.loads(path.read_text()) == {"mcp_servers": {"a.b": {"url": URL}}}


@pytest.mark.parametrize(
    "text",
    [
        "a = ",
        'mcp_servers = {counter = {url = "https://example.com"}}',
        f'mcp_servers = {{counter = {{url = "{URL}"}}}}',
        "mcp_servers = 3",
        "mcp_servers = {}",
    ],
)
def test_toml_that_cannot_be_merged_is_not_touched(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=str(path)):
        merge_toml(path, "mcp_servers", "counter", NEW)
    assert path.read_text() == text


def test_a_file_that_changes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    from gym_mcp.connect.merge import replace

    path = tmp_path / "mcp.json"
    path.write_text("changed")
    with pytest.raises(UsageError, match="changed it meanwhile"):
        replace(path, "before", "after")
    assert path.read_text() == "changed" and os.listdir(tmp_path) == ["mcp.json"]

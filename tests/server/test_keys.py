"""The operator key: made once, readable by its owner alone, found by clients of the same machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from gym_mcp.errors import UsageError
from gym_mcp.server.keys import FILE_VARIABLE, VARIABLE, client_key, default_key_file, read_key, server_key


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    return tmp_path


def test_a_key_is_made_once_for_its_owner_alone(state: Path) -> None:
    file = default_key_file(8765)
    assert file == state / "gym-mcp" / "operator-8765.key"
    key, kept = server_key(file)
    assert kept == file and len(key) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert server_key(file) == (key, file)
    assert client_key(8765) == key
    other, _ = server_key(default_key_file(8766))
    assert other != key


def test_the_environment_comes_first(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = default_key_file(8765)
    key, _ = server_key(file)
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert client_key(None) == key
    monkeypatch.setenv(VARIABLE, "k" * 20)
    assert client_key(8765) == "k" * 20
    assert server_key(state / "unused") == ("k" * 20, None)
    assert not (state / "unused").exists()


def test_a_key_that_others_can_read_is_refused(state: Path) -> None:
    file = default_key_file(8765)
    server_key(file)
    file.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        server_key(file)
    with pytest.raises(UsageError, match="chmod 600"):
        client_key(8765)


@pytest.mark.parametrize("bad", ["short", "has blanks in the key", "ünïcödé-ünïcödé-ünïcödé"])
def test_a_key_that_cannot_be_a_header_is_refused(bad: str, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, bad)
    with pytest.raises(UsageError, match=VARIABLE):
        server_key(state / "unused")


def test_no_key_says_where_it_was_looked_for() -> None:
    with pytest.raises(UsageError, match=rf"{VARIABLE}, {FILE_VARIABLE} and .*operator-1\.key"):
        client_key(1)
    with pytest.raises(UsageError, match="No such file"):
        read_key(Path("/nowhere/at/all"))

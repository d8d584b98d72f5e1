"""A file is imported as it is now."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from gym_mcp.loading import load_file


def test_a_cached_compilation_of_the_text_before_an_edit_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "server.py"
    found = []
    for text in ("SCORE = 1\n", "SCORE = 2\n"):
        file.write_text(text)
        os.utime(file, (1_000_000_000, 1_000_000_000))  # an edit within the second that the cache knows
        module = load_file(file, None, [])
        found.append(module.SCORE)
        del sys.modules[module.__name__]
    assert found == [1, 2]

"""Each test has a folder of its own for its rollouts' places: its processes can be told from all others."""

from __future__ import annotations

import tempfile

import pytest


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    places = tmp_path_factory.mktemp("places")
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    monkeypatch.setenv("TMPDIR", str(places))

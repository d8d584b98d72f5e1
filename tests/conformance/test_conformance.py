"""The official conformance suite and the official Inspector, against an agent plane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import npm
from tests.conformance import run as tools
from tests.servers import LADDER, child
from tests.support import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    try:
        tools.install()
    except npm.Unavailable as e:
        missing(str(e))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with child(tmp_path_factory.mktemp("state"), [str(tools.HERE / "fixture.py")]) as served:
        yield tools.open_url(served)


@pytest.mark.parametrize("revision", tools.REVISIONS)
def test_the_official_suite(revision: str, url: str) -> None:
    done = tools.suite(url, revision)
    assert done.code == 0, done.output[-4_000:]
    assert "✓ tools-list" in done.output


def test_the_inspector_lists_and_calls(tmp_path: Path) -> None:
    with child(tmp_path, [str(LADDER)]) as served:
        url = tools.open_url(served)
        for era in ("modern", "legacy"):
            listed = tools.inspect(url, "--protocol-era", era, "--method", "tools/list", "--strict")
            assert listed.code == 0 and '"add_later"' in listed.output, listed.output
            call = ("--method", "tools/call", "--tool-name", "add", "--tool-arg", "amount=2")
            called = tools.inspect(url, "--protocol-era", era, *call)
            assert called.code == 0, called.output
            assert json.loads(called.output[called.output.index("{") :])["content"][0]["type"] == "text"

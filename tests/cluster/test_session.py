"""Addresses that lead to no cluster are refused in one line."""

from __future__ import annotations

import socket

import pytest

from gym_mcp.cluster.session import join
from gym_mcp.errors import UsageError


@pytest.mark.parametrize("address", ["", "nowhere", "host:", ":6379", "ray://", "host:port", "http://host/"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="an address is auto, local, HOST:PORT or ray://HOST:PORT"):
        join(address)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nobody_listens(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f":{port}: no cluster can be reached there: Connection refused"):
            join(f"{scheme}127.0.0.1:{port}")
    with pytest.raises(UsageError, match="no cluster can be reached there"):
        join(f"{scheme}127.0.0.1:70000")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'gym-mcp\[ray\]'"):
        join("auto")

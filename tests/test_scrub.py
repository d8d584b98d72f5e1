"""Credentials do not get into what is written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gym_mcp.scrub import scrub_url


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("https://api.example.com/v1", "https://api.example.com/v1"),
        ("https://api.example.com:8443/v1/?x=1#top", "https://api.example.com:8443/v1/?x=1#top"),
        ("https://user:pw@host/v1", "https://***@host/v1"),
        ("https://token@host:99/v1", "https://***@host:99/v1"),
        ("https://a@b@host/", "https://***@host/"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("https://h/v1?api_key=s3cret&model=m", "https://h/v1?api_key=***&model=m"),
        ("https://h/v1?Access_Token=s3cret", "https://h/v1?Access_Token=***"),
        ("https://h/?X-Amz-Signature=abc&sig=d&password=e", "https://h/?X-Amz-Signature=***&sig=***&password=***"),
        ("https://h/?key=", "https://h/?key=***"),
        ("--base-url=https://user:pw@host/v1", "--base-url=https://***@host/v1"),
        ("{'url': 'https://user:pw@host/v1'}", "{'url': 'https://***@host/v1'}"),
        ("two https://a:b@h1 and https://c:d@h2/", "two https://***@h1 and https://***@h2/"),
        ("ws+unix://u:p@h/", "ws+unix://***@h/"),
        ("no url: user:pw@host", "no url: user:pw@host"),
        ("", ""),
        ("builtin/oracle", "builtin/oracle"),
    ],
)
def test_user_parts_and_secret_queries_are_masked(text: str, scrubbed: str) -> None:
    assert scrub_url(text) == scrubbed
    assert scrub_url(scrubbed) == scrubbed, "scrubbing twice changes nothing"


def test_what_only_looks_like_a_url_is_masked_whole() -> None:
    assert scrub_url("http://[unfinished:secret@x") == "***"


@given(st.text())
def test_no_text_makes_it_fail(text: str) -> None:
    scrub_url(text)
    scrub_url(f"https://{text}")


Secrets = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-", min_size=8)


@given(Secrets, Secrets, st.sampled_from(["key", "api-key", "token", "client_secret", "auth"]))
def test_a_secret_never_gets_through(password: str, value: str, name: str) -> None:
    text = scrub_url(f"--model-url=https://me:{password}@host.example/v1?{name}={value}&n=1")
    assert password not in text.replace("host.example", "") and value not in text.replace("host.example", "")

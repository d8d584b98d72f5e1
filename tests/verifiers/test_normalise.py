"""Normal forms of texts and numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifiers.normalise import as_number, folded, same_number, squad


def test_folded() -> None:
    assert folded("  Straße \n \uff21 ") == "strasse a"


@pytest.mark.parametrize(
    ("text", "normal"),
    [("The  Cat's hat.", "cats hat"), ("an apple a day", "apple day"), ("theatre", "theatre"), ("A.", "")],
)
def test_squad(text: str, normal: str) -> None:
    assert squad(text) == normal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12.0),
        (" 1,234.5 ", 1234.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("6e3", 6000.0),
        ("$20", 20.0),
        ("\u22123", -3.0),
        ("3/4", 0.75),
        ("3/0", None),
        ("1,23", None),
        ("5%", None),
        ("12 km", None),
        ("", None),
        (".", None),
        ("e5", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("9" * 5_000, None),
    ],
)
def test_as_number(text: str, value: float | None) -> None:
    assert as_number(text) == value


def test_percentages_when_asked() -> None:
    assert as_number("5%", percent=True) == 0.05
    assert as_number("5\\%", percent=True) == 0.05


def test_same_number() -> None:
    assert same_number(1.0, 1.0)
    assert not same_number(1.0, 1.001)
    assert same_number(1.0, 1.001, abs_=0.01)
    assert same_number(1e6, 1e6 + 1, rel=1e-5)
    assert not same_number(math.nan, math.nan)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_python_writes_is_read(value: float) -> None:
    assert as_number(repr(value)) == value


@given(st.text())
def test_any_text_is_a_number_or_not(text: str) -> None:
    value = as_number(text, percent=True)
    assert value is None or math.isfinite(value)
    assert folded(folded(text)) == folded(text)

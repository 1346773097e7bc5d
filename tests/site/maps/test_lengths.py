"""Lengths and storeys as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.site.maps import parse_count, parse_length

FOOT = 0.3048
ODD = st.text(st.sampled_from("0123456789.,;'\"-+ eEmftincaz~\u0663\uff11\u2032\u2033"), max_size=20)


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("12", 12.0),
        (" 12 m ", 12.0),
        ("12m", 12.0),
        ("12.5", 12.5),
        ("12,5", 12.5),
        ("12,50 metres", 12.5),
        ("120 cm", 1.2),
        ("300 mm", 0.3),
        ("0.5 km", 500.0),
        ("40'", 40 * FOOT),
        ("40 ft", 40 * FOOT),
        ("40 feet", 40 * FOOT),
        ("12'6\"", 12.5 * FOOT),
        ("12' 6''", None),
        ("12\u20326\u2033", 12.5 * FOOT),
        ("12 ft 6 in", 12.5 * FOOT),
        ('6"', 0.5 * FOOT),
        ("3;4", 4.0),
        ("4 m; 3 m", 4.0),
        ("3;?", 3.0),
        ("~12", 12.0),
        ("ca. 12 m", 12.0),
        ("\u0661\u0662", 12.0),
        ("\uff11\uff12\uff4d", 12.0),
        ("0", 0.0),
        ("10000", 10000.0),
    ],
)
def test_lengths(text: str, metres: float | None) -> None:
    assert parse_length(text) == (None if metres is None else pytest.approx(metres, rel=1e-12))


@pytest.mark.parametrize(
    "text",
    ["", " ", "-1", "-3 m", "NaN", "inf", "1e400", "1e3", "10001", "9" * 400, "high", "12 miles", "1,234", "m", "'"],
)
def test_what_is_no_length(text: str) -> None:
    assert parse_length(text) is None


def test_no_value_is_no_length() -> None:
    assert parse_length(None) is None
    assert parse_count(None) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("3", 3.0),
        ("2.5", 2.5),
        ("2,5", 2.5),
        ("3;4", 4.0),
        ("0", 0.0),
        ("-1", None),
        ("9999", None),
        ("3 m", None),
        ("x", None),
    ],
)
def test_counts(text: str, count: float | None) -> None:
    assert parse_count(text) == count


@given(st.one_of(st.text(max_size=300), ODD))
def test_any_text_is_a_bounded_length_or_none(text: str) -> None:
    for value, limit in ((parse_length(text), 10_000), (parse_count(text), 500)):
        assert value is None or 0 <= value <= limit


@given(
    st.floats(0, 9999, allow_subnormal=False), st.sampled_from([("m", 1.0), ("ft", FOOT), ("cm", 0.01), ("'", FOOT)])
)
def test_what_is_written_is_read(number: float, unit: tuple[str, float]) -> None:
    text = f"{number:.6f}"
    assert parse_length(f"{text} {unit[0]}") == pytest.approx(float(text) * unit[1], rel=1e-12)
    assert parse_length(f"1;{text}{unit[0]}") == pytest.approx(max(1.0, float(text) * unit[1]), rel=1e-12)

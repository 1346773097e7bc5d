"""Refusals are one printable line of a bounded length that names its file, whatever a file puts into them."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import LONGEST_MESSAGE, SiteTwinError, said_of


@given(st.text(max_size=2000) | st.text(st.sampled_from("a\n\r\0\x1b\ud800\u2028\u202eß"), max_size=1500))
def test_a_message_is_one_printable_line(text: str) -> None:
    said = str(SiteTwinError(text))
    assert said.isprintable()
    assert len(said) <= LONGEST_MESSAGE
    assert str(pickle.loads(pickle.dumps(SiteTwinError(text)))) == said


def test_plain_sentences_stay_as_they_are() -> None:
    for text in ("", "'a.json' is broken; mend it", "ä" * LONGEST_MESSAGE):
        assert str(SiteTwinError(text)) == text


def test_a_long_message_keeps_its_file_and_its_mend() -> None:
    said = str(SiteTwinError(f"'a.json' holds {'x' * 70_000}; mend it"))
    assert said.startswith("'a.json' holds")
    assert said.endswith("; mend it")


def test_a_refusal_names_its_file_once() -> None:
    with pytest.raises(SiteTwinError, match=r"^recipe a\.toml: a share of 2 is none$"), said_of("recipe a.toml"):
        raise SiteTwinError("a share of 2 is none")
    with pytest.raises(SiteTwinError, match=r"^recipe a\.toml is broken$"), said_of("recipe a.toml"):
        raise SiteTwinError("recipe a.toml is broken")
    with pytest.raises(ZeroDivisionError), said_of("recipe a.toml"):
        raise ZeroDivisionError

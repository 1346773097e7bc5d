"""Numbers as text, the rows of the table of methods, and the table in a terminal."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sitetwin.errors import SiteTwinError
from sitetwin.report import methods_table
from sitetwin.report.csi import summary
from sitetwin.report.csi.results import Estimate, parse_results
from tests.report.made_up import make_results


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(mean=-17.34, low=-17.81, high=-16.87, n=5), "-17.3 [-17.8, -16.9] dB"),
        (Estimate(mean=-0.04, low=-0.06, high=0.04, n=5), "0.0 [-0.1, 0.0] dB"),
        (Estimate(mean=-9.96, low=None, high=None, n=1), "-10.0 dB (n = 1)"),
        (Estimate(mean=-9.96, low=-9.96, high=-9.96, n=1), "-10.0 dB (n = 1)"),
        (Estimate(mean=-9.96, low=-11.2, high=-8.1, n=1, kind="bootstrap over blocks"), "-10.0 [-11.2, -8.1] dB"),
        (Estimate(mean=None), "–"),  # noqa: RUF001
        (None, "–"),  # noqa: RUF001
    ],
)
def test_intervals_as_text(estimate: Estimate | None, text: str) -> None:
    assert summary.interval(estimate) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.7, "1 k"),
        (65_536, "65.5 k"),
        (999_499, "999 k"),
        (22_610_000, "22.6 M"),
        (5e9, "5 G"),
    ],
)
def test_counts_as_text(value: float, text: str) -> None:
    assert summary.short_count(value) == text


@given(st.floats(1, 1e12))
def test_counts_are_within_half_a_percent(value: float) -> None:
    number, _, prefix = summary.short_count(value).partition(" ")
    assert float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[prefix] == pytest.approx(value, rel=0.0051)


def test_rows_take_the_headlines_size_target_and_split() -> None:
    raw = make_results()
    rows = {row.method.name: row for row in summary.method_rows(parse_results(raw))}

    def curve(codec: str, source: str, size: int) -> float:
        return next(
            c["nmse_db"]["mean"]
            for c in raw["curves"]
            if (c["codec"], c["source"], c["n_train"], c["target"], c["split"])
            == (codec, source, size, "target_b", "blocks")
        )

    klt, mixer, csinet = rows["KLT mixture"], rows["mixer"], rows["CSINet+"]
    assert klt.twin is not None
    assert klt.twin.estimate.mean == curve("KLT mixture", "twin", 10240)
    assert klt.twin.remarks == []
    assert klt.refined is not None
    assert klt.refined.estimate.mean == raw["headline"]["nmse_db"]["mean"]
    assert mixer.refined is not None
    assert mixer.refined.note == "rehearsal, high NMSE"  # not the naive ones, whatever they reach
    assert csinet.target is not None
    assert csinet.target.estimate.mean == curve("CSINet+", "target", 5120)
    assert csinet.target.remarks == ["5,120 samples", "not converged"]
    assert csinet.refined is None


@pytest.mark.parametrize("width", [80, 100, 160])
def test_table_fits_the_terminal_and_shows_every_method(width: int) -> None:
    raw = make_results()
    raw["methods"][0]["name"] = "KLT [bold]mix[/red]"
    console = Console(width=width, record=True, force_terminal=False)
    with console.capture() as capture:
        console.print(methods_table(raw))
    lines = capture.get().splitlines()
    assert max(len(line) for line in lines) <= width
    text = capture.get()
    assert "…" not in text
    assert re.sub(r"\s", "", "[bold]mix")[:6] in text
    for row in summary.method_rows(parse_results(raw)):
        for cell in (row.twin, row.refined, row.target):
            if cell is not None and cell.estimate.has_interval:
                mean, bounds = summary.interval(cell.estimate, unit="").split(" ", 1)
                assert mean in text
                assert bounds in text


def test_table_without_headline_or_methods() -> None:
    raw = make_results()
    del raw["headline"], raw["methods"]
    with Console(width=100).capture() as _:
        assert methods_table(raw).row_count == 3 + 4


def test_table_refuses_foreign_results() -> None:
    with pytest.raises(SiteTwinError, match="not those of a sitetwin study"):
        methods_table({"schema_version": 3})

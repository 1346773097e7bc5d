"""The figures of a precoding study: bit error rates over SNR in the form of the paper's Figs. 4 to 6."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sitetwin.drawing.style import DASHES, GREY, colours, new_figure, render
from sitetwin.report.frame import Drawn
from sitetwin.studies.precoding.results import PrecodingResults, Row

SPLITS = {"random": "random split (neighbours leak)", "blocks": "blocks of space", "drives": "whole drives", "all": ""}
_LEAST = 1e-5  # bit error rates below are not drawn
_NOT_DRAWN = ("zero", "one gain")  # no beam differs from that of one antenna, or of the twin


def draw_figures(results: PrecodingResults) -> list[Drawn]:
    """One figure for each comparison that was run; of the networks one for each split."""
    drawn = []
    for name, part, caption in (
        ("fig4-rays", "rays", "Rays of the other engine (paper's Fig. 4); MRT dashed, MMSE solid."),
        ("fig4-mechanisms", "rays", "Mechanisms of our tracer; MRT dashed, MMSE solid."),
        ("fig5-materials", "materials", "Choices of materials, MMSE (paper's Fig. 5)."),
    ):
        wanted = _of_engine("sitetwin" if name == "fig4-mechanisms" else "Sionna RT") if part == "rays" else _any
        rows = [row for row in results.rows if row.figure == part and wanted(row)]
        drawn += _figure(results, name, caption, rows)
    for split in dict.fromkeys(row.split for row in results.rows if row.figure == "networks"):
        rows = [r for r in results.rows if r.figure == "networks" and r.split == split and r.method not in _NOT_DRAWN]
        caption = f"Networks and controls, MMSE, {SPLITS[split]} (paper's Fig. 6, which is a random split)."
        drawn += _figure(results, f"fig6-{split}", caption, rows)
    rows = [row for row in results.rows if row.figure == "statistics"]
    drawn += _figure(results, "statistics", "Precoders that use the twin as statistics; not in the paper.", rows)
    return drawn


def _any(row: Row) -> bool:
    return True


def _of_engine(engine: str) -> Callable[[Row], bool]:
    return lambda row: row.engine in ("", engine)


def _figure(results: PrecodingResults, name: str, caption: str, rows: Sequence[Row]) -> list[Drawn]:
    """A panel for each carrier; nothing where there are no rows."""
    carriers = sorted({row.carrier_hz for row in rows})
    if not carriers:
        return []
    methods = [method for method in dict.fromkeys(row.method for row in rows) if method != "genie"]
    colour = {**colours(methods), "genie": GREY}
    figure = new_figure(4.6 * len(carriers), 4.2)
    panels = figure.subplots(1, len(carriers), sharey=True, squeeze=False)[0]
    for axes, carrier in zip(panels, carriers, strict=True):
        _panel(axes, results, [row for row in rows if row.carrier_hz == carrier], colour)
        axes.set_title(f"{carrier / 1e6:g} MHz")
    panels[0].set_ylabel("bit error rate")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return [Drawn(name, caption, render(figure))]


def _panel(axes: Axes, results: PrecodingResults, rows: Sequence[Row], colour: dict[str, str]) -> None:
    several = len({row.precoder for row in rows}) > 1
    for row in rows:
        dashed = several and row.precoder == "mrt"
        axes.semilogy(
            results.snr_db,
            row.ber,
            color=colour[row.method],
            linestyle=DASHES if dashed else "-",
            linewidth=2.2 if row.method == "genie" else 1.4,
            label=None if dashed else row.method,
        )
    axes.axhline(results.target_ber, color="#b3b3b3", lw=0.8)
    axes.set_ylim(_LEAST, 0.6)
    axes.yaxis.set_major_locator(LogLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(results.snr_db[0], results.snr_db[-1])
    axes.set_xlabel("SNR of a subcarrier, dB")

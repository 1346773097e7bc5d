"""The figures of a study of rates: error over bits, rates over error, and error over the noise of estimates."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sitetwin.drawing.style import FULL_WIDTH, MARKERS, PALETTE, new_figure, render
from sitetwin.report.frame import Drawn
from sitetwin.studies.rates.results import RateRow, RatesResults

TARGETS = {"target_a": "target A", "target_b": "target B"}
SPLITS = {"random": "random split", "blocks": "blocks of space"}
_LINES = ("-", "--", ":", "-.")


def draw_figures(results: RatesResults) -> list[Drawn]:
    """All figures of a study; none where it has no rows for it."""
    bits = [row for row in results.rows if row.bits is not None]
    drawn = [
        _curves(
            results,
            bits,
            "bits",
            "bits of a report",
            "nmse-over-bits",
            "NMSE over the bits of a report, by case; a "
            "colour for each codec, a line for each source of its training. Bars are 95 % intervals over seeds.",
        ),
        _scatter(results, bits),
    ]
    noise = [row for row in results.noise if row.noise_snr_db is not None]
    if noise:
        drawn.append(
            _curves(
                results,
                noise,
                "noise_snr_db",
                "SNR of the user's estimate, dB",
                "nmse-over-noise",
                f"NMSE over the SNR of the users' channel estimates, at {noise[0].bits} bits.",
            )
        )
    return drawn


def case_name(target: str, split: str) -> str:
    """A case in words."""
    return f"{TARGETS.get(target, target)}, {SPLITS.get(split, split)}"


def _curves(results: RatesResults, rows: Sequence[RateRow], axis: str, name: str, file: str, caption: str) -> Drawn:
    figure, panels = _panels(rows)
    colour, line = _styles(results)
    for (target, split), axes in panels.items():
        own = [row for row in rows if (row.target, row.split) == (target, split)]
        for method, source in dict.fromkeys((row.method, row.source) for row in own):
            points = sorted(
                ((float(getattr(row, axis)), row) for row in own if (row.method, row.source) == (method, source)),
                key=lambda point: point[0],
            )
            _line(axes, points, colour[method], line[source], f"{method}, {source}")
        axes.set_title(case_name(target, split))
        axes.set_xlabel(name)
    next(iter(panels.values())).set_ylabel("NMSE, dB")
    _legend(figure, panels)
    return Drawn(file, caption, render(figure))


def _line(axes: Axes, points: Sequence[tuple[float, RateRow]], style: tuple[str, str], line: str, label: str) -> None:
    known = [(x, row.nmse_db.mean, row.nmse_db) for x, row in points if row.nmse_db.mean is not None]
    colour, marker = style
    axes.plot(
        [x for x, _, _ in known],
        [mean for _, mean, _ in known],
        color=colour,
        marker=marker,
        linestyle=line,
        label=label,
    )
    for x, _, e in known:
        if e.has_interval and e.low is not None and e.high is not None:
            axes.vlines(x, e.low, e.high, color=colour, linewidth=0.8)


def _scatter(results: RatesResults, rows: Sequence[RateRow]) -> Drawn:
    """Rates over NMSE: what a decibel buys."""
    figure, panels = _panels(rows)
    colour, _ = _styles(results)
    for (target, split), axes in panels.items():
        for row in rows:
            if (row.target, row.split) != (target, split) or row.nmse_db.mean is None:
                continue
            tint, marker = colour[row.method]
            for name, face in (("rate_share", tint), ("zf_share", "white")):
                share = getattr(row, name).mean
                if share is not None:
                    axes.plot(
                        row.nmse_db.mean, 100 * share, marker=marker, color=tint, mfc=face, ls="", label=row.method
                    )
        axes.set_title(case_name(target, split))
        axes.set_xlabel("NMSE, dB")
    next(iter(panels.values())).set_ylabel("rate against perfect CSI, %")
    _legend(figure, panels)
    caption = (
        "Rates against those with perfect CSI over the NMSE, a point for each row of the table: filled for "
        "maximum-ratio transmission to one user, hollow for zero-forcing to several."
    )
    return Drawn("rate-over-nmse", caption, render(figure))


def _panels(rows: Sequence[RateRow]) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    cases = list(dict.fromkeys((row.target, row.split) for row in rows))
    figure = new_figure(max(FULL_WIDTH, 3.4 * len(cases)), 4.6)
    axes = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    return figure, dict(zip(cases, axes, strict=True))


def _styles(results: RatesResults) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Colour and marker of each method, line of each source."""
    methods = list(dict.fromkeys(row.method for row in results.rows))
    sources = list(dict.fromkeys(row.source for row in results.rows if row.source != "none"))
    look = {
        m: (PALETTE[i % len(PALETTE)], MARKERS[(i + i // len(PALETTE)) % len(MARKERS)]) for i, m in enumerate(methods)
    }
    return look, {**{s: _LINES[i % len(_LINES)] for i, s in enumerate(sources)}, "none": "-"}


def _legend(figure: Figure, panels: dict[tuple[str, str], Axes]) -> None:
    """One entry for each name, under the panels."""
    entries: dict[str, Artist] = {}
    for axes in panels.values():
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            entries.setdefault(label.removesuffix(", none"), handle)
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=4)

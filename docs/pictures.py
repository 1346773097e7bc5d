"""Draw the pictures of the page on the architecture: the rooms from the imports as they are, and the road of the data.

python docs/pictures.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

# From the top floor to the ground; what each room holds.
ROOMS = {
    "cli": "the command line",
    "face": "the public functions of `import sitetwin`",
    "view": "the city in the browser",
    "report": "pages, figures and tables of studies",
    "studies": "experiments: configuration in, results out",
    "drawing": "plots, colours, the view from above",
    "vision": "cameras, what they see, the scene of it",
    "calibrate": "what measured rows say about a twin",
    "learn": "codecs, predictors, training, metrics",
    "measured": "readers of measured data",
    "link": "precoded OFDM: bit errors and rates",
    "channel": "gains, antennas, responses, files of channels",
    "rays": "paths: geometry of waves",
    "site": "meshes, materials, maps, places, variants",
    "store": "tiles on disk: checksums, resuming",
}
INK, PAPER, ACCENT, PALE = "#22303a", "#ffffff", "#0b5c7d", "#dcebf1"


def room_imports(rooms: list[str]) -> dict[tuple[str, str], int]:
    """How many imports lead from a room into another."""
    graph = grimp.build_graph("sitetwin", cache_dir=None)
    counts: dict[tuple[str, str], int] = {}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            pair = (_room(module), _room(other))
            if pair[0] != pair[1] and set(pair) <= set(rooms):
                counts[pair] = counts.get(pair, 0) + 1
    return counts


def _room(module: str) -> str:
    return module.partition(".")[2].partition(".")[0]


def draw_rooms(path: Path) -> None:
    """The rooms as floors of a house, and beside them who imports whom."""
    rooms = list(ROOMS)
    counts = room_imports(rooms)
    unknown = [pair for pair in counts if rooms.index(pair[0]) > rooms.index(pair[1])]
    if unknown:
        raise SystemExit(f"{unknown[0][0]} imports {unknown[0][1]}, which stands above it in this picture")
    figure = Figure(figsize=(9.4, 5.4))
    axes = _empty(figure, (0, 16.6), (len(rooms) + 0.2, -2.0))
    for row, room in enumerate(rooms):
        _box(axes, (0.1, row + 0.1), (8.0, 0.8), PALE)
        axes.text(0.3, row + 0.5, room, weight="bold", color=ACCENT, va="center", size=10)
        axes.text(2.15, row + 0.5, ROOMS[room].replace("`", ""), color=INK, va="center", size=8.5)
        axes.text(8.7 + 0.6 * row, -0.15, room, color=INK, rotation=60, size=8, ha="left", va="bottom")
        axes.plot([8.3, 8.7 + 0.6 * row], [row + 0.5, row + 0.5], color=PALE, lw=1, zorder=0)
        axes.plot([8.7 + 0.6 * row] * 2, [0, row + 0.5], color=PALE, lw=1, zorder=0)
    for (importer, imported), number in counts.items():
        place = (8.7 + 0.6 * rooms.index(imported), rooms.index(importer) + 0.5)
        axes.scatter(*place, s=14 + 6 * number**0.7, color=ACCENT, lw=0, zorder=2)
    axes.text(0.1, -0.35, "Rooms, from the top floor to the ground", size=9, color=INK, style="italic")
    _write(figure, path)


STEPS = {
    "place": ((0.0, 2.0), "a place\nmap, model or\nbuilt-in scene"),
    "site": ((3.0, 2.0), "Site\nfacets, materials,\nvegetation"),
    "variant": ((3.0, 0.0), "variant\nanother world:\nthe target"),
    "paths": ((6.0, 2.0), "Paths\ngeometry only,\none trace"),
    "gains": ((9.0, 2.0), "gains\ncarrier, antennas,\nseason, weather"),
    "channels": ((12.0, 2.0), "channels\nfrequency, delay,\nangle"),
    "model": ((12.0, 0.0), "model\ncodec or\npredictor"),
    "results": ((15.0, 0.0), "results\nresults.json,\nfigures, page"),
    "measured": ((9.0, 0.0), "measured data\na few rows\ncalibrate, refine"),
    "coverage": ((9.0, 4.0), "coverage maps\nRSRP, SINR,\nbest server"),
    "other": ((12.0, 4.0), "files of others\nDeepMIMO, Sionna,\nMATLAB, Parquet"),
    "view": ((6.0, 4.0), "browser, plots"),
}
ROADS = [
    ("place", "site"),
    ("site", "variant"),
    ("site", "paths"),
    ("variant", "paths"),
    ("paths", "gains"),
    ("gains", "channels"),
    ("gains", "coverage"),
    ("paths", "view"),
    ("channels", "other"),
    ("channels", "model"),
    ("measured", "model"),
    ("model", "results"),
]


def draw_road(path: Path) -> None:
    """The road that data take, from a map to a result."""
    figure = Figure(figsize=(9.4, 3.6))
    axes = _empty(figure, (-0.2, 17.6), (5.4, -0.3))
    for (x, y), text in STEPS.values():
        _box(axes, (x, y), (2.4, 1.2), PALE)
        first, _, rest = text.partition("\n")
        lines = rest.count("\n") + 1 if rest else 0
        axes.text(
            x + 1.2, y + 0.6 - 0.17 * lines, first, ha="center", va="center", size=8.5, weight="bold", color=ACCENT
        )
        axes.text(x + 1.2, y + 0.78, rest, ha="center", va="center", size=7, color=INK, linespacing=1.25)
    for begin, end in ROADS:
        (x0, y0), (x1, y1) = STEPS[begin][0], STEPS[end][0]
        across = x0 != x1
        start = (x0 + 2.4, y0 + 0.6) if across else (x0 + 1.2, y0 + (1.2 if y1 > y0 else 0))
        stop = (x1, y1 + 0.6) if across else (x1 + 1.2, y1 + (0 if y1 > y0 else 1.2))
        axes.add_patch(FancyArrowPatch(start, stop, arrowstyle="-|>", mutation_scale=10, color=INK, lw=1))
    _write(figure, path)


def _empty(figure: Figure, across: tuple[float, float], down: tuple[float, float]) -> Axes:
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(*across)
    axes.set_ylim(*down)
    axes.axis("off")
    return axes


def _box(axes: Axes, corner: tuple[float, float], size: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            corner, *size, boxstyle="round,pad=0,rounding_size=0.12", facecolor=colour, edgecolor="none", zorder=1
        )
    )


def _write(figure: Figure, path: Path) -> None:
    figure.set_facecolor(PAPER)
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None})


def draw_munich(folder: Path) -> None:
    """Munich: the path gain of users around a base station, and the rays that reach one of them."""
    import matplotlib.pyplot as plt
    import numpy as np

    import sitetwin as st

    site = st.open_site("munich")
    transmitter = (8.5, 21.0, 27.0)
    users = st.grid(site, area=(-150, -150, 150, 150), spacing=2.0)
    paths = st.trace(site, tx=transmitter, users=users, max_depth=4)
    gains = st.gains(paths, site, carrier_hz=3.5e9)
    power = np.bincount(paths.user_of_path, gains.power.numpy()[:, 0, 0], len(users))
    gain_db = 10 * np.log10(np.where(power > 0, power, np.nan))

    label = "path gain at 3.5 GHz, dB"
    axes = st.plots.plot_coverage(gain_db, users, label=label, site=site, transmitters=transmitter)
    axes.figure.savefig(folder / "coverage.png", dpi=80, bbox_inches="tight")
    axes = st.plots.plot_rays(site, paths, int(np.argmax(paths.counts)), gains)
    axes.figure.savefig(folder / "rays.png", dpi=80, bbox_inches="tight")
    plt.close("all")


if __name__ == "__main__":
    draw_munich(Path(sys.argv[1]))

"""What all pages share: templates, figures that stand inside the page, estimates as text, tables for the terminal."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jinja2
from rich import box
from rich.table import Table
from rich.text import Text

from sitetwin.store.files import disk_errors, own_place, write_file

PAGE = "report.html"
FIGURES = "figures"
_DASH = "–"  # noqa: RUF001

Files = Mapping[str, bytes]
"""A figure as files: "png" and "svg"."""


@dataclass(frozen=True)
class Drawn:
    """A figure with its caption, as files "png" and "svg"."""

    name: str
    caption: str
    files: dict[str, bytes]


@runtime_checkable
class Interval(Protocol):
    """A mean and, where there is one, its interval."""

    @property
    def mean(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def n(self) -> int | None: ...
    @property
    def has_interval(self) -> bool: ...


def page_environment(**filters: Callable[..., str]) -> jinja2.Environment:
    """Load the templates of the pages: they are strict about what is missing, safe against what is in the data.

    Args:
        **filters: The page's own, beside `interval` and `number`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sitetwin.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"interval": interval, "number": number, **filters}
    return environment


def inline_svg(files: Files) -> str:
    """Return the SVG of a figure as the address of an image: the page needs no other file."""
    return "data:image/svg+xml;base64," + base64.b64encode(files["svg"]).decode("ascii")


def write_page(
    folder: Path, page: str, figures: Mapping[str, Files], ours: Callable[[str], bool] = lambda name: False
) -> Path:
    """Write a page and its figures, each file whole or not at all.

    Args:
        folder: Folder of the study; figures go to ``folder/figures``.
        page: Text of the page.
        figures: Figures by name.
        ours: Whether a figure of some name, which an earlier page left behind, may be removed.

    Returns:
        Path of the page.

    Raises:
        SiteTwinError: The disk refuses.
    """
    place = own_place(folder, FIGURES)
    with disk_errors("writing the report", folder):
        place.mkdir(exist_ok=True)
        for name, files in figures.items():
            for kind, content in files.items():
                write_file(place / f"{name}.{kind}", content)
        for path in place.iterdir():
            if path.suffix in (".png", ".svg") and path.stem not in figures and ours(path.stem):
                path.unlink()
        write_file(folder / PAGE, page.encode("utf-8"))
    return folder / PAGE


def write_drawn_page(folder: Path, page: str, figures: Sequence[Drawn]) -> Path:
    """Write a page that owns all of its figures: see `write_page`."""
    names = {figure.name for figure in figures}
    return write_page(folder, page, {f.name: f.files for f in figures}, lambda name: name in names)


def paired_verdict(difference: Interval) -> str:
    """Whether the interval of a paired difference of errors tells the first of two apart from the second."""
    if not difference.has_interval or difference.low is None or difference.high is None:
        return "no interval"
    if difference.high < 0:
        return "the first is better"
    return "the second is better" if difference.low > 0 else "not told apart"


def number(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """Write a number as text; an en dash stands where there is none. Zero has no sign."""
    if value is None:
        return _DASH
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}"


def interval(estimate: Interval | None, unit: str = "dB", digits: int = 1, signed: bool = False) -> str:
    """Write an estimate as text: ``-17.3 [-17.8, -16.9] dB``, or ``-17.3 dB (n = 1)`` where there is no interval."""
    if estimate is None or estimate.mean is None:
        return _DASH
    mean = number(estimate.mean, digits, signed)
    unit = f" {unit}" if unit else ""
    if not estimate.has_interval:
        return f"{mean}{unit}" + (f" (n = {estimate.n})" if estimate.n else "")
    return f"{mean} [{number(estimate.low, digits, signed)}, {number(estimate.high, digits, signed)}]{unit}"


def terminal_table(title: str, **options: Any) -> Table:
    """Begin a table for the terminal, in the project's style."""
    return Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        **options,
    )

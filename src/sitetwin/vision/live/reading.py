"""The moments of a drive: a table of GPS fixes beside a folder of images, or a video."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Site
from sitetwin.site.latlon import to_local
from sitetwin.untrusted.texts import read_table
from sitetwin.vision.live.videos import frames_of_video

IMAGES = (".jpg", ".jpeg", ".png")
"""How names of images end."""

_LARGEST = 64 * 2**20
_METRES, _DEGREES = ("east_m", "north_m"), ("latitude", "longitude")
_MOST_DIGITS = 18


@dataclass(frozen=True, eq=False)
class Shot:
    """One moment of a drive.

    Attributes:
        name: What the table calls its image, or the image's name.
        image: The image; None where there is none.
        time: Seconds.
        fix: (2,) GPS fix, metres east and north in the site; None where there is none.
        kept: What must last as long as the image: the folder of the frames of a video.
    """

    name: str
    image: Path | None
    time: float
    fix: Float[np.ndarray, " 2"] | None
    kept: object = field(default=None, repr=False)


def read_shots(frames: str | Path, gps: str | Path, site: Site, *, fps: float | None = None) -> list[Shot]:
    """Read the moments of a drive.

    The table has a heading with ``time_s`` and either ``east_m`` and ``north_m``, or ``latitude`` and ``longitude``;
    columns of other names do not count. A column ``frame`` names the image of each row by its file's name, with or
    without its ending, or by its number (12 is 00012.jpg). Without it, rows and images in the order of their names
    belong together. A row without a position has no fix.

    In a video, ``frame`` is the number of a frame from 0. Without that column, a row takes the frame of its time, where
    ``time_s`` counts from the first frame; see `sitetwin.vision.live.videos`.

    Args:
        frames: Folder of JPEG and PNG images, or a video (AVI, MP4, MOV, MKV, WebM).
        gps: The table, as comma-separated values.
        site: The site in which positions lie; it needs a georeference for degrees.
        fps: Frames per second of a video whose container tells wrong times; by default its own times count.

    Raises:
        SiteTwinError: The folder holds no images, the video cannot be read whole, the table cannot be read, lacks a
            column, has a cell that is no number, names none of the images, or, without names of frames, has another
            number of rows than there are images in the folder, or times of which none lies within the video.

    Warns:
        SiteTwinWarning: Images belong to no row. A row without an image is flagged when its moment comes.
    """
    what = f"GPS table '{gps}'"
    images = None if Path(frames).is_file() else _images(Path(frames))
    if images is not None and fps is not None:
        raise SiteTwinError("frames per second are those of a video; images in a folder have the times of their rows")
    rows = [row for row in read_table(Path(gps), what, _LARGEST) if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise SiteTwinError(f"{what} has no row below its heading; give one for each frame")
    heading = [cell.strip() for cell in rows[0]]
    columns = _columns(heading, what)
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(heading):
            raise SiteTwinError(f"row {number} of {what} has {len(row)} cells and the heading {len(heading)}; mend it")
    times = _numbers(rows, columns["time_s"], "time_s", what)
    if not np.isfinite(times).all():
        raise SiteTwinError(f"row {int(np.argmin(np.isfinite(times))) + 2} of {what} has no time; give seconds")
    fixes = _fixes(rows, columns, what, site)
    names = [row[columns["frame"]].strip() for row in rows[1:]] if "frame" in columns else None
    kept: object = None
    of: Sequence[Path | None]
    if images is None:
        of, kept = frames_of_video(Path(frames), names, times, what, fps)
        names = names or [image.stem if image else "" for image in of]
    elif names is not None:
        of = _by_name(images, names)
        _warn(images, of)
    elif len(images) == len(times):
        names, of = [image.name for image in images], list(images)
    else:
        raise SiteTwinError(
            f"{what} has {len(times)} rows and '{frames}' {len(images)} images; give one for each, or a column 'frame'"
        )
    return [
        Shot(name, image, float(time), fix if np.isfinite(fix).all() else None, kept)
        for name, image, time, fix in zip(names, of, times, fixes, strict=True)
    ]


def _images(folder: Path) -> list[Path]:
    """The images of a folder by name."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
    except OSError as error:
        raise SiteTwinError(f"the frames in '{folder}' cannot be read: {error.strerror}; check the path") from error
    if not found:
        raise SiteTwinError(f"'{folder}' holds no images ({', '.join(IMAGES)}); give the folder of a camera's frames")
    return found


def _columns(heading: Sequence[str], what: str) -> dict[str, int]:
    """Place of each column that counts."""
    twice = sorted({name for name in heading if name and heading.count(name) > 1})
    if twice:
        raise SiteTwinError(f"{what} has two columns '{twice[0][:40]}'; keep one")
    columns = {name: place for place, name in enumerate(heading)}
    place = _METRES if set(_METRES) <= set(columns) else _DEGREES
    missing = [name for name in ("time_s", *place) if name not in columns]
    if missing:
        raise SiteTwinError(
            f"{what} has no column '{missing[0]}'; it needs time_s, and east_m and north_m or latitude and longitude"
        )
    return {name: columns[name] for name in ("time_s", *place, "frame") if name in columns}


def _numbers(rows: Sequence[Sequence[str]], column: int, name: str, what: str) -> np.ndarray:
    """Numbers of a column; NaN where a cell is empty."""
    found = []
    for number, row in enumerate(rows[1:], 2):
        cell = row[column].strip()
        try:
            value = float(cell) if cell else math.nan
        except ValueError as error:
            raise SiteTwinError(
                f"row {number} of {what} has '{cell[:40]}' for {name}; give a number, or nothing"
            ) from error
        found.append(value if math.isfinite(value) else math.nan)
    return np.array(found)


def _fixes(rows: Sequence[Sequence[str]], columns: dict[str, int], what: str, site: Site) -> np.ndarray:
    """(N, 2) metres; NaN where a row has no position."""
    names = _METRES if _METRES[0] in columns else _DEGREES
    pair = np.stack([_numbers(rows, columns[name], name, what) for name in names], axis=1)
    if names == _METRES:
        return pair
    there = np.isfinite(pair).all(axis=1)
    fixes = np.full(pair.shape, np.nan)
    try:
        fixes[there] = to_local(site, pair[there, 0], pair[there, 1])
    except SiteTwinError as error:
        raise SiteTwinError(f"{what}: {error}") from error
    return fixes


def _by_name(images: Sequence[Path], names: Sequence[str]) -> list[Path | None]:
    """The image of each name: by its whole name, without its ending, or by number."""
    known: dict[str, Path] = {}
    for image in images:
        for name in {image.name, image.stem, *([str(int(image.stem))] if _counts(image.stem) else [])}:
            if known.setdefault(name, image) != image:
                raise SiteTwinError(
                    f"'{known[name].name}' and '{image.name}' have one number or name; keep one of them in the folder"
                )
    return [known.get(name) or known.get(str(int(name)) if _counts(name) else name) for name in names]


def _counts(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _warn(images: Sequence[Path], of: Sequence[Path | None]) -> None:
    """Refuse a table of another folder, and say how many images belong to nothing."""
    if all(image is None for image in of):
        raise SiteTwinError(
            "no row of the GPS table names an image of the folder; 'frame' is a file's name or its number"
        )
    idle = len(set(images) - set(of))
    if idle:
        said = f"{idle} of {len(images)} images belong to no row of the GPS table"
        warnings.warn(said, SiteTwinWarning, stacklevel=3)

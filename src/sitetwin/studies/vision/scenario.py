"""A scenario with measured powers, as the study uses it: beams, places, drives, and where its images lie."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from sitetwin.calibrate import Track
from sitetwin.errors import SiteTwinError
from sitetwin.measured import drives_of_track, is_challenge, read_challenge, read_codebook, read_deepsense
from sitetwin.measured.deepsense import DEAD_BEAMS
from sitetwin.measured.deepsense_layouts import member
from sitetwin.measured.plausible import PowerUnit, check_order
from sitetwin.untrusted import LARGEST_IMAGE, read_bytes
from sitetwin.vision.profiles import last_position
from sitetwin.vision.profiles.line_of_sight import Fixes

_CODEBOOK = "codebook_beams"


@dataclass(frozen=True, eq=False)
class Scenario:
    """A scenario.

    Attributes:
        name: Its name, or its number where that is known.
        fixes: "current", or how positions were continued from the stale fixes of a package of the challenge.
        book: (beam, azimuth) patterns.
        measured_book: Whether the patterns are measured ones.
        dead: (B,) beams that are never the answer.
        power: (N, B) linear, NaN where not measured or dead.
        east_north: (N, 2) metres from the station.
        velocity: (N, 2) metres between fixes.
        drive: (N,) int64.
        track: Positions, speeds and drives.
        folder: Where its files lie.
        image: (N,) paths, empty where there is none; None where the scenario has no images.
        facts: Of the data, for the results.
    """

    name: str
    fixes: str
    book: xr.DataArray
    measured_book: bool
    dead: np.ndarray
    power: np.ndarray
    east_north: np.ndarray
    velocity: np.ndarray
    drive: np.ndarray
    track: Track
    folder: Path
    image: np.ndarray | None
    facts: dict[str, object]

    def file(self, row: int) -> Path | None:
        """The image of a row, if there is one; a path that leaves the folder names none."""
        if self.image is None:
            return None
        try:
            path = member(self.folder, str(self.image[row]))
        except SiteTwinError:
            return None
        return path if path.is_file() else None

    @cached_property
    def identity(self) -> str:
        """SHA-256 of everything that goes into the results, as it is when it is first asked for; images, too."""
        digest = hashlib.sha256(f"{self.name} {self.fixes} {self.measured_book}".encode())
        for values in (self.power, self.east_north, self.drive, self.dead, self.book.values, self.book.azimuth.values):
            digest.update(f"{values.shape}".encode() + np.ascontiguousarray(values).tobytes())
        for row in range(len(self.drive)) if self.image is not None else ():
            digest.update(_content(self.file(row)))
        return digest.hexdigest()


def _content(image: Path | None) -> bytes:
    """SHA-256 of an image; alike for all that are missing, and for all that cannot be read: they show nothing."""
    if image is None:
        return hashlib.sha256(b"missing").digest()
    try:
        return hashlib.sha256(read_bytes(image, f"image '{image}'", LARGEST_IMAGE)).digest()
    except SiteTwinError:
        return hashlib.sha256(b"unreadable").digest()


def read_scenarios(
    path: Path, codebook: Path | None, power_unit: PowerUnit | None = None, fixes: Fixes = "stale"
) -> list[Scenario]:
    """The scenarios at a path: one of a scenario's folder, several of a package of the challenge.

    Args:
        path: What `read_deepsense` or `read_challenge` reads.
        codebook: Folder of the measured codebook; ``codebook_beams`` in or beside the scenario by default. Without any,
            an ideal array stands for it, and the results say so.
        power_unit: Of the measured powers.
        fixes: How positions of a package are continued.

    Raises:
        SiteTwinError: It cannot be read, or no row has a power.
    """
    if is_challenge(path):
        data = read_challenge(path, power_unit)
        return [
            _of_package(
                data.isel(sample=np.flatnonzero(data.scenario.values == name)), str(name), path, codebook, fixes
            )
            for name in np.unique(data.scenario.values)
        ]
    data = read_deepsense(path, power_unit=power_unit)
    book, measured = _book(path, codebook, data.sizes["beam"])
    place = np.stack([data.east.values, data.north.values], axis=1)
    facts = {
        name: data.attrs[name]
        for name in ("layout", "skipped", "skipped_rows", "masked_powers", "drive_source", "notes")
    }
    return [
        _made(
            _number(str(data.attrs["scenario"])),
            "current",
            (book, measured),
            data.dead.values,
            data.power.values,
            place,
            data.drive.values.astype(np.int64),
            path if path.is_dir() else path.parent,
            data["image"].values if "image" in data else None,
            facts,
        )
    ]


def _of_package(data: xr.Dataset, name: str, path: Path, codebook: Path | None, fixes: Fixes) -> Scenario:
    """One scenario of a package; rows without a power or a position are left out and counted."""
    power = data.power.values
    place = last_position(np.stack([data.east.values, data.north.values], axis=-1), fixes)
    kept = np.isfinite(power).any(axis=1) & np.isfinite(place).all(axis=1)
    if kept.sum() < 2:
        raise SiteTwinError(
            f"scenario {name} of '{path}' has {int(kept.sum())} rows with power and position; give a package with "
            "labels and powers, and not the test set"
        )
    dead = np.isin(np.arange(power.shape[1]), DEAD_BEAMS)
    facts: dict[str, object] = {
        "layout": "challenge",
        "skipped": [*data.attrs["skipped"], f"{int((~kept).sum())} without power or position"],
        "skipped_rows": int((~kept).sum()),
        "masked_powers": int(np.isnan(power[kept]).sum()),
        "drive_source": "turns of the track",
        "notes": [*data.attrs["notes"], f"positions are {fixes}: the package gives the first two of five fixes"],
    }
    image = data["image"].values[:, -1] if "image" in data else None
    rows = np.flatnonzero(kept)
    if image is not None:
        rows = rows[np.argsort([_frame(str(cell)) for cell in image[rows]], kind="stable")]
    drive = drives_of_track(place[rows])
    try:
        check_order(place[rows], drive, False)
    except SiteTwinError as error:
        drive = np.zeros(len(rows), dtype=np.int64)
        facts["drive_source"] = "none"
        facts["notes"] = [*data.attrs["notes"], f"drives cannot be told apart, so that nothing is predicted: {error}"]
    book = _book(path, codebook, power.shape[1])
    images = None if image is None else image[rows]
    return _made(name, fixes, book, dead, power[rows], place[rows], drive, path, images, facts)


def _frame(cell: str) -> int:
    """Number of an image by its name: images are counted as they are taken."""
    numbers = re.findall(r"[0-9]{1,15}", cell.rpartition("/")[2])
    return int(numbers[-1]) if numbers else -1


def _made(
    name: str,
    fixes: str,
    book: tuple[xr.DataArray, bool],
    dead: np.ndarray,
    power: np.ndarray,
    place: np.ndarray,
    drive: np.ndarray,
    folder: Path,
    image: np.ndarray | None,
    facts: dict[str, object],
) -> Scenario:
    level = np.where(dead, np.nan, power)
    there = np.isfinite(level).any(axis=1)
    if there.sum() < 2:
        raise SiteTwinError(
            f"scenario '{name}' has {int(there.sum())} rows with power on beams that work; two are needed"
        )
    track = Track.of(place[there], drive[there])
    return Scenario(
        name=name,
        fixes=fixes,
        book=book[0],
        measured_book=book[1],
        dead=dead,
        power=level[there],
        east_north=place[there],
        velocity=track.velocity,
        drive=drive[there],
        track=track,
        folder=folder,
        image=None if image is None else image[there],
        facts=facts,
    )


def _book(path: Path, codebook: Path | None, beams: int) -> tuple[xr.DataArray, bool]:
    """Patterns, and whether they are measured ones."""
    from sitetwin.vision.profiles import linear_array_book

    folder = path if path.is_dir() else path.parent
    near = [folder / _CODEBOOK, folder.parent / _CODEBOOK]
    found = codebook if codebook is not None else next((place for place in near if place.is_dir()), None)
    return (linear_array_book(beams=beams), False) if found is None else (read_codebook(found, beams), True)


def _number(name: str) -> str:
    """The number of a scenario of the challenge, where its name says so; else the name."""
    digits = "".join(character for character in name.partition("scenario")[2].partition("_")[0] if character.isdigit())
    return digits if digits in ("31", "32", "33", "34") else name

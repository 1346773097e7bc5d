"""Measured channels in the place of a simulated target: read, put on the site, and timed by the twin."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.link import response_of_taps, taps_of_response
from sitetwin.measured import drives_of, on_site, read_csi, read_dichasus
from sitetwin.site import Site, inside_building
from sitetwin.site.places.placement import ground_height, over_ground
from sitetwin.studies.precoding.config import DrivePlace, PrecodedLink, PrecodingStudy
from sitetwin.studies.precoding.networks import drive_split, validation_split
from sitetwin.studies.precoding.worlds import Users
from sitetwin.untrusted import naming

_SPAN_S = 16 / 30.72e6  # what the published taps span
_EVEN = 1e-3  # of a spacing: how far subcarriers may lie beside an even grid
_FEWEST = 40  # users
_FINER = 8  # steps of a sample between which a delay is found


@dataclass(frozen=True, eq=False)
class DriveTest:
    """Measured channels on a site.

    Attributes:
        name: Name of the file.
        digest: SHA-256 of what was read.
        response: (users, antennas, subcarriers) complex64.
        users: Where they were measured.
        link: The link with the array and band of the measurement.
        left_out: Samples of the file that are not used: without channel or position, indoors or below the ground.
        drives: How drives are told apart, or why they cannot be.
    """

    name: str
    digest: str
    response: np.ndarray
    users: Users
    link: PrecodedLink
    left_out: int
    drives: str = ""

    def facts(self) -> dict[str, Any]:
        """What results say of the measurement."""
        return {
            "file": self.name,
            "sha256": self.digest,
            "users": len(self.response),
            "left_out": self.left_out,
            "carrier_hz": self.link.carriers_hz[0],
            "band_hz": self.link.band_hz,
            "antennas": self.link.antennas,
            "drives": self.drives,
        }

    def timed(self, link: PrecodedLink, twin: Tensor) -> np.ndarray:
        """(users, antennas, subcarriers) channels, whose delays count as those of the twin.

        A receiver's clock has no common zero with the twin. Each user's channel is moved to the delay at which it
        agrees best with the twin's, whatever the phases of the antennas; where the twin has no path, its strongest tap
        becomes the twin's first. No beam changes by that.

        Args:
            link: The link.
            twin: (users, antennas, taps) complex64, impulse responses of the twin.

        """
        known = response_of_taps(twin.numpy(), link.subcarriers)
        first = np.zeros((1, link.antennas, link.taps), np.complex64)
        first[..., link.taps_before] = 1.0
        known[np.abs(known).sum(axis=(1, 2)) == 0] = response_of_taps(first, link.subcarriers)
        late = _delays(self.response, known)
        index = np.arange(link.subcarriers) - link.subcarriers // 2
        moved: np.ndarray = self.response * np.exp(2j * np.pi * late[:, None] * index / link.subcarriers)[:, None, :]
        return moved

    def taps(self, link: PrecodedLink, twin: Tensor) -> tuple[Tensor, float]:
        """Impulse responses of the channels as `timed`.

        Args:
            link: The link.
            twin: (users, antennas, taps) complex64, impulse responses of the twin.

        Returns:
            (users, antennas, taps) complex64, and the share of the median user's power outside the taps.
        """
        every = taps_of_response(self.timed(link, twin))
        kept = every[..., : link.taps]
        power = (np.abs(every) ** 2).sum(axis=(1, 2))
        outside = 1 - (np.abs(kept) ** 2).sum(axis=(1, 2)) / power
        return torch.from_numpy(kept.astype(np.complex64)), float(np.median(outside))


def read_drive_test(path: Path, study: PrecodingStudy, site: Site) -> DriveTest:
    """Read measured channels of a site.

    Args:
        path: NumPy archive, HDF5, MATLAB file, or TFRecord file (with ``records`` in the place).
        study: The configuration, whose place says the array.
        site: The site.

    Raises:
        SiteTwinError: The file cannot be read; its channels are of another array, their subcarriers are not evenly
            spaced, or most of their users do not stand outdoors on this site.
    """
    place = study.place
    with naming(path, f"the measured channels '{path}'"):
        data = _read(path, place)
        csi, frequency = data["csi"].values, data["frequency"].values
        if csi.shape[1] != place.antennas:
            raise SiteTwinError(
                f"these channels are of {csi.shape[1]} antennas and the array of the place has {place.antennas}; set "
                "'antennas' in the file of the place to the array that measured"
            )
        link = _link(study.link, frequency, place.antennas)
        positions, there = _positions(data, place, site)
    rows = there.nonzero()[0]
    drive, said = drives_of(data.isel(sample=rows))
    digest = hashlib.sha256()
    told = np.zeros(0, dtype=np.int64) if drive is None else drive
    for part in (csi, frequency, positions, told):
        digest.update(np.ascontiguousarray(part).tobytes())
    indoors = int((~there).sum())
    return DriveTest(
        name=path.name,
        digest=digest.hexdigest(),
        response=csi[rows],
        users=Users(positions[rows], np.zeros(len(rows), dtype=np.int64) if drive is None else drive, indoors),
        link=link,
        left_out=int(data.attrs["left_out"]) + indoors,
        drives=said,
    )


def _delays(response: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(users) samples by which channels (users, antennas, subcarriers) are later than known ones."""
    count, found = _FINER * response.shape[2], np.empty(len(response))
    for user, (one, other) in enumerate(zip(response, known, strict=True)):
        agreement = (np.abs(np.fft.ifft(one * other.conj(), n=count, axis=1)) ** 2).sum(axis=0)
        top = int(agreement.argmax())
        before, here, after = agreement[[top - 1, top, (top + 1) % count]]
        bend = before - 2 * here + after
        found[user] = (top + (0.5 * (before - after) / bend if bend < 0 else 0.0)) / _FINER  # the top of a parabola
    return found


def study_of_drive_test(
    study: PrecodingStudy, drive: DriveTest, splits: Sequence[str] | None = None
) -> tuple[PrecodingStudy, str]:
    """The study at the array, band, users and drives of measured channels.

    Args:
        study: The configuration.
        drive: The measured channels.
        splits: How users are split; by default as the study says, and into drives where they can be told apart.

    Returns:
        The study, and a sentence on what was done about drives; empty where they were not wanted.

    Raises:
        SiteTwinError: A split into drives was asked for and the file's users cannot be split so.
    """
    told = drive.drives
    if splits is None or "drives" in splits:
        refusal = _no_split_into_drives(study, drive)
        if splits is not None and refusal:
            raise SiteTwinError(
                f"'{drive.name}' cannot be split into drives: {refusal}; give the array 'drive', a whole number "
                "for each sample, or 'time' in seconds with pauses between the drives, or leave that split out"
            )
        if refusal:
            told = f"no split into drives: {refusal}"
        rest = tuple(one for one in study.evaluation.splits if one != "drives")
        splits = splits or (rest if refusal else (*rest, "drives"))
    else:
        told = ""
    evaluation = study.evaluation.model_copy(update={"splits": tuple(splits), "users": len(drive.response)})
    return study.model_copy(update={"link": drive.link, "evaluation": evaluation}), told


def _no_split_into_drives(study: PrecodingStudy, drive: DriveTest) -> str:
    """Why users cannot be split into whole drives; empty where they can in every seed."""
    if len(np.unique(drive.users.drive)) < 2:
        return drive.drives
    positions, number = (torch.from_numpy(v) for v in (drive.users.positions, drive.users.drive))
    for seed in study.evaluation.seeds[: study.evaluation.trained_seeds]:
        try:
            train = drive_split(study, positions, number, seed).train
            validation_split(study, positions[train], "drives", seed)
        except SiteTwinError as error:
            return str(error)
    return ""


def _read(path: Path, place: DrivePlace) -> xr.Dataset:
    records = place.records
    if path.suffix.lower() not in (".tfrecords", ".tfrecord"):
        return read_csi(path)
    if records is None:
        raise SiteTwinError("records of TensorFlow do not say their band; add [records] to the file of the place")
    found = read_dichasus([path], records.carrier_hz, records.bandwidth_hz, records.offsets, most=records.most)
    if records.antennas is None:
        return found
    if max(records.antennas) >= found.sizes["antenna"]:
        raise SiteTwinError(
            f"the place wants antenna {max(records.antennas)} and the records have {found.sizes['antenna']}, counted "
            "from 0; mend 'antennas' in [records]"
        )
    return found.isel(antenna=list(records.antennas))


def _link(link: PrecodedLink, frequency: np.ndarray, antennas: int) -> PrecodedLink:
    """The link at the subcarriers that were measured."""
    count = len(frequency)
    if not 8 <= count <= 4096:
        raise SiteTwinError(f"they have {count} subcarriers; the study needs 8 to 4096")
    spacing = (frequency[-1] - frequency[0]) / (count - 1)
    apart = np.abs(np.diff(frequency) / spacing - 1)
    if apart.max() > _EVEN:
        worst = int(apart.argmax())
        raise SiteTwinError(
            f"their subcarriers are not evenly spaced (between {frequency[worst] / 1e6:.6g} and "
            f"{frequency[worst + 1] / 1e6:.6g} MHz, for instance); give evenly spaced ones without a gap"
        )
    band = count * spacing
    update = {
        "carriers_hz": (float(frequency[count // 2]),),
        "antennas": antennas,
        "subcarriers": count,
        "sampling_hz": float(band),
        "band_hz": float(band),
        "taps": int(np.clip(np.ceil(_SPAN_S * band), link.taps_before + 1, count)),
    }
    return PrecodedLink(**{**link.model_dump(), **update})


def _positions(data: xr.Dataset, place: DrivePlace, site: Site) -> tuple[np.ndarray, np.ndarray]:
    """(samples, 3) positions on the site, and which of them a receiver can stand at.

    Raises:
        SiteTwinError: Half of them or more lie beyond the site or in its buildings.
    """
    if "latitude" in data:
        placed = on_site(data, site)
        xy = np.stack([placed["x"].values, placed["y"].values], axis=1)
        positions = over_ground(site, xy, place.user_height)
    else:
        positions = np.stack([data[name].values for name in "xyz"], axis=1)
    low, high = site.bounds
    on = ((positions[:, :2] >= low[:2]) & (positions[:, :2] <= high[:2])).all(axis=1)
    fine = on.copy()
    fine[on] = ~inside_building(site, positions[on])
    above = positions[on, 2] > ground_height(site, positions[on, :2])
    fine[on] &= above
    if len(fine) < _FEWEST:
        raise SiteTwinError(f"they are of {len(fine)} users; the study needs {_FEWEST} or more to learn and to judge")
    if fine.sum() < max(_FEWEST, len(fine) / 2):
        raise SiteTwinError(
            f"of {len(fine)} users {int((~on).sum())} lie beyond the site and {int((on & ~fine).sum())} in its "
            f"buildings or its ground; half of them, and {_FEWEST}, must stand outdoors; take the site where they do"
        )
    return positions, fine

"""Codebooks of one's own array: directions of beams, measured patterns, or weights of the elements."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.measured.deepsense import read_codebook
from sitetwin.measured.named_arrays import named_arrays
from sitetwin.untrusted import read_table

_LARGEST = 1 << 24
_AZIMUTH = np.radians(np.arange(-100.0, 100.5, 0.5))
_BEAM = re.compile(r"(?:power|beam|pattern)_?([0-9]{1,4})(_db)?")
_MEND = "docs/how-to/beams.md lists the forms of a codebook"
_FILES = (".npz", ".mat", ".h5", ".hdf5")
_MOST_ANTENNAS = 4096


def read_beam_codebook(
    path: str | Path, beams: int | None = None, antennas: int | None = None, spacing: float = 0.5
) -> xr.DataArray:
    """Read a codebook in any of four forms.

    - A folder of ``built_in_beam_pattern_<n>.mat``, see `read_codebook`.
    - A CSV with the columns ``beam`` and ``azimuth_deg``: where each beam points. Patterns are those of `antennas`
      elements in a row, steered there.
    - A CSV with a column ``azimuth_deg`` and one column ``beam_0``, ``beam_1``, ... (linear power) or ``beam_0_db`` for
      each beam: measured patterns.
    - A file (``.npz``, ``.mat``, ``.h5``) with the array ``weights`` (beam, antenna), complex: patterns are those of a
      row of elements.

    Azimuths are degrees from the array's boresight, to the left (counter-clockwise from above) positive.

    Args:
        path: The file or the folder.
        beams: Number of beams of the measurements, if it is known.
        antennas: Elements of the array; directions alone need it.
        spacing: Between neighbouring elements, wavelengths; of directions and weights.

    Returns:
        (beam, azimuth): linear power relative to each beam's peak; azimuth in radians, rising. Attribute ``assumed``
        says what the file did not.

    Raises:
        SiteTwinError: The file is damaged, is no codebook, or has another number of beams.
    """
    path = Path(path)
    with said_of(f"the codebook '{path}'"):
        if path.is_dir():
            if beams is None:
                raise SiteTwinError("a folder of patterns is read for a number of beams; give it with measurements")
            return read_codebook(path, beams).assign_attrs(assumed="")
        if not 0 < spacing <= 10:
            raise SiteTwinError(f"a spacing of {spacing:g} wavelengths is none; give that of neighbouring elements")
        found = _weights(path, spacing) if path.suffix.lower() in _FILES else _table(path, antennas, spacing)
        if beams is not None and found.sizes["beam"] != beams:
            raise SiteTwinError(
                f"it has {found.sizes['beam']} beams where the measurements have {beams}; give that of this array"
            )
        return found


def steered_patterns(
    weights: Complex[np.ndarray, "beams antennas"], spacing: float, azimuth: Float[np.ndarray, " angles"]
) -> Float[np.ndarray, "beams angles"]:
    """Power of weighted elements in a row over the azimuth (C. Balanis, "Antenna Theory", ch. 6), each peak at one.

    Args:
        weights: Of the elements from right to left, seen along boresight.
        spacing: Between neighbours, wavelengths.
        azimuth: Radians from boresight, to the left positive.
    """
    phase = 2j * np.pi * spacing * np.sin(azimuth)[:, None] * np.arange(weights.shape[1])
    power = np.abs(weights.conj() @ np.exp(phase).T) ** 2
    return power / power.max(axis=1, keepdims=True)


def _weights(path: Path, spacing: float) -> xr.DataArray:
    arrays = named_arrays(path, "the file", ("weights",), ())
    if "weights" not in arrays:
        raise SiteTwinError(f"it has no array named weights (beam, antenna); {_MEND}")
    weights = arrays["weights"]
    sound = weights.ndim == 2 and 0 not in weights.shape and max(weights.shape) <= _MOST_ANTENNAS
    if not sound or weights.dtype.kind not in "fc" or not np.isfinite(weights).all():
        raise SiteTwinError(f"its weights of the shape {weights.shape} are no finite numbers (beam, antenna); {_MEND}")
    if not (np.abs(weights).max(axis=1) > 0).all():
        raise SiteTwinError("all weights of a beam are zero; leave the beam out")
    assumed = f"elements in a row, {spacing:g} wavelengths apart"
    return _array(steered_patterns(weights.astype(np.complex128), spacing, _AZIMUTH), _AZIMUTH, assumed)


def _table(path: Path, antennas: int | None, spacing: float) -> xr.DataArray:
    lines = [row for row in read_table(path, "the file", _LARGEST) if row]
    names = [cell.strip().lower() for cell in lines[0]] if lines else []
    if "azimuth_deg" not in names or len(lines) < 3:
        raise SiteTwinError(f"it has no column azimuth_deg with rows below it; {_MEND}")
    try:
        cells = np.array([[cell.strip() for cell in row] for row in lines[1:]], dtype="U32").astype(np.float64)
    except ValueError as error:
        raise SiteTwinError(f"a cell is no number, or a row has other cells than the heading; {_MEND}") from error
    if cells.ndim != 2 or cells.shape[1] != len(names) or not np.isfinite(cells).all():
        raise SiteTwinError(f"a number is missing or not finite; {_MEND}")
    azimuth = cells[:, names.index("azimuth_deg")]
    if np.abs(azimuth).max() > 180:
        raise SiteTwinError(f"an azimuth of {azimuth[np.abs(azimuth).argmax()]:g} degrees is none; give -180 to 180")
    if np.abs(azimuth).max() <= np.pi / 2 and "beam" in names:
        raise SiteTwinError("all azimuths lie within 1.6 degrees: they look like radians; give degrees")
    if "beam" in names:
        return _directions(cells[:, names.index("beam")], azimuth, antennas, spacing)
    return _patterns(names, cells, azimuth)


def _directions(number: np.ndarray, azimuth: np.ndarray, antennas: int | None, spacing: float) -> xr.DataArray:
    order = np.argsort(number, kind="stable")
    if number[order].tolist() not in (list(range(len(number))), list(range(1, len(number) + 1))):
        raise SiteTwinError("its beams are not numbered one after the other from 0, or from 1; give each beam once")
    if antennas is None:
        raise SiteTwinError("directions of beams do not say how wide they are; give the number of antennas in the row")
    if not 2 <= antennas <= _MOST_ANTENNAS:
        raise SiteTwinError(f"an array of {antennas} antennas steers no beam; give the number in the row")
    phase = 2j * np.pi * spacing * np.sin(np.radians(azimuth[order]))[:, None] * np.arange(antennas)
    assumed = f"{antennas} elements in a row, {spacing:g} wavelengths apart, steered"
    return _array(steered_patterns(np.exp(phase), spacing, _AZIMUTH), _AZIMUTH, assumed)


def _patterns(names: list[str], cells: np.ndarray, azimuth: np.ndarray) -> xr.DataArray:
    found = {int(m.group(1)): (k, m.group(2)) for k, name in enumerate(names) if (m := _BEAM.fullmatch(name))}
    numbers = sorted(found)
    if not numbers or numbers[0] > 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise SiteTwinError(f"it has no columns beam_0, beam_1, ... one for each beam; {_MEND}")
    if len({said for _, said in found.values()}) > 1:
        raise SiteTwinError("some patterns are named in dB and others are not; name all in one unit")
    order = np.argsort(azimuth, kind="stable")
    if (np.diff(azimuth[order]) <= 0).any():
        raise SiteTwinError("an azimuth stands twice; give each once")
    table = cells[order][:, [found[number][0] for number in numbers]].T
    if found[numbers[0]][1]:
        if np.abs(table).max() > 300:
            raise SiteTwinError("a pattern has more than 300 dB; give decibels")
        table = 10 ** (table / 10)
    elif (table < 0).any():
        raise SiteTwinError("a pattern has negative powers, so that it looks like dB; name the columns beam_0_db, ...")
    peak = table.max(axis=1, keepdims=True)
    if not (peak > 0).all():
        raise SiteTwinError("a beam has no power in any direction; leave it out")
    return _array(table / peak, np.radians(azimuth[order]), "")


def _array(pattern: np.ndarray, azimuth: np.ndarray, assumed: str) -> xr.DataArray:
    return xr.DataArray(
        pattern,
        dims=("beam", "azimuth"),
        coords={"azimuth": azimuth},
        name="pattern",
        attrs={"units": "1", "assumed": assumed},
    )

"""A predictor of a station's best beams, from one's own measurements, in one call."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sitetwin.calibrate.site_beams import SiteBeams
from sitetwin.errors import SiteTwinError
from sitetwin.measured import read_beam_codebook, read_beam_table, read_deepsense
from sitetwin.measured.plausible import PowerUnit

_TABLES = (".csv", ".txt")
_PATTERNS = "built_in_beam_pattern_*.mat"


def open_beams(
    source: str | Path,
    station: tuple[float, float] | None = None,
    power_unit: PowerUnit | None = None,
    beams: int | None = None,
    places_only: bool = False,
) -> xr.Dataset:
    """Open beam measurements: a CSV table, or a DeepSense 6G scenario.

    Args:
        source: A table as `sitetwin.measured.read_beam_table` reads it, or what `sitetwin.measured.read_deepsense`
            reads.
        station: Latitude and longitude of the station, degrees; for a table with positions in degrees.
        power_unit: "linear" or "dB" where the columns do not say it; by default the numbers decide, or are refused.
        beams: Number of beams, of a table of best beams alone.
        places_only: Whether a table needs no powers, because its users are only asked about.

    Raises:
        SiteTwinError: There is nothing, or what is there cannot be what it is taken for.
    """
    where = Path(source)
    if where.suffix.lower() in _TABLES and not where.is_dir():
        return read_beam_table(where, station, power_unit, beams, places_only=places_only)
    return read_deepsense(where, power_unit=power_unit)


def fit_beams(
    source: str | Path | xr.Dataset,
    codebook: str | Path | xr.DataArray | None = None,
    *,
    station: tuple[float, float] | None = None,
    power_unit: PowerUnit | None = None,
    beams: int | None = None,
    antennas: int | None = None,
    seed: int = 0,
) -> SiteBeams:
    """Fit a predictor of a station's best beams to measured powers, or to best beams alone.

    Args:
        source: What `open_beams` opens, or has opened.
        codebook: Of the station's array, as `sitetwin.measured.read_beam_codebook` reads it, or has read it; by default
            ``codebook_beams`` of a DeepSense 6G scenario that has one, and none otherwise: then only what was measured
            near by answers.
        station: Latitude and longitude of the station, degrees; for a table with positions in degrees.
        power_unit: As for `open_beams`.
        beams: Number of beams of a table of best beams alone, without a codebook.
        antennas: Elements of the array, for a codebook of directions alone.
        seed: Of the fit.

    Raises:
        SiteTwinError: Measurements or codebook cannot be used, or do not go together.
    """
    if antennas is not None and not isinstance(codebook, str | Path):
        raise SiteTwinError("the number of antennas goes with the file of a codebook; give both, or leave it out")
    book = codebook if isinstance(codebook, xr.DataArray) else None
    if isinstance(codebook, str | Path):
        book = _codebook(Path(codebook), antennas)
    if not isinstance(source, xr.Dataset):
        own = Path(source) / "codebook_beams"
        if codebook is None and own.is_dir():
            book = _codebook(own, None)
        source = open_beams(source, station, power_unit, beams if book is None else book.sizes["beam"])
    elif station is not None or power_unit is not None or beams is not None:
        raise SiteTwinError("measurements that were opened know their station, unit and beams; leave these out")
    return SiteBeams.of(source, book, seed)


def _codebook(where: Path, antennas: int | None) -> xr.DataArray:
    """A codebook; the files of a folder say how many beams it has."""
    count = len(list(where.glob(_PATTERNS))) if where.is_dir() else 0
    if where.is_dir() and not count:
        raise SiteTwinError(f"the folder '{where}' holds no {_PATTERNS}; give the file of a codebook, or such a folder")
    return read_beam_codebook(where, count or None, antennas)

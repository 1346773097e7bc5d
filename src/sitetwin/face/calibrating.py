"""Calibrate a site and a station with measured channels or power-delay profiles, in one call."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Literal, Unpack

import numpy as np
import xarray as xr
from scipy.spatial import cKDTree

from sitetwin.calibrate.channels.cell import CalibrationSettings, blocks_of, calibrate_cell
from sitetwin.calibrate.channels.model import quiet
from sitetwin.calibrate.channels.orders import order_notes
from sitetwin.calibrate.channels.outcome import SiteCalibration
from sitetwin.calibrate.channels.parameters import STAGES, Priors
from sitetwin.channel import Radio, path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.face.places import checked_site
from sitetwin.face.tracing import TraceChoices, trace_settings
from sitetwin.face.transmitters import Where, transmitters
from sitetwin.hertz import check_carrier
from sitetwin.measured import profiles_of_csi, profiles_of_table, read_csi, read_profiles, within_site
from sitetwin.measured.named_arrays import holds_array
from sitetwin.measured.profiles import Profiles, Window
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site

FITTED = tuple(stage for stage in STAGES if stage != "buildings")
"""What may be asked to be fitted; buildings follow from how materials are told apart."""

Progress = Callable[[str, float], None]


class CalibrationChoices(TraceChoices, total=False):
    """Keyword arguments of `calibrate_site`; each has a default.

    carrier_hz is the carrier, by default the middle of the measured band or the file's. noise_db is the power of the
    noise: of one subcarrier and antenna of measured channels, of one tap of profiles; estimated from the weakest taps
    by default. window ("hann") shapes the taps. height (1.5 m) is that of measurements in degrees above the ground.
    fit names what is fitted (of `FITTED`); materials says whether each "building" or each "class" of materials has
    values of its own. priors gives standard deviations by name (of `Priors`). block_m (10 m) is the side of the squares
    that are held out, chosen by holdout_seed. Those of the tracer are fields of `TraceSettings`.
    """

    carrier_hz: float | None
    noise_db: float | None
    window: Window
    height: float
    fit: Sequence[str] | None
    materials: Literal["building", "class"]
    priors: Mapping[str, float] | None
    block_m: float
    holdout_seed: int


_OWN = set(CalibrationChoices.__annotations__) - set(TraceChoices.__annotations__)


def calibrate_site(
    site: Site,
    measured: str | Path | xr.Dataset,
    tx: Where,
    *,
    radio: Radio | None = None,
    user_radio: Radio | None = None,
    settings: TraceSettings | None = None,
    progress: Progress | None = None,
    **choices: Unpack[CalibrationChoices],
) -> SiteCalibration:
    """Calibrate materials and pose of a cell with measured channels or power-delay profiles.

    Args:
        site: The site.
        measured: File of channels or profiles, or what `sitetwin.measured.read_csi` or `read_profiles` returned.
        tx: Where the station stands, as for `sitetwin.transmitters`.
        radio: The station's radio, with the array that measured; one vertical isotropic antenna by default.
        user_radio: The users' radio, with one antenna; a vertical isotropic one by default.
        settings: Settings of the tracer; `TraceSettings()` by default.
        progress: Called with the stage and its finished share.
        **choices: What to fit and how, and settings of the tracer, as ``fit=("offset", "materials"), max_depth=3,
            diffraction=True``; see `CalibrationChoices`.

    Returns:
        The calibrated site, the station, and each parameter with its posterior against its prior.

    Raises:
        SiteTwinError: A file or a choice is impossible; the measurements are those of another array, band or site; or
            there are fewer profiles than parameters.
    """
    tell = progress or (lambda stage, share: None)
    site, own = checked_site(site), {name: choices[name] for name in _OWN if name in choices}  # type: ignore[literal-required]
    settings = trace_settings(settings, **{name: value for name, value in choices.items() if name not in _OWN})  # type: ignore[arg-type]
    wanted = _settings(own, diffuse=settings.diffuse_paths > 0)
    positions = transmitters(site, tx)
    if len(positions) != 1:
        raise SiteTwinError(f"{len(positions)} stations were given; a calibration is that of one")
    data = within_site(_read(measured), site, float(own.get("height", 1.5)))
    profiles = _profiles(data, radio or Radio(), own)
    tell("trace", 0.0)
    paths = trace(site, positions[0], profiles.positions, settings, lambda share: tell("trace", share))
    tell("trace", 1.0)
    tell("calibrate", 0.0)
    cell = calibrate_cell(site, paths, profiles, radio, user_radio, wanted)
    if "csi" in data:
        said = _order_notes(data, profiles, site, paths, radio or Radio(), user_radio or Radio(), wanted)
        cell = replace(cell, notes=(*cell.notes, *said))
    tell("calibrate", 1.0)
    return SiteCalibration.of(cell, site, positions[0].tolist(), _hash(data))


def _order_notes(
    data: xr.Dataset,
    profiles: Profiles,
    site: Site,
    paths: Paths,
    radio: Radio,
    user_radio: Radio,
    settings: CalibrationSettings,
) -> list[str]:
    """Whether the antennas of measured channels stand in another order than the array's."""
    h = data["csi"].values.astype(np.complex128)
    if h.shape[1] < 2:
        return []
    where = np.stack([data[axis].values for axis in "xyz"], axis=1)
    number = cKDTree(profiles.positions).query(where)[1]
    covariance = np.zeros((len(profiles), h.shape[1], h.shape[1]), dtype=np.complex128)
    np.add.at(covariance, number, np.einsum("uak,ubk->uab", h, h.conj()) / h.shape[2])
    covariance /= np.bincount(number, minlength=len(profiles))[:, None, None]
    noise = profiles.noise.mean(axis=1) * profiles.subcarriers
    with quiet():
        gains = path_gains(paths, site, profiles.carrier_hz, radio, user_radio)
    return order_notes(covariance, noise, paths, gains, radio, blocks_of(profiles.positions, settings.block_m))


def _settings(own: dict[str, object], *, diffuse: bool) -> CalibrationSettings:
    """Stages and priors of the choices."""
    by, fit, given = own.get("materials", "building"), own.get("fit"), own.get("priors") or {}
    if by not in ("building", "class"):
        raise SiteTwinError(f"materials are told apart by '{by}', which is unknown; choose building or class")
    asked = FITTED if fit is None else tuple(fit)  # type: ignore[arg-type]
    unknown = [str(stage) for stage in asked if stage not in FITTED]
    if unknown or not asked:
        raise SiteTwinError(f"'{', '.join(unknown)}' cannot be fitted; choose from {', '.join(FITTED)}")
    if fit is None and not diffuse:
        asked = tuple(stage for stage in asked if stage != "scattering")
    buildings = ("buildings",) if by == "building" and "materials" in asked else ()
    assert isinstance(given, Mapping)
    strange = sorted(set(given) - set(vars(Priors())))
    if strange:
        raise SiteTwinError(f"there is no prior '{strange[0]}'; there are {', '.join(vars(Priors()))}")
    priors = Priors(**{name: _number(f"prior {name}", value) for name, value in given.items()})
    stages = tuple(stage for stage in STAGES if stage in (*asked, *buildings))
    seed = _number("holdout_seed", own.get("holdout_seed", 0))
    if seed < 0 or seed != int(seed):
        raise SiteTwinError(f"holdout_seed is {seed:g}; give a whole number of 0 or more")
    return CalibrationSettings(stages, priors, _number("block_m", own.get("block_m", 10.0)), int(seed))


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise SiteTwinError(f"{name} is {value!r}; give a finite number")
    return float(value)


def _read(measured: str | Path | xr.Dataset) -> xr.Dataset:
    if isinstance(measured, xr.Dataset):
        if not ("csi" in measured and "frequency" in measured) and not ("power" in measured and "delay" in measured):
            raise SiteTwinError(
                "the data are no measured channels or profiles; give what sitetwin.measured.read_csi, csi_dataset or "
                "read_profiles returned"
            )
        return measured
    if not isinstance(measured, str | Path):
        raise SiteTwinError(f"measured is a {type(measured).__name__}; give the name of a file, or a data set")
    return read_csi(measured) if holds_array(Path(measured), "h") else read_profiles(measured)


def _profiles(data: xr.Dataset, radio: Radio, own: dict[str, object]) -> Profiles:
    carrier, noise_db, window = own.get("carrier_hz"), own.get("noise_db"), own.get("window", "hann")
    if carrier is not None:
        check_carrier("carrier_hz", carrier)  # type: ignore[arg-type]
    if noise_db is not None and not (isinstance(noise_db, int | float) and -400 <= noise_db <= 200):  # NaN, too
        raise SiteTwinError(f"the noise is {noise_db} dB; give a number from -400 to 200, or leave it out")
    noise = None if noise_db is None else 10.0 ** (float(noise_db) / 10)
    if "csi" in data:
        one = data.sizes["antenna"] == radio.array.num_antennas == 1
        found = profiles_of_csi(data, None if one else radio.array, noise=noise, window=window, carrier_hz=carrier)  # type: ignore[arg-type]
    else:
        found = profiles_of_table(data, noise=noise, window=window, carrier_hz=carrier)  # type: ignore[arg-type]
    beside = {"taken beside the site": int(data.attrs.get("off_the_site", 0))}
    return replace(found, left_out={**found.left_out, **beside}).one_a_place()


def _hash(data: xr.Dataset) -> str:
    """SHA-256 of the measurements."""
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        values = np.ascontiguousarray(data[name].values)
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode() + values.tobytes())
    return digest.hexdigest()

"""What is true of a moment: received powers in all beams, and what stands in the line of sight.

The truth has car bodies, poles, trees and the street's own materials; the twin has boxes and a map that is off. The
powers are those of a band, in which paths interfere, with the receiver's noise; the twin adds up powers of paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference
from sitetwin.rays.scatter.vegetation import add_vegetation
from sitetwin.site import Site, place_objects
from sitetwin.vision.scene.twin import CARRIER_HZ, Station
from sitetwin.vision.street import Vehicle, vehicle_body

Engine = Literal["sitetwin", "sionna"]
Sight = Literal["clear", "vehicle", "fixed"]
"""What the line of sight meets first: nothing, a vehicle, or a house or pole."""

TRUTH_SETTINGS = TraceSettings(max_depth=3, rays_per_lattice=100_000)
_OTHER_SAMPLES = 300_000
_THERMAL_DBM_HZ = -173.98


@dataclass(frozen=True)
class LinkBudget:
    """How strong the signal is over the noise.

    With the defaults a user 15 m away in line of sight stands about 28 dB over the noise in its best beam.

    Attributes:
        transmit_dbm: Power of the user's transmitter, dBm, with an isotropic antenna.
        bandwidth_hz: Hz.
        noise_figure_db: dB.
        carrier_hz: Hz.
        subcarriers: Frequencies over the band whose powers are averaged.

    Raises:
        SiteTwinError: A number is not finite or not positive where it must be.
    """

    transmit_dbm: float = 20.0
    bandwidth_hz: float = 100e6
    noise_figure_db: float = 7.0
    carrier_hz: float = CARRIER_HZ
    subcarriers: int = 64

    def __post_init__(self) -> None:
        good = self.bandwidth_hz > 0 and self.carrier_hz > 0 and self.subcarriers >= 1
        if not (good and math.isfinite(self.transmit_dbm) and math.isfinite(self.noise_figure_db)):
            raise SiteTwinError(f"{self} is no link budget; give finite decibels, and a positive band and carrier")

    @property
    def noise_mw(self) -> float:
        """Noise over the band, mW."""
        return 10 ** ((_THERMAL_DBM_HZ + self.noise_figure_db) / 10) * self.bandwidth_hz

    @property
    def transmit_mw(self) -> float:
        """Transmitted power, mW."""
        return float(10 ** (self.transmit_dbm / 10))


def band_powers(
    paths: Paths, site: Site, station: Station, budget: LinkBudget, rng: np.random.Generator | None = None
) -> Float[np.ndarray, "users beams"]:
    """Measured power of each beam, averaged over the subcarriers of the band: signal and noise.

    Args:
        paths: Paths from the station to users; the link is reciprocal.
        site: The site they were traced in.
        station: The station.
        budget: The link budget.
        rng: Source of the noise; None adds its mean.

    Returns:
        (users, beams) mW.
    """
    gains = path_gains(paths, site, budget.carrier_hz, tx=station.radio).values.reshape(-1).numpy()
    each = gains[:, None].astype(np.complex128) * station.responses(paths.departure)
    offsets = (np.arange(budget.subcarriers) + 0.5) / budget.subcarriers - 0.5
    delays = paths.length / 299792458.0
    turns = np.exp(-2j * np.pi * budget.bandwidth_hz * np.outer(offsets, delays))
    signal = np.zeros((budget.subcarriers, paths.num_users, station.beams), dtype=complex)
    for user in range(paths.num_users):
        rows = paths.user_of_path == user
        signal[:, user] = turns[:, rows] @ each[rows]
    signal *= math.sqrt(budget.transmit_mw)
    if rng is None:
        return np.asarray((np.abs(signal) ** 2).mean(axis=0) + budget.noise_mw)
    scale = math.sqrt(budget.noise_mw / 2)
    noise = scale * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.asarray((np.abs(signal + noise) ** 2).mean(axis=0))


def true_powers(
    site: Site,
    vehicles: Sequence[Vehicle],
    station: Station,
    antenna: Float[np.ndarray, " 3"],
    budget: LinkBudget,
    rng: np.random.Generator,
    *,
    engine: Engine = "sitetwin",
    settings: TraceSettings = TRUTH_SETTINGS,
) -> Float[np.ndarray, " beams"]:
    """Trace a moment with car bodies and return what the station measures in each beam, mW.

    Args:
        site: The street without vehicles.
        vehicles: All vehicles, the user's own car included.
        station: The station.
        antenna: (3,) the user's antenna, metres.
        budget: The link budget.
        rng: Source of the noise.
        engine: Which ray tracer: this program's or Sionna RT.
        settings: What is traced.
    """
    placed = place_objects(site, [vehicle_body(vehicle) for vehicle in vehicles])
    transmitter = np.array(station.pose.position)
    if engine == "sitetwin":
        paths = trace(placed, transmitter, antenna[None], settings)
    else:
        other = ReferenceSettings(max_depth=settings.max_depth, samples=_OTHER_SAMPLES)
        paths = add_vegetation(placed, trace_reference(placed, transmitter, antenna[None], other), 0)
    return band_powers(paths, placed, station, budget, rng)[0]


def line_of_sight(
    site: Site, vehicles: Sequence[Vehicle], start: Float[np.ndarray, " 3"], end: Float[np.ndarray, " 3"]
) -> Sight:
    """Tell what stands between two points, triangle by triangle.

    Args:
        site: The street without vehicles.
        vehicles: All vehicles.
        start: (3,) metres.
        end: (3,) metres.

    Returns:
        "vehicle" wherever a vehicle stands in the way, even if a house or a pole does, too.
    """
    middle = 0.5 * (start + end)[:2]
    reach = 0.5 * float(np.linalg.norm((end - start)[:2])) + 8.0
    near = [v for v in vehicles if math.hypot(v.position[0] - middle[0], v.position[1] - middle[1]) < reach]
    bodies = [vehicle_body(vehicle) for vehicle in near]
    if any(_meets(body.vertices[body.triangles], start, end) for body in bodies):
        return "vehicle"
    return "fixed" if _meets(site.corners, start, end) else "clear"


def _meets(corners: np.ndarray, start: np.ndarray, end: np.ndarray) -> bool:
    """Whether a segment passes through any of some triangles (T, 3, 3) (Moller and Trumbore, 1997)."""
    step = end - start
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    across = np.cross(step, two)
    volume = (one * across).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = start - corners[:, 0]
        u = (away * across).sum(axis=1) / volume
        turned = np.cross(away, one)
        v = (turned @ step) / volume
        at = (two * turned).sum(axis=1) / volume
    return bool(((np.abs(volume) > 1e-12) & (u >= 0) & (v >= 0) & (u + v <= 1) & (at > 0) & (at < 1)).any())

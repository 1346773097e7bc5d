"""Beam patterns on the grid of angular power profiles, and the wide beams that are made of them.

The grid has one sample a degree and 180 of them, as in M. Arnold and others, "Vision-assisted digital twin creation for
mmWave beam management" (section II-A). Azimuth counts from the array's boresight, to the left positive, in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.codebooks import angular_codebook, steering_weights
from sitetwin.errors import SiteTwinError

ANGLES = 180
"""Samples of a profile."""

AZIMUTH_DEG = np.arange(-ANGLES // 2, ANGLES // 2, dtype=np.float64)
"""Azimuths of the samples: -90, -89, ..., 89 degrees from boresight."""

WIDE_BEAMS = 6
"""Beams of the paper's layer-1 codebook."""

Quantity = Literal["power", "amplitude"]
"""Whether patterns and profiles are powers or their roots. The paper multiplies magnitudes of a received power with
"beam profiles" of no stated unit; measured powers are explained best by patterns that are powers, the default."""

WideBeam = Literal["sum", "flat"]
"""How a wide beam is made: the sum of the narrow beams in its sector, or constant over the sector and zero outside. The
paper says only that six beams cover the same angles. Of measured best narrow beams 94 % lie in the best sector of sums,
fewer in that of flat beams: sums are the default."""


@dataclass(frozen=True, eq=False)
class ProfileCodebook:
    """Beams as rows over the grid of azimuths.

    Attributes:
        patterns: Each of norm 1, so that broad beams do not win by their breadth; zero where nothing was measured.
            Beams that are not alive are zero.
        alive: Beams that may be the answer.
        quantity: Of the patterns.
    """

    patterns: Float[np.ndarray, "beams 180"]
    alive: Bool[np.ndarray, " beams"]
    quantity: Quantity = "power"

    def __post_init__(self) -> None:
        if self.quantity not in get_args(Quantity):
            raise SiteTwinError(f"patterns are of 'power' or 'amplitude', not '{self.quantity}'")
        wrong = ~np.isfinite(self.patterns).all(axis=1) | (self.patterns < 0).any(axis=1)
        empty = self.alive & (self.patterns.max(axis=1, initial=0.0) <= 0)
        if wrong.any() or empty.any() or not self.alive.any():
            raise SiteTwinError(
                "a codebook needs finite patterns of at least one beam, none negative, and something of each beam that "
                f"may be the answer within {AZIMUTH_DEG[0]:g} to {AZIMUTH_DEG[-1]:g} degrees; check scale and offset"
            )

    @classmethod
    def of(
        cls,
        book: xr.DataArray,
        dead: Bool[np.ndarray, " beams"] | None = None,
        scale: float = 1.0,
        offset_deg: float = 0.0,
        quantity: Quantity = "power",
    ) -> ProfileCodebook:
        """Put measured patterns on the grid.

        Args:
            book: (beam, azimuth) linear power over azimuth in radians, as `sitetwin.measured.read_codebook` gives it.
            dead: Beams that are never the answer; none by default.
            scale: Factor of the patterns' angles; the axis of the measured DeepSense codebook is right only up to a
                scale and an offset, which differ from site to site.
            offset_deg: Degrees that are added to the scaled angles.
            quantity: What the patterns shall be.

        Raises:
            SiteTwinError: A beam has nothing on the grid, or the scale is not positive.
        """
        if not (np.isfinite(scale) and scale > 0 and np.isfinite(offset_deg)):
            raise SiteTwinError(f"the angles of a codebook need a positive scale, not {scale:g}")
        degrees = np.degrees(book["azimuth"].values) * scale + offset_deg
        powers = book.transpose("beam", "azimuth").values.astype(np.float64)
        on_grid = np.stack([np.interp(AZIMUTH_DEG, degrees, row, left=0.0, right=0.0) for row in powers])
        alive = np.ones(len(powers), dtype=bool) if dead is None else ~dead
        return cls.from_powers(on_grid, alive, quantity)

    @classmethod
    def from_powers(
        cls, powers: Float[np.ndarray, "beams 180"], alive: Bool[np.ndarray, " beams"], quantity: Quantity = "power"
    ) -> ProfileCodebook:
        """Make a codebook of linear powers on the grid, each beam brought to norm 1."""
        rows = np.where(alive[:, None], powers if quantity == "power" else np.sqrt(powers), 0.0)
        norm = np.linalg.norm(rows, axis=1, keepdims=True)
        return cls(rows / np.where(norm > 0, norm, 1.0), alive, quantity)

    @property
    def peak_deg(self) -> Float[np.ndarray, " beams"]:
        """Azimuth of each beam's peak; NaN for a beam that is not alive."""
        return np.where(self.alive, AZIMUTH_DEG[self.patterns.argmax(axis=1)], np.nan)

    def gains_at(self, azimuth_deg: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "rows beams"]:
        """Patterns at some azimuths, linear between the samples; zero outside of the grid."""
        return np.stack([np.interp(azimuth_deg, AZIMUTH_DEG, row, left=0, right=0) for row in self.patterns], axis=1)

    def scores(self, profiles: Float[np.ndarray, "rows 180"]) -> Float[np.ndarray, "rows beams"]:
        """Received power of each beam, from an angular power profile (equation 2); -inf for beams not alive.

        Raises:
            SiteTwinError: A profile is not finite.
        """
        if not np.isfinite(profiles).all():
            raise SiteTwinError("an angular power profile has values that are no numbers; drop these rows first")
        return np.where(self.alive, profiles @ self.patterns.T, -np.inf)

    def measured(self, power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, "rows beams"]:
        """Powers with NaN for beams that are not alive, so that they are never the best.

        Raises:
            SiteTwinError: They are of another number of beams.
        """
        if power.shape[1] != len(self.alive):
            raise SiteTwinError(
                f"the powers are of {power.shape[1]} beams and the codebook of {len(self.alive)}; give the codebook of "
                "this array"
            )
        return np.where(self.alive, power, np.nan)

    def wide(self, count: int = WIDE_BEAMS, kind: WideBeam = "sum") -> ProfileCodebook:
        """Make wide beams that cover the same angles, in the order of the narrow ones.

        Args:
            count: Wide beams; the angles between the outermost peaks are cut into as many equal sectors.
            kind: How they are made.

        Raises:
            SiteTwinError: A sector holds no beam.
        """
        sector = self.sectors(count)
        edges = self._edges(count)
        rows = []
        for number in range(count):
            inside = sector == number
            if not inside.any():
                raise SiteTwinError(f"{count} wide beams leave a sector without a narrow beam; make fewer")
            if kind == "sum":
                rows.append(self.patterns[inside].sum(axis=0))
            else:
                low, high = sorted(edges[number : number + 2])
                rows.append(((low <= AZIMUTH_DEG) & (high >= AZIMUTH_DEG)).astype(np.float64))
        norm = np.linalg.norm(np.stack(rows), axis=1, keepdims=True)
        return ProfileCodebook(np.stack(rows) / norm, np.ones(count, dtype=bool), self.quantity)

    def sectors(self, count: int = WIDE_BEAMS) -> np.ndarray:
        """(beams,) int: the wide beam that refines to each narrow one; -1 for a beam not alive."""
        edges = self._edges(count)
        share = (np.nan_to_num(self.peak_deg) - edges[0]) / (edges[-1] - edges[0])
        return np.where(self.alive, np.clip((share * count).astype(np.int64), 0, count - 1), -1)

    def _edges(self, count: int) -> np.ndarray:
        """(count + 1,) degrees between the sectors, running as the narrow beams do."""
        if count < 1:
            raise SiteTwinError(f"{count} wide beams cannot be made; ask for one or more")
        peaks = self.peak_deg[self.alive]
        low, high = float(peaks.min()), float(peaks.max())
        if low == high:
            raise SiteTwinError("all beams look in one direction, so that no sectors can be cut")
        rises = peaks[-1] > peaks[0]
        return np.linspace(low, high, count + 1) if rises else np.linspace(high, low, count + 1)


def linear_array_book(
    antennas: int = 16, beams: int = 64, half_span_deg: float = 45.0, floor: float = 0.01
) -> xr.DataArray:
    """Patterns of an ideal half-wave linear array: what stands for a measured codebook where there is none.

    Args:
        antennas: Elements.
        beams: Beams, even over the span, their azimuths falling as in the official order of DeepSense 6G.
        half_span_deg: Azimuth of the outermost beams.
        floor: Power beside the pattern, relative to its peak; patterns measured at 60 GHz have about 0.01.

    Returns:
        (beam, azimuth): power relative to each beam's peak, as `sitetwin.measured.read_codebook` gives it.
    """
    array = AntennaArray.ula(antennas)
    seen = torch.from_numpy(np.radians(AZIMUTH_DEG))
    directions = torch.stack([torch.cos(seen), torch.sin(seen), torch.zeros_like(seen)], dim=1)
    weights = angular_codebook(array, np.radians(np.linspace(half_span_deg, -half_span_deg, beams)))
    response = steering_weights(array, directions).conj()
    power = (weights @ response.T).abs().square().numpy() + floor
    return xr.DataArray(
        power / power.max(axis=1, keepdims=True),
        dims=("beam", "azimuth"),
        coords={"azimuth": np.radians(AZIMUTH_DEG)},
        name="pattern",
        attrs={"units": "1"},
    )

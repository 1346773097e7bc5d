"""Which cells, masts and receivers a power map knows, and what its process sees of places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from sitetwin.calibrate.power.clutter import Plan
from sitetwin.calibrate.power.covariance import Design
from sitetwin.channel.stations import GeographicStation, Station
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site

_ONE_MAST = 10.0  # metres in plan: stations nearer to each other stand on one mast
_ONE_AZIMUTH = 5.0  # degrees: sectors of one mast that differ by less share a field
_NEAREST = 10.0  # metres: power does not grow on the last ones
_WIDTH_DEG, _MOST_DB = 65.0, 25.0  # of the pattern that a sector is taken to have, 3GPP TR 38.901, 7.3

SECTOR = ("cos", "sin", "cos_2", "sin_2")
PATTERN = "pattern"
DISTANCE = "distance"
ONE = "one"


@dataclass(frozen=True)
class Sector:
    """One cell's antenna, as a power map knows it.

    Attributes:
        name: Of the cell, as rows of measured power name it.
        plan: (x, y) metres.
        yaw_deg: Azimuth of the boresight, degrees from east, counter-clockwise; None where it is not known.
    """

    name: str
    plan: tuple[float, float]
    yaw_deg: float | None


def sectors_of(stations: Sequence[Station | GeographicStation], site: Site) -> tuple[Sector, ...]:
    """Sectors of stations; a station with the isotropic pattern and no azimuth has an unknown one.

    Args:
        stations: They need names, which are those of measured cells.
        site: The site, which places stations of degrees.

    Raises:
        SiteTwinError: There is none, one has no name, two have one name, or a place is impossible.
    """
    found = []
    for number, one in enumerate(stations, start=1):
        station = one.on(site, allow_indoors=True) if isinstance(one, GeographicStation) else one
        if station.name is None:
            raise SiteTwinError(f"station {number} has no name; give it the name of its cell in the measured rows")
        known = station.pattern != "iso" or station.yaw_deg != 0.0
        found.append(Sector(station.name, station.position[:2], station.yaw_deg if known else None))
    names = [sector.name for sector in found]
    if not found or len(set(names)) < len(names):
        raise SiteTwinError("give a station for each cell, each with another name")
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Layout:
    """Cells with their masts, and receivers.

    Attributes:
        sectors: One for each cell.
        receivers: Names of receivers that measured.
    """

    sectors: tuple[Sector, ...]
    receivers: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, ...]:
        """Names of the cells."""
        return tuple(sector.name for sector in self.sectors)

    @property
    def masts(self) -> list[int]:
        """Mast of each cell: the number of the first cell on it."""
        found: list[int] = []
        for k, sector in enumerate(self.sectors):
            near = [j for j in range(k) if math.dist(self.sectors[j].plan, sector.plan) <= _ONE_MAST]
            found.append(found[near[0]] if near else k)
        return found

    @property
    def directions(self) -> list[int]:
        """Direction on its mast of each cell: the number of the first cell that looks there from that mast."""
        found: list[int] = []
        for k, (mast, sector) in enumerate(zip(self.masts, self.sectors, strict=True)):
            alike = [
                found[j]
                for j in range(k)
                if self.masts[j] == mast and _one_way(self.sectors[j].yaw_deg, sector.yaw_deg)
            ]
            found.append(alike[0] if alike else k)
        return found

    @property
    def turned(self) -> bool:
        """Whether the azimuth of every cell is known."""
        return all(sector.yaw_deg is not None for sector in self.sectors)

    def numbers(self, cell: Shaped[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        """Numbers of cells by their names.

        Raises:
            SiteTwinError: A name is not known.
        """
        return _numbers(cell, self.cells, "cell")

    def shares(self, receiver: Shaped[np.ndarray, " rows"] | None, count: int) -> Float[np.ndarray, "rows receivers"]:
        """Share of each receiver in each row: one of them, or the mean over all where none is named.

        Raises:
            SiteTwinError: A name is not known.
        """
        if receiver is None:
            return np.full((count, len(self.receivers)), 1 / len(self.receivers))
        return np.eye(len(self.receivers))[_numbers(receiver, self.receivers, "receiver")]

    def design(
        self,
        plan: Plan,
        users: Float[np.ndarray, "rows 2"],
        cell: Int[np.ndarray, " rows"],
        shares: Float[np.ndarray, "rows receivers"],
        extra: Mapping[str, Float[np.ndarray, " rows"]] | None = None,
    ) -> Design:
        """What the process sees of places.

        Args:
            plan: The site's buildings in plan.
            users: Metres.
            cell: Number of the cell that each row is of.
            shares: Share of each receiver.
            extra: Further features.
        """
        features: dict[str, np.ndarray] = {ONE: np.ones(len(users)), **(extra or {})}
        masts = np.array(self.masts)[cell]
        for mast in np.unique(masts):
            own = masts == mast
            found = plan.features(np.array(self.sectors[mast].plan), users[own])
            for name, values in found.items():
                features.setdefault(name, np.zeros(len(users)))[own] = values
        for k, sector in enumerate(self.sectors):
            own = cell == k
            for name, values in _bearing(sector, users[own]).items():
                features.setdefault(name, np.zeros(len(users)))[own] = values
        of_cell = np.eye(len(self.sectors))[cell]
        both = (of_cell[:, :, None] * shares[:, None, :]).reshape(len(users), -1)
        groups = {
            "cell": of_cell,
            "mast": np.eye(len(self.sectors))[masts],
            "direction": np.eye(len(self.sectors))[np.array(self.directions)[cell]],
            "receiver": shares,
            "reading": both,
        }
        return Design(users, features, groups, both.argmax(axis=1))


def _bearing(sector: Sector, users: np.ndarray) -> dict[str, np.ndarray]:
    """Logarithm of the distance, and waves over the bearing from the boresight (from east where it is unknown)."""
    east, north = (users - np.array(sector.plan)).T
    angle = np.arctan2(north, east) - math.radians(sector.yaw_deg or 0.0)
    off = np.degrees(np.arctan2(np.sin(angle), np.cos(angle)))
    found = {
        DISTANCE: 10 * np.log10(np.maximum(np.hypot(east, north), _NEAREST)),
        "cos": np.cos(angle),
        "sin": np.sin(angle),
        "cos_2": np.cos(2 * angle),
        "sin_2": np.sin(2 * angle),
    }
    if sector.yaw_deg is not None:
        found[PATTERN] = -np.minimum(12 * (off / _WIDTH_DEG) ** 2, _MOST_DB) / 5
    return found


def _one_way(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(math.remainder(one - other, 360.0)) <= _ONE_AZIMUTH


def _numbers(names: np.ndarray, known: Sequence[str], what: str) -> np.ndarray:
    order = {name: k for k, name in enumerate(known)}
    unknown = [str(name) for name in np.unique(names) if str(name) not in order]
    if unknown:
        raise SiteTwinError(f"there is no {what} '{unknown[0][:40]}' in this power map; it knows {', '.join(known)}")
    return np.array([order[str(name)] for name in names], dtype=np.int64)

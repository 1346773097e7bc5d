"""Measured power in the frame of a site, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.measured.positions import about_origin, within_site
from sitetwin.measured.power_files import UNNAMED_CELL, carriers_of, read_powers
from sitetwin.site import Site
from sitetwin.site.latlon import origin_of
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.site.places.extent import outside_site
from sitetwin.site.places.placement import over_ground

_TOGETHER = 8.0  # metres: the side of squares in which receivers are compared
_FEWEST_SHARED = 5  # squares
_DISAGREE_DB = 12.0
_NAMED = 4  # carriers in a sentence


@dataclass(frozen=True, eq=False)
class Powers:
    """Measured power at N places.

    Attributes:
        positions: (N, 3) metres, in the site's frame.
        power_dbm: (N,) dBm.
        cell: (N,) names of cells.
        receiver: (N,) names of receivers.
        carrier_hz: (N,) Hz, NaN where unknown.
        readings: (N,) how many readings each is the mean of.
        left_out: Rows that were left out, by reason.
        notes: What is doubtful.

    Raises:
        SiteTwinError: Shapes do not fit, a number is not finite, or no row is left.
    """

    positions: Float[np.ndarray, "rows 3"]
    power_dbm: Float[np.ndarray, " rows"]
    cell: Shaped[np.ndarray, " rows"]
    receiver: Shaped[np.ndarray, " rows"]
    carrier_hz: Float[np.ndarray, " rows"]
    readings: Int[np.ndarray, " rows"]
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.power_dbm)
        if not count:
            raise SiteTwinError("there is no measured power; give at least one row")
        if self.positions.shape != (count, 3) or any(
            len(row) != count for row in (self.cell, self.receiver, self.carrier_hz, self.readings)
        ):
            raise SiteTwinError(f"{count} powers need as many positions, cells, receivers, carriers and readings")
        if not (np.isfinite(self.positions).all() and np.isfinite(self.power_dbm).all()):
            raise SiteTwinError("a measured power or its position is NaN or infinite; leave these rows out")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.power_dbm)

    def take(self, index: np.ndarray) -> Powers:
        """Some of the rows, by indices or a mask (N,)."""
        return Powers(
            self.positions[index],
            self.power_dbm[index],
            self.cell[index],
            self.receiver[index],
            self.carrier_hz[index],
            self.readings[index],
            self.left_out,
            self.notes,
        )

    def of_cells(self, names: Sequence[str]) -> Powers:
        """The rows of some cells. Where the table names no cell, its rows are those of the one that is asked for.

        Raises:
            SiteTwinError: There is none.
        """
        if len(names) == 1 and (self.cell == UNNAMED_CELL).all():
            return replace(self, cell=np.full(len(self), names[0]))
        own = np.isin(self.cell, list(names))
        if not own.any():
            there = ", ".join(map(str, np.unique(self.cell)[:8]))
            raise SiteTwinError(
                f"no row was measured of the cell {', '.join(names)}; the measured cells are {there}: give a station "
                "of that name to each cell that is to be used"
            )
        others = {"of other cells": int((~own).sum())} if not own.all() else {}
        return replace(self.take(own), left_out={**self.left_out, **others})

    def merged(self, spacing: float = 4.0) -> Powers:
        """One row for each square, cell and receiver: mean place and mean dBm of its readings.

        Readings of one square fade differently by less than their positions are off, and a standing receiver repeats
        one place many times.

        Args:
            spacing: Side of the squares, metres; 0 merges readings at exactly one place.

        Returns:
            Rows in order of cell, receiver and square.
        """
        plan = self.positions[:, :2]
        square = np.floor(plan / spacing) if spacing > 0 else plan
        labels = [np.unique(names, return_inverse=True)[1].reshape(-1) for names in (self.cell, self.receiver)]
        key = np.stack([*labels, *square.T], axis=1)
        _, first, number = np.unique(key, axis=0, return_index=True, return_inverse=True)
        number = number.reshape(-1)
        count = np.bincount(number, self.readings)

        def mean(values: np.ndarray) -> np.ndarray:
            return np.asarray(np.bincount(number, values * self.readings) / count)

        return replace(
            self.take(first),
            positions=np.stack([mean(column) for column in self.positions.T], axis=1),
            power_dbm=mean(self.power_dbm),
            readings=count.astype(np.int64),
        )


def powers_on_site(measured: str | Path | xr.Dataset, site: Site, height: float = 1.5) -> Powers:
    """Measured power in a site's own frame; rows beside the site are left out and counted.

    Args:
        measured: File of measured power, or what `read_powers` returned.
        site: The site; degrees need its georeference.
        height: Height above the ground of rows without one, metres.

    Raises:
        SiteTwinError: The file cannot be used, or no row was measured on the site.
    """
    data = measured if isinstance(measured, xr.Dataset) else read_powers(measured)
    if not {"power", "cell", "receiver", "carrier"} <= set(data.variables):
        raise SiteTwinError("the data are no measured powers; give what sitetwin.measured.read_powers returned")
    near = _near(data, site)
    if not near.any():
        raise SiteTwinError(_elsewhere(data, site))
    found = data.isel(sample=np.flatnonzero(near))
    if "x" in found and "z" not in found:
        plan = np.stack([found[axis].values for axis in "xy"], axis=1)
        found = found.assign(z=("sample", over_ground(site, plan, height)[:, 2]))
    found = within_site(found, site, height)
    beside = int(data.sizes["sample"] - found.sizes["sample"])
    said = {"taken beside the site": beside} if beside else {}
    powers = Powers(
        np.stack([found[axis].values for axis in "xyz"], axis=1).astype(np.float64),
        found["power"].values.astype(np.float64),
        found["cell"].values.astype(str),
        found["receiver"].values.astype(str),
        carriers_of(found, "the measured powers"),
        np.ones(found.sizes["sample"], dtype=np.int64),
        {**data.attrs.get("left_out", {}), **said},
        tuple(data.attrs.get("notes", ())),
    )
    return replace(powers, notes=(*powers.notes, *_carrier_notes(powers), *receiver_notes(powers)))


def _carrier_notes(powers: Powers) -> list[str]:
    """Say of cells that were measured at several carriers: their powers are not the same quantity."""
    notes = []
    for name in np.unique(powers.cell):
        carriers = np.unique(powers.carrier_hz[(powers.cell == name) & np.isfinite(powers.carrier_hz)]) / 1e6
        if len(carriers) > 1:
            said = ", ".join(f"{one:g}" for one in carriers[:_NAMED]) + (", ..." if len(carriers) > _NAMED else "")
            notes.append(
                f"cell {name} was measured at {len(carriers)} carriers ({said} MHz), and its rows count as one cell; "
                "name a cell for each carrier where they differ by far"
            )
    return notes


def receiver_notes(powers: Powers) -> list[str]:
    """Say of receivers that disagree by far where both measured one cell: they report unlike quantities."""
    notes = []
    square = np.floor(powers.positions[:, :2] / _TOGETHER)
    cells = np.unique(powers.cell, return_inverse=True)[1].reshape(-1)
    place = np.unique(np.stack([cells, *square.T], axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    level = {}
    for name in np.unique(powers.receiver):
        own = powers.receiver == name
        count = np.bincount(place[own], minlength=int(place.max()) + 1)
        total = np.bincount(place[own], powers.power_dbm[own], minlength=len(count))
        level[str(name)] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    for one, other in combinations(level, 2):
        apart = level[one] - level[other]
        apart = apart[np.isfinite(apart)]
        if len(apart) >= _FEWEST_SHARED and abs(np.median(apart)) > _DISAGREE_DB:
            notes.append(
                f"receivers '{one}' and '{other}' differ by {np.median(apart):+.1f} dB (median of {len(apart)} places "
                "that both measured): they may report unlike quantities, such as RSRP and RSSI; each has an offset of "
                "its own"
            )
    return notes


def _near(data: xr.Dataset, site: Site) -> Bool[np.ndarray, " rows"]:
    """Rows within the site, or in degrees within the reach of its projection."""
    if "x" in data:
        plan = np.stack([data[axis].values for axis in "xy"], axis=1).astype(np.float64)
    else:
        globe = np.stack([data[name].values for name in ("latitude", "longitude")], axis=1).astype(np.float64)
        plan = about_origin(globe, origin_of(site))
    if "x" in data and site.georeference is not None and outside_site(site, np.pad(plan, ((0, 0), (0, 1)))).all():
        return np.ones(len(plan), dtype=bool)  # `within_site` tells degrees from metres, and refuses
    with np.errstate(invalid="ignore"):
        reach = np.asarray((np.abs(plan) <= LARGEST_COORDINATE).all(axis=1))
    return np.asarray(reach & ~outside_site(site, np.pad(np.where(reach[:, None], plan, 1e9), ((0, 0), (0, 1)))))


def _elsewhere(data: xr.Dataset, site: Site) -> str:
    """Why no row lies on the site, in one sentence."""
    names = ("x", "y") if "x" in data else ("latitude", "longitude")
    middle = [float(np.median(data[name].values)) for name in names]
    about = f"({middle[0]:.6g}, {middle[1]:.6g}) {'m' if 'x' in data else 'degrees'}"
    said = f"no measured power lies on the site '{site.name}': the rows lie about {about}"
    if "x" not in data:
        origin = origin_of(site)
        said += f", the site's origin at ({origin.latitude:.6g}, {origin.longitude:.6g})"
        globe = np.stack([data["longitude"].values, data["latitude"].values], axis=1).astype(np.float64)
        turned = np.nan_to_num(about_origin(globe, origin), nan=1e9)
        if (~outside_site(site, np.pad(turned, ((0, 0), (0, 1))))).mean() > 0.5:
            return f"{said}; latitude and longitude are exchanged: name the columns the other way round"
    return f"{said}; take the map of the place where it was measured"

"""What becomes of a calibrated cell: a site and a station that everything else takes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.calibrate.channels.geometry import Geometry
from sitetwin.calibrate.channels.result import CellCalibration
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.settled import settled_site
from sitetwin.errors import SiteTwinWarning
from sitetwin.site import Site


@dataclass(frozen=True, eq=False)
class SiteCalibration:
    """A calibrated site with the station that measured.

    Attributes:
        cell: Parameters, losses and notes.
        site: The site with the calibrated materials, one for each building; it lists its differences.
        position: (x, y, z) of the station, metres.
        radio: Its radio, turned as was found.
        geometry: Changes of the pose and of the users' positions.
        offset_db: Measured over traced power, dB.
        measured_hash: SHA-256 of the measurements that were used.
        parent_hash: Hash of the site before calibration.
        carrier_hz: Carrier, Hz.
        parent_differences: What the site before calibration listed as its differences.
    """

    cell: CellCalibration
    site: Site
    position: tuple[float, float, float]
    radio: Radio
    geometry: Geometry
    offset_db: float
    measured_hash: str
    parent_hash: str
    carrier_hz: float
    parent_differences: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, cell: CellCalibration, parent: Site, position: Sequence[float], measured_hash: str) -> SiteCalibration:
        """Put what a cell's calibration found into a site and a station.

        Args:
            cell: The calibration.
            parent: The site before it.
            position: (x, y, z) of the station as traced, metres.
            measured_hash: SHA-256 of the measurements.
        """
        fit, twin = cell.fit, cell.scorer.twin
        geometry = Geometry.of(fit.parameters, fit.theta)
        offsets = [float(v) for p, v in zip(fit.parameters, fit.theta, strict=True) if p.what == "offset_db"]
        x, y, z = (float(a) + b for a, b in zip(position, geometry.station, strict=True))
        carrier = float(twin.profiles.carrier_hz)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="ITU-R", category=SiteTwinWarning)  # notes of the cell say it
            tensors: dict[str, Any] = dict(material_tensors(cell))
            site = settled_site(cell.table.site, FieldOptions(**tensors), carrier)
        return cls(
            cell,
            site,
            (x, y, z),
            twin.radio(geometry),
            geometry,
            sum(offsets),
            measured_hash,
            parent.hash,
            carrier,
            tuple(parent.provenance.get("differences", ())),
        )


def material_tensors(cell: CellCalibration) -> dict[str, Float[Tensor, " entries"]]:
    """Values of the materials of the split site that the fit changed or assumed, by name of the property."""
    touched = {p.what for p in cell.fit.parameters}
    if cell.table.scatters:
        touched.add("scattering_coefficient")  # smooth surfaces had a nominal one in the fit
    values = cell.table.values(cell.fit.parameters, cell.fit.theta)
    return {name: torch.from_numpy(v) for name, v in values.items() if name in touched}

"""Whether the azimuths of stations are those of measured power."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sitetwin.calibrate.power.layout import Sector
from sitetwin.measured.powers import Powers

_SECTORS, _FEWEST_SECTORS, _FEWEST_IN_ONE = 12, 7, 3  # of the bearing; with as many rows; rows of one
_STRONG_DB = 6.0  # from the mean over bearings to the strongest
_OFF_DEG, _ALIKE_DEG = 60.0, 25.0
_NEAREST = 10.0  # metres


def azimuth_notes(sectors: Sequence[Sector], powers: Powers) -> list[str]:
    """Say of cells whose power is strongest in another direction than their station's azimuth.

    The direction is that of one wave over the bearing, fitted with log distance and an offset of each receiver. It is
    judged only where rows lie on more than half of all bearings and the wave is strong.

    Args:
        sectors: The cells.
        powers: Measured rows.
    """
    notes = []
    for sector in sectors:
        own = powers.cell == sector.name
        if sector.yaw_deg is None or not own.any():
            continue
        found = _strongest(sector, powers.take(own))
        if found is None or abs(math.remainder(found - sector.yaw_deg, 360.0)) <= _OFF_DEG:
            continue
        stated, measured = (90.0 - sector.yaw_deg) % 360, (90.0 - found) % 360
        notes.append(
            f"the power of cell {sector.name} is strongest towards azimuth {measured:.0f} degrees (from north, "
            f"clockwise), and its station says {stated:.0f}{_reading(sector.yaw_deg, found)}; check the station"
        )
    return notes


def _strongest(sector: Sector, powers: Powers) -> float | None:
    """Direction of strongest power, degrees from east; None where the rows do not tell."""
    step = powers.positions[:, :2] - np.array(sector.plan)
    bearing = np.arctan2(step[:, 1], step[:, 0])
    count = np.bincount((bearing // (2 * np.pi / _SECTORS)).astype(int) % _SECTORS, minlength=_SECTORS)
    if (count >= _FEWEST_IN_ONE).sum() < _FEWEST_SECTORS:
        return None
    receiver = powers.receiver[:, None] == np.unique(powers.receiver)
    distance = np.log10(np.maximum(np.hypot(*step.T), _NEAREST))
    columns = np.column_stack([receiver, distance, np.cos(bearing), np.sin(bearing)])
    cosine, sine = np.linalg.lstsq(columns, powers.power_dbm, rcond=None)[0][-2:]
    return math.degrees(math.atan2(sine, cosine)) if math.hypot(cosine, sine) >= _STRONG_DB else None


def _reading(yaw: float, found: float) -> str:
    """What the stated azimuth would be in another convention that fits."""
    stated = (90.0 - yaw) % 360
    readings = {
        "as degrees from east, counter-clockwise (yaw_deg), it fits": stated,
        "in radians from north it fits": 90.0 - math.degrees(stated),
        "in radians from east it fits": math.degrees(yaw),
    }
    if stated > 2 * math.pi:
        readings.pop("in radians from north it fits")
    if abs(yaw) > 2 * math.pi:
        readings.pop("in radians from east it fits")
    fits = [said for said, one in readings.items() if abs(math.remainder(one - found, 360.0)) <= _ALIKE_DEG]
    return f" ({fits[0]})" if fits else ""

"""Priors for an array and its street before any row is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class StructuredConfig:
    """Priors (mean, standard deviation) and noise: one set for all scenarios, sizes and splits.

    Attributes:
        boresight_deg: Direction of the boresight from the normal of the street.
        across_m: Offset of the station's position across the street.
        along_m: Offset of the station's position along the street.
        lever_m: Distance of the transmitter ahead of the GPS antenna, in the direction of travel.
        lag: Time between sweep and position fix, in intervals between fixes; about a second at the 10 Hz of DeepSense.
        scale: Scale of the codebook's angle axis, between its two readings: 180/210 and 1 degree per sample.
        log_floor: Natural logarithm of floor over peak power.
        log_echo: Natural logarithm of the echoes' power over the twin's.
        gain_db: Standard deviation of each beam's gain.
        pointing_deg: Standard deviation of each beam's pointing.
        drift_m: Standard deviation of the displacement along a lane.
        drift_length_m: Correlation length of the displacement along a lane.
        drift_common: Share of the displacement's variance that both directions of travel share.
        fix_m: Scale of a row's position error (Student's t with `fix_freedom` degrees of freedom).
        fix_freedom: Degrees of freedom of a row's position error (Student's t).
        shape_db: Standard deviation of a row's powers about the model.
        weight: Share of a row's beams that count as independent.
        spread_m: Position error at prediction, by default.
        tie_db: Temperature at which two beams of nearly equal power share the probability, by default.
        steps: Number of steps of the optimiser Adam.
        rate: Initial learning rate of Adam; it falls to zero along a cosine.
    """

    boresight_deg: tuple[float, float] = (0.0, 10.0)
    across_m: tuple[float, float] = (0.0, 1.0)
    along_m: tuple[float, float] = (0.0, 1.0)
    lever_m: tuple[float, float] = (0.0, 1.0)
    lag: tuple[float, float] = (0.0, 2.0)
    scale: tuple[float, float] = (0.93, 0.05)
    log_floor: tuple[float, float] = (math.log(0.15), 0.5)
    log_echo: tuple[float, float] = (0.0, 0.5)
    gain_db: float = 0.7
    pointing_deg: float = 0.7
    drift_m: float = 0.6
    drift_length_m: float = 10.0
    drift_common: float = 0.5
    fix_m: float = 0.35
    fix_freedom: float = 3.0
    shape_db: float = 2.0
    weight: float = 0.5
    spread_m: float = 0.6
    tie_db: float = 1.0
    steps: int = 300
    rate: float = 0.1


GLOBALS = ("boresight_deg", "across_m", "along_m", "lever_m", "lag", "scale", "log_floor", "log_echo")
"""The unknowns that are one number each."""

"""Calibration of a twin with a few measured rows of powers.

`CalibratedBeams` is fitted to rows of a `Track` that `choose_rows` picked. Its parts: what a row of powers says of a
direction (`readings`), the geometry and its priors, the modes of its posterior, what disturbs a direction beside it
(`effects`), turns of the array between drives, the structured twin made of these, and the guard that weighs the twin
against its rivals on left-out rows. `SiteBeams` is the predictor of one station, for one's own measurements.
"""

from sitetwin.calibrate.choice import choose_rows
from sitetwin.calibrate.geometry import BeamPriors
from sitetwin.calibrate.predictor import CalibratedBeams
from sitetwin.calibrate.site_beams import BeamRanking, SiteBeams
from sitetwin.calibrate.track import Track
from sitetwin.calibrate.turns import TURNS_DEG, Sessions, find_sessions, turn_posterior

__all__ = [
    "TURNS_DEG",
    "BeamPriors",
    "BeamRanking",
    "CalibratedBeams",
    "Sessions",
    "SiteBeams",
    "Track",
    "choose_rows",
    "find_sessions",
    "turn_posterior",
]

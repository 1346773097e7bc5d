"""Calibration of a twin with a few measured rows of powers.

`StructuredTwin` is fitted to rows of a `Street` that `choose_rows` or `choose_in_turn` picked. Its parts: priors, the
model of beam powers, the fit, turns of the array between drives, and how sure a prediction may be.
"""

from sitetwin.calibrate.choice import choose_in_turn, choose_rows
from sitetwin.calibrate.fitting import Calibration
from sitetwin.calibrate.priors import StructuredConfig
from sitetwin.calibrate.rows import BeamRows, Street
from sitetwin.calibrate.structured import StructuredTwin
from sitetwin.calibrate.turns import TURNS_DEG, Sessions, find_sessions, turn_posterior

__all__ = [
    "TURNS_DEG",
    "BeamRows",
    "Calibration",
    "Sessions",
    "Street",
    "StructuredConfig",
    "StructuredTwin",
    "choose_in_turn",
    "choose_rows",
    "find_sessions",
    "turn_posterior",
]

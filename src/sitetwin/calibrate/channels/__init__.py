"""Calibration of materials and poses with observed power over delay and beam."""

from sitetwin.calibrate.channels.cell import CalibrationSettings, TooFewProfilesError, calibrate_cell
from sitetwin.calibrate.channels.parameters import STAGES, Parameter, Priors
from sitetwin.calibrate.channels.result import CellCalibration, Estimate, Losses

__all__ = [
    "STAGES",
    "CalibrationSettings",
    "CellCalibration",
    "Estimate",
    "Losses",
    "Parameter",
    "Priors",
    "TooFewProfilesError",
    "calibrate_cell",
]

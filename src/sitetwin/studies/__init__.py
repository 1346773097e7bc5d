"""Studies: one frozen configuration each, from site to results.json.

A name is loaded when it is first used, so that a report, which needs the schemas of the results alone, loads neither
torch nor the tracer.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "calibration.config": ("CalibrationStudy", "calibration_study"),
    "calibration.study": ("run_calibration_study",),
    "csi.config": ("Cell", "CsiStudy", "csi_study", "read_cell", "read_cells"),
    "csi.networks": ("NetworkRun", "train_network"),
    "csi.sets": ("write_csi_sets",),
    "csi.study": ("run_csi_study",),
    "fidelity.config": ("FidelityStudy", "fidelity_study"),
    "fidelity.study": ("run_fidelity_study",),
    "frame": ("claim_folder",),
    "precoding.config": ("DrivePlace", "PrecodingStudy", "precoding_study", "read_place"),
    "precoding.study": ("run_precoding_study",),
    "rates.config": ("RatesStudy", "rates_study"),
    "rates.study": ("run_rates_study",),
    "upkeep.config": ("UpkeepStudy", "upkeep_study"),
    "upkeep.study": ("run_upkeep_study",),
    "vision.config": ("VisionStudy", "vision_study"),
    "vision.study": ("run_vision_study",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CalibrationStudy",
    "Cell",
    "CsiStudy",
    "DrivePlace",
    "FidelityStudy",
    "NetworkRun",
    "PrecodingStudy",
    "RatesStudy",
    "UpkeepStudy",
    "VisionStudy",
    "calibration_study",
    "claim_folder",
    "csi_study",
    "fidelity_study",
    "precoding_study",
    "rates_study",
    "read_cell",
    "read_cells",
    "read_place",
    "run_calibration_study",
    "run_csi_study",
    "run_fidelity_study",
    "run_precoding_study",
    "run_rates_study",
    "run_upkeep_study",
    "run_vision_study",
    "train_network",
    "upkeep_study",
    "vision_study",
    "write_csi_sets",
]

if TYPE_CHECKING:
    from sitetwin.studies.calibration.config import CalibrationStudy, calibration_study
    from sitetwin.studies.calibration.study import run_calibration_study
    from sitetwin.studies.csi.config import Cell, CsiStudy, csi_study, read_cell, read_cells
    from sitetwin.studies.csi.networks import NetworkRun, train_network
    from sitetwin.studies.csi.sets import write_csi_sets
    from sitetwin.studies.csi.study import run_csi_study
    from sitetwin.studies.fidelity.config import FidelityStudy, fidelity_study
    from sitetwin.studies.fidelity.study import run_fidelity_study
    from sitetwin.studies.frame import claim_folder
    from sitetwin.studies.precoding.config import DrivePlace, PrecodingStudy, precoding_study, read_place
    from sitetwin.studies.precoding.study import run_precoding_study
    from sitetwin.studies.rates.config import RatesStudy, rates_study
    from sitetwin.studies.rates.study import run_rates_study
    from sitetwin.studies.upkeep.config import UpkeepStudy, upkeep_study
    from sitetwin.studies.upkeep.study import run_upkeep_study
    from sitetwin.studies.vision.config import VisionStudy, vision_study
    from sitetwin.studies.vision.study import run_vision_study


def __getattr__(name: str) -> Any:
    """A public name, loaded from its home when it is first asked for (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'sitetwin.studies' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sitetwin.studies.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

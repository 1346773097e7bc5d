"""Studies: one frozen configuration each, from site to results.json."""

from sitetwin.studies.csi.config import Cell, CsiStudy, csi_study, read_cell
from sitetwin.studies.csi.study import run_csi_study
from sitetwin.studies.frame import claim_folder

__all__ = ["Cell", "CsiStudy", "claim_folder", "csi_study", "read_cell", "run_csi_study"]

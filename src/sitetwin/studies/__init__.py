"""Studies: one frozen configuration each, from site to results.json."""

from sitetwin.studies.csi import Silent, Watcher, claim_folder, run_csi_study
from sitetwin.studies.csi_config import Cell, CsiStudy, csi_study, read_cell

__all__ = ["Cell", "CsiStudy", "Silent", "Watcher", "claim_folder", "csi_study", "read_cell", "run_csi_study"]

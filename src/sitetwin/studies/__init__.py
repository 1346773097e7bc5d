"""Studies: one frozen configuration each, from site to results.json."""

from sitetwin.studies.csi.config import Cell, CsiStudy, csi_study, read_cell
from sitetwin.studies.csi.study import Silent, Watcher, claim_folder, run_csi_study

__all__ = ["Cell", "CsiStudy", "Silent", "Watcher", "claim_folder", "csi_study", "read_cell", "run_csi_study"]

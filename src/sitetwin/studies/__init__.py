"""Studies: one frozen configuration each, from site to results.json."""

from sitetwin.studies.csi import Silent, Watcher, claim_folder, run_csi_study
from sitetwin.studies.csi_config import CsiStudy, csi_study

__all__ = ["CsiStudy", "Silent", "Watcher", "claim_folder", "csi_study", "run_csi_study"]

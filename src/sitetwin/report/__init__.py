"""What a study found, to look at: figures, one HTML page, and a table for the terminal."""

from sitetwin.report.calibration_study.page import calibration_study_table, write_calibration_study
from sitetwin.report.csi.page import write_report
from sitetwin.report.csi.table import methods_table
from sitetwin.report.fidelity.page import fidelity_sentences, fidelity_table, write_fidelity_report
from sitetwin.report.precoding.page import precoding_table, write_precoding_report
from sitetwin.report.rates.page import rates_sentences, rates_table, write_rates_report
from sitetwin.report.upkeep.page import upkeep_tables, write_upkeep_report
from sitetwin.report.vision.closed_loop import closed_loop_table
from sitetwin.report.vision.page import vision_table, write_vision_report
from sitetwin.report.vision.printed import printed_table

__all__ = [
    "calibration_study_table",
    "closed_loop_table",
    "fidelity_sentences",
    "fidelity_table",
    "methods_table",
    "precoding_table",
    "printed_table",
    "rates_sentences",
    "rates_table",
    "upkeep_tables",
    "vision_table",
    "write_calibration_study",
    "write_fidelity_report",
    "write_precoding_report",
    "write_rates_report",
    "write_report",
    "write_upkeep_report",
    "write_vision_report",
]

"""What a study found, to look at: figures, one HTML page, and a table for the terminal."""

from sitetwin.report.csi.page import write_report
from sitetwin.report.csi.table import methods_table

__all__ = ["methods_table", "write_report"]

"""What a study found, to look at: figures, one HTML page, and a table for the terminal."""

from sitetwin.report.html import write_report
from sitetwin.report.table import methods_table

__all__ = ["methods_table", "write_report"]

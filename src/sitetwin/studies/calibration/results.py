"""What a study of calibrated power found: the schema of its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Number, Record, read_document

SCHEMA = "sitetwin.calibration-study-results/1"


class PowerRow(Record):
    """One method at one number of rows.

    Attributes:
        split: How rows were held out.
        rows: Measured rows of each cell.
        method: Its name.
        rmse_db: Root mean square error of left-out rows, dB: mean over cells.
        cells_db: The same of each cell.
        covered: Share of left-out rows within 90 % intervals.
    """

    split: str
    rows: int
    method: str
    rmse_db: Estimate
    cells_db: list[float]
    covered: Number = None


class PowerPair(Record):
    """Two methods on the same rows.

    Attributes:
        split: How rows were held out.
        rows: Measured rows of each cell.
        a: First method.
        b: Second method.
        difference_db: RMSE of the first less that of the second, dB.
    """

    split: str
    rows: int
    a: str
    b: str
    difference_db: Estimate


class Residuals(Record):
    """Left-out rows of one cell and what the twin missed there.

    Attributes:
        cell: Its name.
        east_m: From the station, metres.
        north_m: From the station, metres.
        error_db: Predicted less measured, dB.
    """

    cell: str
    east_m: list[float]
    north_m: list[float]
    error_db: list[float]


class CalibrationStudyResults(Record):
    """Results of a study of calibrated power.

    Attributes:
        schema_name: Name of this schema.
        title: Title of the page.
        profile: How much was run.
        configuration: The frozen configuration.
        configuration_hash: Hash of configuration and data.
        versions: Versions of libraries.
        data: What was measured: rows, cells, receivers, blocks, and what was left out.
        rows: The table.
        pairs: Paired differences.
        residuals: Left-out rows of each cell, at the first seed.
        notes: What must be known.
    """

    schema_name: str
    title: str
    profile: str
    configuration: dict[str, Any]
    configuration_hash: str
    versions: dict[str, str]
    data: dict[str, Any]
    rows: list[PowerRow]
    pairs: list[PowerPair]
    residuals: list[Residuals]
    notes: list[str]


def read_calibration_study(folder: Path | str) -> CalibrationStudyResults:
    """The results of a finished study.

    Raises:
        SiteTwinError: They are missing, damaged, or another study's.
    """
    path = Path(folder) / RESULTS
    refusal = f"'{path}' holds no study of calibrated power; give the folder of sitetwin study calibration"
    return read_document(CalibrationStudyResults, path, "schema_name", SCHEMA, refusal, f"'{path}'")

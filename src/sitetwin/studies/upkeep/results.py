"""`results.json` of a study of codecs over time: one schema, which is written and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Number, Record, read_document

SCHEMA = "sitetwin-upkeep-1"

LOOKED_AFTER, ONCE, NEVER = "looked after", "updated once", "never updated"
"""Three lives of a codec: with the maintenance loop, with its first update alone, and as the twin made it."""


class Day(Record):
    """How the codecs serve the test users on one day.

    Attributes:
        day: Day of the run.
        in_leaf: Share of the trees that bear leaves.
        turned: Whether the array has been turned.
        nmse_db: NMSE by life of the codec.
        sgcs: Cosine similarity, in the same way.
        version: Version that is in use where it is looked after.
    """

    day: int
    in_leaf: float
    turned: bool
    nmse_db: dict[str, float]
    sgcs: dict[str, float]
    version: int


class Happened(Record):
    """An event of the maintenance loop, see `sitetwin.learn.Event`."""

    day: int
    report: int
    what: str
    direction: str
    version: int
    before_db: float
    after_db: Number = None
    uploads: int | None = None
    reason: str = ""


class SeasonRun(Record):
    """One run over the days.

    Attributes:
        method: The codec.
        seed: The seed.
        changes: Whether leaves fall and come back and the array is turned; else it is always summer.
        days: Days that were judged.
        events: What the maintenance loop did.
        counts: Reports, uploads, downloads and their bits at the end.
        report_bits: Bits of one report.
        model_bytes: Bytes of one download of the model.
    """

    method: str
    seed: int
    changes: bool
    days: list[Day]
    events: list[Happened]
    counts: dict[str, int]
    report_bits: float
    model_bytes: int


class Ageing(Record):
    """How reports of users of one speed age.

    Attributes:
        method: The codec; "" for reports that lose nothing.
        speed: Metres per second.
        used: "held", "predicted", or "known Dopplers": the user knows each path's Doppler shift and reports the channel
            ahead.
        delay_ms: Feedback delays.
        nmse_db: NMSE at each delay, over seeds.
        sgcs: Cosine similarity at each delay.
    """

    method: str
    speed: float
    used: Literal["held", "predicted", "known Dopplers"]
    delay_ms: list[float]
    nmse_db: list[Estimate]
    sgcs: list[Estimate]


class UpkeepResults(Record):
    """All that `results.json` holds.

    Attributes:
        motion_costs: Bits a second of reports, and multiply-adds a second of the prediction at the base station.
    """

    schema_version: Literal["sitetwin-upkeep-1"] = Field(alias="schema")
    title: str
    profile: str
    configuration: dict[str, Any]
    configuration_hash: str
    versions: dict[str, str]
    site_hash: str
    users: dict[str, int]
    seasons: list[SeasonRun]
    ageing: list[Ageing]
    motion_costs: dict[str, float]
    notes: list[str]


def read_upkeep_results(folder: str | Path) -> UpkeepResults:
    """Read the results of a finished study.

    Args:
        folder: Folder of the study.

    Raises:
        SiteTwinError: They are missing, damaged, or of another study.
    """
    path = Path(folder) / RESULTS
    refusal = f"'{path}' holds no results of a study of codecs over time; give the folder of one"
    return read_document(UpkeepResults, path, "schema", SCHEMA, refusal, f"the results in '{path}'")

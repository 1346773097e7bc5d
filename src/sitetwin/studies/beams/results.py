"""`results.json` of the beam study: one schema, which is written and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Record, parsed_record, read_json

Schema = Literal["sitetwin.beams/1"]
(SCHEMA,) = get_args(Schema)


class Sweep(Record):
    """Beams that a policy sweeps, and how often the best one is among them."""

    policy: str
    asked: float
    beams: float
    reliability: float


class ByDrive(Record):
    """Tested rows and hits of the first pick, drive by drive."""

    drive: list[int]
    rows: list[int]
    top1_hits: list[int]


class Repeats(Record):
    """Standard deviation of the top-1 accuracy over n repeats."""

    std: float
    n: int


class Unknown(Record):
    """An unknown of the calibrated twin over the splits."""

    mean: float
    std: float


class Paired(Record):
    """Top-1 accuracy of the headline less that of another method on the same test rows."""

    against: str
    n_real: int
    top1: Estimate


class Method(Record):
    """One method, judged on the test rows of all splits of one kind.

    Attributes:
        name: Name of the method.
        n_real: Every row whose powers the method has seen.
        split: "random", or "drives" for folds of whole drives.
        beams: Number of beams in use.
        headline: Whether it is the method of the headline.
        top1: Share of the rows whose best beam is the first pick; `top2` to `top5` are the shares for 2 to 5 picks.
        power_loss_db: Power of the best beam over that of the first pick.
        dba: Distance-based accuracy.
        relative_power1: Share of the best power that the first pick has; the other figures are those of 2, 3 and 5
            picks.
        by_drive: What paired differences need.
        top1_of_repeats: Spread over the repeats.
        sweeps: Sweeps that reach a given reliability.
        note: Remark on the method for readers.
        n_train: Rows of the twin that it was trained on.
        n_tuned: Measured rows that it was tuned on.
        unknowns: Unknowns of the calibrated twin.
        weights: Shares of the calibrated twin and its rivals in the blend of its guard.
        paired: Paired differences of the headline from other methods.
    """

    name: str
    n_real: int
    split: str
    beams: int
    headline: bool
    top1: Estimate
    top2: Estimate
    top3: Estimate
    top5: Estimate | None = None
    power_loss_db: Estimate
    dba: Estimate
    relative_power1: Estimate | None = None
    relative_power2: Estimate | None = None
    relative_power3: Estimate | None = None
    relative_power5: Estimate | None = None
    by_drive: ByDrive | None = None
    top1_of_repeats: Repeats | None = None
    sweeps: list[Sweep] = Field(default_factory=list)
    note: str | None = None
    n_train: int | None = None
    n_tuned: int | None = None
    unknowns: dict[str, Unknown] = Field(default_factory=dict)
    weights: dict[str, Unknown] = Field(default_factory=dict)
    paired: list[Paired] = Field(default_factory=list)

    def figure(self, name: str) -> Estimate | None:
        """A figure by its name, such as "top1"; None where there is none or its mean is not known."""
        found = getattr(self, name, None)
        return found if isinstance(found, Estimate) and found.mean is not None else None


class Facts(Record):
    """Facts about the data."""

    rows: int
    drives: int
    layout: str
    skipped: list[str]
    masked_powers: int
    scenario: str = ""
    skipped_rows: int = 0
    drive_source: str = ""
    beams: int | None = None
    dead_beams: list[int] = Field(default_factory=list)


class Ceiling(Record):
    """What label noise leaves of the top-1 accuracy."""

    beams: int
    label_noise_top1: float


class LevelError(Record):
    """Error of the emulated power of the beams near the best."""

    within_db_of_best: float
    median: float
    mean: float
    p95: float


class PicksOnRows(Record):
    """Top-1 accuracy on the measured rows."""

    tracer: float
    network: float


class Emulation(Record):
    """A network in place of the tracer."""

    trained: int
    tested: int
    beams: int
    error_db: LevelError
    same_best_beam: float
    power_of_its_beam: float
    top1_measured: PicksOnRows


class Sensitivity(Record):
    """What another assumption about the street would change; no value where the assumption is a codebook."""

    assumption: str
    value: float | None
    other_best_beam: float
    twin_top1: float
    headline_top1: float | None = None


class BeamResults(Record):
    """All that the study found."""

    schema_version: Schema = Field(alias="schema")
    title: str
    profile: str
    configuration: dict[str, Any] = Field(default_factory=dict)
    configuration_hash: str
    versions: dict[str, str] = Field(default_factory=dict)
    data: Facts
    twin: dict[str, str | int | float] = Field(default_factory=dict)
    ceilings: list[Ceiling]
    headline_method: str
    methods: list[Method]
    emulation: list[Emulation]
    sensitivity: list[Sensitivity]
    notes: list[str]


def parse_results(raw: Any, where: str = "the results") -> BeamResults:
    """Check and type the content of a `results.json`.

    Args:
        raw: What the JSON text gave.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The content does not follow the schema.
    """
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA:
        raise SiteTwinError(f"{where} holds no results of a beam study ({SCHEMA}); give the folder of one")
    return parsed_record(BeamResults, raw, where)


def read_results(folder: Path) -> BeamResults:
    """The results of a finished study.

    Raises:
        SiteTwinError: They are missing, damaged, or not a beam study's.
    """
    path = folder / RESULTS
    return parse_results(read_json(path), f"'{path}'")

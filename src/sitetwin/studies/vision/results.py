"""`results.json` of the vision study: one schema, which is written and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Number, Record, read_document

TOLD, TOLD_AHEAD = 0.75, 0.4
"""Probabilities over which a blockage counts as told, of the moment itself and half a second ahead; chosen on drives of
development, as the constants of `sitetwin.vision.scene.blockage` were."""

Schema = Literal["sitetwin.vision/1"]
(SCHEMA,) = get_args(Schema)


class Row(Record):
    """One method on one scenario.

    Attributes:
        task: "explained": powers that a profile was found from, or of beams beside them. "predicted": rows of drives
            that no method has seen.
        method: Its name.
        rows: Tested rows.
        dba: Distance-based accuracy.
        top1: Share of rows whose best beam is the first pick; `top2` and `top3` are those of two and three picks.
        p50_top1: Median of the lost power, dB with factor 20, of one pick; so the others, and those with factor 10.
        eq5: Equation 5 as printed, dB.
        loss_10log_noise: Loss of arXiv 2205.09054, dB.
        beams_measured: Beams whose powers the profile was found from.
        calibration_rows: Measured rows that the method has seen, of the largest or the mean fold.
        whole_pool: Whether these are all rows of the drives that are not tested.
        wide_top1: Share of rows whose best wide beam is the first pick; `wide_top2` of two picks.
        runs: Distance-based accuracy of each training, for a network.
        converged: False where training ended because its epochs did.
        cameras_fitted: Folds in which a camera agrees with boxes and positions of the user's car.
    """

    task: Literal["explained", "predicted"]
    method: str
    rows: int
    dba: Estimate
    top1: float
    top2: float
    top3: float
    p50_top1: float
    p50_top2: float
    p50_top3: float
    p95_top1: float
    p95_top2: float
    p95_top3: float
    p50_top1_10log: float
    p50_top2_10log: float
    p50_top3_10log: float
    p95_top1_10log: float
    p95_top2_10log: float
    p95_top3_10log: float
    eq5: float
    loss_10log_noise: float
    beams_measured: int | None = None
    calibration_rows: int | None = None
    whole_pool: bool = False
    wide_top1: Number = None
    wide_top2: Number = None
    runs: list[float] = Field(default_factory=list)
    converged: bool | None = None
    cameras_fitted: int | None = None


class ScenarioFacts(Record):
    """Facts about the data of a scenario."""

    layout: str
    skipped: list[str]
    skipped_rows: int
    masked_powers: int
    drive_source: str
    notes: list[str]
    rows: int
    drives: int
    beams: int
    dead_beams: list[int]
    images: int


class ScenarioResults(Record):
    """What was found on one scenario.

    Attributes:
        name: Its number, for those of the challenge, or its name.
        fixes: Which positions stood for the user's: "current", "stale" or "extrapolated".
        measured_codebook: Whether the patterns are measured ones.
        facts: About the data.
        wide_agreement: Share of rows whose best beam lies in the sector of the best wide beam.
        rows: The methods.
    """

    name: str
    fixes: str
    measured_codebook: bool
    facts: ScenarioFacts
    wide_agreement: dict[str, float]
    rows: list[Row]


class Overall(Record):
    """A method over scenarios 31 to 34, by both rules."""

    method: str
    whole_pool: bool = False
    weights: float
    samples: float


class LoopRow(Record):
    """One method on one group of moments of the closed loop.

    Attributes:
        method: Its name.
        moments: "blocked", "clear", or "natural share": all, weighted as they happen.
        count: Moments.
        l1: Share of moments whose best layer-1 beam is the first pick.
        dba: Distance-based accuracy.
        loss: Median of the lost power, dB with factor 10; its `mean` is the median.
        loss_20log: The same with factor 20.
        l1_gain: Over GPS line of sight on the same moments.
        dba_gain: The same of the accuracy.
        sweep: Mean number of beams that the method would sweep.
        sweep_holds: Share of moments in which they hold the best one.
    """

    method: str
    moments: str
    count: int
    l1: Estimate
    dba: Estimate
    loss: Estimate
    loss_20log: float
    l1_gain: Estimate | None = None
    dba_gain: Estimate | None = None
    sweep: Number = None
    sweep_holds: Number = None


class BlockageRow(Record):
    """How well blockage is told: with a probability over `TOLD`, or `TOLD_AHEAD`.

    Attributes:
        perception: What saw.
        ahead_s: Seconds ahead of the moment.
        moments: Moments of which the truth is known.
        blocked: Those that are blocked.
        recall: Share of them that is told.
        precision: Share of the told ones that is true, among the sampled moments.
        precision_natural: The same at the natural share of blockage.
    """

    perception: str
    ahead_s: float
    moments: int
    blocked: int
    recall: Estimate
    precision: Estimate
    precision_natural: Number = None


class PrintedRow(Row):
    """One method of the published chain on rendered moments, in the form of the paper's tables.

    Attributes:
        perception: What saw: "true boxes" for the true masks, depth and boxes, or "networks"; empty for a method that
            uses neither.
        split: What was held out of its fit: "drives" of streets that it knows, or "streets"; empty for what is not
            fitted.
        switched: Whether it reads what the paper leaves open in another way than by default.
        los_top1: Median of the lost power, dB with factor 20, of moments in line of sight; `nlos_top1` of blocked ones.
        los_dba: Distance-based accuracy in line of sight; `nlos_dba` of blocked moments.
        dba_natural: Both, at the natural share of blockage.
    """

    perception: str
    split: Literal["drives", "streets", ""]
    switched: bool
    los_top1: Number = None
    nlos_top1: Number = None
    los_dba: Number = None
    nlos_dba: Number = None
    dba_natural: Number = None


class PrintedChain(Record):
    """The published chain on the rendered moments.

    Attributes:
        moments: Moments.
        folds: Folds of each split; 0 where there is too little to fit to.
        rows: The methods.
        explained: How well profiles give back the powers that they were found from.
        notes: What a reader must know.
    """

    moments: int
    folds: dict[str, int]
    rows: list[PrintedRow]
    explained: list[Row]
    notes: list[str]


class LoopResults(Record):
    """The closed loop on synthetic streets.

    Attributes:
        streets: Streets.
        drives: Drives with judged moments.
        moments: Judged moments.
        blocked: Those with a vehicle in the line of sight.
        natural_share: Of blocked frames among all frames of all drives.
        other_engine: Moments whose powers are another tracer's.
        detector: Name of the networks; empty where they are left out.
        rows: The methods.
        blockage: What they say of blockage.
        off_m: Median error of the tracked user's place for each perception, metres.
        notes: What a reader must know.
        printed: The published chain on the same moments.
    """

    streets: int
    drives: int
    moments: int
    blocked: int
    natural_share: float
    other_engine: int
    detector: str
    rows: list[LoopRow]
    blockage: list[BlockageRow]
    off_m: dict[str, float]
    notes: list[str]
    printed: PrintedChain | None = None


class VisionResults(Record):
    """All that the study found."""

    schema_version: Schema = Field(alias="schema")
    title: str
    profile: str
    configuration: dict[str, Any] = Field(default_factory=dict)
    configuration_hash: str
    versions: dict[str, str] = Field(default_factory=dict)
    detector: str = ""
    scenarios: list[ScenarioResults]
    overall: list[Overall] = Field(default_factory=list)
    loop: LoopResults | None = None
    notes: list[str] = Field(default_factory=list)


def read_vision_results(folder: Path) -> VisionResults:
    """The results of a finished study.

    Raises:
        SiteTwinError: They are missing, damaged, or not a vision study's.
    """
    path = folder / RESULTS
    refusal = f"'{path}' holds no results of a vision study ({SCHEMA}); give the folder of one"
    return read_document(VisionResults, path, "schema", SCHEMA, refusal, f"'{path}'")

"""The results of a CSI study: one schema, by which they are written and read.

Missing sections are empty, so that the results of a shorter study can still be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sitetwin.errors import SiteTwinError
from sitetwin.studies.records import Estimate, Number, Record, as_document, checked_record, parsed_record

SCHEMA = "sitetwin.csi/1"
"""The schema of `results.json` that this version writes and reads."""

NETWORK_SCHEMA = "sitetwin.csi-network/1"
"""The schema of the row of a single training."""

UNREFINED = "none"
"""Name of the refinement that does nothing."""


class World(Record):
    """One of the simulated worlds and what sets it apart from the twin."""

    title: str
    scene: str = ""
    site_hash: str = ""
    geometry_hash: str = ""
    differences: list[str] = Field(default_factory=list)
    completeness: Any = None
    synthetic: bool = True


class Figures(Record):
    """Errors of one codec on the test users of one target and split.

    Attributes:
        target: "target_a" or "target_b".
        split: "blocks" or "random".
        nmse_db: 10 log10 of the linear mean of the NMSE over users.
        median_db: Median user.
        p95_db: 95th percentile.
        sgcs: Squared generalised cosine similarity.
        nmse_other_engine_db: NMSE of the users whose paths another ray tracer gave.
    """

    target: str
    split: str
    nmse_db: Estimate
    median_db: Estimate | None = None
    p95_db: Estimate | None = None
    sgcs: Estimate | None = None
    nmse_other_engine_db: Estimate | None = None


class Curve(Figures):
    """Error of one codec, trained on one source with `n_train` samples."""

    codec: str
    source: str
    n_train: int
    converged: bool


class Refinement(Figures):
    """Error of a codec trained on the twin, with `n_train` samples, and refined with `n_real` samples of the target.

    `gain_db` is how far the NMSE falls below the unrefined codec's on the same users: positive is better. `examined`
    counts the users whose error was read in order to choose the samples, a mean over the seeds.
    """

    codec: str
    method: str
    n_real: int
    n_train: int | None = None
    converged: bool
    full_uploads: int | None = None
    examined: int | None = None
    gain_db: Estimate | None = None


class Control(Figures):
    """A trivial method beside the learned ones."""

    name: str
    feedback: str = ""


class Paired(Record):
    """NMSE of `a` minus NMSE of `b` on the same users, in dB: below zero, `a` is better."""

    a: str
    b: str
    target: str
    split: str
    n_real: int | None = None
    difference_db: Estimate


class Method(Record):
    """What one codec costs at the user (UE) and at the base station (BS)."""

    name: str
    feedback_reals: int | None = None
    index_bits: float | None = None
    parameters_ue: int | None = None
    parameters_bs: int | None = None
    macs_ue: int | None = None
    macs_bs: int | None = None
    memory_ue_bytes: int | None = None
    quantised_nmse_db: Estimate | None = None
    quantised_bits: int | None = None
    quantised_case: list[str] | None = None
    note: str = ""


class Distribution(Record):
    """Share `probability` of the test users whose NMSE is at most `nmse_db`."""

    label: str
    target: str
    split: str
    nmse_db: list[Number]
    probability: list[Number]


class Compared(Record):
    """One model beside the headline's.

    Attributes:
        what: What it knows, in words.
        n_real: Measured channels that it was given.
        nmse_db: Its NMSE in the headline's case.
        lost_percent: The same as a share of the channel's energy.
    """

    what: str
    n_real: int
    nmse_db: Estimate
    lost_percent: Number


class Correlation(Record):
    """Fig. 5 of the paper: greatest correlations of target matrices with any of `twin_samples` twin matrices (eq. 14).

    Attributes:
        codec: The codec that the rule asked.
        rule: How the matrices were chosen.
        correlation: The correlations, ascending; those of the first seed.
        probability: Share of the matrices up to each.
        median: Median correlation, with its interval over the seeds.
    """

    codec: str
    rule: str
    samples: int
    twin_samples: int
    median: Estimate
    correlation: list[Number]
    probability: list[Number]


class CollectionRound(Record):
    """One round of the paper's loop: users upload what their codec recovers worse than a threshold; then an update.

    Attributes:
        round: 0 is the codec of the offline training.
        examined: Matrices that users encoded and decoded to find the uploads.
        upload_bits: Bits of the uploads.
        download_bits: Bits of the user's side of the codec, sent to each user after the training and each update.
    """

    codec: str
    threshold_db: float
    round: int
    examined: int
    uploads: int
    upload_bits: int
    download_bits: int
    nmse_db: Number = None


class Bound(Record):
    """Terms of the paper's eq. 10 as far as they can be estimated; linear NMSE, see `bound_row`."""

    codec: str
    pairs: int
    gap: Estimate
    target_loss: Estimate
    twin_loss: Estimate
    discrepancy: Estimate
    constant: Estimate


class Headline(Record):
    """The one statement that was named before the study ran.

    Attributes:
        text: The statement.
        compared: The models that it puts side by side.
        explanation: What a reader may wonder about, or "".
    """

    text: str
    target: str | None = None
    split: str | None = None
    codec: str | None = None
    method: str | None = None
    n_real: int | None = None
    nmse_db: Estimate | None = None
    reference: str | None = None
    reference_nmse_db: Estimate | None = None
    met: bool | None = None
    compared: list[Compared] = Field(default_factory=list)
    explanation: str = ""


class Kept(Record):
    """The codec that a study leaves in its folder: file, hash, and what it knows."""

    file: str
    hash: str
    what: str


class NetworkRow(Record):
    """One training of a network by itself.

    Attributes:
        method: How it was refined; empty for a training alone.
        n_real: Target samples of the refinement.
        nmse_db: NMSE of the final network over the test users, dB.
        score_db: The published score: linear mean of that NMSE over the last `score_epochs` epochs, dB.
        learning_rate: That which held-out samples chose, where they did; None too where no refinement served them best.
        seconds: Training time without the score.
    """

    codec: str
    source: str
    n_train: int
    method: str = ""
    n_real: int = 0
    target: str
    split: str
    nmse_db: Number = None
    score_db: Number = None
    score_epochs: int = 1
    learning_rate: Number = None
    batch: int = 32
    epochs: int = 0
    converged: bool = False
    seed: int = 0
    test_users: int = 0
    data: str = ""
    seconds: Number = None


class Results(Record):
    """`results.json` of a CSI study."""

    title: str
    profile: str = ""
    configuration: dict[str, Any] = Field(default_factory=dict)
    configuration_hash: str = ""
    seeds: list[int] = Field(default_factory=list)
    versions: dict[str, Any] = Field(default_factory=dict)
    worlds: dict[str, World] = Field(default_factory=dict)
    users: dict[str, Any] = Field(default_factory=dict)
    curves: list[Curve] = Field(default_factory=list)
    refinement: list[Refinement] = Field(default_factory=list)
    controls: list[Control] = Field(default_factory=list)
    paired: list[Paired] = Field(default_factory=list)
    methods: list[Method] = Field(default_factory=list)
    cdf: list[Distribution] = Field(default_factory=list)
    correlation: list[Correlation] = Field(default_factory=list)
    collection: list[CollectionRound] = Field(default_factory=list)
    bound: list[Bound] = Field(default_factory=list)
    fidelity: dict[str, Any] = Field(default_factory=dict)
    headline: Headline | None = None
    kept: Kept | None = None
    notes: list[str] = Field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """The content of `results.json`."""
        return {"schema": SCHEMA, **as_document(self)}


def checked_document(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Check the sections of `results.json`, each key of which the schema must name, and return its content.

    Raises:
        ValueError: A key or a value is not as the schema says: the code and its schema have drifted apart.
    """
    return checked_record(Results, sections).document()


def parse_results(raw: Any, where: str = "the results") -> Results:
    """Check and type the content of a `results.json`.

    Args:
        raw: What the JSON text gave.
        where: What to call it in an error.

    Raises:
        SiteTwinError: It is not of this schema, or a value has the wrong type.
    """
    if not isinstance(raw, Mapping) or "schema" not in raw:
        raise SiteTwinError(f"{where} are not those of a sitetwin study (no `schema`); name the folder of a CSI study")
    if raw["schema"] != SCHEMA:
        raise SiteTwinError(
            f"{where} have the schema {str(raw['schema'])[:80]!r}, and this version reads {SCHEMA!r}; "
            "make the report with the version of sitetwin that ran the study"
        )
    return parsed_record(Results, raw, where)

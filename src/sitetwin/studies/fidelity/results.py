"""What a study of fidelity found: the schema of its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Number, Record, read_document

SCHEMA = "sitetwin.fidelity-results/1"


class TwinRow(Record):
    """One codec of one twin.

    Attributes:
        kind: In what the twin differs from the truth.
        strength: By how much; None where a choice says it, or nothing does.
        choice: Which of the words of the kind; None where a strength says it, or nothing does.
        name: Both in words.
        method: Codec.
        used_bits: Bits of a report, the mean over users.
        nmse_db: 10 log10 of the mean NMSE over test users.
        cost_db: That NMSE less the perfect twin's on the same users, dB; `values` has one for each seed.
    """

    kind: str
    strength: Number = None
    choice: str | None = None
    name: str
    method: str
    used_bits: Number = None
    nmse_db: Estimate
    cost_db: Estimate


class LeftOut(Record):
    """A twin that a seed could not have.

    Attributes:
        name: In what it differs.
        seed: The seed.
        why: Why not.
    """

    name: str
    seed: int
    why: str


class TrueWorld(Record):
    """What the truth is.

    Attributes:
        scene: Name of the site.
        site_hash: Its hash.
        canopies: Volumes of leaves and wood, which attenuate.
        scatter_centres: Centres in them, which scatter.
        reflections: Most reflections of a path.
        users: Users of the grid.
        without_path: Those without a path.
        completeness: What the tracer says of the paths that it may have missed.
    """

    scene: str
    site_hash: str
    canopies: int
    scatter_centres: int
    reflections: int
    users: int
    without_path: int
    completeness: Any = None


class FidelityResults(Record):
    """Results of a study of fidelity.

    Attributes:
        schema_name: Name of this schema.
        title: Title of the page.
        profile: How much was run.
        configuration: The frozen configuration.
        configuration_hash: Its hash.
        seeds: Seeds.
        versions: Versions of libraries.
        truth: What the true world is.
        test_users: Test users of one seed.
        bits: Most bits of a report.
        rows: The table, the perfect twin first.
        left_out: Twins that could not be had.
        notes: What must be known.
    """

    schema_name: str
    title: str
    profile: str
    configuration: dict[str, Any]
    configuration_hash: str
    seeds: list[int]
    versions: dict[str, str]
    truth: TrueWorld
    test_users: int
    bits: int
    rows: list[TwinRow]
    left_out: list[LeftOut]
    notes: list[str]


def read_fidelity_results(folder: Path | str) -> FidelityResults:
    """The results of a finished study.

    Raises:
        SiteTwinError: They are missing, damaged, or another study's.
    """
    path = Path(folder) / RESULTS
    refusal = f"'{path}' holds no study of fidelity; give the folder of sitetwin study fidelity"
    return read_document(FidelityResults, path, "schema_name", SCHEMA, refusal, f"'{path}'")

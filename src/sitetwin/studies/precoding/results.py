"""What results.json of the precoding study holds: one row for each method, figure, carrier and split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Number, Record, parsed_record, read_json


class Row(Record):
    """What one method reached, over the seeds.

    Attributes:
        figure: Which comparison it belongs to: "rays" (Fig. 4), "materials" (Fig. 5), "networks" (Fig. 6, Table III)
            or "statistics" (what the paper does not have).
        carrier_hz: Carrier frequency.
        split: "random", "blocks", "drives", or "all" where nothing is trained.
        method: Name of the method.
        engine: Ray tracer, where ways to trace are compared.
        precoder: "mrt" or "mmse".
        ber: Mean bit error rate at each SNR.
        loss_db: More SNR than the genie needs for a bit error rate of 1e-3, dB; `values` hold None for a seed in which
            it is never reached, and the mean is missing then.
        user_loss_db: Median over the users of how much more SNR each needs than under the genie for a bit error rate of
            1e-3 of its own, dB: users in deep fades rule `loss_db`, not this.
        nmse_raw_db: NMSE of the channels as found.
        nmse_gain_db: NMSE with one complex gain of the training users.
        nmse_phase_db: NMSE without the common phase of each link.
        efficiency: Share of the beamforming gain.
        silent_users: Users without any found channel, mean over the seeds.
        users: Test users, mean over the seeds.
    """

    figure: Literal["rays", "materials", "networks", "statistics"]
    carrier_hz: float
    split: str
    method: str
    engine: str = ""
    precoder: str
    ber: list[float]
    loss_db: Estimate
    user_loss_db: Estimate | None = None
    nmse_raw_db: Estimate | None = None
    nmse_gain_db: Estimate | None = None
    nmse_phase_db: Estimate | None = None
    efficiency: Estimate | None = None
    silent_users: float = 0.0
    users: float


class SeedWorld(Record):
    """The target world of a seed, or the measured channels.

    Attributes:
        seed: The seed.
        site_hash: Hash of the site.
        differences: What differs from the twin.
        users: Users whom the target reaches.
        without_path: Users whom it does not reach; they are left out.
        twin_without_path: Users reached in the target but not in the twin.
        outside_taps: Share of the median user's power that lies outside the taps and is cut off.
        generic_share: Mean share of covariances for anywhere in the twin's prior at each carrier, as validation users
            chose it.
    """

    seed: int
    site_hash: str
    differences: list[dict[str, Any]]
    users: int
    without_path: int
    twin_without_path: int
    outside_taps: float
    generic_share: dict[str, float] = Field(default_factory=dict)


class SizeTried(Record):
    """A size of a network, as validation users of the first seed judged it.

    Attributes:
        network: "U-Net" or "MLP".
        widths: Kernels of the hidden blocks, or neurons of the hidden layers.
        kernel_size: Taps of a kernel; None for the perceptron.
        parameters: Trainable parameters.
        nmse_db: NMSE on validation users, whose channels are measured ones with their noise.
        chosen: Whether the study uses it.
    """

    network: Literal["U-Net", "MLP"]
    widths: list[int]
    kernel_size: int | None = None
    parameters: int
    nmse_db: float
    chosen: bool


class PrecodingResults(Record):
    """The document.

    Attributes:
        schema_version: Schema of this document.
        title: Title.
        profile: Profile that was run.
        synthetic: Whether the targets are simulated worlds.
        measured: Facts of the measured channels that stand in their place; None where there are none.
        configuration: The configuration.
        configuration_hash: Its hash.
        seeds: Seeds.
        versions: Versions of libraries.
        snr_db: SNRs of the curves.
        target_ber: Bit error rate at which SNR losses are read.
        site_hash: Hash of the twin's site.
        indoors: Positions of the drives that were left out because they lie in a building.
        notes: What the computation assumed.
        sizes: Sizes of the networks that were compared, and which were chosen.
        worlds: One target a seed.
        rows: What each method reached.
    """

    schema_version: Literal["sitetwin.precoding-results/1"] = "sitetwin.precoding-results/1"
    title: str
    profile: str
    synthetic: bool = True
    measured: dict[str, Any] | None = None
    configuration: dict[str, Any]
    configuration_hash: str
    seeds: list[int]
    versions: dict[str, str]
    snr_db: list[float]
    target_ber: float
    site_hash: str
    indoors: int
    notes: list[str] = Field(default_factory=list)
    sizes: list[SizeTried] = Field(default_factory=list)
    worlds: list[SeedWorld]
    rows: list[Row]


def of_seeds(values: list[Number], kind: str = "Student's t over seeds") -> Estimate:
    """Mean and interval of one figure over seeds; no mean where a seed has no value."""
    from sitetwin.learn import seed_interval

    if any(value is None for value in values):
        return Estimate(n=len(values), values=values, kind="not reached in every seed")
    interval = seed_interval([float(value) for value in values if value is not None])
    low, high = (None, None) if len(values) == 1 else (interval.low, interval.high)
    return Estimate(mean=interval.estimate, low=low, high=high, n=len(values), values=values, kind=kind)


def read_precoding_results(folder: Path) -> PrecodingResults:
    """Read results.json of a folder.

    Raises:
        SiteTwinError: It is missing, damaged, or not a precoding study's.
    """
    path = folder / RESULTS
    return parsed_record(PrecodingResults, read_json(path), f"'{path}'")

"""What a study of rates found: the schema of its results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sitetwin.studies.frame import RESULTS
from sitetwin.studies.records import Estimate, Number, Record, read_document

SCHEMA = "sitetwin.rates-results/1"


class RateRow(Record):
    """One codec on one source at one number of bits, in one case.

    Attributes:
        target: Target world.
        split: How users are split.
        method: Codec.
        source: What it was trained on.
        bits: Most bits of a report; None where reals are sent as they are.
        noise_snr_db: SNR of the users' channel estimates; None without noise.
        used_bits: Bits of a report, the mean over users.
        nmse_db: 10 log10 of the mean NMSE over users.
        sgcs: Squared cosine per subcarrier, the mean.
        rate_share: Rate of maximum-ratio transmission against perfect CSI.
        zf_share: Sum rate of zero-forcing to a group of users against perfect CSI.
        beam_loss_db: Loss of the chosen beam, dB, the mean.
    """

    target: str
    split: str
    method: str
    source: str
    bits: int | None = None
    noise_snr_db: Number = None
    used_bits: Number = None
    nmse_db: Estimate
    sgcs: Estimate
    rate_share: Estimate
    zf_share: Estimate
    beam_loss_db: Estimate


class Pair(Record):
    """Two codecs on the same users: how much lower the NMSE of the first is when negative.

    Attributes:
        target: Target world.
        split: How users are split.
        bits: Bits of a report of both.
        a: First codec and source.
        b: Second codec and source.
        difference_db: NMSE of the first less that of the second, dB.
    """

    target: str
    split: str
    bits: int
    a: str
    b: str
    difference_db: Estimate


class Cost(Record):
    """Costs of a codec at one number of bits, on the first seed.

    Attributes:
        method: Codec.
        source: What it was trained on.
        bits: Bits of a report.
        multiply_adds_ue: Real multiply-adds of a report at the user; None where the codec does not say.
        multiply_adds_bs: At the base station.
        bytes_ue: Memory of the model at the user.
        bytes_bs: At the base station.
        download_bits: Bits that bring the model to a user.
    """

    method: str
    source: str
    bits: int
    multiply_adds_ue: int | None = None
    multiply_adds_bs: int | None = None
    bytes_ue: int | None = None
    bytes_bs: int | None = None
    download_bits: int | None = None


class Worth(Record):
    """What a decibel of NMSE buys in one case.

    Attributes:
        target: Target world.
        split: How users are split.
        from_db: The better end of the range of NMSE.
        to_db: The worse end.
        points: Rows of the table in it.
        rate_percent_per_db: Rate lost by a decibel, percent of that with perfect CSI, maximum-ratio transmission.
        zf_percent_per_db: The same for zero-forcing.
    """

    target: str
    split: str
    from_db: float
    to_db: float
    points: int
    rate_percent_per_db: float
    zf_percent_per_db: float


class RatesResults(Record):
    """Results of a study of rates.

    Attributes:
        schema_name: Name of this schema.
        title: Title of the page.
        profile: How much was run.
        configuration: The frozen configuration.
        configuration_hash: Its hash.
        seeds: Seeds.
        versions: Versions of libraries.
        worlds: What each world is.
        test_users: Test users of one seed.
        rows: The table.
        places: The twin's own matrix at each user's true place, without a report, in each case.
        noise: The same codecs at one number of bits, with noise on the users' channel estimates.
        pairs: Paired differences.
        costs: Costs.
        worth: What a decibel buys.
        notes: What must be known.
    """

    schema_name: str
    title: str
    profile: str
    configuration: dict[str, Any]
    configuration_hash: str
    seeds: list[int]
    versions: dict[str, str]
    worlds: dict[str, Any]
    test_users: int
    rows: list[RateRow]
    places: tuple[RateRow, ...] = ()
    noise: list[RateRow]
    pairs: list[Pair]
    costs: list[Cost]
    worth: list[Worth]
    notes: list[str]


def read_rates_results(folder: Path | str) -> RatesResults:
    """The results of a finished study.

    Raises:
        SiteTwinError: They are missing, damaged, or another study's.
    """
    path = Path(folder) / RESULTS
    refusal = f"'{path}' holds no study of rates; give the folder of sitetwin study rates"
    return read_document(RatesResults, path, "schema_name", SCHEMA, refusal, f"'{path}'")

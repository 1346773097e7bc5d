"""Configuration of the beam prediction study: frozen, validated, hashed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import Frozen

HEADLINE = "calibrated twin, chosen rows"
"""The method of the headline, named here, not by its results."""

CURVES = {
    "real": "published network, measured rows",
    "real_compare_to_transfer": "published network, measured rows, batches of 8",
    "synth_measured": "published network, twin with measured codebook",
    "synth_uniform": "published network, twin with uniform codebook",
    "transfer_measured": "published network, twin with measured codebook then measured rows",
    "transfer_uniform": "published network, twin with uniform codebook then measured rows",
}
"""The published network's methods, each by the name of its curve among the released ones."""

BeamProfile = Literal["quick", "paper", "full"]


class TwinAssumptions(Frozen):
    """Assumptions about the street that neither the scenario nor the paper states.

    Attributes:
        carrier_hz: Carrier frequency, Hz.
        antennas: Number of elements of the station's half-wave linear array.
        bandwidth_hz: Width of the band over which beam powers are summed, Hz.
        subcarriers: Number of subcarriers in the band.
        station_height_m: Height of the array above the ground, metres.
        user_height_m: Height of the transmitter on the car, metres.
        max_depth: Largest number of reflections of a path.
        spacing_m: Spacing of the grid of users, metres.
        margin_m: Margin of the grid around the measured positions, metres.
    """

    carrier_hz: float = 60e9
    antennas: int = 16
    bandwidth_hz: float = 100e6
    subcarriers: int = 64
    station_height_m: float = 3.0
    user_height_m: float = 1.5
    max_depth: int = 2
    spacing_m: float = 1.0
    margin_m: float = 3.0


class BeamStudy(Frozen):
    """Configuration of the whole study.

    Attributes:
        profile: "quick", "paper" or "full".
        first_beam: First of the beams in use (official order, from 0).
        beam_step: Step between the beams in use; 4 is the protocol of arXiv 2301.07682.
        repeats: Number of random splits.
        folds: Number of folds of whole drives.
        fold_repeats: Number of times that drives are divided into folds; 0 leaves the folds out.
        seed: Seed of splits, draws and initial weights.
        real_sizes: Numbers of measured rows for the structured twin.
        drive_sizes: Numbers of measured rows for the structured twin in the folds of drives.
        network_sizes: Training sizes of the published network.
        transfer_sizes: Numbers of measured rows for the transfer of the published network.
        twin_rows: Number of rows of the twin on which the transferred network is trained first.
        stress: Name of the stress that measurements and codebook are put under, a key of
            `sitetwin.studies.beams.stress.STRESSES`; none by default.
        ablations: Whether the structured twin is also run without its parts.
        bootstrap_draws: Number of bootstrap draws of whole drives.
        twin: Assumptions about the street.
    """

    profile: BeamProfile
    first_beam: int = Field(default=1, ge=0)
    beam_step: int = Field(default=4, ge=1)
    repeats: int = 30
    folds: int = 5
    fold_repeats: int = 5
    seed: int = 2022
    real_sizes: tuple[int, ...] = (0, 5, 10, 20, 40, 100)
    drive_sizes: tuple[int, ...] = (0, 5, 10, 20, 40, 100)
    network_sizes: tuple[int, ...] = tuple(range(10, 201, 10))
    transfer_sizes: tuple[int, ...] = tuple(range(5, 101, 5))
    twin_rows: int = 200
    stress: str | None = None
    ablations: bool = True
    bootstrap_draws: int = 2000
    twin: TwinAssumptions = TwinAssumptions()


def beam_study(profile: str, stress: str | None = None) -> BeamStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" runs all methods at few sizes, on random splits and on folds of whole drives. "paper" is the
            published protocol: its sixteen beams and its thirty random splits, all sizes of its curves. "full" adds to
            it the folds of whole drives, all beams, and the calibrated twin without its parts.
        stress: See `BeamStudy`.

    Raises:
        SiteTwinError: The profile is unknown.
    """
    if profile == "quick":
        return BeamStudy(
            profile="quick",
            real_sizes=(0, 10, 40),
            drive_sizes=(0, 40),
            network_sizes=(10, 50, 200),
            transfer_sizes=(10, 40),
            ablations=False,
            stress=stress,
        )
    if profile == "paper":
        return BeamStudy(profile="paper", fold_repeats=0, ablations=False, stress=stress)
    if profile == "full":
        return BeamStudy(profile="full", stress=stress)
    raise SiteTwinError(f"there is no profile {profile!r}; choose one of quick, paper, full")

"""Configuration of the vision study: frozen, validated, hashed."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import Frozen

VisionProfile = Literal["quick", "paper", "full"]
LoopCamera = Literal["known", "fitted"]


class MeasuredScenarios(Frozen):
    """How scenarios with measured powers are used.

    Attributes:
        folds: Folds of whole drives; every drive is tested once in each deal.
        deals: Times that the drives are dealt into folds.
        calibration_rows: Measured rows that a method may see: few, and (0) the whole pool.
        twin_rows: Measured rows of the structured twin without a camera; 0 leaves it out.
        descent_steps: Most steps of the mapping that is fitted by descent; 0 leaves it out.
        swept: Steps between measured beams from which the others are predicted; 1 measures all.
        wide_beams: Beams of the layer-1 codebook.
        strongest: Beams that equation 1 adds up.
    """

    folds: int = Field(default=5, ge=2)
    deals: int = Field(default=1, ge=1)
    calibration_rows: tuple[int, ...] = (40, 0)
    twin_rows: int = Field(default=40, ge=0)
    descent_steps: int = Field(default=5000, ge=0)
    swept: tuple[int, ...] = (1, 2, 4)
    wide_beams: int = Field(default=6, ge=2)
    strongest: int = Field(default=16, ge=1)


class NetworkTraining(Frozen):
    """The end-to-end network; as it stands, ten trainings of a scenario take about half an hour of one core.

    Attributes:
        runs: Trainings from other first weights, each tested on the next fold; 0 leaves the network out.
        width: Columns of the images that it sees; rows are 9 for 16 columns.
        epochs: Most epochs; the best on a drive that is held out is kept.
        patience: Epochs without gain after which training ends.
        rate: Of Adam.
        batch: Images of a step.
        rows: Most rows of a scenario that train.
    """

    runs: int = Field(default=10, ge=0)
    width: int = Field(default=128, ge=64)
    epochs: int = Field(default=12, ge=1)
    patience: int = Field(default=4, ge=1)
    rate: float = Field(default=1e-3, gt=0)
    batch: int = Field(default=32, ge=1)
    rows: int = Field(default=1000, ge=10)


class ClosedLoop(Frozen):
    """The closed loop on synthetic streets.

    Attributes:
        streets: Streets through which drives are recorded.
        blocked: Blocked moments, at least.
        clear: Clear moments, at least.
        seed: Chooses streets and drives. Ranking and blockage were worked out on those of seed 0; seed 1 was looked at.
        draws: Draws of the scene that a twin traces for each moment.
        descent_steps: Most steps of the mapping M of the paper's own twin, which is fitted by descent.
        facades: What the twin without a map finds facades by: "depth" of the renderer, or "lines" of its images.
        camera: "known" as it stands, or "fitted" for each drive to boxes and fixes of the others through its street.
    """

    streets: int = Field(default=10, ge=1)
    blocked: int = Field(default=250, ge=1)
    clear: int = Field(default=250, ge=1)
    seed: int = Field(default=2, ge=0)
    draws: int = Field(default=6, ge=1)
    descent_steps: int = Field(default=5000, ge=1)
    facades: Literal["depth", "lines"] = "depth"
    camera: LoopCamera = "known"


class VisionStudy(Frozen):
    """Configuration of the whole study.

    Attributes:
        schema_version: Schema of this configuration.
        profile: "quick", "paper" or "full".
        measured: How scenarios with measured powers are used.
        network: The end-to-end network, for scenarios whose images are there.
        loop: The closed loop.
        seed: Of deals, draws and first weights.
        bootstrap_draws: Draws of whole drives.
    """

    schema_version: Literal["sitetwin.vision-configuration/1"] = "sitetwin.vision-configuration/1"
    profile: VisionProfile
    measured: MeasuredScenarios = MeasuredScenarios()
    network: NetworkTraining = NetworkTraining()
    loop: ClosedLoop = ClosedLoop()
    seed: int = 2024
    bootstrap_draws: int = Field(default=2000, ge=100)


def vision_study(profile: str, camera: str = "known") -> VisionStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" takes minutes: one deal of the drives, no descent, one training of the network, some 60
            moments of the closed loop. "paper" is the published protocol with ten trainings, and 500 moments. "full"
            deals the drives five times.
        camera: Of the closed loop: "known", or "fitted" to boxes of the user's car and fixes.

    Raises:
        SiteTwinError: The profile or the camera is unknown.
    """
    if camera not in get_args(LoopCamera):
        raise SiteTwinError(f"there is no camera {camera!r}; choose one of {', '.join(get_args(LoopCamera))}")
    if profile == "quick":
        return VisionStudy(
            profile="quick",
            measured=MeasuredScenarios(descent_steps=0, swept=(1, 2)),
            network=NetworkTraining(runs=1, width=112, epochs=3, rows=300),
            loop=ClosedLoop(streets=4, blocked=20, clear=20, camera=camera),  # type: ignore[arg-type]  # checked
        )
    loop = ClosedLoop(camera=camera)  # type: ignore[arg-type]  # checked
    if profile == "paper":
        return VisionStudy(profile="paper", loop=loop)
    if profile == "full":
        return VisionStudy(profile="full", measured=MeasuredScenarios(deals=5), loop=loop)
    raise SiteTwinError(f"there is no profile {profile!r}; choose one of quick, paper, full")

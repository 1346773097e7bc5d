"""Configuration of the CSI feedback study: frozen, validated, hashed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import Field, ValidationError, model_validator

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import Frozen

HEADLINE_CASE: tuple[Literal["target_b"], Literal["blocks"]] = ("target_b", "blocks")
"""Target and split of the headline, named before any run."""

Profile = Literal["quick", "paper", "anchor"]


class Cell(Frozen):
    """One base station and the area that it serves.

    Attributes:
        scene: Built-in scene, saved site, or anything else that `sitetwin.site.open_site` reads.
        base_station: Position, metres.
        yaw_deg: Heading of the array's boresight, degrees from east, counter-clockwise; the elements stand across it.
        area: (xmin, ymin, xmax, ymax) of the users, metres.
        spacing: Of the users' grid, metres.
        user_height: Above the ground, metres.
    """

    scene: str
    base_station: tuple[float, float, float]
    yaw_deg: float = -90.0
    area: tuple[float, float, float, float]
    spacing: float = Field(default=0.37, gt=0)
    user_height: float = Field(default=2.0, gt=0)


class RadioLink(Frozen):
    """The OFDM link: as in arXiv 2402.19434 and its authors' code.

    Attributes:
        carrier_hz: Carrier frequency.
        antennas: Elements of the base station's half-wave uniform linear array; users have one antenna.
        subcarriers: Number K.
        subcarrier_spacing_hz: Between neighbours.
        taps: Delay taps kept of the K.
    """

    carrier_hz: float = 3.5e9
    antennas: int = 32
    subcarriers: int = 256
    subcarrier_spacing_hz: float = 30e3
    taps: int = 32


class Trees(Frozen):
    """Street trees, in the targets only; a site that has trees of its own keeps those.

    Attributes:
        spacing: Least distance between trunks, metres.
        margin: Trees stand this far beyond the users' area too, metres.
        seed: Of the planting.
        scatter_centres: Per crown, in target B.
    """

    spacing: float = Field(default=10.0, gt=0)
    margin: float = Field(default=60.0, ge=0)
    seed: int = 2024
    scatter_centres: int = Field(default=4, ge=1)


class Imperfections(Frozen):
    """What else is wrong with the twin, seen from target B.

    Attributes:
        wall_rms_m: Root mean square horizontal displacement of the buildings.
        height_rms_m: Root mean square error of roof heights.
        yaw_deg: Error of the array's heading.
        seed: Of the draws.
        other_engine_users: Users whose target channels come from Sionna RT's paths.
        other_engine_samples: Rays per call there.
    """

    wall_rms_m: float = 0.5
    height_rms_m: float = 0.5
    yaw_deg: float = 1.0
    seed: int = 7
    other_engine_users: int = 600
    other_engine_samples: int = 100_000


class Evaluation(Frozen):
    """Splits and sizes.

    Attributes:
        cases: Targets and splits: ("target_a", "random") is the papers' setting, ("target_b", "blocks") the headline's.
        refined: Those of the cases in which models are refined.
        seeds: Each seed draws split, samples and initial weights anew.
        sampled_users: Users drawn from the grid for one seed, before the split.
        test_users: Test users of one seed; never shrunk.
        block_m: Side of the spatial blocks.
        guard_m: Least distance between training and test users.
        test_share: Share of the sampled users in test blocks.
        train_sizes: Training set sizes of the curves.
        pool: Target users from whom samples for refinement are chosen.
        refine_sizes: Numbers of target samples in refinement.
    """

    cases: tuple[tuple[Literal["target_a", "target_b"], Literal["random", "blocks"]], ...] = (
        ("target_a", "random"),
        ("target_b", "blocks"),
    )
    refined: tuple[tuple[str, str], ...] = (("target_b", "blocks"),)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    sampled_users: int = 40_000
    test_users: int = 10_000
    block_m: float = 25.0
    guard_m: float = 10.0
    test_share: float = 0.3
    train_sizes: tuple[int, ...] = (40, 640, 5120)
    pool: int = 2048
    refine_sizes: tuple[int, ...] = (40, 640)

    @model_validator(mode="after")
    def _headline_is_there(self) -> Evaluation:
        if HEADLINE_CASE not in self.refined or not set(self.refined) <= set(self.cases):
            raise ValueError(f"the cases must hold the refined ones, and both the headline's {HEADLINE_CASE}")
        return self


class Models(Frozen):
    """Which codecs are trained, and how long.

    Attributes:
        adaptive_train_sizes: Training set sizes of the small neural codec's curves; the last is the base of refinement.
        adaptive_steps: Gradient steps of the small neural codec for each training.
        adaptive_refine_steps: Of each refinement.
        csinet_train_sizes: Sizes at which CSINet+ is trained; each on twin and target B.
        csinet_seeds: How many of the seeds CSINet+ runs.
        csinet_epochs: 160 is the published number.
        csinet_refine_sizes: Numbers of target samples in its refinement; empty for none.
        csinet_refine_epochs: 100 is the published number.
    """

    adaptive_train_sizes: tuple[int, ...]
    adaptive_steps: int
    adaptive_refine_steps: int
    csinet_train_sizes: tuple[int, ...]
    csinet_seeds: int
    csinet_epochs: int
    csinet_refine_sizes: tuple[int, ...]
    csinet_refine_epochs: int


class CsiStudy(Frozen):
    """Everything that determines the results of a CSI feedback study."""

    schema_version: Literal["sitetwin.csi-configuration/1"] = "sitetwin.csi-configuration/1"
    profile: Profile
    site: Cell
    wrong_site: Cell
    link: RadioLink = RadioLink()
    trees: Trees = Trees()
    imperfections: Imperfections = Imperfections()
    evaluation: Evaluation = Evaluation()
    models: Models
    max_depth: int = Field(default=3, ge=0)
    trace_seed: int = 0


MUNICH = Cell(scene="munich", base_station=(-30.0, 60.0, 15.0), area=(-145.0, -40.0, 85.0, 160.0))
"""Marienplatz: 230 m x 200 m as in the paper, about half of it open, a little under half in line of sight."""

FLORENCE = Cell(scene="florence", base_station=(-60.0, -30.0, 15.0), area=(-175.0, -130.0, 55.0, 70.0))
"""The wrong site: another city, the same grid and array."""

_MODELS = {
    "quick": Models(
        adaptive_train_sizes=(640, 5120),
        adaptive_steps=100,
        adaptive_refine_steps=50,
        csinet_train_sizes=(640,),
        csinet_seeds=1,
        csinet_epochs=1,
        csinet_refine_sizes=(),
        csinet_refine_epochs=0,
    ),
    "paper": Models(
        adaptive_train_sizes=(10, 40, 160, 640, 1280, 5120, 10_240),
        adaptive_steps=25_600,
        adaptive_refine_steps=2_000,
        csinet_train_sizes=(10_240,),
        csinet_seeds=5,
        csinet_epochs=160,
        csinet_refine_sizes=(40, 640),
        csinet_refine_epochs=100,
    ),
    "anchor": Models(
        adaptive_train_sizes=(320,),
        adaptive_steps=3_200,
        adaptive_refine_steps=250,
        csinet_train_sizes=(320,),
        csinet_seeds=1,
        csinet_epochs=160,
        csinet_refine_sizes=(40,),
        csinet_refine_epochs=100,
    ),
}


_ALL_CASES: tuple[Any, ...] = (
    ("target_a", "random"),
    ("target_a", "blocks"),
    ("target_b", "random"),
    ("target_b", "blocks"),
)
_EVALUATION = {
    "quick": Evaluation(),
    "paper": Evaluation(
        cases=_ALL_CASES,
        refined=_ALL_CASES,
        train_sizes=(10, 40, 160, 640, 1280, 5120, 10_240),
        refine_sizes=(40, 160, 640, 1280),
    ),
    "anchor": Evaluation(cases=(HEADLINE_CASE,), seeds=(0,), train_sizes=(320,), refine_sizes=(40,)),
}


def csi_study(profile: str, site: Cell = MUNICH, wrong_site: Cell = FLORENCE) -> CsiStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" runs all curves and seeds with the fast codecs; "paper" trains CSINet+ by its
            published schedule and the small network long, at all sizes; "anchor" does so at one size, with one seed, in
            the headline's case.
        site: The cell under study.
        wrong_site: A cell elsewhere, for the control.

    Raises:
        SiteTwinError: Unknown profile.
    """
    if profile not in _MODELS:
        raise SiteTwinError(f"there is no profile {profile!r}; choose one of {', '.join(_MODELS)}")
    return CsiStudy(
        profile=cast(Profile, profile),
        site=site,
        wrong_site=wrong_site,
        evaluation=_EVALUATION[profile],
        models=_MODELS[profile],
    )


def read_cell(path: Path) -> Cell:
    """A cell from a TOML file with the keys of `Cell`.

    Raises:
        SiteTwinError: The file cannot be read, is no TOML, or says something that is no cell.
    """
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
        return Cell(**content)
    except OSError as error:
        raise SiteTwinError(f"the cell '{path}' cannot be read: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SiteTwinError(f"the cell '{path}' is no TOML file ({error}); mend the line it names") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SiteTwinError(f"the cell '{path}': {where}: {first['msg']}; see docs/background/csi-study.md") from error

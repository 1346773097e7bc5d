"""Configuration of the CSI feedback study: frozen, validated, hashed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, ValidationError, model_validator

from sitetwin.errors import SiteTwinError
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.studies.csi.registry import (
    CODECS,
    HEADLINE_CASE,
    HEADLINE_CODEC,
    PUBLISHED_CASE,
    CodecEntry,
    Plan,
    plans_of,
)
from sitetwin.studies.frame import Frozen
from sitetwin.untrusted import LARGEST_TOML, parse_toml, read_bytes

Profile = Literal["demo", "quick", "paper", "full"]
"""How much is run: one comparison in a minute or two; curves with fast codecs; the published protocol; everything
that the bounds need."""

_Metres = Annotated[float, Field(ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE)]


class Cell(Frozen):
    """One base station and the area that it serves.

    Attributes:
        scene: Built-in scene, saved site, or anything else that `sitetwin.site.open_site` reads.
        base_station: Position, metres.
        yaw_deg: Heading of the array's boresight, degrees from east, counter-clockwise; the elements stand across it.
        area: (xmin, ymin, xmax, ymax) of the users, metres.
        spacing: Metres between neighbours of the users' grid.
        user_height: Height of the users above the ground, metres.
    """

    scene: str
    base_station: tuple[_Metres, _Metres, _Metres]
    yaw_deg: float = Field(default=-90.0, ge=-360, le=360)
    area: tuple[_Metres, _Metres, _Metres, _Metres]
    spacing: float = Field(default=0.37, gt=0, le=LARGEST_COORDINATE)
    user_height: float = Field(default=2.0, gt=0, le=LARGEST_COORDINATE)


class RadioLink(Frozen):
    """The OFDM link: as in arXiv 2402.19434 and its authors' code.

    There is no pulse shape: eq. 2 has one, the released code leaves it out, and taps are samples of the band as it is.

    Attributes:
        carrier_hz: Carrier frequency.
        antennas: Elements of the base station's half-wave uniform linear array; users have one antenna.
        subcarriers: Number K.
        subcarrier_spacing_hz: Spacing of neighbouring subcarriers, Hz.
        taps: Delay taps kept of the K.
        paths: Most paths of a user in twin, target A and wrong site: the strongest count, as in the published data.
            Target B stands for reality and keeps all of its paths.
    """

    carrier_hz: float = 3.5e9
    antennas: int = 32
    subcarriers: int = 256
    subcarrier_spacing_hz: float = 30e3
    taps: int = 32
    paths: int = Field(default=25, ge=1)


class Trees(Frozen):
    """Street trees, in the targets only; a site that has trees of its own keeps those.

    Attributes:
        spacing: Least distance between trunks, metres.
        margin: Trees stand this far beyond the users' area too, metres.
        seed: Seed of the planting.
        scatter_centres: Number of scatter centres per crown in target B.
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
        seed: Seed of the draws.
        other_engine_users: Users whose target channels come from Sionna RT's paths.
        other_engine_samples: Rays per call there.
    """

    wall_rms_m: float = 0.5
    height_rms_m: float = 0.5
    yaw_deg: float = 1.0
    seed: int = 7
    other_engine_users: int = 600
    other_engine_samples: int = 100_000


FEW = 40
"""Target samples of the published headline."""


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
        random_test_share: Share of the sampled users that a random split tests, as published.
        train_sizes: Training set sizes of the curves.
        pool: Target users from whom samples for refinement are chosen; None for all training users, as published.
        refine_sizes: Numbers of target samples in refinement.
        refine_from: Training size of the codecs that are refined, where a codec has it; None for its largest.
        published: What the paper shows beside its curves is measured too, in its own target and split and for the
            codecs of the first family: the wrong site at all sizes, Fig. 5, the loop of collection, terms of eq. 10.
        correlated: Samples of each rule in Fig. 5.
        thresholds_db: Thresholds of the loop.
        collected: Uploads of one of its rounds.
        rounds: Its rounds.
    """

    cases: tuple[tuple[Literal["target_a", "target_b"], Literal["random", "blocks"]], ...] = (
        ("target_a", "random"),
        ("target_b", "blocks"),
    )
    refined: tuple[tuple[str, str], ...] = (("target_b", "blocks"),)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    sampled_users: int = 50_000
    test_users: int = 10_000
    block_m: float = 25.0
    guard_m: float = 10.0
    test_share: float = 0.3
    random_test_share: float = 0.2
    train_sizes: tuple[int, ...] = (40, 640, 5120)
    pool: int | None = 2048
    refine_sizes: tuple[int, ...] = (40, 640)
    refine_from: int | None = None
    published: bool = False
    correlated: int = Field(default=100, ge=1)
    thresholds_db: tuple[float, ...] = (-20.0, -15.0, -10.0)
    collected: int = Field(default=40, ge=1)
    rounds: int = Field(default=3, ge=1)

    @property
    def few(self) -> int:
        """How many target samples the headline speaks of: forty, or the fewest where forty are not among the sizes."""
        return FEW if FEW in self.refine_sizes else min(self.refine_sizes)

    @model_validator(mode="after")
    def _headline_is_there(self) -> Evaluation:
        if HEADLINE_CASE not in self.refined or not set(self.refined) <= set(self.cases):
            raise ValueError(f"the cases must hold the refined ones, and both the headline's {HEADLINE_CASE}")
        return self


class CsiStudy(Frozen):
    """Everything that determines the results of a CSI feedback study.

    Attributes:
        schema_version: Schema of this configuration.
        profile: How much is run.
        site: The cell under study.
        wrong_site: A cell elsewhere, for the control.
        link: The OFDM link.
        trees: Vegetation of the targets.
        imperfections: What else is wrong with the twin.
        evaluation: Splits and sizes.
        codecs: How each registered codec takes part, by its name; each needs a plan.
        max_depth: Largest number of reflections of a path.
        trace_seed: Seed of the discovery of paths.
    """

    schema_version: Literal["sitetwin.csi-configuration/3"] = "sitetwin.csi-configuration/3"
    profile: Profile
    site: Cell
    wrong_site: Cell
    link: RadioLink = RadioLink()
    trees: Trees = Trees()
    imperfections: Imperfections = Imperfections()
    evaluation: Evaluation = Evaluation()
    codecs: dict[str, Plan]
    max_depth: int = Field(default=3, ge=0)
    trace_seed: int = 0

    @model_validator(mode="after")
    def _codecs_are_known(self) -> CsiStudy:
        names = {entry.name for entry in CODECS}
        if set(self.codecs) != names:
            raise ValueError(f"each of these codecs needs a plan, and no other: {', '.join(sorted(names))}")
        return self

    def plan(self, entry: CodecEntry) -> Plan:
        """How a codec takes part."""
        return self.codecs[entry.name]

    def train_sizes(self, entry: CodecEntry) -> tuple[int, ...]:
        """Training set sizes of a codec's curves."""
        own = self.plan(entry).train_sizes
        return self.evaluation.train_sizes if own is None else own

    def refine_sizes(self, entry: CodecEntry) -> tuple[int, ...]:
        """Numbers of target samples in a codec's refinement."""
        own = self.plan(entry).refine_sizes
        return self.evaluation.refine_sizes if own is None else own

    def base_size(self, entry: CodecEntry) -> int:
        """Training size of the twin's codec that is refined."""
        sizes = self.train_sizes(entry)
        wanted = self.evaluation.refine_from
        return wanted if wanted in sizes else sizes[-1]  # type: ignore[return-value]  # None is in no sizes

    def seeds_of(self, entry: CodecEntry) -> tuple[int, ...]:
        """The seeds that a codec runs."""
        return self.evaluation.seeds[: self.plan(entry).seeds]

    def runs_all_seeds(self, entry: CodecEntry) -> bool:
        """Whether a codec runs every seed of the study."""
        return self.seeds_of(entry) == self.evaluation.seeds


MUNICH = Cell(scene="munich", base_station=(-30.0, 60.0, 15.0), area=(-145.0, -40.0, 85.0, 160.0))
"""Marienplatz: 230 m x 200 m as in the paper, about half of it open, a little under half in line of sight."""

FLORENCE = Cell(scene="florence", base_station=(-60.0, -30.0, 15.0), area=(-175.0, -130.0, 55.0, 70.0))
"""The wrong site: another city, the same grid and array."""

PUBLISHED_SIZES = (10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_240)
"""Numbers of samples of the published curves, of trainings and of refinements alike."""

_ALL_CASES = (PUBLISHED_CASE, ("target_a", "blocks"), ("target_b", "random"), HEADLINE_CASE)
_EVALUATION = {
    "demo": Evaluation(
        cases=(HEADLINE_CASE,), sampled_users=24_000, test_users=2_000, train_sizes=(40, 5120), refine_sizes=(40,)
    ),
    "quick": Evaluation(),
    "paper": Evaluation(
        refined=(PUBLISHED_CASE, HEADLINE_CASE),
        seeds=tuple(range(10)),
        train_sizes=PUBLISHED_SIZES,
        pool=None,
        refine_sizes=PUBLISHED_SIZES,
        refine_from=5120,
        published=True,
    ),
    "full": Evaluation.model_validate(
        {
            "cases": _ALL_CASES,
            "refined": _ALL_CASES,
            "train_sizes": (10, 40, 160, 640, 1280, 5120, 10_240),
            "refine_sizes": (40, 160, 640, 1280),
        }
    ),
}


def csi_study(
    profile: str, site: Cell = MUNICH, wrong_site: Cell = FLORENCE, codecs: tuple[str, ...] | None = None
) -> CsiStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "demo" runs the closed-form codec alone in the headline's case; "quick" runs all seeds with the fast
            codecs and trains networks too short to conclude from; "paper" is the published protocol: its
            sizes, its target and split beside the headline's, CSINet+ by its published schedule at 5120 samples with
            one seed; "full" is everything that the bounds need, in all cases.
        site: The cell under study.
        wrong_site: A cell elsewhere, for the control.
        codecs: Names of the codecs that run; all by default. The headline's is always among them.

    Raises:
        SiteTwinError: Unknown profile or codec.
    """
    plans = plans_of(profile)
    if codecs is not None:
        unknown = [name for name in codecs if name not in plans]
        if unknown:
            raise SiteTwinError(f"there is no codec {unknown[0]!r} in the study; choose of {', '.join(plans)}")
        wanted = {*codecs, HEADLINE_CODEC.name}
        plans = {name: plan if name in wanted else plan.model_copy(update={"seeds": 0}) for name, plan in plans.items()}
    return CsiStudy(
        profile=cast(Profile, profile),
        site=_coarser(site) if profile == "demo" else site,
        wrong_site=_coarser(wrong_site) if profile == "demo" else wrong_site,
        imperfections=Imperfections(other_engine_users=200) if profile == "demo" else Imperfections(),
        evaluation=_EVALUATION[profile],
        codecs=plans,
    )


def _coarser(cell: Cell) -> Cell:
    """The same cell with users half a metre apart: a demonstration traces no more than it needs."""
    return cell.model_copy(update={"spacing": max(cell.spacing, 0.5)})


CELLS = {"munich": MUNICH, "florence": FLORENCE}
"""Cells that need no file, by the name of their scene."""


class CellFile(Cell):
    """What a TOML file of a cell says.

    Attributes:
        wrong_site: The cell elsewhere: "munich", "florence", or a table with the keys of `Cell`.
    """

    wrong_site: Literal["munich", "florence"] | Cell = "florence"


def read_cells(path: Path) -> tuple[Cell, Cell]:
    """A cell and its wrong site from a TOML file with the keys of `CellFile`.

    Raises:
        SiteTwinError: The file cannot be read, is no TOML, or says something that is no cell.
    """
    where = f"the cell '{path}'"
    content = parse_toml(read_bytes(path, where, LARGEST_TOML), where, "mend the line it names")
    try:
        said = CellFile(**content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SiteTwinError(f"the cell '{path}': {where}: {first['msg']}; see docs/background/csi-study.md") from error
    wrong = CELLS[said.wrong_site] if isinstance(said.wrong_site, str) else said.wrong_site
    cell = Cell(**said.model_dump(exclude={"wrong_site"}))
    if cell.scene == wrong.scene:
        raise SiteTwinError(
            f"the cell '{path}': its wrong site is the same scene '{cell.scene}'; name another city as wrong_site"
        )
    return cell, wrong


def read_cell(path: Path) -> Cell:
    """The cell alone of `read_cells`.

    Raises:
        SiteTwinError: As `read_cells`.
    """
    return read_cells(path)[0]

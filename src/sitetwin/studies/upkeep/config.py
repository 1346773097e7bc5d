"""Configuration of the study of codecs over time: frozen, validated, hashed."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import Field, field_validator, model_validator

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.methods import METHODS
from sitetwin.studies.csi.config import MUNICH, Cell, RadioLink, Trees
from sitetwin.studies.frame import Frozen

UpkeepProfile = Literal["quick", "full"]
"""How much is run: one seed, in minutes; or five seeds, each with a year in which nothing changes beside it."""

_Day = Annotated[int, Field(ge=0, le=3650)]


class Errors(Frozen):
    """What the twin does not know of the target.

    Attributes:
        wall_rms_m: Root mean square horizontal displacement of the buildings.
        height_rms_m: Root mean square error of roof heights.
        yaw_deg: Error of the array's heading.
        seed: Seed of the draws.
    """

    wall_rms_m: float = Field(default=0.5, ge=0)
    height_rms_m: float = Field(default=0.5, ge=0)
    yaw_deg: float = 1.0
    seed: int = Field(default=7, ge=0)


class Leaves(Frozen):
    """When leaves fall and come back. Each tree does so on a day of its own, drawn from the days that this takes.

    Attributes:
        days: Days of the run; day 0 is in summer.
        fall: Day on which the first trees drop their leaves.
        spring: Day on which the first trees come into leaf again.
        takes: Days from the first tree to the last.
        model: Model of the loss in crowns with and without leaves, see `sitetwin.channel.FieldOptions`. FITU-R (10 to
            40 GHz) is taken beyond its range: its crowns lose most of their loss with their leaves, as measured at
            lower frequencies, too; those of ITU-R P.833 keep 85 % of it.
        seed: Seed of the trees' days.
    """

    days: int = Field(default=130, ge=2, le=3650)
    fall: _Day = 25
    spring: _Day = 65
    takes: int = Field(default=14, ge=1, le=365)
    model: Literal["default", "woodland", "nzg", "weissberger", "fitu-r", "cost235"] = "fitu-r"
    seed: int = Field(default=5, ge=0)

    @model_validator(mode="after")
    def _order(self) -> Leaves:
        if not self.fall + self.takes <= self.spring or not self.spring + self.takes <= self.days:
            raise ValueError("leaves have to be down before they come back, and to be back before the run ends")
        return self


class Turn(Frozen):
    """A change that is no season: the array is turned, as by a storm or by whoever works on the mast.

    Attributes:
        day: Day from which on it stands so.
        degrees: By how much, counter-clockwise.
    """

    day: _Day = 100
    degrees: float = Field(default=2.0, ge=-180, le=180)


class Upkeep(Frozen):
    """How the codec is looked after, see `sitetwin.learn.MonitorSettings`.

    Attributes:
        reports_a_day: Users that report once a day, drawn anew each day.
        reports_between_false_alarms: Reports between false alarms, on average, at least.
        keep: Uploads of an update.
        check: Uploads that an update is judged by.
        rounds: Most updates after one alarm, and at the start.
    """

    reports_a_day: int = Field(default=300, ge=1)
    reports_between_false_alarms: float = Field(default=100_000.0, ge=1)
    keep: int = Field(default=40, ge=1)
    check: int = Field(default=20, ge=1)
    rounds: int = Field(default=3, ge=1)


class Motion(Frozen):
    """Users that walk and drive, straight on in a direction of their own.

    Attributes:
        speeds: Metres per second.
        users: Users of each speed.
        period_s: Seconds between two reports of a user.
        steps: Largest feedback delay, in periods.
        pairs: Pairs of reports of the linear prediction.
    """

    speeds: tuple[Annotated[float, Field(ge=0, le=100)], ...] = (0.0, 1.4, 13.9)
    users: int = Field(default=150, ge=1)
    period_s: float = Field(default=5e-3, gt=0, le=1)
    steps: int = Field(default=10, ge=1, le=100)
    pairs: int = Field(default=10, ge=1, le=100)

    @property
    def moments(self) -> int:
        """Moments that are traced of each user: those of its reports, and those ahead."""
        return self.pairs + 2 * self.steps


class UpkeepStudy(Frozen):
    """Everything that determines the results of a study of codecs over time.

    Attributes:
        schema_version: Schema of this configuration.
        profile: How much is run.
        cell: The cell.
        link: The OFDM link.
        trees: Vegetation of the target.
        errors: What else the twin does not know.
        leaves: When leaves fall and come back.
        turn: When the array is turned.
        upkeep: How the codec is looked after.
        motion: Users that move.
        methods: Codecs, by the names of `sitetwin codec fit --method`.
        bits: Bits of a report.
        seeds: Each draws users and fits anew.
        unchanging_too: Whether each run is repeated in a summer that does not end and with an array that stays, so that
            false alarms show.
        samples: Most users of the twin that codecs are fitted to; all with a path where these are fewer.
        test_users: Users on whom codecs are judged; they never upload.
        judged_every: Days between two judgements.
        grid_spacing: Metres between neighbours of the users' grid.
        max_depth: Largest number of reflections of a path.
        trace_seed: Seed of the discovery of paths.
    """

    schema_version: Literal["sitetwin.upkeep-configuration/1"] = "sitetwin.upkeep-configuration/1"
    profile: UpkeepProfile
    cell: Cell = MUNICH
    link: RadioLink = RadioLink()
    trees: Trees = Trees()
    errors: Errors = Errors()
    leaves: Leaves = Leaves()
    turn: Turn = Turn()
    upkeep: Upkeep = Upkeep()
    motion: Motion = Motion()
    methods: tuple[str, ...] = ("klt",)
    bits: int = Field(default=128, ge=1)
    seeds: tuple[int, ...] = (0,)
    unchanging_too: bool = False
    samples: int = Field(default=5120, ge=1)
    test_users: int = Field(default=500, ge=1)
    judged_every: int = Field(default=2, ge=1)
    grid_spacing: float = Field(default=2.0, gt=0)
    max_depth: int = Field(default=3, ge=0)
    trace_seed: int = 0

    @model_validator(mode="after")
    def _turns(self) -> UpkeepStudy:
        if self.turn.degrees == 0 or self.turn.day >= self.leaves.days:
            raise ValueError("the array has to turn, and on a day of the run: give degrees, and an earlier day")
        return self

    @field_validator("methods")
    @classmethod
    def _known(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in methods if name not in METHODS]
        if unknown or not methods or len(set(methods)) < len(methods):
            raise ValueError(f"methods are some of {', '.join(METHODS)}, each once")
        return methods


def upkeep_study(profile: str, cell: Cell = MUNICH, methods: tuple[str, ...] = ("klt",)) -> UpkeepStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" or "full".
        cell: The cell.
        methods: Codecs, by name.

    Raises:
        SiteTwinError: Unknown profile or method.
    """
    if profile not in ("quick", "full"):
        raise SiteTwinError(f"there is no profile '{profile}'; choose quick or full")
    unknown = [name for name in methods if name not in METHODS]
    if unknown or not methods or len(set(methods)) < len(methods):
        raise SiteTwinError(f"'{','.join(methods)}' names no methods; choose some of {', '.join(METHODS)}, each once")
    full = profile == "full"
    return UpkeepStudy(
        profile=cast(UpkeepProfile, profile),
        cell=cell,
        methods=methods,
        seeds=(0, 1, 2, 3, 4) if full else (0,),
        unchanging_too=full,
    )

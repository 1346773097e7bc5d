"""Configuration of the study of calibrated power: methods, splits, numbers of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast, get_args

from pydantic import Field

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import Frozen

Profile = Literal["quick", "paper", "full"]
Split = Literal["blocks", "random"]

TWIN, NO_MAP, KRIGING, REGRESSION, NEAREST, MEAN = "twin", "no map", "kriging", "regression", "nearest", "mean"
TWIN_TOGETHER, NO_MAP_TOGETHER = "twin, cells together", "no map, cells together"
ALONE = (TWIN, NO_MAP, KRIGING, REGRESSION, NEAREST, MEAN)
"""Methods that see one cell: the power map; the same process without the site, which is the strong control; ordinary
kriging with an offset of each receiver; least squares over log distance, bearing and the map's line of sight; the
nearest measured row; the mean of each receiver."""

TOGETHER = (TWIN_TOGETHER, NO_MAP_TOGETHER)
"""The power map and its control, fitted to the rows of all cells at once."""


class CalibrationStudy(Frozen):
    """Everything but the data that determines the results.

    Attributes:
        schema_version: Schema of this configuration.
        profile: How much is run.
        rows: Measured rows of each cell that methods are given.
        seeds: Seeds of folds and rows.
        splits: How rows are held out.
        together: Whether cells are fitted together too.
        folds: Each row is held out once.
        block_m: Side of the squares that are held out whole, metres. Their grid begins at the first station.
        square_m: Side of the squares whose readings are one row, metres.
    """

    schema_version: Literal["sitetwin.calibration-study/1"] = "sitetwin.calibration-study/1"
    profile: Profile
    rows: tuple[int, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    splits: tuple[Split, ...] = ("blocks",)
    together: bool = False
    folds: int = Field(default=5, ge=2, le=20)
    block_m: float = Field(default=64.0, gt=0)
    square_m: float = Field(default=4.0, gt=0)

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods that are run."""
        return (*ALONE, *(TOGETHER if self.together else ()))


def calibration_study(profile: str, *, rows: Sequence[int] | None = None, seeds: int | None = None) -> CalibrationStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" takes one seed and 200 rows of a cell alone; "paper" six seeds, both splits and cells together;
            "full" also 25 to 800 rows, three seeds.
        rows: Numbers of rows of each cell.
        seeds: Number of seeds.

    Raises:
        SiteTwinError: The profile is unknown, or a number is out of its range.
    """
    if profile not in get_args(Profile):
        raise SiteTwinError(f"there is no profile '{profile}'; choose {', '.join(get_args(Profile))}")
    usual: dict[str, Any] = {
        "quick": {"rows": (200,), "seeds": 1},
        "paper": {"rows": (200,), "seeds": 6, "splits": ("blocks", "random"), "together": True},
        "full": {"rows": (25, 50, 100, 200, 400, 800), "seeds": 3, "splits": ("blocks", "random"), "together": True},
    }[profile]
    count = usual.pop("seeds") if seeds is None else seeds
    wanted = usual.pop("rows") if rows is None else tuple(rows)
    if count < 1 or not wanted or min(wanted) < 20 or max(wanted) > 2000:
        raise SiteTwinError("give one seed or more, and 20 to 2000 rows of each cell")
    return CalibrationStudy(profile=cast(Profile, profile), rows=wanted, seeds=tuple(range(count)), **usual)

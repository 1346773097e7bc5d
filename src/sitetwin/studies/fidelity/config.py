"""Configuration of the study of fidelity: in what twins differ from the truth, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from pydantic import Field, ValidationError, model_validator

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.methods import METHODS
from sitetwin.studies.csi.config import FLORENCE, MUNICH, Cell, CsiStudy, Evaluation, RadioLink, csi_study
from sitetwin.studies.fidelity.kinds import PERFECT, UNITS, WORDS, Kind
from sitetwin.studies.frame import Frozen

Profile = Literal["quick", "full"]
"""How much is run: a coarse grid, one or two strengths of a kind, one seed; or all strengths and five seeds."""

ALL_PATHS = 1_000_000
"""As many paths of a user as there are: no cut."""

_FAST = ("hybrid", "klt-entropy", "paths")


class Difference(Frozen):
    """In what one twin differs from the truth.

    Attributes:
        kind: What differs.
        strength: By how much, in the unit of the kind, of `UNITS`: displacement of walls and error of heights, root
            mean square; distance of the station; angle of the array; reflections of a path at most. None where a
            choice says it, or nothing needs to be said.
        choice: Which of the words of the kind, of `WORDS`.
    """

    kind: Kind
    strength: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    choice: str | None = None

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> Difference:
        if (self.strength is not None) != (self.kind in UNITS):
            asked = f"needs a strength in {UNITS[self.kind]}" if self.kind in UNITS else "has no strength"
            raise ValueError(f"'{self.kind}' {asked}")
        if self.choice not in WORDS.get(self.kind, (None,)):
            known = " or ".join(WORDS.get(self.kind, ("nothing",)))
            raise ValueError(f"'{self.kind}' is {known}, not '{self.choice}'")
        if self.kind == "order" and self.strength != int(self.strength or 0):
            raise ValueError(f"{self.strength:g} reflections are none; give a whole number")
        return self

    @property
    def name(self) -> str:
        """The difference in words, as "walls, 0.5 m rms"."""
        if self.strength is not None:
            unit = UNITS[self.kind].removesuffix("s" if self.strength == 1 and self.kind in ("yaw", "order") else "")
            return f"{self.kind}, {self.strength:g} {unit}"
        return self.kind if self.choice is None else f"{self.kind}, {self.choice}"


class FidelityStudy(Frozen):
    """Everything that determines the results of a study of fidelity.

    Attributes:
        schema_version: Schema of this configuration.
        profile: How much is run.
        csi: Cell, wrong site, link and sizes, as in the CSI study; its imperfections are those of the plain twin, its
            trees the truth's, its largest reflection order the truth's. Its codecs, cases and splits are not used.
        differences: The twins, beside the perfect one.
        methods: Codecs, by the names of `sitetwin.learn.cell.methods.METHODS`; sentences speak of the first.
        bits: Bits of a report.
    """

    schema_version: Literal["sitetwin.fidelity-configuration/1"] = "sitetwin.fidelity-configuration/1"
    profile: Profile
    csi: CsiStudy
    differences: tuple[Difference, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(default=_FAST, min_length=1)
    bits: int = Field(default=128, ge=1)

    @model_validator(mode="after")
    def _can_be_run(self) -> FidelityStudy:
        for method in self.methods:
            if method not in METHODS:
                raise ValueError(f"there is no method '{method}'; give each once, of {', '.join(METHODS)}")
            each = METHODS[method].multiple
            if self.bits % each:
                raise ValueError(f"'{method}' takes multiples of {each} bits, not {self.bits}")
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"a method stands twice; give each once, of {', '.join(METHODS)}")
        if len({one.name for one in self.differences}) < len(self.differences):
            raise ValueError("a difference stands twice; give each once")
        for one in self.differences:
            if one.kind == PERFECT:
                raise ValueError("the perfect twin is always there; leave it out of the differences")
            if one.kind == "order" and (one.strength or 0) >= self.csi.max_depth:
                raise ValueError(
                    f"a twin of {one.strength:g} reflections does not differ from the truth, which has at most "
                    f"{self.csi.max_depth}; give fewer"
                )
        return self

    @property
    def train_size(self) -> int:
        """Training matrices of every codec."""
        return max(self.csi.evaluation.train_sizes)

    @property
    def twins(self) -> tuple[Difference, ...]:
        """All twins, the perfect one first."""
        return Difference(kind=PERFECT), *self.differences


def _differences(strengths: dict[str, Sequence[float]]) -> tuple[Difference, ...]:
    """The twins of a profile, in the order of the page."""
    found = [Difference(kind="plain"), Difference(kind="wrong site")]
    found += [Difference(kind=kind, choice=word) for kind in ("trees", "materials") for word in WORDS[kind]]
    found += [Difference(kind="pattern", choice=word) for word in WORDS["pattern"]]
    found += [Difference(kind=cast(Kind, kind), strength=one) for kind, own in strengths.items() for one in own]
    return tuple(found)


_STRENGTHS: dict[str, dict[str, Sequence[float]]] = {
    "quick": {"walls": (0.5, 2), "heights": (0.5, 4), "order": (0, 1), "yaw": (1, 5), "station": (1,)},
    "full": {
        "walls": (0.5, 1, 2, 4),
        "heights": (0.5, 2, 4),
        "order": (0, 1, 2, 3),
        "yaw": (0.5, 1, 2, 5, 10),
        "station": (1, 3),
    },
}
_ORDER = {"quick": 3, "full": 4}  # most reflections of the truth: one more than the most of its twins


def fidelity_study(
    profile: str,
    site: Cell = MUNICH,
    wrong_site: Cell = FLORENCE,
    *,
    methods: Sequence[str] | None = None,
    bits: int | None = None,
    seeds: int | None = None,
) -> FidelityStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" takes users 1.5 m or more apart, one or two strengths of a kind, one seed, and a truth of at
            most three reflections; "full" users 1 m or more apart, all strengths, five seeds, and four reflections.
        site: The cell under study.
        wrong_site: A cell elsewhere.
        methods: Codecs; the hybrid one, its two halves by default.
        bits: Bits of a report; 128 by default.
        seeds: Number of seeds.

    Raises:
        SiteTwinError: The profile or a method is unknown, a method stands twice, or bits or seeds are none.
    """
    if profile not in _STRENGTHS:
        raise SiteTwinError(f"there is no profile '{profile}'; choose quick or full")
    quick = profile == "quick"
    count = (1 if quick else 5) if seeds is None else seeds
    if count < 1:
        raise SiteTwinError(f"{count} seeds were asked for; give at least one")
    evaluation = Evaluation(
        seeds=tuple(range(count)), test_users=1000 if quick else 2000, train_sizes=(2560 if quick else 5120,)
    )
    spacing = 1.5 if quick else 1.0
    cells = {
        name: cell.model_copy(update={"spacing": max(spacing, cell.spacing)})
        for name, cell in (("site", site), ("wrong_site", wrong_site))
    }
    csi = csi_study("quick").model_copy(
        update={
            **cells,
            "evaluation": evaluation,
            "link": RadioLink(paths=ALL_PATHS),
            "max_depth": _ORDER[profile],
        }
    )
    given: dict[str, Any] = {
        name: value
        for name, value in (("methods", None if methods is None else tuple(methods)), ("bits", bits))
        if value is not None
    }
    try:
        return FidelityStudy(
            profile=cast(Profile, profile), csi=csi, differences=_differences(_STRENGTHS[profile]), **given
        )
    except ValidationError as error:
        raise SiteTwinError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error

"""How a codec in use is looked after, and what happened to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sitetwin.errors import SiteTwinError
from sitetwin.learn.upkeep.detector import ChangeDetector
from sitetwin.learn.upkeep.levels import ErrorLevels

What = Literal["alarm", "updated", "kept"]

_MOST_RECENT = 1_000_000


@dataclass(frozen=True)
class MonitorSettings:
    """How a codec is looked after.

    Attributes:
        reports_between_false_alarms: Reports that pass on average, at least, before an alarm without a change; the
            condition is that of `ChangeDetector`.
        levels: How users report their error.
        keep: Uploads that an update is trained with. They come from users whose error is at or above a threshold.
        check: Uploads of users whatever their error, on which the next version has to be better than the present one.
        rounds: Most updates after one alarm: another collection begins while the last update was better.
        asked_share: The threshold is the level that about this share of the latest reports reach.
        check_every: While uploads are collected, each report of this number is one for the check.
        recent: The latest reports, of which the threshold is taken.
        bits_per_real: Bits of a real number of an upload.
        seed: Seed of ties and updates.

    Raises:
        SiteTwinError: A number is out of its range.
    """

    reports_between_false_alarms: float = 100_000
    levels: ErrorLevels = field(default_factory=ErrorLevels)
    keep: int = 40
    check: int = 20
    rounds: int = 1
    asked_share: float = 0.1
    check_every: int = 10
    recent: int = 200
    bits_per_real: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("keep", 1),
            ("check", 1),
            ("rounds", 1),
            ("check_every", 2),
            ("recent", 1),
            ("bits_per_real", 1),
        ):
            if getattr(self, name) < least:
                raise SiteTwinError(f"{name} is {getattr(self, name)}; give {least} or more")
        if self.recent > _MOST_RECENT or self.seed < 0:
            raise SiteTwinError(
                f"recent is {self.recent} and seed {self.seed}; give at most {_MOST_RECENT}, and 0 or more"
            )
        if not 0 < self.asked_share <= 1:
            raise SiteTwinError(f"asked_share is {self.asked_share}; give a share above 0, at most 1")
        ChangeDetector(self.levels.count, self.reports_between_false_alarms)  # refuses what is no rate


@dataclass(frozen=True)
class Event:
    """What happened.

    Attributes:
        report: Number of reports so far.
        what: "alarm": users are served otherwise than before. "updated": the next version is in use. "kept": it was no
            better on the uploads for the check, and the present one stays in use.
        direction: Whether errors became "worse" or "better"; "" where it is no alarm.
        version: Version of the codec in use from here on.
        before_db: NMSE before: at an alarm of the latest reports as their levels tell it, else of the present version
            on the uploads for the check.
        after_db: NMSE of the next version on the uploads for the check; None at an alarm.
        uploads: Whole channels that were asked for; None at an alarm.
        reason: Why no next version could be made, where that is so.
    """

    report: int
    what: What
    direction: str
    version: int
    before_db: float
    after_db: float | None = None
    uploads: int | None = None
    reason: str = ""

    @property
    def in_words(self) -> str:
        """One sentence."""
        if self.what == "alarm":
            change = "served worse" if self.direction == "worse" else "served better"
            return f"report {self.report:,}: users are {change} than before ({self.before_db:.1f} dB of late)"
        if self.after_db is None:
            return (
                f"report {self.report:,}: no update was made ({self.reason}), and version {self.version} stays in use"
            )
        judged = f"{self.after_db:.1f} dB against {self.before_db:.1f} dB on the uploads for the check"
        if self.what == "updated":
            return f"report {self.report:,}: version {self.version} came into use, {judged}"
        return f"report {self.report:,}: an update was no better ({judged}), and version {self.version} stays in use"

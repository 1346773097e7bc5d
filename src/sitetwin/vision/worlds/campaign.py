"""Record drives of many worlds until there are enough moments; go on where it ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import is_missing, read_json
from sitetwin.vision.worlds.drives import Drive, Schedule, make_drive, natural_share
from sitetwin.vision.worlds.reading import Recording, read_recording
from sitetwin.vision.worlds.recording import Choices, record_drive
from sitetwin.vision.worlds.sums import replace_file
from sitetwin.vision.worlds.world import World, WorldPlan, default_worlds, make_world

_MOST_DRIVES, _AT_ONCE = 400, 2  # of one world; and how many of it follow each other, seen by one renderer


@dataclass(frozen=True)
class Campaign:
    """What is recorded.

    Attributes:
        worlds: The streets.
        blocked: Blocked moments, at least; they are spread evenly over the streets.
        clear: Clear moments, at least.
        schedule: When frames are made.
        choices: What is recorded of each drive.

    Raises:
        SiteTwinError: There is no street, or nothing is asked for.
    """

    worlds: tuple[WorldPlan, ...] = tuple(default_worlds())
    blocked: int = 250
    clear: int = 250
    schedule: Schedule = Schedule()  # noqa: RUF009  # frozen
    choices: Choices = Choices()  # noqa: RUF009  # frozen

    def __post_init__(self) -> None:
        if not self.worlds or self.blocked < 1 or self.clear < 1:
            raise SiteTwinError("a campaign needs a street, and at least one blocked and one clear moment")
        if len({plan.name for plan in self.worlds}) != len(self.worlds):
            raise SiteTwinError("two streets of the campaign have one name; give each its own")


def choose_drives(campaign: Campaign, worlds: Sequence[World]) -> tuple[list[tuple[int, Drive]], float]:
    """Make drives, some of each street in turns, until there are enough moments of both kinds.

    Drives without any judged moment are made, and count for the natural share, but are not recorded.

    Returns:
        The number of the street and the drive for each that is to be recorded, and the natural share of blocked frames.

    Raises:
        SiteTwinError: The streets have too few blockages.
    """
    kept: list[tuple[int, Drive]] = []
    every: list[Drive] = []
    blocked = clear = 0
    for first in range(0, _MOST_DRIVES, _AT_ONCE):
        for place, world in enumerate(worlds):
            for number in range(first, first + _AT_ONCE):
                drive = make_drive(world, number, campaign.schedule)
                every.append(drive)
                if drive.judged.any():
                    kept.append((place, drive))
                    blocked += int((drive.judged & drive.blocked).sum())
                    clear += int((drive.judged & ~drive.blocked).sum())
        if blocked >= campaign.blocked and clear >= campaign.clear:
            return kept, natural_share(every)
    raise SiteTwinError(
        f"{_MOST_DRIVES} drives a street give {blocked} blocked and {clear} clear moments only; ask for fewer, or for "
        "more traffic"
    )


def record_campaign(
    campaign: Campaign, folder: str | Path, progress: Callable[[str, float], None] | None = None
) -> list[Path]:
    """Record a campaign, or what is left of it.

    Args:
        campaign: What is recorded.
        folder: Folder in which each drive gets its own; ``campaign.json`` holds the natural share of blocked frames.
        progress: Called with the name of a drive and the share of all drives that are done.

    Returns:
        The folders of the drives.

    Raises:
        SiteTwinError: A folder holds another recording, or cannot be written.

    Warns:
        SiteTwinWarning: A file was changed or damaged after it was recorded, so that it is made again.
    """
    folder = Path(folder)
    worlds = [make_world(plan) for plan in campaign.worlds]
    drives, share = choose_drives(campaign, worlds)
    names = [f"{worlds[place].plan.name}/drive-{drive.number:03d}" for place, drive in drives]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        about = {"format": "sitetwin-campaign", "version": 1, "natural_blocked_share": share, "drives": names}
        replace_file(folder / "campaign.json", json.dumps(about, indent=1).encode())
    except OSError as error:
        raise SiteTwinError(f"'{folder}' cannot be written: {error.strerror}; choose another folder") from error
    done = 0
    for place, together in groupby(zip(names, drives, strict=True), key=lambda pair: pair[1][0]):
        with worlds[place].renderer() as renderer:
            for name, (_, drive) in together:
                record_drive(worlds[place], drive, folder / name, campaign.choices, renderer=renderer)
                done += 1
                if progress is not None:
                    progress(name, done / len(drives))
    return [folder / name for name in names]


def read_campaign(folder: str | Path) -> tuple[list[Recording], float]:
    """Read what `record_campaign` wrote: the drives that are finished, and the natural share of blocked frames.

    Raises:
        SiteTwinError: The folder holds no campaign, or a file of it is damaged.
    """
    path = Path(folder) / "campaign.json"
    mend = "record the campaign again"
    about = read_json(path, f"'{path}'", mend=mend)
    try:
        if about["format"] != "sitetwin-campaign" or about["version"] != 1:
            raise SiteTwinError(f"'{path}' is of another format or version; {mend}")
        share, names = float(about["natural_blocked_share"]), [str(name) for name in about["drives"]]
        inside = all(
            Path(name).parts and ".." not in Path(name).parts and not Path(name).is_absolute() for name in names
        )
        if not (inside and np.isfinite(share) and 0 <= share <= 1):
            raise ValueError("a share or a folder that cannot be")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise SiteTwinError(f"'{path}' is damaged ({type(error).__name__}: {error}); {mend}") from error
    finished = [name for name in names if not is_missing(Path(folder) / name / "powers.csv")]
    return [read_recording(Path(folder) / name) for name in finished], share

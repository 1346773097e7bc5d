"""Record or read drives through synthetic streets, let twins follow them, and judge their beams."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import CONFIGURATION, Progress
from sitetwin.studies.vision.closed_loop.following import TRUE, Follower
from sitetwin.studies.vision.closed_loop.notes import loop_notes
from sitetwin.studies.vision.closed_loop.scores import Answers, Moments, Resampling, blockage_row, judged_rows
from sitetwin.studies.vision.config import ClosedLoop, VisionStudy
from sitetwin.studies.vision.printed.chain import run_printed
from sitetwin.studies.vision.printed.moments import rendered_moments
from sitetwin.studies.vision.scenes import scenes_of
from sitetwin.untrusted import is_missing, read_bytes, read_json
from sitetwin.vision import Detector
from sitetwin.vision.networks.lines import LineNetwork
from sitetwin.vision.scene.street_twin import AHEAD_S, TwinOptions
from sitetwin.vision.worlds import (
    Campaign,
    Recording,
    default_worlds,
    read_campaign,
    read_recording,
    record_campaign,
)
from sitetwin.vision.worlds.sums import Sums

SIGHT = "GPS line of sight"
TRACKED = "line of sight to the tracked user"
TWIN = "traced twin"
MAP_FREE = "traced twin without a map"

Parts = dict[str, list[list[dict[str, Any]]]]
"""For each perception and drive what the twin said of each judged moment."""

_LARGEST = 64 * 2**20
_FILES = ("drive.json", "gps.csv", "powers.csv", "boxes.csv")


@dataclass(frozen=True, eq=False)
class Drives:
    """What is followed.

    Attributes:
        recordings: The drives.
        share: Natural share of blocked frames.
        unfinished: Drives of the campaign that have no powers or no pictures yet.
        made_here: Whether this study recorded them.
    """

    recordings: tuple[Recording, ...]
    share: float
    unfinished: int
    made_here: bool


def campaign_of(loop: ClosedLoop) -> Campaign:
    """Return the campaign that a study records."""
    return Campaign(tuple(default_worlds(loop.streets, loop.seed)), blocked=loop.blocked, clear=loop.clear)


def identity_of(folder: Path) -> str:
    """SHA-256 of all files of a campaign of recordings.

    Raises:
        SiteTwinError: The folder holds no campaign, or a file of it is damaged, or was changed since it was recorded.
    """
    recordings, share = read_campaign(folder)
    found = hashlib.sha256(repr(share).encode())
    for one in recordings:
        Sums(one.folder).check()
        files = [one.folder / name for name in _FILES]
        for number in one.numbers.tolist():
            files += [one.folder / "frames" / f"{number:05d}.jpg", one.folder / "truth" / f"{number:05d}.npz"]
        for file in files:
            content = b"" if is_missing(file) else read_bytes(file, f"'{file}'", _LARGEST, "record the drive again")
            found.update(hashlib.sha256(content).digest())
    return found.hexdigest()


def drives_of(
    study: VisionStudy,
    folder: Path,
    recordings: Path | None,
    progress: Progress,
    follower: Follower | None = None,
) -> Drives:
    """Read the drives of a folder, or record those of the study into its own.

    Args:
        study: The configuration.
        folder: The study's folder.
        recordings: Folder of a campaign; None records one.
        progress: Is told the stage and its share.
        follower: Follows each drive as soon as it is recorded, so that a run that is stopped has results of what it
            recorded; where cameras are fitted, it finds the boxes alone.

    Raises:
        SiteTwinError: No drive of the campaign is finished.
    """
    if recordings is not None:
        return _finished(recordings, False)
    own, done = folder / "campaign", 0

    def recorded(name: str, share: float) -> None:
        nonlocal done
        progress("recording", share)
        if follower is not None:
            (follower.look if follower.fits else follower.follow)(done, read_recording(own / name))
        done += 1

    progress("recording", 0.0)
    record_campaign(campaign_of(study.loop), own, recorded)
    return _finished(own, True)


def _finished(folder: Path, made_here: bool) -> Drives:
    read, share = read_campaign(folder)
    with_pictures = tuple(one for one in read if not is_missing(one.folder / "boxes.csv"))
    names = read_json(folder / "campaign.json", f"'{folder / 'campaign.json'}'")["drives"]
    if not with_pictures:
        raise SiteTwinError(
            f"'{folder}' holds no finished drive with pictures; let the recording end, or give another folder"
        )
    return Drives(with_pictures, share, len(names) - len(with_pictures), made_here)


def closed_loop(
    study: VisionStudy, drives: Drives, follower: Follower, progress: Progress
) -> tuple[dict[str, Any], dict[str, dict[str, float]], list[dict[str, Any]]]:
    """Follow all drives and judge the beams.

    Args:
        study: The configuration.
        drives: What is followed.
        follower: Follows them.
        progress: Is told the stage and its share.

    Returns:
        The results; the median seconds of each stage for each perception, which do not repeat; and the drives that the
        page shows.

    Raises:
        SiteTwinError: Blocked or clear moments are missing.
    """
    parts: Parts = {name: [] for name in follower.eyes}
    fits = follower.fit(drives.recordings) if follower.fits else []
    for number, recording in enumerate(drives.recordings):
        progress("following", number / len(drives.recordings))
        for name, said in follower.follow(number, recording).items():
            parts[name].append(said)
    progress("following", 1.0)
    found = judged(study, drives, parts)
    found["notes"] += fits
    made = [follower.world_of(one) for one in drives.recordings]
    moments = rendered_moments(drives.recordings, made, drives.share, parts, TwinOptions().antenna)
    found["printed"], printed = run_printed(study, moments, follower.folder, follower.key, progress)
    shown = scenes_of(drives.recordings, made, moments, parts, printed, study.measured.strongest)
    return found, _seconds(parts), shown


def so_far(folder: Path, detector: Detector | None, lines: LineNetwork | None = None) -> dict[str, Any]:
    """Judge those drives of a study's own campaign that were followed by now, while it runs or after it was stopped.

    Args:
        folder: The study's folder.
        detector: The networks of the study; None leaves them out.
        lines: Its network of lines, if it had one.

    Returns:
        The results, and the number of separate blockages.

    Raises:
        SiteTwinError: The folder holds no study, or no drive was followed, or moments of one kind are missing.
    """
    path = folder / CONFIGURATION
    mend = "give the folder of a vision study"
    claim = read_json(path, f"'{path}'", mend=mend)
    try:
        study, key = VisionStudy.model_validate(claim["configuration"]), str(claim["hash"])
    except (KeyError, TypeError, ValueError) as error:
        raise SiteTwinError(f"'{path}' is not that of a vision study; {mend}") from error
    follower = Follower(study, folder, key, detector, lines)
    drives = _finished(folder / "campaign", True)
    numbers = [
        number
        for number, one in enumerate(drives.recordings)
        if all(follower.kept(number, name, one) is not None for name in follower.eyes)
    ]
    left = len(drives.recordings) + drives.unfinished - len(numbers)
    some = Drives(tuple(drives.recordings[number] for number in numbers), drives.share, left, True)
    parts: Parts = {
        name: [follower.kept(number, name, drives.recordings[number]) or [] for number in numbers]
        for name in follower.eyes
    }
    blockages = sum(len(set(one.window[one.judged & one.blocked].tolist())) for one in some.recordings)
    return {**judged(study, some, parts), "blockages": blockages}


def judged(study: VisionStudy, drives: Drives, parts: Parts) -> dict[str, Any]:
    """Rows of the tables from what the twins said of each drive."""
    rows = [(number, row["row"]) for number, drive in enumerate(parts[TRUE]) for row in drive]
    moments = _moments(drives, rows)
    said = {name: [row for drive in parts[name] for row in drive] for name in parts}
    answers = {SIGHT: Answers(_column(said[TRUE], "sight"))}
    for name in [name for name in ("networks", TRUE) if name in said]:
        answers[f"{TRACKED}, {name}"] = Answers(_column(said[name], "tracked"))
        answers[f"{TWIN}, {name}"] = Answers(_column(said[name], "order"), _column(said[name], "sweep"))
        answers[f"{MAP_FREE}, {name}"] = Answers(_column(said[name], "order_map_free"))
    drawn = Resampling(moments, study.bootstrap_draws, study.seed)
    other = sum(bool(drives.recordings[n].other_engine[row]) for n, row in rows)
    streets = {str(one.world.get("name")) for one in drives.recordings}
    return {
        "streets": len(streets),
        "drives": len({number for number, _ in rows}),
        "moments": len(rows),
        "blocked": int(moments.blocked.sum()),
        "natural_share": drives.share,
        "other_engine": other,
        "rows": list(judged_rows(moments, answers, SIGHT, drawn)),
        "blockage": [
            {
                "perception": name,
                "ahead_s": AHEAD_S if ahead else 0.0,
                **blockage_row(moments, _column(said[name], "ahead" if ahead else "blocked"), ahead, drawn),
            }
            for name in said
            for ahead in (False, True)
        ],
        "off_m": {name: float(np.median(_column(said[name], "off_m"))) for name in said},
        "notes": loop_notes(
            study,
            drives.recordings,
            len(rows),
            other,
            unfinished=drives.unfinished,
            made_here=drives.made_here,
            networks="networks" in said,
        ),
    }


def _moments(drives: Drives, rows: Sequence[tuple[int, int]]) -> Moments:
    if not rows:
        raise SiteTwinError("the drives have no judged moment; record more of them")
    taken = [(drives.recordings[number], row) for number, row in rows]
    return Moments(
        np.stack([one.powers[row] for one, row in taken]),
        np.array([bool(one.blocked[row]) for one, row in taken]),
        np.array([_ahead(one, row) for one, row in taken]),
        np.array([number for number, _ in rows]),
        drives.share,
    )


def _ahead(recording: Recording, row: int) -> int:
    """Whether a vehicle blocks half a second later, where a frame was rendered then and no house or pole hides."""
    later = np.flatnonzero((np.abs(recording.times - recording.times[row] - AHEAD_S) < 1e-3) & ~recording.fixed)
    return int(recording.blocked[later[0]]) if len(later) else -1


def _column(said: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in said])


def _seconds(parts: Parts) -> dict[str, dict[str, float]]:
    """Median seconds of each stage."""
    found = {}
    for name, drives in parts.items():
        rows = [row["seconds"] for drive in drives for row in drive]
        found[name] = {stage: float(np.median([row[stage] for row in rows])) for stage in (rows[0] if rows else ())}
    return found

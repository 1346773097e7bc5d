"""Record or read drives through synthetic streets, let twins follow them, and judge their beams."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.studies.frame import Progress, read_part, write_part
from sitetwin.studies.vision.closed_loop.scores import Answers, Moments, Resampling, blockage_row, judged_rows
from sitetwin.studies.vision.config import ClosedLoop, VisionStudy
from sitetwin.studies.vision.printed.chain import run_printed
from sitetwin.studies.vision.printed.eyes import kept_moment
from sitetwin.studies.vision.printed.moments import rendered_moments
from sitetwin.studies.vision.scenes import scenes_of
from sitetwin.untrusted import is_missing, read_bytes, read_json
from sitetwin.vision import Detector, PerfectDetector
from sitetwin.vision.networks.lines import LineNetwork
from sitetwin.vision.scene import sight_powers
from sitetwin.vision.scene.street_twin import AHEAD_S, TwinOptions
from sitetwin.vision.worlds import (
    Campaign,
    Recording,
    World,
    default_worlds,
    follow,
    read_campaign,
    record_campaign,
    recorded_world,
)

SIGHT = "GPS line of sight"
TRACKED = "line of sight to the tracked user"
TWIN = "traced twin"
TRUE = "true boxes"

_DEVELOPMENT = frozenset(range(10))  # seeds of the streets on which the ranking's threshold was chosen
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
        SiteTwinError: The folder holds no campaign, or a file of it is damaged.
    """
    recordings, share = read_campaign(folder)
    found = hashlib.sha256(repr(share).encode())
    for one in recordings:
        files = [one.folder / name for name in _FILES]
        for number in one.numbers.tolist():
            files += [one.folder / "frames" / f"{number:05d}.jpg", one.folder / "truth" / f"{number:05d}.npz"]
        for file in files:
            content = b"" if is_missing(file) else read_bytes(file, f"'{file}'", _LARGEST, "record the drive again")
            found.update(hashlib.sha256(content).digest())
    return found.hexdigest()


def drives_of(study: VisionStudy, folder: Path, recordings: Path | None, progress: Progress) -> Drives:
    """Read the drives of a folder, or record those of the study into its own.

    Args:
        study: The configuration.
        folder: The study's folder.
        recordings: Folder of a campaign; None records one.
        progress: Is told the stage and its share.

    Raises:
        SiteTwinError: No drive of the campaign is finished.
    """
    if recordings is None:
        own = folder / "campaign"
        progress("recording", 0.0)
        record_campaign(campaign_of(study.loop), own, lambda name, share: progress("recording", share))
        return _finished(own, True)
    return _finished(recordings, False)


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
    study: VisionStudy,
    drives: Drives,
    folder: Path,
    key: str,
    detector: Detector | None,
    progress: Progress,
    lines: LineNetwork | None = None,
) -> tuple[dict[str, Any], dict[str, dict[str, float]], list[dict[str, Any]]]:
    """Follow all drives and judge the beams.

    Args:
        study: The configuration.
        drives: What is followed.
        folder: The study's folder; each drive and perception is a part of it, so that a stopped run goes on.
        key: Of the parts.
        detector: Networks for real perception; None leaves it out.
        progress: Is told the stage and its share.
        lines: Finds poles for the published chain, beside the detector; None leaves them out.

    Returns:
        The results; the median seconds of each stage for each perception, which do not repeat; and the drives that the
        page shows.

    Raises:
        SiteTwinError: Blocked or clear moments are missing.
    """
    eyes: dict[str, Detector] = {TRUE: PerfectDetector()} | ({} if detector is None else {"networks": detector})
    worlds: dict[str, World] = {}
    parts: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in eyes}
    jobs = [(name, number) for number in range(len(drives.recordings)) for name in eyes]
    for done, (name, number) in enumerate(jobs):
        progress("following", done / len(jobs))
        recording = drives.recordings[number]
        path = folder / "parts" / f"drive-{number:04d}-{name.replace(' ', '-')}.json"
        held = f"{key} {eyes[name].name}" + (" and poles" if lines is not None and name != TRUE else "")
        kept = read_part(path, held)
        if kept is None:
            world = _world_of(recording, worlds)
            kept = list(_followed(study, recording, world, eyes[name], lines, name == TRUE))
            write_part(path, held, kept)
        parts[name].append(kept)
    progress("following", 1.0)
    found = _judged(study, drives, parts)
    made = [_world_of(one, worlds) for one in drives.recordings]
    moments = rendered_moments(drives.recordings, made, drives.share, parts, TwinOptions().antenna)
    found["printed"], said = run_printed(study, moments, folder, key, progress)
    shown = scenes_of(drives.recordings, made, moments, parts, said, study.measured.strongest)
    return found, _seconds(parts), shown


def _world_of(recording: Recording, made: dict[str, World]) -> World:
    """The world of a recording, made once for all drives through it."""
    plan = json.dumps(recording.world, sort_keys=True)
    if plan not in made:
        made[plan] = recorded_world(recording)
    return made[plan]


def _followed(
    study: VisionStudy,
    recording: Recording,
    world: World,
    detector: Detector,
    lines: LineNetwork | None,
    perfect: bool,
) -> Iterator[dict[str, Any]]:
    """What a twin says of each judged moment of a drive, as plain values."""
    options = TwinOptions(draws=study.loop.draws)
    for one in follow(recording, world.known, world.station, detector, options=options, seed=study.seed):
        fix = np.array([[*recording.fixes[one.row], options.antenna]])  # streets are level, at the height 0
        tracked = np.array([[*one.moment.user.position, options.antenna]])
        yield {
            "row": one.row,
            "order": one.ranking.order.tolist(),
            "sweep": one.ranking.sweep,
            "ranked_by": one.ranking.source,
            "sight": _ranked(sight_powers(world.station, fix)),
            "tracked": _ranked(sight_powers(world.station, tracked)),
            "blocked": one.moment.blocked,
            "ahead": one.moment.blocked_ahead,
            "off_m": float(np.linalg.norm(one.moment.user.position - recording.true_places[one.row, :2])),
            "flags": list(one.moment.flags),
            "seconds": one.seconds,
            "scene": kept_moment(recording, world, one, lines, perfect),
        }


def _ranked(powers: np.ndarray) -> list[int]:
    return [int(beam) for beam in np.argsort(-powers[0], kind="stable")]


def _judged(study: VisionStudy, drives: Drives, parts: dict[str, list[list[dict[str, Any]]]]) -> dict[str, Any]:
    """Rows of the tables from what the twins said."""
    rows = [(number, row["row"]) for number, drive in enumerate(parts["true boxes"]) for row in drive]
    moments = _moments(drives, rows)
    said = {name: [row for drive in parts[name] for row in drive] for name in parts}
    answers = {SIGHT: Answers(_column(said["true boxes"], "sight"))}
    for name in [name for name in ("networks", "true boxes") if name in said]:
        answers[f"{TRACKED}, {name}"] = Answers(_column(said[name], "tracked"))
        answers[f"{TWIN}, {name}"] = Answers(_column(said[name], "order"), _column(said[name], "sweep"))
    drawn = Resampling(moments, study.bootstrap_draws, study.seed)
    streets = {str(one.world.get("name")) for one in drives.recordings}
    return {
        "streets": len(streets),
        "drives": len({number for number, _ in rows}),
        "moments": len(rows),
        "blocked": int(moments.blocked.sum()),
        "natural_share": drives.share,
        "other_engine": sum(bool(drives.recordings[n].other_engine[row]) for n, row in rows),
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
        "notes": _notes(study, drives, "networks" in said),
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
    """Whether the user is blocked half a second later, where a frame was rendered then."""
    later = np.flatnonzero(np.abs(recording.times - recording.times[row] - AHEAD_S) < 1e-3)
    return int(recording.blocked[later[0]]) if len(later) else -1


def _column(said: Sequence[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([row[name] for row in said])


def _seconds(parts: dict[str, list[list[dict[str, Any]]]]) -> dict[str, dict[str, float]]:
    """Median seconds of each stage."""
    found = {}
    for name, drives in parts.items():
        rows = [row["seconds"] for drive in drives for row in drive]
        found[name] = {stage: float(np.median([row[stage] for row in rows])) for stage in (rows[0] if rows else ())}
    return found


def _notes(study: VisionStudy, drives: Drives, networks: bool) -> list[str]:
    """What a reader of the closed loop must know."""
    notes = [
        "The closed loop is synthetic: streets, traffic, images, positions and powers are made. No recording with "
        "images, measured powers and a map is public.",
        "The truth has bodies of vehicles, poles, trees and materials that the twin does not know; its map is off by "
        "0.3 m. Every fifth moment has powers of another ray tracer (Sionna RT).",
        "Blocked moments are sampled more often than they happen. Rows of the natural share weigh them as they happen.",
        "A layer-1 beam is one of six equal runs of the narrow beams; a method's is that of its first narrow beam.",
        "Powers hold the receiver's noise, 28 dB under a user in line of sight 15 m away: losses end there.",
        "Intervals draw whole drives. Blockages of one drive are not independent.",
    ]
    if not networks:
        notes.append("Networks are left out: true boxes stand for perception.")
    seeds = {one.world.get("street", {}).get("seed") for one in drives.recordings}
    if seeds & _DEVELOPMENT:
        notes.append(
            "Some drives go through streets on which the threshold of the ranking was chosen: figures are optimistic."
        )
    else:
        notes.append("The threshold of the ranking was chosen on other streets and drives.")
    if drives.unfinished:
        notes.append(f"{drives.unfinished} drives of the campaign are not finished, and were left out.")
    if study.profile == "quick" and drives.made_here:
        notes.append("Profile quick has about 60 moments: its intervals are wide, and it carries no bound.")
    return notes

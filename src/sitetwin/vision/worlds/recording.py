"""Recordings of drives on disk: frames, boxes, GPS and powers, made step by step and resumed where they ended.

One folder for each drive::

    drive.json        camera, station, window and class of each frame, link budget
    gps.csv           time_s, frame, east_m, north_m (the fix), true_east_m, true_north_m, true_up_m
    powers.csv        frame, then the power of each beam in mW; judged frames only
    boxes.csv         one row for each vehicle and rendered frame: what is true of it
    frames/00012.jpg  the image
    truth/00012.npz   depth along the axis (metres) and number of the vehicle of each pixel
    sums.json         SHA-256 of powers.csv, boxes.csv, frames and truth: what was changed since is made again

`frames` and `gps.csv` are all that a recording of a real camera needs.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import LARGEST_JSON, read_bytes, read_json
from sitetwin.vision.networks.runtime import need
from sitetwin.vision.render import Picture, Renderer
from sitetwin.vision.worlds.drives import Drive
from sitetwin.vision.worlds.sums import Sums, replace_file
from sitetwin.vision.worlds.truth import Engine, LinkBudget, true_powers
from sitetwin.vision.worlds.world import World

GPS_SIGMA = 0.5
"""Standard deviation of a fix, east and north alike, metres."""

GPS_LASTING, GPS_SECONDS = 0.8, 10.0
"""Share of the fixes' variance that lasts, and the time in which it falls to 1/e."""

OTHER_ENGINE = 5
"""Every fifth judged frame has its powers from Sionna RT."""

REACH = 75.0
"""Metres from the middle of the street, beyond which vehicles are neither seen nor traced: they are some pixels."""

_QUALITY = 92
_POWERS, _BOXES = "powers.csv", "boxes.csv"
BOX_COLUMNS = (
    *("frame", "identity", "name", "kind", "east_m", "north_m", "heading_rad", "speed_m_s"),
    *("length_m", "width_m", "height_m", "left", "upper", "right", "lower", "pixels", "whole", "cut"),
)
GPS_COLUMNS = ("time_s", "frame", "east_m", "north_m", "true_east_m", "true_north_m", "true_up_m")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Choices:
    """What of a drive is recorded.

    Attributes:
        gps_sigma: Metres.
        budget: The link budget.
        pictures: Whether frames are rendered; powers and boxes cost less without.
    """

    gps_sigma: float = GPS_SIGMA
    budget: LinkBudget = LinkBudget()  # noqa: RUF009  # frozen
    pictures: bool = True


def gps_fixes(
    times: Float[np.ndarray, " frames"], places: Float[np.ndarray, "frames 2"], sigma: float, rng: np.random.Generator
) -> Float[np.ndarray, "frames 2"]:
    """Return fixes of places: their error is in part a Gauss-Markov process and in part independent.

    Args:
        times: Seconds, ascending.
        places: Metres.
        sigma: Standard deviation of each coordinate, metres.
        rng: Source of randomness.
    """
    lasting, passing = sigma * np.sqrt(GPS_LASTING), sigma * np.sqrt(1 - GPS_LASTING)
    error = np.zeros((len(times), 2))
    state = lasting * rng.standard_normal(2)
    for k in range(len(times)):
        if k:
            kept = np.exp(-(times[k] - times[k - 1]) / GPS_SECONDS)
            state = kept * state + lasting * np.sqrt(1 - kept**2) * rng.standard_normal(2)
        error[k] = state + passing * rng.standard_normal(2)
    return places + error


def record_drive(
    world: World,
    drive: Drive,
    folder: str | Path,
    choices: Choices | None = None,
    progress: Progress | None = None,
    renderer: Renderer | None = None,
) -> Path:
    """Record a drive, or what is left of it, into a folder.

    What was made before is used again only if it is as it was made, by its checksum.

    Args:
        world: The world.
        drive: The drive.
        folder: Folder of the drive; made where it is missing.
        choices: What is recorded.
        progress: Called with the stage and its share.
        renderer: That of the world, which stays open; by default one is started and ended.

    Raises:
        SiteTwinError: The folder holds the recording of another drive, or cannot be written.

    Warns:
        SiteTwinWarning: A file was changed or damaged after it was recorded, so that it is made again.
    """
    choices, folder = choices or Choices(), Path(folder)
    tell = progress or (lambda stage, share: None)
    try:
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        (folder / "truth").mkdir(exist_ok=True)
        _claim(folder, _description(world, drive, choices))
        _write_gps(folder, world, drive, choices)
        sums = Sums(folder)
        if not sums.sound(_POWERS):
            _write_powers(folder, world, drive, choices, lambda share: tell("powers", share))
            sums.keep(_POWERS)
        left = _left(folder, drive, sums) if choices.pictures else []
        if left:
            with nullcontext(renderer) if renderer is not None else world.renderer() as camera:
                _write_pictures(folder, camera, drive, left, sums, lambda share: tell("pictures", share))
        if choices.pictures:
            _join_boxes(folder, drive, sums)
    except OSError as error:
        raise SiteTwinError(
            f"the recording cannot be written to '{folder}': {error.strerror}; free space or choose another folder"
        ) from error
    return folder


def _description(world: World, drive: Drive, choices: Choices) -> dict[str, Any]:
    frames = np.flatnonzero(drive.rendered)
    return {
        "format": "sitetwin-drive",
        "version": 1,
        "world": asdict(world.plan),
        "drive": drive.number,
        "camera": asdict(world.camera),
        "station": {
            "pose": asdict(world.station.pose),
            "beams": world.station.beams,
            "half_span_rad": world.station.half_span,
        },
        "choices": asdict(choices),
        "noise_mw": choices.budget.noise_mw,
        "frames": frames.tolist(),
        "times_s": drive.times[frames].tolist(),
        "window": drive.window[frames].tolist(),
        "judged": drive.judged[frames].tolist(),
        "sight": [drive.sight[k] for k in frames],
    }


def _claim(folder: Path, description: dict[str, Any]) -> None:
    path = folder / "drive.json"
    text = json.dumps(description, indent=1)
    if path.exists() and read_bytes(path, f"'{path}'", LARGEST_JSON) != text.encode():
        raise SiteTwinError(f"'{folder}' holds the recording of another drive; remove it, or choose another folder")
    replace_file(path, text.encode())


def _table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    os.replace(partial, path)


def _write_gps(folder: Path, world: World, drive: Drive, choices: Choices) -> None:
    frames = np.flatnonzero(drive.rendered)
    rng = np.random.default_rng([world.plan.street.seed, drive.number, 5])
    true = np.array([drive.traffic.antenna_at(float(time)) for time in drive.times])
    fixes = gps_fixes(drive.times, true[:, :2], choices.gps_sigma, rng) if len(true) else np.zeros((0, 2))
    rows = [
        [f"{drive.times[k]:.4f}", int(k), *(f"{v:.4f}" for v in fixes[k]), *(f"{v:.4f}" for v in true[k])]
        for k in frames
    ]
    _table(folder / "gps.csv", GPS_COLUMNS, rows)


def _write_powers(
    folder: Path, world: World, drive: Drive, choices: Choices, progress: Callable[[float], None]
) -> None:
    rows, frames = [], np.flatnonzero(drive.judged)
    for done, frame in enumerate(frames.tolist()):
        time = float(drive.times[frame])
        engine: Engine = "sionna" if done % OTHER_ENGINE == OTHER_ENGINE - 1 else "sitetwin"
        rng = np.random.default_rng([world.plan.street.seed, drive.number, frame, 4])
        powers = true_powers(
            world.canyon.site,
            drive.traffic.at(time, REACH),
            world.station,
            drive.traffic.antenna_at(time),
            choices.budget,
            rng,
            engine=engine,
        )
        rows.append([frame, engine, *(f"{power:.6e}" for power in powers)])
        progress((done + 1) / len(frames))
    _table(folder / _POWERS, ("frame", "engine", *(f"beam_{k}" for k in range(world.station.beams))), rows)


def _left(folder: Path, drive: Drive, sums: Sums) -> list[int]:
    """Frames that are to be rendered: the image, the truth or the boxes of each is missing, or is not as it was made.

    Until all are there each frame has its own file of boxes; without the one of all, every frame needs its own.
    """
    joined = sums.sound(_BOXES)
    left = []
    for frame in np.flatnonzero(drive.rendered).tolist():
        image, truth, boxes = _files(frame)
        whole = [sums.sound(image), sums.sound(truth), joined or (sums.sound(boxes) and (folder / boxes).exists())]
        if not all(whole):
            left.append(frame)
    return left


def _files(frame: int) -> tuple[str, str, str]:
    """Image, truth and boxes of a frame, in the folder of its drive."""
    return f"frames/{frame:05d}.jpg", f"truth/{frame:05d}.npz", f"truth/{frame:05d}.json"


def _write_pictures(
    folder: Path, renderer: Renderer, drive: Drive, left: Sequence[int], sums: Sums, progress: Callable[[float], None]
) -> None:
    """Render frames one by one."""
    need("cv2")
    for done, frame in enumerate(left):
        _write_picture(folder, renderer, drive, frame)
        sums.keep(*_files(frame))
        progress((done + 1) / len(left))


def _join_boxes(folder: Path, drive: Drive, sums: Sums) -> None:
    """Make one table of the boxes of all frames, unless it is there."""
    names = [_files(frame)[2] for frame in np.flatnonzero(drive.rendered).tolist()]
    if not sums.sound(_BOXES):
        parts = [folder / name for name in names]
        rows = [row for part in parts for row in read_json(part, f"'{part}'", mend="remove the recording's folder")]
        _table(folder / _BOXES, BOX_COLUMNS, rows)
        sums.keep(_BOXES)
    sums.forget(*names)
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _write_picture(folder: Path, renderer: Renderer, drive: Drive, frame: int) -> None:
    import cv2

    time = float(drive.times[frame])
    rng = np.random.default_rng([drive.number, frame])
    picture = renderer.picture(drive.traffic.at(time, REACH), time=time, rng=rng)
    _, image = cv2.imencode(".jpg", picture.frame.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    replace_file(folder / "frames" / f"{frame:05d}.jpg", image.tobytes())
    truth = picture.frame.truth
    assert truth is not None
    arrays = BytesIO()
    np.savez_compressed(arrays, depth=truth.depth.astype(np.float16), identities=truth.identities.astype(np.int16))
    replace_file(folder / "truth" / f"{frame:05d}.npz", arrays.getvalue())
    replace_file(folder / "truth" / f"{frame:05d}.json", json.dumps(_boxes(frame, picture)).encode())


def _boxes(frame: int, picture: Picture) -> list[list[Any]]:
    """Rows of all vehicles that are in the image, hidden ones included."""
    rows = []
    for seen in picture.seen:
        if not seen.whole:
            continue
        vehicle = seen.vehicle
        box = ["" for _ in range(4)] if seen.box is None else [f"{edge:g}" for edge in seen.box]
        place = [
            f"{vehicle.position[0]:.4f}",
            f"{vehicle.position[1]:.4f}",
            f"{vehicle.yaw:.5f}",
            f"{vehicle.speed:.4f}",
        ]
        size = [f"{side:.4f}" for side in vehicle.size]
        counts = [seen.pixels, seen.whole, int(seen.cut)]
        rows.append([frame, seen.identity, vehicle.name, vehicle.kind, *place, *size, *box, *counts])
    return rows

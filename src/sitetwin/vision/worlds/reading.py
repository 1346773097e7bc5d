"""Recordings of drives, read back: moments with their history, and all that is true of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.site.places.pose import Pose
from sitetwin.untrusted import is_missing, naming, read_bytes, read_json
from sitetwin.untrusted.arrays import read_npz
from sitetwin.untrusted.texts import read_table
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import Frame, Truth, visible_share
from sitetwin.vision.images import frame_from_file
from sitetwin.vision.worlds.recording import BOX_COLUMNS, GPS_COLUMNS, Choices
from sitetwin.vision.worlds.sums import SUMS
from sitetwin.vision.worlds.truth import LinkBudget

_LARGEST_TABLE = 64 * 2**20
_MEND = "record the drive again"
_STRONGEST_LENS = 100.0


@dataclass(frozen=True)
class TrueBox:
    """What is true of one vehicle in one frame.

    Attributes:
        identity: Its number in `Truth.identities`; 0 is the user's own car.
        kind: Class.
        position: (2,) middle in plan, metres.
        heading: Radians.
        speed: m/s.
        size: Length, width and height, metres.
        box: Edges of its visible pixels; None where none is visible.
        pixels: Visible pixels.
        whole: Pixels that it would cover if nothing stood before it.
        cut: Whether its visible part touches the image's edge.
    """

    identity: int
    kind: str
    position: tuple[float, float]
    heading: float
    speed: float
    size: tuple[float, float, float]
    box: tuple[float, float, float, float] | None
    pixels: int
    whole: int
    cut: bool

    @property
    def share(self) -> float:
        """Visible share."""
        return visible_share(self.pixels, self.whole)


@dataclass(frozen=True, eq=False)
class Recording:
    """A drive on disk.

    Attributes:
        folder: Its folder.
        world: Plan of its world, as plain values.
        camera: The camera.
        numbers: (N,) numbers of the rendered frames, ascending; they count the lattice of the drive's times.
        times: (N,) seconds.
        window: (N,) window of each frame: its history begins with the first frame of its window.
        judged: (N,) bool.
        blocked: (N,) bool: a vehicle stands in the line of sight.
        fixes: (N, 2) GPS, metres.
        true_places: (N, 3) the user's antenna, metres.
        powers: (N, beams) mW; NaN where not judged.
        other_engine: (N,) bool: the powers are Sionna RT's.
        boxes: For each frame what is true of its vehicles.
        noise_mw: Mean noise in each power.
        fixed: (N,) bool: a house or a pole stands in the line of sight, and no vehicle.
        choices: What was recorded, and how.
        identity: SHA-256 of its description and of its checksums, where it has some.
    """

    folder: Path
    world: dict[str, Any]
    camera: Camera
    numbers: Int[np.ndarray, " frames"]
    times: Float[np.ndarray, " frames"]
    window: Int[np.ndarray, " frames"]
    judged: Bool[np.ndarray, " frames"]
    blocked: Bool[np.ndarray, " frames"]
    fixes: Float[np.ndarray, "frames 2"]
    true_places: Float[np.ndarray, "frames 3"]
    powers: Float[np.ndarray, "frames beams"]
    other_engine: Bool[np.ndarray, " frames"]
    boxes: tuple[tuple[TrueBox, ...], ...]
    noise_mw: float
    fixed: Bool[np.ndarray, " frames"]
    choices: Choices
    identity: str

    @property
    def clear(self) -> Bool[np.ndarray, " frames"]:
        """(N,) bool: nothing stands in the line of sight."""
        return ~(self.blocked | self.fixed)

    def frame(self, row: int) -> Frame:
        """Read the image and the truth of a frame; a broken image is flagged, as for any camera."""
        number = int(self.numbers[row])
        frame = frame_from_file(self.folder / "frames" / f"{number:05d}.jpg", self.camera, float(self.times[row]))
        path = self.folder / "truth" / f"{number:05d}.npz"
        with naming(path, f"'{path}'"):
            arrays = read_npz(path, f"'{path}'", _MEND, ("depth", "identities"))
            names = {box.identity: box.kind for box in self.boxes[row]}
            most = max([*names, int(arrays["identities"].max(initial=-1))], default=-1)
            kinds = tuple(names.get(k, "car") for k in range(most + 1))
            truth = Truth(arrays["depth"].astype(np.float64), arrays["identities"].astype(np.int32), kinds)
        return Frame(frame.image, frame.time, frame.source, truth, frame.flags)


def read_recording(folder: str | Path) -> Recording:
    """Read what `record_drive` wrote.

    Raises:
        SiteTwinError: The folder holds no finished recording, or a file of it is damaged.
    """
    folder = Path(folder)
    path = folder / "drive.json"
    about = read_json(path, f"'{path}'", mend=_MEND)
    try:
        if about["format"] != "sitetwin-drive" or about["version"] != 1:
            raise SiteTwinError(f"'{path}' is of another format or version; {_MEND}")
        return _read(folder, about)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise SiteTwinError(
            f"the recording in '{folder}' is damaged ({type(error).__name__}: {error}); {_MEND}"
        ) from error


def _read(folder: Path, about: dict[str, Any]) -> Recording:
    numbers = np.array(about["frames"], dtype=np.int64)
    count = len(numbers)
    gps = _numbers(folder / "gps.csv", GPS_COLUMNS)
    if gps.shape != (count, len(GPS_COLUMNS)) or not (gps[:, 1] == numbers).all():
        raise SiteTwinError(f"'{folder / 'gps.csv'}' is of other frames than drive.json; {_MEND}")
    beams = int(about["station"]["beams"])
    if not 2 <= beams <= 4096:
        raise ValueError(f"{beams} beams")
    powers, other = np.full((count, beams), np.nan), np.zeros(count, dtype=bool)
    row_of = {int(number): row for row, number in enumerate(numbers)}
    for line in _rows(folder / "powers.csv", beams + 2):
        row = row_of[int(line[0])]
        powers[row], other[row] = [float(v) for v in line[2:]], line[1] == "sionna"
    columns = [np.array(about[name]) for name in ("times_s", "window", "judged")]
    if any(column.shape != (count,) for column in (*columns, np.array(about["sight"]))):
        raise ValueError("columns of different lengths")
    times, window, judged = columns
    if not np.isfinite(times.astype(np.float64)).all():
        raise ValueError("times that are no numbers")
    return Recording(
        folder,
        dict(about["world"]),
        _camera(about["camera"], folder / "drive.json"),
        numbers,
        times.astype(np.float64),
        window.astype(np.int64),
        judged.astype(bool),
        np.array([kind == "vehicle" for kind in about["sight"]], dtype=bool),
        gps[:, 2:4],
        gps[:, 4:7],
        powers,
        other,
        _boxes(folder, row_of),
        float(about["noise_mw"]),
        np.array([kind == "fixed" for kind in about["sight"]], dtype=bool),
        _choices(about["choices"], folder / "drive.json"),
        _identity(folder),
    )


def _choices(about: dict[str, Any], path: Path) -> Choices:
    """What was recorded, from plain values that may be anything."""
    budget = {name: float(value) for name, value in about["budget"].items()}
    with said_of(f"'{path}'"):
        link = LinkBudget(**{**budget, "subcarriers": int(budget["subcarriers"])})  # type: ignore[arg-type]  # checked
    sigma = float(about["gps_sigma"])
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"fixes with an error of {sigma} m")
    return Choices(sigma, link, bool(about["pictures"]))


def _identity(folder: Path) -> str:
    found = hashlib.sha256()
    for name in ("drive.json", SUMS):
        path = folder / name
        found.update(b"" if is_missing(path) else read_bytes(path, f"'{path}'", _LARGEST_TABLE, _MEND))
    return found.hexdigest()


def _camera(about: dict[str, Any], path: Path) -> Camera:
    """The camera, from plain values that may be anything."""
    x, y, z = (float(v) for v in about["pose"]["position"])
    with said_of(f"'{path}'"):
        pose = Pose((x, y, z), *(float(about["pose"][name]) for name in ("yaw", "pitch", "roll")))
        fx, fy, cx, cy = (float(about[name]) for name in ("fx", "fy", "cx", "cy"))
        k1, k2, p1, p2, k3 = lens = tuple(float(v) for v in about["distortion"])
        if max(map(abs, lens)) > _STRONGEST_LENS:
            raise SiteTwinError(f"no lens bends as much as {lens}; {_MEND}")
        return Camera(pose, fx, fy, cx, cy, int(about["width"]), int(about["height"]), (k1, k2, p1, p2, k3))


def _rows(path: Path, width: int) -> list[list[str]]:
    """Rows of a table below its heading."""
    rows = read_table(path, f"'{path}'", _LARGEST_TABLE, _MEND)
    if any(len(row) != width for row in rows):
        raise SiteTwinError(f"'{path}' has rows that are not of {width} columns; {_MEND}")
    return rows[1:]


def _numbers(path: Path, columns: Sequence[str]) -> np.ndarray:
    values = np.array([[float(v) for v in row] for row in _rows(path, len(columns))]).reshape(-1, len(columns))
    if not np.isfinite(values).all():
        raise SiteTwinError(f"'{path}' has values that are no numbers; {_MEND}")
    return values


def _boxes(folder: Path, row_of: dict[int, int]) -> tuple[tuple[TrueBox, ...], ...]:
    """What is true of the vehicles of each frame; nothing where the drive was recorded without pictures."""
    found: list[list[TrueBox]] = [[] for _ in row_of]
    path = folder / "boxes.csv"
    if path.exists():
        for line in _rows(path, len(BOX_COLUMNS)):
            east, north, heading, speed, length, width, height = (float(v) for v in line[4:11])
            edges = [float(v) if v else math.nan for v in line[11:15]]
            box = (edges[0], edges[1], edges[2], edges[3]) if not any(map(math.isnan, edges)) else None
            pixels, whole, cut = (int(v) for v in line[15:])
            true = TrueBox(
                int(line[1]),
                line[3],
                (east, north),
                heading,
                speed,
                (length, width, height),
                box,
                pixels,
                whole,
                bool(cut),
            )
            found[row_of[int(line[0])]].append(true)
    return tuple(tuple(boxes) for boxes in found)

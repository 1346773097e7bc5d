"""Cameras in files: TOML for people, with the covariance of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site.places.pose import Pose
from sitetwin.untrusted import LARGEST_TOML, parse_toml, read_bytes
from sitetwin.vision.camera import PARAMETERS, Camera
from sitetwin.vision.contact import checked_covariance

_NEEDED = ("position", "width", "height")
_FOCAL = ("fx", "fy", "cx", "cy")
_KEYS = {*_NEEDED, *_FOCAL, "field_of_view", "yaw", "pitch", "roll", "distortion", "covariance"}


@dataclass(frozen=True, eq=False)
class CameraFile:
    """A camera, and what is uncertain of it.

    Attributes:
        camera: The camera.
        covariance: (7, 7) of `PARAMETERS`; None where the file has none.
    """

    camera: Camera
    covariance: Float[np.ndarray, "7 7"] | None = None


def read_camera(path: str | Path) -> CameraFile:
    """Read a camera from TOML.

    The file holds ``position = [x, y, z]`` (metres), ``yaw``, ``pitch``, ``roll`` (radians; 0 without), ``width`` and
    ``height`` (pixels), either ``fx``, ``fy``, ``cx``, ``cy`` (pixels, from the upper left corner) or ``field_of_view``
    (radians across), and may hold ``distortion = [k1, k2, p1, p2, k3]`` and a ``covariance`` of 7 rows of 7.

    Raises:
        SiteTwinError: The file cannot be read, lacks a key, has an unknown one, or describes no camera.
    """
    path = Path(path)
    where = f"camera file '{path}'"
    content = parse_toml(read_bytes(path, where, LARGEST_TOML), where)
    unknown = sorted(set(content) - _KEYS)
    if unknown:
        raise SiteTwinError(
            f"{where} has the key '{unknown[0][:40]}', which no camera has; known are {', '.join(sorted(_KEYS))}"
        )
    focal = [key for key in _FOCAL if key in content]
    needed = [*_NEEDED, *(() if "field_of_view" in content else _FOCAL)]
    missing = [key for key in needed if key not in content]
    if missing:
        raise SiteTwinError(f"{where} has no '{missing[0]}'; a camera needs {', '.join(needed)}")
    if "field_of_view" in content and focal:
        raise SiteTwinError(f"{where} has both 'field_of_view' and '{focal[0]}'; give one of them")
    try:
        return _camera(content)
    except SiteTwinError as error:
        raise SiteTwinError(f"{where}: {error}") from error


def write_camera(path: str | Path, camera: Camera, covariance: Float[np.ndarray, "7 7"] | None = None) -> Path:
    """Write a camera so that `read_camera` gives the same numbers.

    Args:
        path: The file to write; one that is there is replaced.
        camera: The camera.
        covariance: (7, 7) of `PARAMETERS`.

    Raises:
        SiteTwinError: The covariance is none, or the file cannot be written.
    """
    pose = camera.pose
    lines = [
        "# A camera: metres, radians and pixels from the upper left corner of the image.",
        f"position = {list(pose.position)}",
        *(f"{name} = {value!r}" for name, value in zip(("yaw", "pitch", "roll"), pose.orientation, strict=True)),
        *(f"{name} = {float(getattr(camera, name))!r}" for name in _FOCAL),
        f"width = {camera.width}",
        f"height = {camera.height}",
        f"distortion = {list(camera.distortion)}",
    ]
    if covariance is not None:
        rows = ",\n".join(f"  {row}" for row in checked_covariance(covariance).tolist())
        lines.append(f"covariance = [ # of {', '.join(PARAMETERS)}\n{rows}\n]")
    path = Path(path)
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise SiteTwinError(f"camera file '{path}' cannot be written: {error.strerror}; give another path") from error
    return path


def _camera(content: dict[str, Any]) -> CameraFile:
    position = _numbers(content, "position", 3)
    yaw, pitch, roll = (_number(content, name) for name in ("yaw", "pitch", "roll"))
    pose = Pose((position[0], position[1], position[2]), yaw, pitch, roll)
    width, height = (content[name] for name in ("width", "height"))
    if type(width) is not int or type(height) is not int:
        raise SiteTwinError("'width' and 'height' are no whole numbers; give pixels")
    if "field_of_view" in content:
        made = Camera.from_view(pose, width, height, _number(content, "field_of_view"))
    else:
        fx, fy, cx, cy = (_number(content, name) for name in _FOCAL)
        made = Camera(pose, fx, fy, cx, cy, width, height)
    lens = _numbers(content, "distortion", 5) if "distortion" in content else [0.0] * 5
    camera = Camera(
        pose, made.fx, made.fy, made.cx, made.cy, width, height, (lens[0], lens[1], lens[2], lens[3], lens[4])
    )
    if "covariance" not in content:
        return CameraFile(camera)
    rows = content["covariance"]
    if not isinstance(rows, list) or len(rows) != len(PARAMETERS):
        raise SiteTwinError("'covariance' has not 7 rows; give one for each of " + ", ".join(PARAMETERS))
    table = np.array([_numbers({"covariance": row}, "covariance", len(PARAMETERS)) for row in rows])
    return CameraFile(camera, checked_covariance(table))


def _number(content: dict[str, Any], name: str) -> float:
    return _numbers({name: [content.get(name, 0.0)]}, name, 1)[0]


def _numbers(content: dict[str, Any], name: str, count: int) -> list[float]:
    values = content[name]
    good = isinstance(values, list) and len(values) == count
    if not good or any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise SiteTwinError(f"'{name}' is no list of {count} numbers" if count > 1 else f"'{name}' is no number")
    return [float(v) for v in values]

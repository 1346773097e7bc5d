"""What a CSI study left in its folder, read back with care; the results by the schema that wrote them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.studies.csi.results import Control, Curve, Estimate, Method, Refinement, Results, parse_results
from sitetwin.untrusted import LARGEST_ARCHIVE, is_missing, parse_json, read_bytes
from sitetwin.untrusted.arrays import as_float64, read_npz

__all__ = [
    "Control",
    "Curve",
    "Estimate",
    "Method",
    "Refinement",
    "Results",
    "Scene",
    "Study",
    "parse_results",
    "read_study",
]


@dataclass(frozen=True, eq=False)
class Scene:
    """`scene.npz`: the place from above.

    Attributes:
        users_xy: (U, 2) metres.
        power_db: (U,) path gain of the target, dB, NaN without a path.
        twin_power_db: (U,) the same of the twin, or None.
        split: (U,) 0 unused, 1 train, 2 test, 3 guard, or None.
        transmitter: (3,) metres, or None.
        trees_xy: (T, 2) metres.
        trees_radius: (T,) metres.
        height_map: (H, W) roof height in metres, NaN on open ground, or None. Row 0 lies at ymin.
        extent: xmin, xmax, ymin, ymax of `height_map` in metres.
    """

    users_xy: np.ndarray
    power_db: np.ndarray
    twin_power_db: np.ndarray | None
    split: np.ndarray | None
    transmitter: np.ndarray | None
    trees_xy: np.ndarray
    trees_radius: np.ndarray
    height_map: np.ndarray | None
    extent: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Study:
    """Everything a study folder holds for its report."""

    folder: Path
    results: Results
    run: dict[str, Any]
    scene: Scene | None
    hashes: dict[str, str]


def read_study(folder: Path) -> Study:
    """Read a study's folder.

    Raises:
        SiteTwinError: `results.json` is missing, truncated or another program's, or another file is damaged.
    """
    path = folder / "results.json"
    content = _read(path)
    if content is None:
        raise SiteTwinError(f"{folder} holds no results.json; name the folder of a finished study")
    results = parse_results(_parse_json(content, path), f"the results in {path}")
    hashes = {"results.json": hashlib.sha256(content).hexdigest()}
    run: dict[str, Any] = {}
    run_content = _read(folder / "run.json")
    if run_content is not None:
        run = _parse_json(run_content, folder / "run.json")
        if not isinstance(run, dict):
            raise SiteTwinError(f"{folder / 'run.json'} holds no JSON object; remove it or run the study again")
    scene = None
    scene_content = _read(folder / "scene.npz")
    if scene_content is not None:
        scene = _read_scene(scene_content, folder / "scene.npz")
        hashes["scene.npz"] = hashlib.sha256(scene_content).hexdigest()
    return Study(folder, results, run, scene, hashes)


def _read(path: Path) -> bytes | None:
    """Content of a file, None where there is none."""
    if is_missing(path):
        return None
    return read_bytes(path, str(path), LARGEST_ARCHIVE, "check its permissions")


def _parse_json(content: bytes, path: Path) -> Any:
    # NaN and Infinity are no JSON, yet Python writes them: they count as missing.
    try:
        return parse_json(content, str(path), constant=lambda _: None)
    except SiteTwinError as error:
        raise SiteTwinError(f"{path} is truncated or no JSON; run the study again") from error


def _read_scene(content: bytes, path: Path) -> Scene:
    """Arrays of `scene.npz`, never pickled ones."""
    try:
        arrays = read_npz(content, str(path), "run the study again")
    except SiteTwinError as error:
        raise SiteTwinError(f"{path} is damaged or holds no plain arrays; run the study again") from error
    try:
        return _check_scene(arrays)
    except (ValueError, TypeError, KeyError) as error:
        detail = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise SiteTwinError(f"{path} does not fit its schema ({detail}); run the study again") from error


def _check_scene(arrays: dict[str, np.ndarray]) -> Scene:
    """Shapes as the schema says.

    Raises:
        KeyError: The users are missing.
        ValueError: An array has another shape or is not numeric.
    """

    def numbers(name: str) -> np.ndarray:
        if arrays[name].dtype.kind not in "fiub":
            raise ValueError(f"{name} holds no real numbers")
        return as_float64(arrays[name])

    def shaped(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return numbers(name).reshape(shape)

    def optional(name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        return shaped(name, shape) if name in arrays else None

    users_xy = numbers("users_xy")
    if users_xy.ndim != 2 or users_xy.shape[1] != 2 or len(users_xy) == 0:
        raise ValueError(f"users_xy has the shape {users_xy.shape} instead of (U, 2)")
    users = (len(users_xy),)
    trees_xy = shaped("trees_xy", (-1, 2)) if "trees_xy" in arrays else np.zeros((0, 2))
    trees_radius = shaped("trees_radius", (len(trees_xy),)) if "trees_radius" in arrays else np.zeros(len(trees_xy))
    height_map = numbers("height_map") if "height_map" in arrays else None
    if height_map is not None and (height_map.ndim != 2 or 0 in height_map.shape):
        raise ValueError(f"height_map has the shape {height_map.shape} instead of (H, W)")
    extent = optional("extent", (4,))
    return Scene(
        users_xy=users_xy,
        power_db=shaped("power_db", users),
        twin_power_db=optional("twin_power_db", users),
        split=optional("split", users),
        transmitter=optional("transmitter", (3,)),
        trees_xy=trees_xy,
        trees_radius=trees_radius,
        height_map=height_map if extent is not None else None,
        extent=(float(extent[0]), float(extent[1]), float(extent[2]), float(extent[3])) if extent is not None else None,
    )

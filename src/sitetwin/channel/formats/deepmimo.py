"""DeepMIMO v4 scenario folders, as DeepMIMO 4.0.5 loads them.

DeepMIMO makes channels as ``H_k = sum_p sqrt(P_p / N) e^{j phi_p} e^{-j 2 pi k tau_p / (N T_s)}`` for subcarriers k = 0
to N - 1, so that the carrier is its subcarrier 0. The phase phi stored here includes the carrier's, -2 pi f_c tau.

Its planar arrays count columns first and rows from the bottom, from an element at the lower corner; those of this
package count rows from the top, about the centre.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from sitetwin.channel.formats.source import GainSource, Progress, strongest
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site import Site
from sitetwin.site.latlon import to_geographic
from sitetwin.store.outputs import new_folder, refuse_existing

FORMAT_VERSION = "4.0.5"
MOST_PATHS = 25
MOST_INTERACTIONS = 10

_FORBIDDEN = "/\\:*?\"'<>|\n"  # in the name of a scenario
_LINKS = "t000_tx000_r001"  # transmitter set 0, its first transmitter, receiver set 1
_DIGITS_OF_FLOAT32 = 7
_SIDE_POINTS = 9  # of the box's sides, which are curved in degrees

_CODES = {"REFLECTION": 1, "DIFFRACTION": 2, "CANOPY": 3, "DIFFUSE": 3, "TRANSMISSION": 4}
"""DeepMIMO's code of each kind of interaction by name: 1 reflection, 2 diffraction, 3 scattering, 4 transmission."""


ARRAY_ORDER = (
    "element c + C r of DeepMIMO's array of C columns (shape [C, R]) stands in column c and in row r from the bottom, "
    "and phases count from element 0; in sitetwin's array of R rows and C columns it is element c + C (R - 1 - r), and "
    "phases count from the array's centre"
)
"""How DeepMIMO orders the elements of an array, against this package."""


def deepmimo_order(rows: int, columns: int) -> Integer[np.ndarray, " antennas"]:
    """Return the element of this package's planar array that each element of DeepMIMO's array is.

    ``ours[:, :, deepmimo_order(rows, columns)]`` has DeepMIMO's antenna order, and
    ``theirs[:, :, deepmimo_order(rows, columns)]`` this package's: the order is its own inverse. What remains is the
    reference of the phases, which is the array's centre here and the first element there.

    Args:
        rows: Number of rows.
        columns: Number of columns, DeepMIMO's `shape[0]`.

    Raises:
        SiteTwinError: There is no row or no column.
    """
    if rows < 1 or columns < 1:
        raise SiteTwinError(f"an array of {rows} rows and {columns} columns has no element; give at least 1 of each")
    return np.arange(rows * columns).reshape(rows, columns)[::-1].ravel()


def write_deepmimo(
    source: GainSource, out: str | Path, max_paths: int = MOST_PATHS, progress: Progress | None = None
) -> Path:
    """Write a DeepMIMO scenario folder.

    The strongest paths of each user are kept. A line of sight among them comes first, because DeepMIMO looks for it
    there; then the others follow by falling power. Powers and phases are those between single antennas and include
    their patterns.

    Args:
        source: Paths and gains between one-port antennas.
        out: The new folder; its name becomes the name of the scenario.
        max_paths: Largest number of paths per user, at most 25.
        progress: Called with the stage and its finished share.

    Raises:
        SiteTwinError: The name cannot be loaded, the folder exists, a radio is an array, paths interact more than ten
            times or in a way that the format has no code for, or the disk cannot be written.
    """
    out = refuse_existing(out)
    if out.name != out.name.lower() or any(c in out.name for c in _FORBIDDEN):
        raise SiteTwinError(
            f"the scenario name '{out.name}' cannot be loaded by DeepMIMO, which lowers names; use small letters, "
            "digits, hyphens and underscores"
        )
    if not 1 <= max_paths <= MOST_PATHS:
        raise SiteTwinError(f"{max_paths} paths per user were asked for; DeepMIMO holds 1 to {MOST_PATHS}")
    for radio in (source.request.tx, source.request.rx):
        if radio.array.num_antennas != 1 or bool(radio.array.positions.any()):
            raise SiteTwinError(
                "DeepMIMO makes the channels of arrays itself, from the paths between single antennas; "
                "give both ends a single antenna with one polarisation (--bs-array single --ue-array single, or "
                "Radio())"
            )
    with new_folder(out) as folder:
        arrays = _arrays(source, min(max_paths, source.most_paths), progress)
        for name, array in arrays.items():
            np.savez_compressed(folder / f"{name}_{_LINKS}.npz", allow_pickle=False, **{name: array})
        scene = _write_scene(folder, source.site)
        active = int(np.count_nonzero(~np.isnan(arrays["power"][:, 0])))
        facts = source.facts(
            format=f"DeepMIMO {FORMAT_VERSION} scenario",
            units={"power": "dB, received over transmitted", "phase": "degrees", "delay": "s", "angles": "degrees"},
            phase="includes the carrier's, -2 pi f_c tau",
            angles_of_the_files="az from east, counter-clockwise; el is the zenith angle, from up",
            subcarriers="DeepMIMO's subcarrier k lies at the carrier + k bandwidth / N, k = 0 ... N - 1, and its "
            "channels are divided by sqrt(N)",
            antennas=ARRAY_ORDER,
            paths_kept=f"the {max_paths} strongest of each user; a line of sight first, then by falling power",
        )
        params = _params(source, arrays, scene, active, facts)
        for name, content in (("params.json", params), ("sitetwin.json", facts)):
            (folder / name).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return out


def _arrays(source: GainSource, width: int, progress: Progress | None) -> dict[str, np.ndarray]:
    """The eleven arrays of a link, float32, NaN where a user has fewer paths."""
    users = source.num_users
    first = source.store.read_tile(0)
    depth = max(first["kinds"].shape[1], 1)
    if depth > MOST_INTERACTIONS:
        raise SiteTwinError(f"paths with up to {depth} interactions do not fit DeepMIMO's {MOST_INTERACTIONS}")
    flat = {name: np.full((users, width), np.nan, np.float32) for name in _SCALARS}
    code_type = np.float32 if depth <= _DIGITS_OF_FLOAT32 else np.float64
    arrays: dict[str, np.ndarray] = {
        **flat,
        "inter": np.full((users, width), np.nan, code_type),
        "inter_pos": np.full((users, width, depth, 3), np.nan, np.float32),
        "rx_pos": np.empty((users, 3), np.float32),
        "tx_pos": source.transmitter[None].astype(np.float32),
    }
    for start, paths, gains, _ in source.tiles(progress):
        arrays["rx_pos"][start : start + paths.num_users] = paths.users
        gain = gains.numpy()[:, 0, 0].astype(np.complex128)
        rows, rank = _chosen(paths, gains.power[:, 0, 0].numpy(), width)
        place = (start + paths.user_of_path[rows], rank)
        for name, values in _scalars(paths, gain, rows).items():
            arrays[name][place] = values
        arrays["inter"][place] = _codes(paths.kinds[rows])
        if paths.max_depth:
            arrays["inter_pos"][place] = paths.vertices[rows]
    return arrays


def _chosen(paths: Paths, power: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the strongest paths with any power, and their place within their user, a line of sight first."""
    alive = np.flatnonzero(power > 0)
    owner = paths.user_of_path[alive]
    kept, _ = strongest(owner, power[alive], width)
    rows = alive[kept]
    weight = np.where(paths.depth[rows] == 0, np.inf, power[rows])
    order, rank = strongest(paths.user_of_path[rows], weight, width)
    return rows[order], rank


_SCALARS = ("power", "phase", "delay", "aoa_az", "aoa_el", "aod_az", "aod_el")


def _scalars(paths: Paths, gain: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    found = {
        "power": 20 * np.log10(np.abs(gain[rows])),
        "phase": np.degrees(np.angle(gain[rows])),
        "delay": paths.delay[rows],
    }
    for name, direction in (("aoa", paths.arrival[rows]), ("aod", paths.departure[rows])):
        x, y, z = direction.T
        found[f"{name}_az"] = np.degrees(np.arctan2(y, x))
        found[f"{name}_el"] = np.degrees(np.arctan2(np.hypot(x, y), z))
    return found


def _codes(kinds: np.ndarray) -> np.ndarray:
    """(P,) one decimal digit per interaction, in their order from the transmitter; 0 is a line of sight."""
    digit = np.zeros(256)
    for kind in np.unique(kinds[kinds > 0]).tolist():
        known = kind in set(Interaction) and Interaction(kind).name in _CODES
        if not known:
            raise SiteTwinError(
                f"paths with interactions of kind {kind} have no code in DeepMIMO; export them as npz or parquet"
            )
        digit[kind] = _CODES[Interaction(kind).name]
    code = np.zeros(len(kinds))
    for column in kinds.T:
        code = np.where(column > 0, 10 * code + digit[column], code)
    return code


def _most(inter: np.ndarray) -> np.ndarray:
    """(10,) largest number of interactions of each code on a path; entry 0 counts all."""
    left = np.unique(inter[~np.isnan(inter)]).astype(np.int64)
    count = np.zeros((len(left), 10), np.int64)
    while left.any():
        digit = left % 10
        count[np.arange(len(left)), digit] += digit > 0
        left = left // 10
    count[:, 0] = count[:, 1:].sum(axis=1)
    return count.max(axis=0, initial=0)


def _params(
    source: GainSource, arrays: dict[str, np.ndarray], scene: dict[str, Any], active: int, facts: dict[str, Any]
) -> dict[str, Any]:
    most = _most(arrays["inter"]).tolist()
    rays = {
        "raytracer_name": "sitetwin",
        "raytracer_version": facts["made_by"].split()[-1],
        "frequency": float(source.request.grid.carrier_hz),
        "max_path_depth": most[0],
        "max_reflections": most[1],
        "max_diffractions": most[2],
        "max_scattering": most[3],
        "max_transmissions": most[4],
        "diffuse_random_phases": False,
        "terrain_reflection": True,
        "synthetic_array": True,
        "gps_bbox": _gps_box(source.site),
        "raw_params": {"carrier_phase": "included", "site_hash": facts["site_hash"]},
    }
    carrier, policy = source.request.grid.carrier_hz, source.request.options.out_of_range
    constants = [material.evaluate(carrier, policy) for material in source.site.materials]
    materials = {
        f"material_{index}": {
            "id": index,
            "name": material.name,
            "permittivity": float(permittivity),
            "conductivity": float(conductivity),
            "thickness": float(material.thickness or 0.0),
        }
        for index, (material, (permittivity, conductivity)) in enumerate(
            zip(source.site.materials, constants, strict=True)
        )
    }
    return {
        "version": FORMAT_VERSION,
        "rt_params": rays,
        "txrx_sets": {
            "txrx_set_0": _radio_set(0, "tx", 1, 1),
            "txrx_set_1": _radio_set(1, "rx", source.num_users, active),
        },
        "materials": materials,
        "scene": scene,
    }


def _gps_box(site: Site) -> list[float]:
    """South, west, north, east of the mesh in WGS84 degrees, as DeepMIMO's own scenarios state them; zeros if unknown.

    A box that crosses the 180th meridian has a western longitude above its eastern one.
    """
    if site.georeference is None:
        return [0.0, 0.0, 0.0, 0.0]
    (west, south, _), (east, north, _) = site.bounds
    x, y = np.linspace(west, east, _SIDE_POINTS), np.linspace(south, north, _SIDE_POINTS)
    sides = [
        (x, np.full_like(x, south)),
        (x, np.full_like(x, north)),
        (np.full_like(y, west), y),
        (np.full_like(y, east), y),
    ]
    latitude, longitude = to_geographic(site, np.concatenate([np.stack(side, axis=1) for side in sides]))
    beside = (longitude - site.georeference.longitude + 180.0) % 360.0 - 180.0  # of the origin, across the meridian too
    ends = (site.georeference.longitude + np.array([beside.min(), beside.max()]) + 180.0) % 360.0 - 180.0
    return [float(latitude.min()), float(ends[0]), float(latitude.max()), float(ends[1])]


def _radio_set(index: int, role: str, points: int, active: int) -> dict[str, Any]:
    return {
        "name": f"{role}_array",
        "id_orig": index,
        "id": index,
        "is_tx": role == "tx",
        "is_rx": role == "rx",
        "num_points": points,
        "num_active_points": active,
        "num_ant": 1,
        "dual_pol": False,
        "ant_rel_positions": [[0, 0, 0]],
        "array_orientation": [0, 0, 0],
    }


def _write_scene(folder: Path, site: Site) -> dict[str, Any]:
    """The mesh, triangle by triangle: DeepMIMO's lossless representation."""
    ground = set(site.ground_objects)
    objects, faces, materials = [], {}, {}
    order = np.argsort(site.triangle_object, kind="stable")
    edges = np.searchsorted(site.triangle_object[order], np.arange(len(site.objects) + 1))
    for index, name in enumerate(site.objects):
        rows = order[edges[index] : edges[index + 1]]
        if not len(rows):
            continue
        label = "terrain" if index in ground else "buildings"
        objects.append({"name": name, "label": label, "id": index, "mesh_key": str(index)})
        faces[str(index)] = site.triangles[rows].astype(np.int32)
        materials[str(index)] = site.facet_material[site.triangle_facet[rows]].astype(np.int32)
    np.savez_compressed(folder / "vertices.npz", allow_pickle=False, vertices=site.vertices.astype(np.float32))
    np.savez_compressed(folder / "faces.npz", allow_pickle=False, **faces)
    np.savez_compressed(folder / "materials.npz", allow_pickle=False, **materials)
    (folder / "objects.json").write_text(json.dumps(objects, indent=1) + "\n", encoding="utf-8")
    return {
        "num_scenes": 1,
        "n_objects": len(objects),
        "n_vertices": len(site.vertices),
        "n_faces": site.num_triangles,
        "n_triangular_faces": site.num_triangles,
        "representation": "mesh",
    }

"""How fast and how exactly a map becomes a site.

    python benchmarks/site_import.py boston_buildings_stories.geojson.gz --json > site_import.json

The map is imported twice, each time in a process of its own on one core, from reading to the written folder; the
two folders are compared byte by byte. Of each building that shares no ground with another, the area of its roof seen
from above is compared with the area of its outline on the map (repaired where it crosses itself), and the volume under
a flat roof with area times height. Positions are compared with pyproj's transverse Mercator projection at the map's
origin.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pyproj  # noqa: E402
import shapely  # noqa: E402
import typer  # noqa: E402

from sitetwin.site import Site, load_site, save_site  # noqa: E402
from sitetwin.site.maps import BuildingOptions, MapData, read_maps, site_from_map  # noqa: E402
from sitetwin.site.maps.lengths import parse_count, parse_length  # noqa: E402

GAUGE_METRES = 5000.0


def import_once(files: list[str], folder: Path) -> dict[str, float]:
    """Read, build and write; seconds and the highest memory of this process."""
    begun, worked = time.perf_counter(), time.process_time()
    map_data, ledger = read_maps(files)
    read = time.perf_counter() - begun
    save_site(site_from_map(map_data, ledger), folder)
    return {
        "read_seconds": read,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - worked,
        "peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def in_own_process(files: list[str], folder: Path) -> dict[str, float]:
    """`import_once` in a fresh process, tied to one core where the system can."""
    command = [sys.executable, __file__, *files, "--import-to", str(folder)]
    affinity = (lambda: os.sched_setaffinity(0, {0})) if hasattr(os, "sched_setaffinity") else None
    done = subprocess.run(command, check=True, capture_output=True, text=True, preexec_fn=affinity)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def digest(folder: Path) -> str:
    """SHA-256 of all files of a folder with their names."""
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            whole.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return whole.hexdigest()


def bodies_of(site: Site) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By key, corners (T, 3, 3) of a building's triangles, and which are roof; parts go with their building."""
    kind = [name.rpartition("-")[2] for name in site.objects]
    base = [name.rpartition("-")[0].split("-part_")[0] for name in site.objects]
    corners = site.vertices[site.triangles]
    order = np.argsort(site.triangle_object, kind="stable")
    ends = np.cumsum(np.bincount(site.triangle_object, minlength=len(site.objects)))
    found: dict[str, list[tuple[np.ndarray, bool]]] = {}
    for number, rows in enumerate(np.split(order, ends[:-1])):
        if kind[number] in ("walls", "roof"):
            found.setdefault(base[number], []).append((corners[rows], kind[number] == "roof"))
    return {
        key: (np.concatenate([c for c, _ in parts]), np.concatenate([np.full(len(c), r) for c, r in parts]))
        for key, parts in found.items()
    }


def seen_from_above(corners: np.ndarray) -> float:
    """Sum of the projected areas of triangles that face up, m2."""
    a, b = corners[:, 1, :2] - corners[:, 0, :2], corners[:, 2, :2] - corners[:, 0, :2]
    return float(np.clip(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], 0, None).sum() / 2)


def compare_roofs(map_data: MapData, site: Site) -> dict[str, Any]:
    """Relative difference of roof and outline, for buildings that share no ground with another."""
    features = [f for f in map_data.features if f.tags.get("building", "no") != "no"]
    outlines = shapely.make_valid(np.array([f.geometry for f in features]), method="structure", keep_collapsed=False)
    area = shapely.area(outlines)
    one, other = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    pairs = one < other
    shared = np.zeros(len(outlines))
    common = shapely.area(shapely.intersection(outlines[one[pairs]], outlines[other[pairs]]))
    np.add.at(shared, one[pairs], common)
    np.add.at(shared, other[pairs], common)
    bodies = bodies_of(site)
    roofs = np.array([seen_from_above(bodies[f.key][0][bodies[f.key][1]]) if f.key in bodies else 0 for f in features])
    alone = (shared < 1e-4 * area) & (area > 1.0)
    error = np.abs(roofs - area)[alone] / area[alone]
    worst = int(np.flatnonzero(alone)[error.argmax()])
    return {
        "buildings": len(features),
        "buildings_compared": int(alone.sum()),
        "sharing_ground_with_others": int((shared >= 1e-4 * area).sum()),
        "roof_area_worst": float(error.max()),
        "roof_area_worst_key": features[worst].key,
        "roof_area_within_0.1_percent": float((error <= 1e-3).mean()),
        "roof_area_total_ratio": float(roofs.sum() / shapely.area(shapely.union_all(outlines))),
        "volume_worst": _volumes([f for f, a in zip(features, alone, strict=True) if a], bodies),
    }


def _volumes(features: list[Any], bodies: dict[str, tuple[np.ndarray, np.ndarray]]) -> float:
    """Worst relative difference of volume above z = 0 and area times height, of flat roofs on flat ground."""
    options, worst = BuildingOptions(), 0.0
    for feature in features:
        levels, height = parse_count(feature.tags.get("building:levels")), parse_length(feature.tags.get("height"))
        if feature.key not in bodies or feature.tags.get("roof:shape", "flat") != "flat":
            continue
        expected = height or (levels * options.level_height if levels else options.default_height)
        corners, roof = bodies[feature.key]
        flat = corners[roof]
        a, b = flat[:, 1, :2] - flat[:, 0, :2], flat[:, 2, :2] - flat[:, 0, :2]
        # Prisms from z = 0 to the roof: the divergence theorem without walls, which touching buildings share.
        volume = float(((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2 * flat[:, :, 2].mean(axis=1)).sum())
        area = float(feature.geometry.area) if feature.geometry.is_valid else None
        if area:
            worst = max(worst, abs(volume / (area * expected) - 1))
    return worst


def projection_error(map_data: MapData) -> float:
    """Largest difference from pyproj's transverse Mercator within 5 km of the origin, metres."""
    from sitetwin.site.maps import LocalProjection

    origin = map_data.georeference
    crs = f"+proj=tmerc +lat_0={origin.latitude} +lon_0={origin.longitude} +k=1 +x_0=0 +y_0=0 +ellps=WGS84 +units=m"
    there = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    side = np.linspace(-GAUGE_METRES, GAUGE_METRES, 41)
    xy = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    lonlat = LocalProjection(origin.latitude, origin.longitude).to_wgs84(xy)
    return float(np.abs(np.column_stack(there.transform(*lonlat.T)) - xy).max())


def main(
    files: Annotated[list[str], typer.Argument(help="Map files, as for `sitetwin site import`.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    import_to: Annotated[Path | None, typer.Option(help="Only import, once, into this folder.")] = None,
) -> None:
    """Import a map twice and compare it with itself and with the site."""
    if import_to is not None:
        print(json.dumps(import_once(files, import_to)))
        return
    with tempfile.TemporaryDirectory() as place:
        one, other = Path(place) / "one" / "site", Path(place) / "other" / "site"
        result: dict[str, Any] = {**in_own_process(files, one)}
        again = in_own_process(files, other)
        result["seconds_again"] = again["seconds"]
        result["identical"] = digest(one) == digest(other)
        site = load_site(one)
        map_data, _ = read_maps(files)
        result |= {"triangles": site.num_triangles, "facets": site.num_facets, "canopies": site.vegetation.num_volumes}
        result |= compare_roofs(map_data, site)
        result["projection_error_m"] = projection_error(map_data)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    for name, value in result.items():
        print(f"{name:30}  {value}")


if __name__ == "__main__":
    typer.run(main)

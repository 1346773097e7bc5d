"""One city in many files: turned, far from the origin, on its side, rounded, wound, cut and named at random."""

from __future__ import annotations

import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, translate
from shapely.geometry import LineString, Point
from shapely.geometry import box as rectangle

from sitetwin.errors import SiteTwinWarning
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import Site, ground_height, inside_building, load_scene
from sitetwin.site.maps import read_maps, site_from_map
from sitetwin.site.maps.readers import vector
from sitetwin.site.places.placement import over_ground
from tests.site.ground_cases import Part, box, hill, level, said_otherwise
from tests.site.maps.vector_files import without_process, write_geojson, write_layer

TX = np.array([4.7, 21.6, 69.3])
PLACES = np.array(
    [[12.3, 35.1], [-20.7, -11.9], [45.3, 1.7], [-35.2, -31.1], [71.3, -61.2], [-70.9, 55.5], [22.0, 3.0]]
)
STREETS = np.stack(np.meshgrid(np.arange(-83.7, 90, 9.3), np.arange(-85.2, 90, 9.3)), axis=-1).reshape(-1, 2)


def city() -> list[Part]:
    court = [box((30, y, 0), (60, y + 6, 45)) for y in (-30, 14)]
    court += [box((x, -24, 0), (x + 6, 14, 45)) for x in (30, 54)]
    overhang = [box((-60, -40, -5), (-40, -20, 25)), box((-40, -40, 20), (-30, -20, 25))]
    parts = [hill(cell=50.0, slope=0.05), *court, level(-80, 30, 80, 42, 52), *overhang]
    return [(f"part {k}", corners) for k, corners in enumerate(parts)]


def write_obj(file: Path, parts: list[Part], step: float, up: str) -> None:
    """Corners rounded to a step, with as many digits as it needs; y is written up if `up` says so."""
    lines, count = [], 0
    for name, corners in parts:
        lines.append(f"o {name.replace(' ', '_')}")
        for triangle in corners:
            for x, y, z in np.round(triangle / step) * step:
                words = (x, z, -y) if up == "y" else (x, y, z)
                lines.append("v " + " ".join(f"{word:.5f}" for word in words))
            lines.append(f"f {count + 1} {count + 2} {count + 3}")
            count += 3
    file.write_text("\n".join(lines), encoding="utf-8")


def origin_in_file(site: Site, corners: np.ndarray) -> np.ndarray:
    """Where the site's origin lies in the coordinates of the file: its bounds say it."""
    return corners.reshape(-1, 3).min(axis=0) - site.bounds[0]


def seen(site: Site, turn: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Heights of the ground, who is inside, and the sorted lengths of the paths of each user."""
    streets = STREETS @ turn[:2, :2].T + shift[:2]
    users = over_ground(site, PLACES @ turn[:2, :2].T + shift[:2], 1.5)
    how = TraceSettings(1, rays_per_lattice=60_000, diffraction=True)
    paths = trace(site, turn @ TX + shift, users, how)
    lengths = [np.sort(paths.length[a:b]) for a, b in zip(paths.offsets[:-1], paths.offsets[1:], strict=True)]
    inside = inside_building(site, over_ground(site, streets, 1.5))
    return ground_height(site, streets) - shift[2], inside, lengths


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    file = tmp_path_factory.mktemp("city") / "city.obj"
    write_obj(file, city(), 1e-5, "z")
    found = seen(load_scene(file), np.eye(3), np.zeros(3))
    assert 5 < found[1].sum() < 0.3 * len(STREETS)
    assert sum(map(len, found[2])) > 20
    return found


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    east=st.sampled_from([0.0, 3e3, 450_000.0]),
    north=st.sampled_from([0.0, -2e3, 5_300_000.0]),
    angle=st.floats(-np.pi, np.pi),
    step=st.sampled_from([1e-5, 1e-4, 1e-3]),
    up=st.sampled_from("yz"),
)
def test_one_city_in_any_file(tmp_path_factory, reference, seed, east, north, angle, step, up) -> None:
    c, s = np.cos(angle), np.sin(angle)
    turn, shift = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.array([east, north, 0.0])
    parts = said_otherwise(city(), np.random.default_rng(seed), shift, angle)
    file = tmp_path_factory.mktemp("city") / "city.obj"
    write_obj(file, parts, step, up)
    with pytest.warns(SiteTwinWarning, match="points up, not") if up == "y" else nullcontext():
        site = load_scene(file)
    heights, inside, lengths = seen(site, turn, shift - origin_in_file(site, np.concatenate([c for _, c in parts])))
    np.testing.assert_allclose(heights, reference[0], atol=2 * step + 1e-6)
    np.testing.assert_array_equal(inside, reference[1])
    for ours, theirs in zip(lengths, reference[2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=20 * step + 1e-4)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["EPSG:25832", "EPSG:32632", "EPSG:4326"]), st.floats(0, 90), st.booleans())
def test_one_city_as_geojson_shapefile_and_geopackage(tmp_path_factory, monkeypatch, crs, angle, packed) -> None:
    monkeypatch.setattr(vector.subprocess, "run", without_process)
    layers = {
        "houses": (
            [
                rectangle(0, 0, 30, 20) - rectangle(8, 5, 18, 13),
                rectangle(50, 0, 70, 15),
            ],
            {"hoehe": [12.5, 30.0], "material": ["brick", None]},
        ),
        "trees": ([Point(40, 30), Point(45, -20)], {"natural": ["tree", "tree"], "height": [9.0, None]}),
        "streets": ([LineString([(-40, -30), (90, -30)])], {"highway": ["residential"]}),
        "lawns": ([rectangle(-40, 40, 0, 80)], {"landuse": ["grass"]}),
    }
    folder = tmp_path_factory.mktemp("city")
    files: dict[str, list[Path]] = {".geojson": [], ".shp": [], ".gpkg": [folder / "city.gpkg"]}
    to_crs = pyproj.Transformer.from_crs("EPSG:25832", crs, always_xy=True)
    for name, (shapes, fields) in layers.items():
        shapes = [translate(rotate(shape, angle, origin=(0, 0)), 691_000, 5_335_000) for shape in shapes]
        placed = [
            shapely.transform(shape, lambda xy: np.stack(to_crs.transform(xy[:, 0], xy[:, 1]), axis=1))
            for shape in shapes
        ]
        files[".geojson"].append(write_geojson(folder / f"{name}.geojson", placed, fields, crs))
        files[".shp"].append(write_layer(folder / f"{name}.shp", placed, fields, crs))
        write_layer(folder / "city.gpkg", placed, fields, crs, layer=name, append=(folder / "city.gpkg").exists())
    if packed:
        files[".shp"] = [folder / "city.zip"]
        with zipfile.ZipFile(folder / "city.zip", "w") as archive:
            for name in layers:
                for ending in (".shp", ".shx", ".dbf", ".prj", ".cpg"):
                    archive.write(folder / f"{name}{ending}", f"city/{name}{ending}")
    expected, *others = [site_from_map(*read_maps(files[kind], origin=(48.14, 11.57))) for kind in files]
    assert expected.num_facets > 15
    for site in others:
        assert site.objects == expected.objects
        np.testing.assert_allclose(site.bounds, expected.bounds, atol=1e-5)
        assert site.num_facets == expected.num_facets
        assert [m.name for m in site.materials] == [m.name for m in expected.materials]
        points = np.stack(np.meshgrid(np.arange(-60, 120, 7.1), np.arange(-60, 120, 7.1)), axis=-1).reshape(-1, 2)
        points += expected.bounds[:, :2].mean(axis=0) - [30, 30]
        np.testing.assert_allclose(ground_height(site, points), ground_height(expected, points), atol=1e-6)

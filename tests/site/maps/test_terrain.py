"""Heights from rasters in any projection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.features import Feature, MapData
from sitetwin.site.maps.ground import build_ground
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.rules import load_rules
from sitetwin.site.maps.terrain import load_terrain
from sitetwin.site.projection import Georeference, LocalProjection

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ORIGIN = Georeference(48.2, 11.6)
EXTENT = (-310.0, -200.0, 290.0, 250.0)


def raster(path: Path, height, *, crs: str = "EPSG:32632", pixel: float = 5.0, reach: float = 600.0, **options) -> Path:
    """A raster of a height law of local x and y, around the origin; degrees per pixel are taken from metres."""
    into = pyproj.Transformer.from_crs(4979 if "+" in crs else 4326, crs, always_xy=True)
    east, north = into.transform(ORIGIN.longitude, ORIGIN.latitude)[:2]
    degrees = pyproj.CRS(crs).is_geographic
    step = (pixel / 74_000, pixel / 111_000) if degrees else (pixel, pixel)
    count = int(2 * reach / pixel)
    x = east + step[0] * (np.arange(count) - count / 2 + 0.5)
    y = north - step[1] * (np.arange(count) - count / 2 + 0.5)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    flat = pyproj.CRS(crs)
    flat = flat.sub_crs_list[0] if flat.is_compound else flat
    back = pyproj.Transformer.from_crs(flat, LocalProjection.of(ORIGIN).crs, always_xy=True)
    local = np.stack(back.transform(grid[..., 0], grid[..., 1]), axis=-1)
    values = np.asarray(height(local[..., 0], local[..., 1]), dtype="f4")
    hole = options.pop("hole", None)
    if hole is not None:
        values[hole] = -9999
    transform = rasterio.Affine(step[0], 0, x[0] - step[0] / 2, 0, -step[1], y[0] + step[1] / 2)
    unit = options.pop("unit", None)
    with rasterio.open(
        path, "w", driver="GTiff", width=count, height=count, count=1, dtype="float32", crs=crs,
        transform=None if options.pop("nowhere", False) else transform, nodata=-9999,
    ) as data:  # fmt: skip
        data.write(values, 1)
        if unit:
            data.units = (unit,)
    return path


def slope(x, y):
    return 500 + 0.05 * x - 0.03 * y


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3035", "EPSG:2263+5703"])
def test_a_plane_stays_a_plane_in_every_projection(tmp_path: Path, crs: str) -> None:
    """Bilinear in pixels and linear in triangles: a tilted plane comes out as itself, above the origin."""
    if crs.startswith("EPSG:2263"):
        crs = "EPSG:25832+5703"
    terrain = load_terrain(raster(tmp_path / "t.tif", slope, crs=crs), ORIGIN, EXTENT, Ledger(), spacing=20.0)
    places = np.random.default_rng(0).uniform(EXTENT[:2], EXTENT[2:], (500, 2))
    np.testing.assert_allclose(terrain.height(places), slope(*places.T) - 500, atol=2e-3)
    assert terrain.origin_height == pytest.approx(500, abs=1e-3)
    assert ("NAVD88" in terrain.vertical_datum) == ("5703" in crs)


def test_it_bends_only_at_the_edges_of_its_triangles(tmp_path: Path) -> None:
    path = raster(tmp_path / "t.tif", lambda x, y: 3 * np.sin(x / 40) * np.cos(y / 50), pixel=2.0, reach=400)
    terrain = load_terrain(path, ORIGIN, EXTENT, Ledger(), spacing=25.0)
    x, y = terrain.cells.x, terrain.cells.y
    nodes = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    np.testing.assert_allclose(terrain.height(nodes.reshape(-1, 2)), terrain.heights.ravel(), atol=1e-12)
    low, high = nodes[2, 3], nodes[3, 4]
    along = terrain.height(low + np.linspace(0, 1, 11)[:, None] * (high - low))
    np.testing.assert_allclose(np.diff(along, 2), 0, atol=1e-12)  # the diagonal is an edge
    inner = terrain.heights[1:-1, 1:-1]
    np.testing.assert_allclose(
        inner, (3 * np.sin(nodes[..., 0] / 40) * np.cos(nodes[..., 1] / 50))[1:-1, 1:-1], atol=0.12
    )


def test_feet_are_metres(tmp_path: Path) -> None:
    feet = raster(tmp_path / "t.tif", lambda x, y: slope(x, y) / 0.3048, unit="ft")
    terrain = load_terrain(feet, ORIGIN, EXTENT, Ledger())
    assert terrain.height(np.array([[100.0, 0.0]]))[0] == pytest.approx(5.0, abs=1e-2)
    with pytest.raises(SiteTwinError, match="heights are in 'fathom'"):
        load_terrain(raster(tmp_path / "u.tif", slope, unit="fathom"), ORIGIN, EXTENT, Ledger())


def test_small_holes_are_filled_and_large_ones_refused(tmp_path: Path) -> None:
    ledger = Ledger()
    path = raster(tmp_path / "t.tif", lambda x, y: np.full_like(x, 7.0), hole=np.s_[100:105, 130:136])
    terrain = load_terrain(path, ORIGIN, EXTENT, ledger)
    np.testing.assert_allclose(terrain.heights, 0)
    assert ledger.count("repaired") > 0
    path = raster(tmp_path / "h.tif", slope, hole=np.s_[:, 140:])
    with pytest.raises(SiteTwinError, match=r"no height for \d+% of the site"):
        load_terrain(path, ORIGIN, EXTENT, Ledger())
    path = raster(tmp_path / "o.tif", slope, hole=np.s_[110:130, 110:130])
    with pytest.raises(SiteTwinError, match="no height at the map's origin"):
        load_terrain(path, ORIGIN, EXTENT, Ledger())


def test_bad_rasters_get_a_sentence(tmp_path: Path) -> None:
    good = raster(tmp_path / "t.tif", slope, reach=250)
    with pytest.raises(SiteTwinError, match=r"does not cover the site: \d+% of it"):
        load_terrain(good, ORIGIN, EXTENT, Ledger())
    with pytest.raises(SiteTwinError, match="does not cover the site"):
        load_terrain(good, Georeference(-30.0, 100.0), EXTENT, Ledger())
    with pytest.raises(SiteTwinError, match="does not say where it lies"):
        load_terrain(raster(tmp_path / "n.tif", slope, nowhere=True), ORIGIN, EXTENT, Ledger())
    for name, data in (("a.tif", b"II*\0garbage"), ("b.tif", b""), ("c.tif", good.read_bytes()[:3000])):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SiteTwinError, match=name):
            load_terrain(tmp_path / name, ORIGIN, (-50, -50, 50, 50), Ledger())
    with pytest.raises(SiteTwinError, match="cannot be read"):
        load_terrain(tmp_path / "absent.tif", ORIGIN, EXTENT, Ledger())
    with pytest.raises(SiteTwinError, match="by its name"):
        load_terrain(tmp_path / "links.vrt", ORIGIN, EXTENT, Ledger())
    with pytest.raises(SiteTwinError, match="nodes is too large"):
        load_terrain(good, ORIGIN, EXTENT, Ledger(), spacing=0.1)


def test_ground_on_it(tmp_path: Path) -> None:
    """Roads drape over the net, at its own heights."""
    path = raster(tmp_path / "t.tif", lambda x, y: 500 + 20 * np.exp(-(x**2 + y**2) / 2e4))
    terrain = load_terrain(path, ORIGIN, EXTENT, Ledger())
    road = Feature("way/1", shapely.LineString([(-400, -33.3), (400, 55.5)]), {"highway": "residential"})
    bodies, ground = build_ground(MapData("m", (road,), ORIGIN, EXTENT), load_rules("default"), Ledger(), terrain)
    assert [b.name for b in bodies] == ["ground", "ground-asphalt"]
    for body in bodies:
        corners = body.corners.reshape(-1, 3)
        np.testing.assert_array_equal(corners[:, 2], terrain.height(corners[:, :2]))
    assert ground.height(np.zeros((1, 2)))[0] == pytest.approx(0, abs=0.02)
    assert ground.height(np.full((1, 2), 200.0))[0] < -15


@pytest.mark.parametrize("mark", [-9999, -32768, -32767, 9999, 1e38, -3.4e38, -99999])
@pytest.mark.parametrize("tagged", [False, True])
def test_a_void_is_a_hole_whether_it_is_marked_or_not(tmp_path: Path, mark: float, tagged: bool) -> None:
    """No land lies there: the same terrain as without the void, but for the filled nodes, and an entry."""
    path = raster(tmp_path / "t.tif", slope)
    whole = load_terrain(path, ORIGIN, EXTENT, Ledger())
    damage(path, np.s_[150:154, 150:154], mark, nodata=mark if tagged else None)
    ledger = Ledger()
    terrain = load_terrain(path, ORIGIN, EXTENT, ledger)
    assert np.abs(terrain.heights - whole.heights).max() < 2.0
    what = [e.what for e in ledger.entries if e.kind == "repaired"]
    assert any("heights that cannot be" in w and "t.tif" not in w for w in what) != tagged
    damage(path, np.s_[:, :], mark, nodata=mark if tagged else None)
    with pytest.raises(SiteTwinError, match="no height anywhere on the site"):
        load_terrain(path, ORIGIN, EXTENT, Ledger())


@pytest.mark.parametrize("value", [0.0, 1600.0, 5000.0])
@pytest.mark.parametrize("spacing", [5.0, 20.0, 60.0])
def test_spikes_are_holes_also_before_pixels_are_averaged(tmp_path: Path, value: float, spacing: float) -> None:
    path = raster(tmp_path / "t.tif", slope)
    whole = load_terrain(path, ORIGIN, EXTENT, Ledger(), spacing=spacing)
    damage(path, np.s_[150, 150:152], value, nodata=None)
    ledger = Ledger()
    terrain = load_terrain(path, ORIGIN, EXTENT, ledger, spacing=spacing)
    assert np.abs(terrain.heights - whole.heights).max() < 0.1 + 0.05 * spacing
    assert any("2 pixels stand 100 m or more" in entry.what for entry in ledger.entries)


def test_a_cliff_is_no_spike(tmp_path: Path) -> None:
    ledger = Ledger()
    path = raster(tmp_path / "t.tif", lambda x, y: np.where(x > 50, 400.0, 0.0))
    terrain = load_terrain(path, ORIGIN, EXTENT, ledger)
    assert np.ptp(terrain.heights) == 400.0
    assert [entry.kind for entry in ledger.entries] == ["assumed"]  # a large void that nobody marked looks the same


@pytest.mark.parametrize("turn", [0.0, 360.0, -360.0])
def test_a_raster_over_the_antimeridian(tmp_path: Path, turn: float) -> None:
    origin = Georeference(-16.8, 180.0)
    x, y = 180.0 + turn + (np.arange(400) - 199.5) * 5e-5, -16.8 - (np.arange(400) - 199.5) * 5e-5
    values = np.broadcast_to(100 + 1e4 * (x - x.mean()), (400, 400)).astype("f4")
    transform = rasterio.Affine(5e-5, 0, x[0] - 2.5e-5, 0, -5e-5, y[0] + 2.5e-5)
    with rasterio.open(
        tmp_path / "t.tif", "w", driver="GTiff", width=400, height=400, count=1, dtype="float32", crs="EPSG:4326",
        transform=transform,
    ) as data:  # fmt: skip
        data.write(values, 1)
    for place in (origin, Georeference(-16.8, -180.0)):
        terrain = load_terrain(tmp_path / "t.tif", place, EXTENT, Ledger())
        east = LocalProjection.of(place).to_wgs84(np.array([[200.0, 0.0]]))[0, 0] % 360 - 180
        assert terrain.height(np.array([[200.0, 0.0]]))[0] == pytest.approx(1e4 * east, abs=1e-2)


def damage(path: Path, where, value: float, nodata: float | None) -> None:
    """Write a value over pixels of a raster, and the value that it says means a void."""
    with rasterio.open(path) as data:
        profile, values = data.profile, data.read(1)
    values[where] = value
    profile.update(nodata=nodata, driver="GTiff")
    with rasterio.open(path, "w", **profile) as data:
        data.write(values, 1)


def test_cliffs_that_are_kept_are_told(tmp_path: Path) -> None:
    """A large block of other heights may be rock, or a void that nobody marked."""
    ledger = Ledger()
    path = raster(tmp_path / "t.tif", lambda x, y: np.where(x > 50, 0.0, 300.0))
    load_terrain(path, ORIGIN, EXTENT, ledger, spacing=20.0)
    assert any("steps of up to 300 m between neighbouring pixels" in e.what for e in ledger.entries)
    ledger = Ledger()
    load_terrain(raster(tmp_path / "s.tif", slope), ORIGIN, EXTENT, ledger, spacing=20.0)
    assert not any("steps of up to" in e.what for e in ledger.entries)

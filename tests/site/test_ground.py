"""Which surfaces are the ground, and what is enclosed: by geometry, however a place is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.rays import TraceSettings, trace
from sitetwin.site import Site, ground_height, inside_building
from sitetwin.site.places.placement import over_ground
from tests.site.ground_cases import box, hill, level, said_otherwise, sheet, site_of, skirted

GROUND = ("a", level(-100, -100, 100, 100, 0))


def indoors(site: Site, *points: tuple[float, float], height: float = 1.5) -> list[bool]:
    return inside_building(site, over_ground(site, np.array(points, dtype=float), height)).tolist()


def heights(site: Site, *points: tuple[float, float]) -> np.ndarray:
    return ground_height(site, np.array(points, dtype=float))


SLOPE = [(x, y) for x in (-75.0, -20.0, 15.0, 80.0) for y in (-55.0, 5.0, 60.0)]


@pytest.mark.parametrize("cell", [20.0, 100.0, 200.0])
@pytest.mark.parametrize("wave", [0.0, 3.0])
@pytest.mark.parametrize("solid", [None, -1.0, -30.0])
def test_terrain_is_the_ground_whatever_it_is_called(cell: float, wave: float, solid: float | None) -> None:
    net = hill(cell=cell, wave=wave)
    drawn = net if solid is None else skirted(net, solid)
    alone = heights(site_of(("Landscape", net)), *SLOPE)
    for parts in ([("mesh_0", drawn)], [("地形", drawn), ("terrain house", box((0, -10, 5), (20, 10, 40)))]):
        site = site_of(*parts)
        np.testing.assert_allclose(heights(site, *SLOPE), alone, atol=1e-9)
        assert site.is_ground[: len(drawn)].all()
        assert not site.is_ground[len(drawn) :].any()
    if wave == 0.0:
        np.testing.assert_allclose(alone, [0.2 * (x + 100) for x, _ in SLOPE], atol=1e-9)
    assert indoors(site, (10, 0), (30, 0), (-30, 0)) == [True, False, False]


@pytest.mark.parametrize("skirt", [None, 5.0])
def test_terrain_in_tiles(skirt: float | None) -> None:
    tiles = []
    for x in (-100.0, -50.0, 0.0, 50.0):
        tile = sheet(*((a, y, 0.2 * (a + 100)) for a, y in ((x, -100), (x + 50, -100), (x + 50, 100), (x, 100))))
        tiles.append((f"tile {x}", tile if skirt is None else skirted(tile, tile[..., 2].min() - skirt, closed=False)))
    site = site_of(*tiles)
    assert site.ground_objects == (0, 1, 2, 3)
    np.testing.assert_allclose(heights(site, *SLOPE), [0.2 * (x + 100) for x, _ in SLOPE], atol=1e-9)


def test_layers_on_the_ground_and_a_plane_below_it() -> None:
    net = hill(wave=3.0)
    road = net + np.array([0, 0, 0.01])
    road = road[(np.abs(road[..., 1]) <= 20).all(axis=1)]
    site = site_of(("plane", level(-500, -500, 500, 500, -2)), ("relief", net), ("road", road))
    alone = heights(site_of(("relief", net)), *SLOPE)
    lift = [0.01 if abs(y) < 20 else 0.0 for _, y in SLOPE]
    np.testing.assert_allclose(heights(site, *SLOPE), alone + lift, atol=1e-9)
    tiles = [(f"t{k}", net[net.mean(axis=1)[:, 0] // 40 == k]) for k in range(-3, 3)]
    tiled = site_of(("plane", level(-500, -500, 500, 500, -2)), *((name, tile) for name, tile in tiles if len(tile)))
    np.testing.assert_allclose(heights(tiled, *SLOPE), alone, atol=1e-9)


def test_level_ground_over_a_base_plane() -> None:
    """Too low to stand below, or built upon; a thin slab of ground, alone or over a plane."""
    plane, ground = ("plane", level(-500, -500, 500, 500, -6)), ("x", level(-100, -100, 100, 100, 0))
    house = ("house", box((-10, -10, 0), (10, 10, 9), "z"))
    halves = [("x", level(-100, -100, 0, 100, 0)), ("y", level(0, -100, 100, 100, 0))]
    for parts in (
        [plane, ground, house],
        [plane, *halves, house],
        [("plane", level(-500, -500, 500, 500, -1.9)), ground],
        [("slab", box((-100, -100, -1), (100, 100, 0))), house],
        [("slab", box((-10, -10, -1), (10, 10, 0)))],
    ):
        site = site_of(*parts)
        assert heights(site, (5, 5), (-9, 7)).tolist() == [0.0, 0.0], parts
        assert heights(site_of(plane, ground), (5, 5)).tolist() == [-6.0]  # nothing says that this is no ceiling


@pytest.mark.parametrize(
    "deck",
    [
        level(-100, -10, 100, 10, 6),
        box((-100, -10, 6), (100, 10, 7)),
        sheet((-60, -10, 3), (60, -10, 9), (60, 10, 9), (-60, 10, 3)),
        sheet((-30, -30, 5), (30, -30, 9), (30, 30, 9), (-30, 30, 5)),
        np.concatenate([level(-100, -10, 100, 10, 6), level(-100, -10, 100, 10, 6)[:, ::-1]]),
    ],
)
def test_under_a_deck_is_the_open_air_above_the_ground(deck: np.ndarray) -> None:
    site = site_of(GROUND, ("deck", deck))
    assert heights(site, (0, 0), (29, 5), (0, 40)).tolist() == [0.0, 0.0, 0.0]
    assert indoors(site, (0, 0), (29, 5), (-40, -9), (0, 30)) == [False] * 4


def test_passages_tunnels_courts_eaves_and_carports_are_the_open_air() -> None:
    tube = box((-60, -4, 0), (20, 0, 5), "xXz")
    court = [box((30, y, 0), (60, y + 5, 9)) for y in (-30, 20)] + [box((x, -25, 0), (x + 5, 20, 9)) for x in (30, 55)]
    eave = [box((-60, 40, 0), (-40, 60, 6), "zZ"), level(-62, 38, -38, 62, 6)]
    posts = [box((x, y, 0), (x + 0.3, y + 0.3, 3)) for x in (-60, -55) for y in (-60, -54.7)]
    port = [*posts, level(-60.5, -60.5, -54, -54, 3)]
    bent = [box((70, -80, 0), (74, -40, 4), "yYz")[2:], level(70, -80, 74, -40, 4)]
    site = site_of(GROUND, *((f"part {k}", c) for k, c in enumerate([tube, *court, *eave, *port, *bent])))
    open_air = [(-20, -2), (-59, -1), (45, 0), (40, 10), (-61, 50), (-39, 39), (-57, -57), (-61, 61)]
    assert indoors(site, *open_air) == [False] * len(open_air)
    closed = [(-50, 50), (32, 0), (45, -28), (57, 15)]
    assert indoors(site, *closed) == [True] * len(closed)


@pytest.mark.parametrize("sides", ["", "z", "zZ"])
@pytest.mark.parametrize("low", [0.0, -3.0, 0.4])
def test_houses_are_closed_with_or_without_a_floor(sides: str, low: float) -> None:
    """With Z the roof is a sheet 0.3 mm above the walls; from 0.4 m the walls hang above the ground."""
    house = box((-10, -8, low), (10, 8, 9), sides)
    if "Z" in sides:
        house = np.concatenate([house, level(-10, -8, 10, 8, 9.0003)])
    site = site_of(GROUND, ("house", house))
    assert indoors(site, (0, 0), (9.9, 7.9), (10.1, 0), (0, -30)) == [True, True, False, False]
    assert heights(site, (0, 0), (0, 30)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("floor", [True, False])
def test_a_house_on_a_slope_and_one_sunk_in_it(floor: bool) -> None:
    sides = "" if floor else "z"
    site = site_of(
        ("slope", hill()),
        ("house", box((-10, -8, 16), (10, 8, 30), sides)),
        ("sunk", box((40, -8, 20), (60, 8, 31), sides)),
    )
    at = [(0.0, 0.0), (-9.0, 0.0), (9.0, 7.0), (42.0, 0.0), (58.0, 0.0), (-12.0, 0.0), (62.0, 0.0)]
    np.testing.assert_allclose(heights(site, *at), [0.2 * (x + 100) for x, _ in at], atol=1e-9)
    assert indoors(site, *at) == [True, True, True, True, False, False, False]


def test_terrain_with_holes_for_the_houses() -> None:
    around = [level(-100, -100, 100, -10, 0), level(-100, 10, 100, 100, 0), level(-100, -10, -10, 10, 0)]
    around.append(level(10, -10, 100, 10, 0))
    for sides in ("", "z"):
        house = box((-10, -10, 0), (10, 10, 8), sides)
        site = site_of(("everything", np.concatenate([*around, house])))
        assert heights(site, (30, 30), (-50, 0)).tolist() == [0.0, 0.0]
        assert indoors(site, (0, 0), (9, 9), (11, 0)) == [True, True, False]


def test_rooms_are_closed_and_a_ceiling_alone_encloses_nothing() -> None:
    shell = [level(0, 0, 10, 8, 0), level(0, 0, 10, 8, 3)]
    walls = box((0, 0, 0), (10, 8, 3), "zZ")
    room = site_of(("floor", shell[0]), ("ceiling", shell[1]), ("walls", walls))
    assert indoors(room, (5, 4), (1, 1)) == [True, True]
    np.testing.assert_array_equal(over_ground(room, np.array([[5.0, 4.0]]), 1.5), [[5.0, 4.0, 1.5]])
    bare = site_of(("terrain", shell[1]), ("x", shell[0]))
    assert indoors(bare, (5, 4)) == [False]
    assert heights(bare, (5, 4)).tolist() == [0.0]


def test_walls_that_rise_from_the_rim_are_no_ground() -> None:
    yard = site_of(("g", level(0, 0, 50, 50, 0)), ("walls", box((0, 0, 0), (50, 50, 10), "zZ")))
    assert yard.ground_objects == (0,)
    assert not yard.is_ground[2:].any()
    assert indoors(yard, (10, 10)) == [False]


def city() -> list:
    slope = hill(wave=2.0)
    court = [box((30, y, 0), (60, y + 6, 45)) for y in (-30, 14)] + [
        box((x, -24, 0), (x + 6, 14, 45)) for x in (30, 54)
    ]
    bridge = level(-80, 30, 80, 42, 52)
    overhang = [box((-60, -40, -5), (-40, -20, 25)), box((-40, -40, 20), (-30, -20, 25))]
    return [(f"part {k}", corners) for k, corners in enumerate([slope, *court, bridge, *overhang])]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-3e3, 3e3), st.floats(-3e3, 3e3), st.floats(-np.pi, np.pi))
def test_one_city_however_it_is_drawn(seed: int, x: float, y: float, angle: float) -> None:
    """Winding, cutting into triangles and objects, names, places and turns change neither users nor heights."""
    parts, rng = city(), np.random.default_rng(seed)
    shift = np.array([x, y, 0.0])
    places = np.stack(np.meshgrid(np.arange(-83.7, 90, 9.3), np.arange(-85.2, 90, 9.3)), axis=-1).reshape(-1, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    one, other = site_of(*parts), site_of(*said_otherwise(parts, rng, shift, angle))
    moved = places @ turn.T + shift[:2]
    np.testing.assert_allclose(heights(other, *moved), heights(one, *places), atol=1e-6)
    np.testing.assert_array_equal(indoors(other, *moved), indoors(one, *places))
    inside = np.array(indoors(one, *places))
    assert 10 < inside.sum() < 0.2 * len(places)


@pytest.mark.parametrize("seed", [1, 2])
def test_one_city_however_it_is_drawn_has_the_same_paths(seed: int) -> None:
    parts, rng, angle = city(), np.random.default_rng(seed), 0.3 * seed
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    shift = np.array([40.0, -70.0, 0.0])
    places = np.array([[12.3, 35.1], [-20.7, -11.9], [45.3, 1.7], [-35.2, -31.1], [71.3, -61.2], [-70.9, 55.5]])
    one, other = site_of(*parts), site_of(*said_otherwise(parts, rng, shift, angle))
    found = []
    for site, how in ((one, np.eye(3)), (other, turn)):
        move = shift if site is other else np.zeros(3)
        users = over_ground(site, places @ how[:2, :2].T + move[:2], 1.5)
        assert not inside_building(site, users).any()
        paths = trace(site, how @ np.array([5.0, 20.0, 70.0]) + move, users, TraceSettings(1, rays_per_lattice=60_000))
        found.append([np.sort(paths.length[paths.offsets[k] : paths.offsets[k + 1]]) for k in range(len(users))])
    assert sum(map(len, found[0])) > 8
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)

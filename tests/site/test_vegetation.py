"""Chords: closed forms, symmetries, and other arithmetic."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, Vegetation

L_SHAPE = ((0.0, 0.0), (10.0, 0.0), (10.0, 4.0), (4.0, 4.0), (4.0, 10.0), (0.0, 10.0))


def totals(vegetation: Vegetation, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(N, V) crossed length of each segment in each volume."""
    segment, volume, entry, leave = vegetation.chords(starts, ends)
    length = np.zeros((len(starts), vegetation.num_volumes))
    np.add.at(length, (segment, volume), leave - entry)
    return length


def mixed(rng: np.random.Generator, count: int, size: float = 200.0) -> Vegetation:
    """A wood of all three shapes and very different sizes."""
    volumes: list = []
    for _ in range(count):
        x, y = rng.uniform(0, size, 2)
        volumes.append(Ellipsoid((x, y, rng.uniform(3, 12)), tuple(rng.uniform(1, 6, 3)), rng.uniform(0, 3)))
        x, y = rng.uniform(0, size, 2)
        volumes.append(Cylinder((x, y), rng.uniform(0.2, 5), 0.0, rng.uniform(2, 15)))
        angle = np.sort(rng.uniform(0, 2 * np.pi, 7))
        radius = rng.uniform(1, 30) * rng.uniform(0.3, 1, 7)
        ring = rng.uniform(0, size, 2) + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        volumes.append(ExtrudedPolygon(tuple(map(tuple, ring)), rng.uniform(0, 3), rng.uniform(4, 15)))
    return Vegetation(tuple(volumes))


def segments(rng: np.random.Generator, count: int, size: float = 200.0) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([-20.0, -20.0, 0.0]), np.array([size + 20, size + 20, 25.0])
    starts, ends = rng.uniform(low, high, (count, 3)), rng.uniform(low, high, (count, 3))
    ends[: count // 10, :2] = starts[: count // 10, :2]  # vertical
    ends[count // 10 : count // 5, 2] = starts[count // 10 : count // 5, 2]  # level
    ends[count // 5 : count // 4] = starts[count // 5 : count // 4] + rng.uniform(-3, 3, (count // 4 - count // 5, 3))
    return starts, ends


def moved(vegetation: Vegetation, yaw: float, shift: np.ndarray) -> Vegetation:
    c, s = math.cos(yaw), math.sin(yaw)

    def at(x: float, y: float) -> tuple[float, float]:
        return c * x - s * y + shift[0], s * x + c * y + shift[1]

    volumes: list = []
    for v in vegetation.volumes:
        if isinstance(v, Ellipsoid):
            centre = (*at(*v.centre[:2]), v.centre[2] + shift[2])
            volumes.append(dataclasses.replace(v, centre=centre, yaw=v.yaw + yaw))
        else:
            place = {"centre": at(*v.centre)} if isinstance(v, Cylinder) else {"ring": tuple(at(*p) for p in v.ring)}
            volumes.append(dataclasses.replace(v, z_min=v.z_min + shift[2], z_max=v.z_max + shift[2], **place))
    return Vegetation(tuple(volumes))


@given(st.floats(0.1, 50), st.floats(0, 0.999), st.floats(0, 2 * math.pi), st.floats(-1, 1), st.floats(-500, 500))
def test_sphere_chord(radius: float, share: float, phi: float, cosine: float, shift: float) -> None:
    """A line at distance d from the centre of a sphere of radius R crosses 2 sqrt(R^2 - d^2)."""
    sine = math.sqrt(1 - cosine**2)
    along = np.array([sine * math.cos(phi), sine * math.sin(phi), cosine])
    across = np.cross(along, [1.0, 0, 0] if abs(along[0]) < 0.9 else [0, 1.0, 0])
    across /= np.linalg.norm(across)
    centre = np.array([shift, -shift, 7.0])
    foot = centre + share * radius * across
    tree = Vegetation((Ellipsoid(tuple(centre), (radius,) * 3),))
    starts, ends = (foot - 300 * along)[None], (foot + 200 * along)[None]
    _, _, entry, leave = tree.chords(starts, ends)
    expected = 2 * radius * math.sqrt(1 - share**2)
    assert leave[0] - entry[0] == pytest.approx(expected, abs=1e-9 * (radius + 500) / math.sqrt(1 - share**2))
    assert 0.5 * (entry[0] + leave[0]) == pytest.approx(300.0, abs=1e-9)


def test_ellipsoid_axis_and_cylinder_by_hand() -> None:
    trees = Vegetation((Ellipsoid((0, 0, 10), (2, 3, 5), math.pi / 2), Cylinder((20, 0), 4.0, 0.0, 6.0)))
    starts = np.array([[-10.0, 0, 10], [0, 0, 0], [20, 0, -1], [10, 0, 3], [20, 0, 2], [10, 0, 7]])
    ends = np.array([[10.0, 0, 10], [0, 0, 30], [20, 0, 20], [30, 0, 3], [20, 10, 2], [30, 0, 7]])
    got = totals(trees, starts, ends)
    # turned by 90 degrees, the semi-axis along x is 3; the fifth starts on the cylinder's axis, the sixth passes above
    np.testing.assert_allclose(got, [[6, 0], [10, 0], [0, 6], [0, 8], [0, 4], [0, 0]], atol=1e-12)


def test_rigid_motion_changes_no_chord(rng: np.random.Generator) -> None:
    wood, (starts, ends) = mixed(rng, 20), segments(rng, 1500)
    yaw, shift = 0.7, np.array([120.0, -340.0, 15.0])
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    before = totals(wood, starts, ends)
    after = totals(moved(wood, yaw, shift), starts @ turn.T + shift, ends @ turn.T + shift)
    assert np.count_nonzero(before) > 500
    np.testing.assert_allclose(after, before, atol=1e-5)  # grazing chords vary as the square root of rounding


def test_reversal(rng: np.random.Generator) -> None:
    wood, (starts, ends) = mixed(rng, 20), segments(rng, 1000)
    length = np.linalg.norm(ends - starts, axis=1)
    seg, vol, entry, leave = wood.chords(starts, ends)
    seg2, vol2, entry2, leave2 = wood.chords(ends, starts)
    mirrored = sorted(zip(seg2, vol2, length[seg2] - leave2, length[seg2] - entry2, strict=True))
    np.testing.assert_allclose(mirrored, sorted(zip(seg, vol, entry, leave, strict=True)), atol=1e-6)


def test_parts_of_a_segment_add_up(rng: np.random.Generator) -> None:
    wood, (starts, ends) = mixed(rng, 20), segments(rng, 1000)
    middle = starts + rng.random((1000, 1)) * (ends - starts)
    parts = totals(wood, starts, middle) + totals(wood, middle, ends)
    np.testing.assert_allclose(parts, totals(wood, starts, ends), atol=1e-5)


def test_bits_do_not_depend_on_the_batch(rng: np.random.Generator) -> None:
    wood, (starts, ends) = mixed(rng, 30), segments(rng, 40_000)
    seg, vol, entry, leave = wood.chords(starts, ends)
    assert (np.diff(seg * wood.num_volumes + vol) >= 0).all()
    for part in (slice(16_380, 16_390), slice(777, 778), slice(30_000, 39_999)):
        got = wood.chords(starts[part], ends[part])
        rows = (seg >= part.start) & (seg < part.stop)
        for mine, whole in zip(got, (seg[rows] - part.start, vol[rows], entry[rows], leave[rows]), strict=True):
            assert np.array_equal(mine, whole)


def test_culling_loses_nothing(rng: np.random.Generator) -> None:
    """Each volume alone (one strip, one cell) gives what the whole wood gives."""
    wood, (starts, ends) = mixed(rng, 15), segments(rng, 3000)
    together = totals(wood, starts, ends)
    for k, volume in enumerate(wood.volumes):
        assert np.array_equal(together[:, k], totals(Vegetation((volume,)), starts, ends)[:, 0])


corner = st.tuples(st.floats(-10, 20), st.floats(-10, 20), st.floats(-3, 8))


@settings(max_examples=60, deadline=None)
@given(corner, corner)
def test_polygon_against_fine_sampling(start: tuple, end: tuple) -> None:
    hedge = Vegetation((ExtrudedPolygon(L_SHAPE, 0.0, 5.0),))
    a, b = np.array([start]), np.array([end])
    length = float(np.linalg.norm(b - a))
    number = 20_000
    x, y, z = (a + (np.arange(number)[:, None] + 0.5) / number * (b - a)).T
    inside = (x > 0) & (y > 0) & (x < 10) & (y < 10) & ((x < 4) | (y < 4)) & (z > 0) & (z < 5)
    # a segment that runs along a face may count as inside or outside there
    on_face = np.abs(np.stack([x, y, z, x - 10, y - 10, x - 4, y - 4, z - 5])).min(axis=0) < 1e-7
    low = np.count_nonzero(inside & ~on_face) * length / number
    high = np.count_nonzero(inside | on_face) * length / number
    slack = 8 * length / number + 1e-6
    assert low - slack <= totals(hedge, a, b).sum() <= high + slack


def test_non_convex_polygon_gives_one_row_per_crossing() -> None:
    hedge = Vegetation((ExtrudedPolygon(L_SHAPE, 0.0, 5.0),))
    segment, _, entry, leave = hedge.chords(np.array([[12.0, -2, 1]]), np.array([[-2.0, 12, 1]]))
    assert segment.tolist() == [0, 0]
    np.testing.assert_allclose(leave - entry, 4 * math.sqrt(2) * np.ones(2), atol=1e-12)


def test_no_vegetation_and_no_segment() -> None:
    assert [len(c) for c in Vegetation.none().chords(np.zeros((2, 3)), np.ones((2, 3)))] == [0, 0, 0, 0]
    tree = Vegetation((Ellipsoid((0, 0, 0), (1, 1, 1)),))
    assert [len(c) for c in tree.chords(np.zeros((0, 3)), np.ones((0, 3)))] == [0, 0, 0, 0]
    assert len(tree.chords(np.zeros((1, 3)), np.zeros((1, 3)))[0]) == 0
    with pytest.raises(SiteTwinError, match="NaN"):
        tree.chords(np.full((1, 3), np.nan), np.zeros((1, 3)))


def test_scatter_centres_lie_in_their_volumes(rng: np.random.Generator) -> None:
    wood = mixed(rng, 5).with_scatter_centres(200, rng)
    assert wood.scatter_centres.shape == (15 * 200, 3)
    assert wood.scatter_volume.dtype == np.int32
    for k, volume in enumerate(wood.volumes):
        mine = wood.scatter_centres[wood.scatter_volume == k]
        seg, _, _, _ = Vegetation((volume,)).chords(mine, mine + 1e-6)
        assert np.array_equal(np.unique(seg), np.arange(200))
    ball = Vegetation((Ellipsoid((0, 0, 0), (2, 2, 2)),)).with_scatter_centres(20_000, rng)
    radius = np.linalg.norm(ball.scatter_centres, axis=1)
    assert np.mean(radius**3) == pytest.approx(8 / 2, rel=0.02)  # r^3 is uniform in a uniform ball


def test_canonical_bytes_and_round_trip(rng: np.random.Generator) -> None:
    wood = mixed(rng, 3).with_scatter_centres(2, rng)
    again = Vegetation.from_dict(json.loads(json.dumps(wood.to_dict())))
    assert again.geometry_bytes() == wood.geometry_bytes()
    assert again.to_dict() == wood.to_dict()
    leaves = Vegetation((dataclasses.replace(wood.volumes[0], leaf_cycle="evergreen"),))
    assert leaves.geometry_bytes() == Vegetation(wood.volumes[:1]).geometry_bytes()
    assert Vegetation(wood.volumes).geometry_bytes() != wood.geometry_bytes()
    with pytest.raises(ValueError, match="read-only"):
        wood.scatter_centres[0] = 0


def test_a_trunk_is_a_label_that_only_trunks_carry() -> None:
    """What was stored before there were trunks is described by the same words, and its hash does not change."""
    crown, trunk = (Cylinder((0, 0), 0.2, 0.0, 3.0, part=part) for part in ("crown", "trunk"))
    wood = Vegetation((crown, trunk, Ellipsoid((0, 0, 5), (2, 2, 2))))
    assert list(wood.is_trunk) == [False, True, False]
    entries = wood.to_dict()["volumes"]
    assert ["part" in entry for entry in entries] == [False, True, False]
    assert set(entries[0]) == {"shape", "centre", "radius", "z_min", "z_max", "leaf_type", "leaf_cycle"}
    assert Vegetation.from_dict(json.loads(json.dumps(wood.to_dict()))).volumes == wood.volumes
    assert Vegetation((crown,)).geometry_bytes() == Vegetation((trunk,)).geometry_bytes()
    assert wood.with_scatter_centres(2, np.random.default_rng(0)).scatter_volume.tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cylinder((0, 0), 1.0, 0.0, 5.0, part="root"),
        lambda: Ellipsoid((0, 0, 0), (1, 0, 1)),
        lambda: Ellipsoid((0, math.nan, 0), (1, 1, 1)),
        lambda: Ellipsoid((0, 0, 0), (1, 1, 1), leaf_type="plastic"),
        lambda: Cylinder((0, 0), 1.0, 5.0, 5.0),
        lambda: ExtrudedPolygon(((0, 0), (1, 1)), 0, 1),
        lambda: ExtrudedPolygon(((0, 0), (1, 1), (2, 2)), 0, 1),
        lambda: Vegetation((), np.zeros((1, 3)), np.zeros(1, dtype=int)),
        lambda: Vegetation.from_dict({"volumes": [{"shape": "cloud"}]}),
    ],
)
def test_bad_volumes_are_refused(make) -> None:
    with pytest.raises(SiteTwinError):
        make()

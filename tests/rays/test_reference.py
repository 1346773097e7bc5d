"""Sionna RT behind our contract: lawful, complete on small scenes, and the same as Sionna RT asked the usual way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinError
from sitetwin.rays.dense import TraceSettings, trace
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.referee.compare import match_paths
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference, trace_reference_gains
from sitetwin.site import load_scene
from sitetwin.site.materials import Material, itu_material
from tests.rays.enumeration import enumerate_paths
from tests.rays.laws import LawTest, Verdict
from tests.rays.shapes import box_quads, ground, quad_site

SCENES = {
    "box": ((0.5, 0.3, 1.3), [(2.1, 1.0, 1.0), (-2.0, -1.5, 2.0)]),
    "simple_street_canyon": ((-33.0, 11.0, 32.0), [(27.0, -13.0, 1.5), (10.0, 3.0, 1.5), (-60.0, 2.0, 1.5)]),
    "double_reflector": ((-3.0, 2.0, 3.0), [(-5.0, -3.0, 4.0), (-7.0, 2.0, 1.0)]),
}
FEW = {"samples": 200_000, "max_num_paths": 1_000_000}
FREQUENCY = 3.5e9


def chains_of(paths: Paths, user: int) -> set[tuple[int, ...]]:
    rows = paths.facets[paths.offsets[user] : paths.offsets[user + 1]]
    return {tuple(int(f) for f in row if f >= 0) for row in rows}


@pytest.mark.parametrize("name", SCENES)
def test_lawful_and_equal_to_exhaustive_enumeration(name: str) -> None:
    site = load_scene(name)
    transmitter, users = SCENES[name]
    paths = trace_reference(site, np.array(transmitter), np.array(users), ReferenceSettings(max_depth=3, **FEW))
    judge = LawTest(site)
    judgements = judge.judge_paths(paths)
    assert [j for j in judgements if j.verdict is not Verdict.VALID] == []
    for user, truth in enumerate(enumerate_paths(site, np.array(transmitter), np.array(users), 3, judge)):
        certain = {chain for chain, judgement in truth.items() if judgement.verdict is Verdict.VALID}
        assert len(certain) > 1
        assert certain <= chains_of(paths, user) <= set(truth)


def test_rows_are_in_canonical_order_and_unique() -> None:
    site = quad_site(box_quads((-5, -5, 0), (5, 5, 5)))
    paths = trace_reference(
        site, np.array([0.5, 0.3, 1.3]), np.array([[2.1, 1, 1], [-2, -1.5, 2]]), ReferenceSettings(max_depth=2, **FEW)
    )
    keys = [
        (int(u), int(d), *map(int, f)) for u, d, f in zip(paths.user_of_path, paths.depth, paths.facets, strict=True)
    ]
    assert keys == sorted(set(keys))
    assert paths.facets.shape == (50, 2)  # 1 + 6 + 18 images of a shoebox for each of the two users


def test_exact_vertices_stay_within_single_precision_of_the_engine() -> None:
    site = load_scene("simple_street_canyon")
    transmitter, users = map(np.array, SCENES["simple_street_canyon"])
    exact = trace_reference(site, transmitter, users, ReferenceSettings(**FEW))
    raw = trace_reference(site, transmitter, users, ReferenceSettings(**FEW), refine=False)
    assert np.array_equal(exact.facets, raw.facets)
    np.testing.assert_allclose(raw.length, exact.length, atol=5e-5, rtol=0)
    assert np.any(raw.length != exact.length)
    np.testing.assert_allclose(raw.vertices, exact.vertices, atol=2e-3, rtol=0, equal_nan=True)


def test_batches_do_not_matter() -> None:
    site = load_scene("simple_street_canyon")
    users = np.array(SCENES["simple_street_canyon"][1])
    whole = trace_reference(site, np.array([-33.0, 11.0, 32.0]), users, ReferenceSettings(batch=100, **FEW))
    calls: list[tuple[int, int]] = []
    single = trace_reference(
        site,
        np.array([-33.0, 11.0, 32.0]),
        users,
        ReferenceSettings(batch=2, **FEW),
        progress=lambda *done: calls.append(done),
    )
    assert np.array_equal(whole.facets, single.facets)
    assert np.array_equal(whole.offsets, single.offsets)
    assert np.array_equal(whole.vertices, single.vertices, equal_nan=True)
    assert calls == [(2, 3), (3, 3)]


def test_the_same_as_sionna_rt_with_its_own_scene_and_receivers() -> None:
    """Positions from arrays and meshes from a `Site` change nothing in paths, delays and complex gains."""
    mi = mitsuba()
    from sionna import rt

    transmitter, users = SCENES["simple_street_canyon"]
    scene = rt.load_scene(rt.scene.simple_street_canyon)
    scene.frequency = FREQUENCY
    scene.tx_array = scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    scene.add(rt.Transmitter("tx", position=mi.Point3f(*transmitter)))
    for k, user in enumerate(users):
        scene.add(rt.Receiver(f"rx{k}", position=mi.Point3f(*user)))
    theirs = rt.PathSolver()(scene, max_depth=3, samples_per_src=200_000, refraction=False)
    gain, delay = theirs.cir(normalize_delays=False, out_type="numpy")
    valid = theirs.valid.numpy()[:, 0]

    site = load_scene("simple_street_canyon")
    settings = ReferenceSettings(samples=200_000, max_num_paths=1_000_000)
    paths, ours = trace_reference_gains(
        site, np.array(transmitter), np.array(users), frequency=FREQUENCY, settings=settings
    )
    for user in range(len(users)):
        rows = slice(paths.offsets[user], paths.offsets[user + 1])
        their_delay = delay[user, 0][valid[user]]
        their_gain = gain[user, 0, 0, 0, :, 0][valid[user]]
        first, second = np.argsort(ours.delay[rows]), np.argsort(their_delay)
        np.testing.assert_allclose(ours.delay[rows][first], their_delay[second], rtol=1e-6)
        np.testing.assert_allclose(np.abs(ours.gain[rows][first]), np.abs(their_gain[second]), rtol=1e-4)
        turn = np.angle(ours.gain[rows][first] * their_gain[second].conj())
        assert np.abs(turn).max() < np.radians(0.5)


def two_rays(material: Material) -> tuple[Paths, np.ndarray]:
    """Line of sight and the ground reflection, gains without the carrier phase."""
    site = quad_site([ground(200.0)], [material])
    paths, gains = trace_reference_gains(
        site,
        np.array([0.0, 0.0, 12.0]),
        np.array([[40.0, 9.0, 2.0]]),
        frequency=FREQUENCY,
        settings=ReferenceSettings(max_depth=1, samples=50_000, max_num_paths=1_000_000),
    )
    assert paths.depth.tolist() == [0, 1]
    np.testing.assert_allclose(gains.delay, paths.delay, rtol=1e-6)
    carrier = np.exp(-2j * np.pi * FREQUENCY * gains.delay.astype(np.float64))
    np.testing.assert_allclose(gains.gain_at_zero_delay * carrier, gains.gain, rtol=0.01)
    return paths, gains.gain_at_zero_delay


def test_line_of_sight_is_free_space() -> None:
    paths, gain = two_rays(itu_material("metal", 0.1))
    free_space = SPEED_OF_LIGHT / FREQUENCY / (4 * np.pi * paths.length)
    np.testing.assert_allclose(gain[0], free_space[0], rtol=1e-5)
    np.testing.assert_allclose(np.abs(gain[1]), free_space[1], rtol=1e-3)


@pytest.mark.parametrize("name", ["concrete", "wet_ground"])
def test_a_half_space_reflects_as_fresnel_says(name: str) -> None:
    material = itu_material(name)  # no thickness: a half-space
    paths, gain = two_rays(material)
    permittivity, conductivity = material.evaluate(FREQUENCY)
    eta = permittivity - 1j * conductivity / (2 * np.pi * FREQUENCY * 8.8541878188e-12)
    cosine = abs(paths.departure[1, 2])
    root = np.sqrt(eta - 1 + cosine**2)
    fresnel = (eta * cosine - root) / (eta * cosine + root)
    expected = SPEED_OF_LIGHT / FREQUENCY / (4 * np.pi * paths.length[1]) * np.abs(fresnel)
    assert abs(gain[1]) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("max_depth", [0, 1, 2])
def test_users_without_paths_are_kept(max_depth: int) -> None:
    site = quad_site(box_quads((-1.1, -1.3, -1.2), (1.4, 1.2, 1.5)))
    inside, outside = [0.2, 0.1, 0.3], [3.0, 0.4, 0.5]
    transmitter = np.array([0.5, -0.3, 0.1])
    for users in ([outside], [outside, inside, outside]):
        paths = trace_reference(
            site, transmitter, np.array(users), ReferenceSettings(max_depth=max_depth, batch=1, **FEW)
        )
        reached = [1 + 6 * (max_depth > 0) + 18 * (max_depth > 1) if u is inside else 0 for u in users]
        assert paths.counts.tolist() == reached
        assert paths.vertices.shape == (sum(reached), max_depth, 3)


def test_bad_input_gets_a_sentence() -> None:
    site = quad_site([ground()])
    here = np.array([0.0, 0.0, 3.0])
    with pytest.raises(SiteTwinError, match="1 user positions are not finite"):
        trace_reference(site, here, np.array([[1.0, 1, 1], [np.nan, 0, 1]]))
    with pytest.raises(SiteTwinError, match=r"shapes \(3,\) .* and \(3,\)"):
        trace_reference(site, here, np.zeros(3))
    with pytest.raises(SiteTwinError, match="no user to trace to"):
        trace_reference(site, here, np.zeros((0, 3)))
    with pytest.raises(SiteTwinError, match="transmitter"):
        trace_reference(site, np.array([0.0, np.inf, 3.0]), np.ones((1, 3)))
    lossless = quad_site([ground()], [Material("ideal", relative_permittivity=4.0, conductivity=0.0)])
    with pytest.raises(SiteTwinError, match="half-space"):
        trace_reference_gains(lossless, here, np.ones((1, 3)), frequency=FREQUENCY)
    names = ("triangles", "triangle_facet", "triangle_object")
    with pytest.raises(SiteTwinError, match="no triangles"):
        trace_reference(replace(site, **{name: getattr(site, name)[:0] for name in names}), here, here[None])


def test_its_diffracted_paths_are_among_ours_and_obey_the_laws() -> None:
    site = load_scene("simple_street_canyon")
    transmitter, users = map(np.array, SCENES["simple_street_canyon"])
    theirs = trace_reference(
        site,
        transmitter,
        users,
        ReferenceSettings(diffraction=True, edge_diffraction=True, samples=400_000, max_num_paths=1_000_000),
    )
    bent = theirs.kinds == Interaction.DIFFRACTION
    at = bent.argmax(axis=1)
    near = bent.any(axis=1) & (at <= 1) & (theirs.depth - at <= 2)  # up to one reflection on either side
    assert near.sum() > 20
    assert {j.verdict for j in LawTest(site).judge_paths(theirs, np.flatnonzero(near))} <= {Verdict.VALID}
    ours = trace(site, transmitter, users, TraceSettings(max_depth=3, diffraction=True))
    match = match_paths(ours, theirs)
    at_rim = site.wedges.rim[np.maximum(theirs.facets[np.arange(len(at)), at], 0)]  # their floor ends in an edge
    assert not (near & ~at_rim)[match.only_b].any()
    np.testing.assert_allclose(ours.length[match.a], theirs.length[match.b], rtol=1e-12)


def test_only_its_shadow_paths_without_the_lit_region() -> None:
    site = load_scene("simple_street_canyon")
    transmitter, users = map(np.array, SCENES["simple_street_canyon"])
    more = {"diffraction": True, "diffraction_lit_region": False, "samples": 400_000, "max_num_paths": 1_000_000}
    theirs = trace_reference(site, transmitter, users, ReferenceSettings(max_depth=1, **more))
    ours = trace(site, transmitter, users, TraceSettings(max_depth=1, diffraction=True, lit_region=False))
    assert (theirs.kinds == Interaction.DIFFRACTION).any()
    assert len(match_paths(ours, theirs).only_b) == 0


def test_geometry_alone_asks_nothing_of_the_materials() -> None:
    vacuum = quad_site([ground()], [Material("nothing", relative_permittivity=1.0, conductivity=0.0)])
    paths = trace_reference(
        vacuum, np.array([0.0, 0.0, 3.0]), np.array([[1.0, 1.0, 1.0]]), ReferenceSettings(max_depth=1, **FEW)
    )
    assert paths.depth.tolist() == [0, 1]


def test_a_trace_gives_its_gigabytes_back() -> None:
    """Sionna RT's table of candidates is as long as `max_num_paths` allows; Dr.Jit would keep it for reuse."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("reads its memory in /proc")

    def resident_megabytes() -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    site = load_scene("simple_street_canyon")
    station, users = np.array([-20.0, 0.0, 15.0]), np.array([[10.0, 0.0, 1.5]])
    trace_reference(
        site, station, users, ReferenceSettings(max_depth=1, samples=20_000)
    )  # libraries and kernels are loaded
    before = resident_megabytes()
    trace_reference(site, station, users, ReferenceSettings(max_depth=1, samples=20_000, max_num_paths=40_000_000))
    assert resident_megabytes() - before < 300

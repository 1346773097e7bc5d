"""What slabs let through: closed forms, energy, reciprocity, and Sionna RT path by path."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import AntennaArray, FieldOptions, Radio, Surfaces, path_gains, slab
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Interaction, TraceSettings, trace
from sitetwin.rays.referee.sionna_scene import build_scene, path_solver
from sitetwin.site.materials import Material, itu_material
from tests.rays.shapes import quad_site
from tests.rays.test_transmission import SLAB, SOIL, named, rooms, wall, walls

F = 3.5e9
C = 299_792_458.0
WAVENUMBER = 2 * math.pi * F / C
SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=20_000, unseen_bound=0.01, max_transmissions=2)
BOTH = Radio(AntennaArray.ula(1, polarisation="VH"))


def layer(eta: complex, thickness: float, cosine: float, polarisation: str) -> tuple[complex, complex]:
    """R and T of a layer in air by its characteristic matrix (Born and Wolf, 1.6): tangential fields carried across."""
    inside = np.sqrt(eta - (1 - cosine**2) + 0j)
    inside = inside if inside.imag <= 0 else -inside
    outer, inner = (cosine, inside) if polarisation == "te" else (1 / cosine, eta / inside)  # admittances
    q = WAVENUMBER * thickness * inside
    m = np.array([[np.cos(q), 1j * np.sin(q) / inner], [1j * inner * np.sin(q), np.cos(q)]])
    b, c = m @ np.array([1, outer])
    return (outer * b - c) / (outer * b + c), 2 * outer / (outer * b + c)


def coefficients(material: Material, cosine: float) -> tuple[complex, complex]:
    surfaces = Surfaces.of([material], F)
    found = surfaces.transmission(torch.tensor([cosine], dtype=torch.float64), torch.zeros(1, dtype=torch.int64))
    return found[0].item(), found[1].item()


@given(eps=st.floats(1.0, 20.0), sigma=st.floats(0.0, 2.0), thickness=st.floats(1e-3, 0.5), cosine=st.floats(0.02, 1.0))
def test_a_slab_by_its_characteristic_matrix(eps, sigma, thickness, cosine):
    material = Material("m", relative_permittivity=eps, conductivity=sigma, thickness=thickness)
    eta = eps - 1j * sigma / (2 * math.pi * F * 8.8541878188e-12)
    ahead = np.exp(1j * WAVENUMBER * thickness * cosine)
    for polarisation, found in zip(("te", "tm"), coefficients(material, cosine), strict=True):
        assert found == pytest.approx(layer(eta, thickness, cosine, polarisation)[1] * ahead, abs=1e-9)


@given(eps=st.floats(1.0, 20.0), sigma=st.floats(0.0, 1.0), cosine=st.floats(0.02, 1.0))
def test_what_is_not_reflected_nor_absorbed_goes_through(eps, sigma, cosine):
    eta = torch.tensor([eps, eps - 1j * (sigma + 0.01)], dtype=torch.complex128)
    reflected, passed = slab(
        torch.full((2,), cosine, dtype=torch.float64), eta, torch.full((2,), 7.3, dtype=torch.float64)
    )
    for r, t in zip(reflected, passed, strict=True):
        energy = (r.abs() ** 2 + t.abs() ** 2).numpy()
        assert energy[0] == pytest.approx(1.0, abs=1e-9)
        assert energy[1] < 1


@pytest.mark.parametrize("cosine", [0.05, 0.5, 1.0])
def test_a_slab_of_air_is_not_there(cosine):
    t_te, t_tm = coefficients(Material("air", relative_permittivity=1.0, conductivity=0.0, thickness=0.3), cosine)
    assert t_te == pytest.approx(1, abs=1e-9)
    assert t_tm == pytest.approx(1, abs=1e-9)


def test_half_spaces_let_nothing_through_and_make_no_nan():
    assert coefficients(SOIL, 0.7) == (0, 0)


def gains(site, a, b, wanted=SETTINGS, radio=BOTH):
    paths = trace(site, np.array(a), np.array([b]), wanted, allow_indoors=True)
    return path_gains(paths, site, F, radio, radio, dtype=torch.complex128).numpy(), paths


@pytest.mark.parametrize("seed", [0, 1])
def test_two_parallel_walls_in_closed_form(seed):
    """Each lets through its share; what bounces between them is a path of its own."""
    rng = np.random.default_rng(seed)
    glass = itu_material("glass", 0.02)
    site = walls(wall(0.0), wall(1.7, glass))
    a, b = np.array([-3.0, 1.0, rng.uniform(-1, 1)]), np.array([6.0, rng.uniform(-3, 3), 1.0])
    found, paths = gains(site, a, b)
    k = (b - a) / np.linalg.norm(b - a)
    across = np.cross(k, [1.0, 0, 0]) / np.linalg.norm(np.cross(k, [1.0, 0, 0]))
    along = np.cross(across, k)
    theta = np.array([k[0] * k[2], k[1] * k[2], -(k[0] ** 2 + k[1] ** 2)]) / np.hypot(k[0], k[1])
    phi = np.array([-k[1], k[0], 0]) / np.hypot(k[0], k[1])
    distance = np.linalg.norm(b - a)
    free = C / F / (4 * math.pi * distance) * np.exp(-1j * WAVENUMBER * distance)
    t = [1.0 + 0j, 1.0 + 0j]
    for material in (SLAB, glass):
        eps, sigma = material.evaluate(F)
        eta = eps - 1j * sigma / (2 * math.pi * F * 8.8541878188e-12)
        for i, polarisation in enumerate(("te", "tm")):
            t[i] *= layer(eta, material.thickness, k[0], polarisation)[1] * np.exp(
                1j * WAVENUMBER * material.thickness * k[0]
            )
    field = t[0] * np.outer(across, across) + t[1] * np.outer(along, along)
    row = named(paths, 0).index(((4, 0), (4, 1)))
    # a receiver counts azimuth towards the source: its phi-hat is turned around
    expected = free * np.array(
        [[theta @ field @ theta, theta @ field @ phi], [-phi @ field @ theta, -phi @ field @ phi]]
    )
    np.testing.assert_allclose(found[row], expected, atol=1e-9 * abs(free))
    assert ((4, 0), (1, 1), (1, 0), (4, 1)) in named(paths, 0)


def test_reciprocity():
    site, radio = rooms(), Radio(AntennaArray.ula(1, polarisation="cross"), (0.3, 0.2, -0.4))
    for user in np.random.default_rng(5).uniform((-11, -8, 0.5), (11, 8, 2.8), (3, 3)):
        a = np.array([-4.0, 2.0, 1.5])
        out, there = gains(site, a, user, radio=radio)
        back, home = gains(site, user, a, radio=radio)
        reverse = named(home, 0)
        order = [reverse.index(tuple(reversed(name))) for name in named(there, 0)]
        assert len(order) > 5
        scale = np.abs(out).max()
        np.testing.assert_allclose(out.transpose(0, 2, 1), back[order], atol=1e-6 * scale, rtol=1e-6)


def test_single_precision_follows_double():
    site, users = rooms(), np.array([[6.0, -3.0, 1.0]])
    paths = trace(site, np.array([-4.0, 2.0, 1.5]), users, SETTINGS, allow_indoors=True)
    double = path_gains(paths, site, F, BOTH, BOTH, dtype=torch.complex128).values
    single = path_gains(paths, site, F, BOTH, BOTH).values
    np.testing.assert_allclose(single.numpy(), double.numpy(), atol=2e-5 * float(double.abs().max()))


def test_walls_that_were_opaque_must_stay_so():
    site = walls(wall(0.0), wall(1.0, SOIL))
    paths = trace(site, np.array([-3.0, 1, 2]), np.array([[0.5, 0, 0]]), SETTINGS)
    thinner = site.variant(materials={SOIL.name: itu_material("brick", 0.1)})
    with pytest.raises(SiteTwinError, match="'brick' is a slab but was opaque"):
        path_gains(paths, thinner, F)
    thicker = site.variant(materials={SLAB.name: itu_material("concrete")})
    through = (paths.kinds == Interaction.TRANSMISSION).any(axis=1)
    assert not path_gains(paths, thicker, F, options=FieldOptions()).values[through].any()


@pytest.fixture(scope="module")
def passed():
    """Three walls, of which the second is opaque, and paths through the others and over all."""
    site = walls(wall(0.0), wall(9.0, SOIL), wall(2.0, itu_material("glass", 0.01)))
    users = np.array([[0.5, 0, 0], [5.0, 1, 2], [-1.0, 2, 1]])
    paths = trace(site, np.array([-3.0, 1, 2]), users, SETTINGS)
    assert (paths.kinds == Interaction.TRANSMISSION).any()
    return site, paths, path_gains(paths, site, F).values


@settings(max_examples=20)
@given(order=st.permutations(range(5)), names=st.lists(st.text("ab", min_size=1), min_size=3, max_size=3))
def test_numbers_and_names_of_materials_have_no_say(passed, order, names):
    """The same walls in another import: two materials more, in any order, with other names."""
    site, paths, expected = passed
    own = [replace(m, name=name) for m, name in zip(site.materials, names, strict=True)]
    listed = [*own, itu_material("brick", 0.3), itu_material("wet_ground")]
    number = np.argsort(order).astype(np.int32)
    again = replace(site, materials=tuple(listed[k] for k in order), facet_material=number[site.facet_material])
    assert again.geometry_hash == site.geometry_hash
    torch.testing.assert_close(path_gains(paths, again, F).values, expected, rtol=0, atol=0)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=3))
def test_paths_are_refused_exactly_where_some_are_missing(passed, chosen):
    """Whatever the numbers: refused if the second wall is a slab now; walls that are opaque now let nothing through."""
    site, paths, _ = passed
    table = [SLAB, SOIL, itu_material("brick", 0.1), itu_material("metal")]
    other = replace(site, materials=tuple(table), facet_material=np.array(chosen, dtype=np.int32))
    if table[chosen[1]].thickness is not None:
        with pytest.raises(SiteTwinError, match=f"a surface of '{table[chosen[1]].name}' is a slab but was opaque"):
            path_gains(paths, other, F)
        return
    found = path_gains(paths, other, F).values.flatten()
    closed = [facet for facet in (0, 2) if table[chosen[facet]].thickness is None]
    blocked = ((paths.kinds == Interaction.TRANSMISSION) & np.isin(paths.facets, closed)).any(axis=1)
    np.testing.assert_array_equal(found == 0, blocked)


def test_users_whom_no_path_reaches_are_refused_too(passed):
    """All their paths may be missing."""
    site, paths, _ = passed
    opened = replace(site, materials=(SLAB,) * 3)
    with pytest.raises(SiteTwinError, match="trace again with this site, or give the site of the trace"):
        path_gains(paths.take(np.zeros(0, np.int64)), opened, F)


@pytest.mark.parametrize("told", [3, ["a"], [[0]], [["a", "b"]]])
def test_what_is_no_list_of_facets_is_refused(passed, told):
    site, paths, _ = passed
    with pytest.raises(SiteTwinError, match="do not say which facets were opaque as pairs of numbers"):
        path_gains(replace(paths, attributes={**paths.attributes, "opaque_facets": told}), site, F)


def test_paths_that_name_materials_by_number_are_taken_where_the_numbers_fit(passed):
    """Paths of earlier versions: what they say cannot be checked in full, and is not guessed at."""
    site, paths, expected = passed
    facts = {name: value for name, value in paths.attributes.items() if name != "opaque_facets"}
    old = replace(paths, attributes={**facts, "opaque_materials": [1]})
    torch.testing.assert_close(path_gains(old, site, F).values, expected)
    for materials in ((SOIL, SLAB, SLAB), (SOIL,)):
        other = replace(site, materials=materials, facet_material=site.facet_material % len(materials))
        with pytest.raises(SiteTwinError, match="name the materials that were opaque by number, 1, and not all"):
            path_gains(old, other, F)


def test_path_by_path_against_sionna():
    """Refraction of Sionna RT: straight through, thickness beside the path's length."""
    floor, side = [(-9, -9, -2), (9, -9, -2), (9, 9, -2), (-9, 9, -2)], [(-9, 5, -3), (9, 5, -3), (9, 5, 6), (-9, 5, 6)]
    site = quad_site(
        [wall(0.0, low=-3.0, high=4.0)[0], wall(2.5, low=-3.0, high=4.0)[0], floor, side],
        [SLAB, itu_material("glass", 0.012), itu_material("wood", 0.05), SLAB],
    )
    a, b = np.array([-4.0, 1.0, 0.5]), np.array([5.0, -1.2, 1.0])
    scene, triangles_of = build_scene(site, F)
    scene.place(a, b[None])
    solved = path_solver()(
        scene, max_depth=4, max_num_paths_per_src=200_000, samples_per_src=100_000, synthetic_array=True,
        los=True, specular_reflection=True, diffuse_reflection=False, refraction=True, seed=3,
    )  # fmt: skip
    valid = solved.valid.numpy()[0, 0]
    kinds, shapes, primitives = (
        getattr(solved, n).numpy()[:, 0, 0, valid].T for n in ("interactions", "objects", "primitives")
    )
    real, imaginary = (part.numpy()[0, 0, 0, 0, valid].astype(float) for part in solved.a)
    theirs = {}
    for p in range(len(kinds)):
        steps = [
            (4 if kind == 4 else 1, int(site.triangle_facet[triangles_of[int(shape)][int(primitive)]]))
            for kind, shape, primitive in zip(kinds[p], shapes[p], primitives[p], strict=True)
            if kind
        ]
        theirs[tuple(steps)] = real[p] + 1j * imaginary[p]
    radio = Radio()
    found, paths = gains(
        site, a, b, TraceSettings(2, rays_per_lattice=20_000, unseen_bound=0.01, max_transmissions=4), radio
    )
    ours = {
        name: gain * np.exp(2j * math.pi * F * length / C)
        for name, gain, length in zip(named(paths, 0), found[:, 0, 0], paths.length, strict=True)
    }
    reflections = {name: sum(kind == 1 for kind, _ in name) for name in ours}
    small = {name for name in ours if len(name) <= 4}
    assert {name for name in theirs if sum(kind == 1 for kind, _ in name) <= 2} == small
    assert len(small) >= 5, small
    assert max(reflections[name] for name in small) == 2
    for name in small:
        row = named(paths, 0).index(name)
        points = np.concatenate([a[None], paths.vertices[row, : len(name)], b[None]])
        ahead = 0.0
        for at, (kind, facet) in enumerate(name):
            if kind == 4:
                step = points[at + 1] - points[at]
                cosine = abs(step @ site.facet_normal[facet]) / np.linalg.norm(step)
                ahead += WAVENUMBER * site.materials[site.facet_material[facet]].thickness * cosine
        # theirs refers to the point straight across the slab: the free-space phase of the thickness comes on top
        assert ours[name] * np.exp(-1j * ahead) == pytest.approx(
            theirs[name], abs=1e-3 * max(map(abs, theirs.values()))
        )

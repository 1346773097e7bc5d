"""Gains of diffracted paths: continuity, reciprocity, image theory, invariance, gradients, refusals."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import AntennaArray, FieldOptions, Radio, band_nodes, path_gains
from sitetwin.channel.synthesis.steering import PathTensors, element_lengths
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Interaction
from sitetwin.site.materials import Material
from tests.channel.edges import CONDUCTOR, around, edge_paths, turning, wedge_site

C = 299_792_458.0
F = 1e9
PI = math.pi
DOUBLE = torch.complex128
BRICK = Material("brick", relative_permittivity=4.0, conductivity=0.03)
SLAB = Material("slab", relative_permittivity=6.0, conductivity=0.1, thickness=0.11)
ROUGH = (replace(BRICK, scattering_coefficient=0.4), replace(SLAB, scattering_coefficient=0.9))
MATERIALS = {"conductor": (CONDUCTOR, CONDUCTOR), "dielectric": (BRICK, SLAB)}


def dual(orientation=(0.0, 0.0, 0.0)):
    return Radio(AntennaArray.single("iso", "VH"), orientation)


def gains(paths, site, model="luebbers", dtype=DOUBLE, turn=0.3, **options):
    options = FieldOptions(diffraction=model, **options)
    return path_gains(paths, site, F, dual((turn, 0.2, -0.1)), dual((-1.0, 0.4, turn)), options, dtype=dtype).values


def total(tx, user, site, exterior, model, **options):
    """(2, 2) field of everything that reaches a user: direct, reflected at either face, diffracted."""
    phi_in, phi = (math.atan2(p[1], p[0]) % (2 * PI) for p in (tx, user))
    chains = [((), 0, ())]
    if abs(phi - phi_in) < PI:
        chains.append(((), None, ()))
    if phi + phi_in < PI:
        chains.append(((0,), None, ()))
    if 2 * exterior - phi - phi_in < PI:
        chains.append((((0,) if exterior == 2 * PI else (1,)), None, ()))
    return gains(edge_paths(tx, user, site, chains), site, model, **options).sum(dim=0).numpy()


def jump(model, materials, exterior, phi_in, boundary, offset, **options):
    """Change of the total field over a boundary, and of the direct field's size there, both sides oblique."""
    site = wedge_site(exterior, {**MATERIALS, "rough": ROUGH}[materials])
    tx = around(9.0, phi_in, 2.5)
    before, after = (
        total(tx, around(6.0, boundary + d, -4.0), site, exterior, model, **options) for d in (-offset, offset)
    )
    return after - before, np.abs(before).max()


def boundaries(exterior, phi_in):
    """Azimuths at which the direct ray and the rays reflected at face 0 and face n end."""
    found = {"incident": phi_in + PI if phi_in + PI < exterior else phi_in - PI, "face 0": PI - phi_in}
    found["face n"] = 2 * exterior - PI - phi_in
    return {name: phi for name, phi in found.items() if 0 < phi < exterior}


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize("exterior", [1.5 * PI, 1.7 * PI, 2 * PI])
@pytest.mark.parametrize("phi_in", [0.7, 2.3, 4.2])
def test_rough_faces_jump_at_no_boundary_either(exterior, phi_in, diffuse):
    """The edge takes the place of the mirror ray as it is: weakened by what its face scatters, or whole."""
    for boundary in boundaries(exterior, phi_in).values():
        for offset, most in ((1e-6, 1e-3), (1e-8, 1e-5)):
            change, size = jump("luebbers", "rough", exterior, phi_in, boundary, offset, diffuse=diffuse)
            assert np.abs(change).max() < most * size


@pytest.mark.parametrize("model", ["luebbers", "sionna"])
def test_the_edge_of_faces_that_scatter_all_is_that_of_faces_that_reflect_nothing(model):
    """S = 1 leaves no mirror ray, as air does; S that no path carries is no S."""
    air = Material("air", relative_permittivity=1.0, conductivity=0.0)
    tx, users = around(9.0, 0.7, 2.5), around(6.0, np.linspace(0.1, 4.6, 30), -4.0)
    whole, rough, none = (
        wedge_site(1.5 * PI, (replace(m, scattering_coefficient=s),) * 2) for m, s in ((BRICK, 0), (BRICK, 1), (air, 0))
    )
    on, off = (gains(edge_paths(tx, users, rough), rough, model, diffuse=d) for d in (True, False))
    torch.testing.assert_close(on, gains(edge_paths(tx, users, none), none, model), rtol=1e-9, atol=1e-18)
    torch.testing.assert_close(off, gains(edge_paths(tx, users, whole), whole, model))


@pytest.mark.parametrize("materials", list(MATERIALS))
@pytest.mark.parametrize("exterior", [1.5 * PI, 1.7 * PI, 2 * PI])
@pytest.mark.parametrize("phi_in", [0.7, 2.3, 4.2])
def test_no_jump_at_shadow_boundaries(materials, exterior, phi_in):
    """Oblique incidence, all polarisations, any material: what geometrical optics loses, the edge brings."""
    for boundary in boundaries(exterior, phi_in).values():
        for offset, most in ((1e-6, 1e-3), (1e-8, 1e-5)):  # the phases themselves change by k s offset
            change, size = jump("luebbers", materials, exterior, phi_in, boundary, offset)
            assert np.abs(change).max() < most * size


def test_the_boundaries_are_jumps_of_geometrical_optics():
    """Without its edge the same field jumps: the test above would notice a wrong coefficient."""
    exterior, phi_in = 1.5 * PI, 0.7
    site = wedge_site(exterior, MATERIALS["dielectric"])
    for boundary in boundaries(exterior, phi_in).values():
        tx, user = around(9.0, phi_in, 2.5), around(6.0, boundary, -4.0)
        edge = np.abs(gains(edge_paths(tx, user, site), site).numpy()).max()
        assert edge > 0.1 * C / F / (4 * PI * 17)


def test_sionnas_formula_is_continuous_at_the_incident_boundary_only():
    """As in Sionna RT 2.2: at the reflection boundary the total field jumps by twice what geometrical optics loses."""
    exterior, phi_in = 1.5 * PI, 0.7
    found = boundaries(exterior, phi_in)
    change, size = jump("sionna", "conductor", exterior, phi_in, found["incident"], 1e-8)
    assert np.abs(change).max() < 1e-5 * size
    change, _ = jump("sionna", "conductor", exterior, phi_in, found["face 0"], 1e-8)
    site = wedge_site(exterior, MATERIALS["conductor"])
    tx, user = around(9.0, phi_in, 2.5), around(6.0, found["face 0"] - 1e-8, -4.0)
    lost = gains(edge_paths(tx, user, site, [((0,), None, ())]), site)[0].numpy()
    np.testing.assert_allclose(change, -2 * lost, atol=1e-4 * np.abs(lost).max())


def test_the_edge_field_at_the_incident_boundary_is_half_the_direct_one():
    """In amplitude and phase, for a spherical wave: 6.02 dB, whatever the distances."""
    site = wedge_site(2 * PI, MATERIALS["dielectric"])
    for s_in, s_out in ((0.6, 40.0), (300.0, 0.6), (25.0, 25.0)):
        user = around(s_out, 1.1 + PI + 1e-9)
        both = gains(edge_paths(around(s_in, 1.1), user, site, [((), None, ()), ((), 0, ())]), site).numpy()
        np.testing.assert_allclose(
            both[1], both[0] / 2, atol=5e-2 * np.abs(both[0]).max() / math.sqrt(min(s_in, s_out))
        )


@pytest.mark.parametrize("exterior", [1.5 * PI, 1.23 * PI, 2 * PI])
def test_conductors_are_reciprocal(exterior):
    """Exchanged ends transpose the gains: coefficients, spreading and phase, oblique, all polarisations."""
    rng = np.random.default_rng(5)
    site = wedge_site(exterior, turn=turning(rng))
    turn = site.wedges.tangents[0, 0], site.wedges.normals[0, 0], site.wedges.direction[0]
    for _ in range(8):
        a, b = (around(rng.uniform(0.5, 40), rng.uniform(0, exterior), rng.uniform(-9, 9)) @ turn for _ in range(2))
        one, other = dual((0.3, 0.2, -0.1)), dual((-1.0, 0.4, 0.3))
        there = path_gains(edge_paths(a, b, site), site, F, one, other, dtype=DOUBLE).values[0]
        back = path_gains(edge_paths(b, a, site), site, F, other, one, dtype=DOUBLE).values[0]
        torch.testing.assert_close(there, back.T, rtol=1e-6, atol=1e-6 * float(there.abs().max()))


@pytest.mark.parametrize("model", ["luebbers", "sionna"])
def test_which_face_is_called_face_0_has_no_say(model):
    rng = np.random.default_rng(6)
    for exterior in (1.5 * PI, 1.8 * PI, 2 * PI):
        materials = MATERIALS["dielectric"]
        site, exchanged = (wedge_site(exterior, materials, exchanged=e) for e in (False, True))
        for phi_in in rng.uniform(0.01, exterior - 0.01, 4):
            tx, users = around(7.0, phi_in, 1.0), around(5.0, rng.uniform(0.01, exterior - 0.01, 20), -3.0)
            a, b = (gains(edge_paths(tx, users, s), s, model) for s in (site, exchanged))
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9 * float(a.abs().max()))


@pytest.mark.parametrize("model", ["luebbers", "sionna"])
def test_turning_the_world_with_its_antennas_changes_nothing(model):
    """Two dual-polarised ports span all transverse fields, so that the singular values may not change."""
    rng = np.random.default_rng(7)
    for _ in range(10):
        turn = turning(rng)
        phi_in, phi = rng.uniform(0.1, 1.4 * PI, 2)
        tx, user = around(7.0, phi_in, 3.0), around(5.0, phi, -2.0)
        still, turned = (wedge_site(1.5 * PI, MATERIALS["dielectric"], turn=t) for t in (None, turn))
        iso = dual()
        options = FieldOptions(diffraction=model)
        a = path_gains(edge_paths(tx, user, still), still, F, iso, iso, options, dtype=DOUBLE).values[0]
        b = path_gains(edge_paths(turn @ tx, turn @ user, turned), turned, F, iso, iso, options, dtype=DOUBLE).values[0]
        torch.testing.assert_close(torch.linalg.svdvals(a), torch.linalg.svdvals(b), rtol=1e-9, atol=0)


@pytest.mark.parametrize("side", ["before", "after"])
def test_reflection_and_diffraction_equal_diffraction_from_the_image(side):
    """Image theory: over a conducting floor a vertical antenna is its own image, a horizontal one its negative."""
    site = wedge_site(1.5 * PI, MATERIALS["conductor"], planes=[((0, 0, 1), -6.0)])
    heights = (1.0, 5.0) if side == "before" else (5.0, 1.0)  # so that the edge is met above the floor
    tx, user = around(6.0, 0.9, heights[0]), around(6.0, 3.9, heights[1])
    end = np.array([1, 1, -1]) * (tx if side == "before" else user) + np.array([0, 0, -12.0])
    chain, ends = (((2,), 0, ()), (end, user)) if side == "before" else (((), 0, (2,)), (tx, end))
    radio = dual()
    chained = path_gains(edge_paths(tx, user, site, [chain]), site, F, radio, radio, dtype=DOUBLE).values[0]
    image = path_gains(edge_paths(*ends, site), site, F, radio, radio, dtype=DOUBLE).values[0]
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64)
    sign = sign[None, :] if side == "before" else sign[:, None]
    torch.testing.assert_close(chained, image * sign, rtol=1e-5, atol=1e-5 * float(image.abs().max()))


def test_lossless_spreading_follows_kouyoumjian_and_pathak():
    """Far from boundaries: ``lambda / 4 pi |D| / sqrt(s s' (s + s'))`` with Keller's D for a soft half plane."""
    site = wedge_site(2 * PI, MATERIALS["conductor"])
    phi_in, phi, k = 1.9, 0.9, 2 * PI * F / C
    d = (
        -np.exp(-0.25j * PI)
        / (2 * math.sqrt(2 * PI * k))
        * (1 / np.cos((phi - phi_in) / 2) - 1 / np.cos((phi + phi_in) / 2))
    )
    for s_in, s_out in ((2000.0, 3000.0), (500.0, 9000.0)):
        radio = Radio()
        paths = edge_paths(around(s_in, phi_in), around(s_out, phi), site)
        gain = path_gains(paths, site, F, radio, radio, dtype=DOUBLE).values.item()
        expected = C / F / (4 * PI) * d / math.sqrt(s_in * s_out * (s_in + s_out))
        expected *= np.exp(-2j * PI * math.fmod(F / C * (s_in + s_out), 1.0))
        assert gain == pytest.approx(expected, rel=2e-3)


def test_no_gain_above_one():
    rng = np.random.default_rng(8)
    wavelength = C / F
    for materials in MATERIALS.values():
        for exterior in (0.5 * PI, 1.1 * PI, 1.5 * PI, 2 * PI):
            site = wedge_site(exterior, materials)
            users = around(rng.uniform(1, 30, 300) * wavelength, rng.uniform(0, exterior, 300), rng.uniform(-2, 2, 300))
            for phi_in in rng.uniform(0, exterior, 3):
                paths = edge_paths(around(wavelength, phi_in), users, site)
                radio = dual()
                for model in ("luebbers", "sionna"):
                    gain = path_gains(
                        paths, site, F, radio, radio, FieldOptions(diffraction=model), dtype=DOUBLE
                    ).values
                    free = wavelength / (4 * PI) / torch.from_numpy(paths.length)
                    assert bool((torch.linalg.matrix_norm(gain, 2) < 2.1 * free).all())
                    assert float(gain.abs().max()) < 1


@pytest.mark.parametrize("model", ["luebbers", "sionna"])
def test_single_precision_and_chunks(model):
    rng = np.random.default_rng(9)
    site = wedge_site(1.5 * PI, MATERIALS["dielectric"], planes=[((0, 0, 1), -6.0)])
    users = around(rng.uniform(2, 8, 40), rng.uniform(0, 1.5 * PI, 40), rng.uniform(9, 12, 40))
    chains = [((), 0, ()), ((2,), 0, ()), ((), None, ()), ((2,), None, ())]
    paths = edge_paths(around(9.0, 0.8, 2.0), users, site, chains)
    fine = gains(paths, site, model)
    coarse = gains(paths, site, model, torch.complex64)
    assert coarse.dtype == torch.complex64
    size = fine.abs().amax(dim=(1, 2), keepdim=True)
    assert float(((fine - coarse).abs() / size).max()) < 2e-5
    few = path_gains(paths, site, F, options=FieldOptions(diffraction=model), dtype=DOUBLE, chunk_paths=7).values
    torch.testing.assert_close(
        few, path_gains(paths, site, F, options=FieldOptions(diffraction=model), dtype=DOUBLE).values
    )


def test_gradients_reach_the_materials_of_both_faces():
    site = wedge_site(1.5 * PI, MATERIALS["dielectric"], planes=[((0, 0, 1), -6.0)])
    paths = edge_paths(around(9.0, 0.8, 2.0), around(5.0, [0.6, 3.3, 4.1, PI - 0.8], -1.0), site, [((2,), 0, ())])

    def power(eps):
        return gains(paths, site, relative_permittivity=eps).abs().square().sum() * 1e6

    eps = torch.tensor([4.0, 6.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(power(eps), eps)
    assert bool((slope != 0).all())
    for i in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[i] = 1e-5
        numeric = (power(eps.detach() + step) - power(eps.detach() - step)) / 2e-5
        assert slope[i].item() == pytest.approx(numeric.item(), rel=1e-5)


def test_both_sides_of_a_free_edge_have_its_facets_material():
    tx, user = around(7.0, 1.0), around(5.0, 0.8)
    for material in (CONDUCTOR, BRICK):
        site = wedge_site(2 * PI, (material,))
        both = wedge_site(2 * PI - 1e-9, (material, material))
        a, b = (gains(edge_paths(tx, user, s), s) for s in (site, both))
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0)


def test_band_nodes_follow_the_frequency_of_the_coefficients():
    """Far from boundaries D falls as 1/sqrt(k): over a wide band the nodes hold that, at the carrier's phase."""
    site = wedge_site(2 * PI, MATERIALS["conductor"])
    paths = edge_paths(around(200.0, 1.9), around(300.0, 0.9), site)
    band = band_nodes(paths, site, F, 0.6 * F, dtype=DOUBLE)
    nodes, values = band.nodes_hz, band.values
    size = values.abs().flatten() * nodes**1.5
    assert len(nodes) > 1
    assert float(size.std() / size.mean()) < 3e-3


def test_two_edges_and_unknown_wedges_are_refused():
    site = wedge_site(1.5 * PI)
    paths = edge_paths(around(9.0, 0.8), around(5.0, 3.9), site)
    with pytest.raises(SiteTwinError, match="name wedge 3 but the site has 1"):
        path_gains(replace(paths, facets=paths.facets + 3), site, F)
    with pytest.raises(SiteTwinError, match="name no wedge where they meet one"):
        path_gains(replace(paths, facets=np.full_like(paths.facets, -1)), site, F)
    twice = replace(
        paths,
        kinds=np.full((1, 2), Interaction.DIFFRACTION, np.uint8),
        facets=np.zeros((1, 2), np.int32),
        vertices=np.zeros((1, 2, 3)),
    )
    with pytest.raises(SiteTwinError, match="only single scattering and single diffraction"):
        path_gains(twice, site, F)
    with pytest.raises(SiteTwinError, match="diffraction model 'keller' is unknown"):
        path_gains(paths, site, F, options=FieldOptions(diffraction="keller"))


@pytest.mark.parametrize("chain", [((), 0, ()), ((2,), 0, ()), ((), 0, (2,)), ((3,), 0, (2,))])
def test_spherical_waves_between_arrays_take_the_shortest_way_over_the_edge(chain):
    """Every pair of elements has the length of its own path by images and the Keller point."""
    turn = turning(np.random.default_rng(11))
    site = wedge_site(1.5 * PI, turn=turn, planes=[(turn @ n, d) for n, d in (((0.1, 0, 1), -9), ((0, -1, 0.2), -20))])
    tx, user = turn @ around(6.0, 0.9, 1.0), turn @ around(6.5, 3.9, 2.0)
    wide = AntennaArray.ula(9)
    ends = Radio(wide, (0.4, 0.1, 0.2)), Radio(wide, (-1.0, 0.3, 0.5))
    paths = edge_paths(tx, user, site, [chain])
    lengths = element_lengths(PathTensors.of(paths), site, F, *ends, "spherical")[0].numpy()
    at_tx, at_rx = (C / F * (e.offsets()[0] if e.offsets().ndim == 3 else e.offsets()).numpy() for e in ends)
    exact = np.array([[edge_paths(tx + t, user + r, site, [chain]).length[0] for t in at_tx] for r in at_rx])
    np.testing.assert_allclose(lengths, exact, rtol=1e-12)
    assert np.ptp(lengths) > 0.2
    with pytest.raises(SiteTwinError, match="need the site's wedges"):
        element_lengths(PathTensors.of(paths), None, F, *ends, "spherical")

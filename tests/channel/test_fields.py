"""Gains of paths: closed forms, reciprocity, invariance, and a 3-vector oracle on random chains of mirrors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import AntennaArray, FieldOptions, Radio, band_nodes, path_gains
from sitetwin.channel.fields.path_gains import path_groups
from sitetwin.channel.numerics.phasors import phasor
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths
from sitetwin.site.materials import Material, itu_material
from tests.channel import oracle
from tests.channel.worlds import image_vertices, make_paths, plane_site

C = 299_792_458.0
F = 3.5e9
DOUBLE = torch.complex128


def test_friis():
    paths = make_paths([0, 0, 10], [[300.0, 40, 1.5]], plane_site([]), [[[]]])
    gain = path_gains(paths, plane_site([]), F, dtype=DOUBLE).values.item()
    d = math.sqrt(300**2 + 40**2 + 8.5**2)
    assert abs(gain) ** 2 == pytest.approx((C / F / (4 * math.pi * d)) ** 2)
    phase = -2 * math.pi * math.fmod(F * d / C, 1.0)
    assert math.remainder(math.atan2(gain.imag, gain.real) - phase, 2 * math.pi) == pytest.approx(0, abs=1e-8)


def test_dipoles_multiply_friis_by_their_gains():
    paths = make_paths([0, 0, 10], [[100.0, 0, 10]], plane_site([]), [[[]]])
    dipole = Radio(AntennaArray.single("hw_dipole"))
    ratio = (
        path_gains(paths, plane_site([]), F, dipole, dipole, dtype=DOUBLE).values
        / path_gains(paths, plane_site([]), F, dtype=DOUBLE).values
    )
    assert abs(ratio.item()) == pytest.approx(1.6409, rel=1e-4)


@pytest.mark.parametrize("polarisation", ["V", "H"])
@pytest.mark.parametrize("distance", [5.0, 40.0, 400.0])
def test_two_rays_over_ground(polarisation, distance):
    """Closed form for antennas above a plane (Jakes): direct plus r times the ray from the image."""
    h1, h2 = 10.0, 1.5
    ground = Material("ground", relative_permittivity=15.0, conductivity=0.02)
    site = plane_site([((0, 0, 1), 0.0)], [ground])
    paths = make_paths([0, 0, h1], [[distance, 0, h2]], site, [[[], [0]]])
    radio = Radio(AntennaArray.single("iso", polarisation))
    total = path_gains(paths, site, F, radio, radio, dtype=DOUBLE).values.sum().item()
    direct, reflected = math.hypot(distance, h1 - h2), math.hypot(distance, h1 + h2)
    eta = 15.0 - 1j * 0.02 / (2 * math.pi * F * oracle.EPS0)
    te, tm = oracle.fresnel((h1 + h2) / reflected, eta)
    k = 2 * math.pi * F / C
    # For a horizontal plane V is TM and H is TE. theta-hat of arrival is theta-hat of departure for the direct ray.
    # phi-hat away from the receiver is opposite to phi-hat away from the transmitter: one common sign for H.
    coefficient = tm if polarisation == "V" else te
    sign = 1 if polarisation == "V" else -1
    expected = (
        sign
        * C
        / F
        / (4 * math.pi)
        * (np.exp(-1j * k * direct) / direct + coefficient * np.exp(-1j * k * reflected) / reflected)
    )
    assert total == pytest.approx(expected, rel=1e-7)


def reflects(tx, rx, site, chain):
    """Whether the path stays on one side of each mirror at its vertex (the image method also yields paths through)."""
    points = np.concatenate([tx[None], image_vertices(tx, rx, site, chain), rx[None]])
    sides = [[site.facet_normal[f] @ points[i + j] - site.facet_offset[f] for j in (0, 2)] for i, f in enumerate(chain)]
    return all(a * b > 0 for a, b in sides)


def random_world(seed, depth=3):
    """Random planes and materials with paths over random chains of them (no occlusion: planes let rays pass)."""
    rng = np.random.default_rng(seed)
    planes = [(rng.standard_normal(3), rng.uniform(5, 40) * rng.choice([-1, 1])) for _ in range(4)]
    materials = [
        itu_material("concrete"),
        itu_material("glass", thickness=0.013),
        Material("m", relative_permittivity=float(rng.uniform(1.5, 20)), conductivity=float(rng.uniform(0, 1))),
        itu_material("metal"),
    ]
    site = plane_site(planes, materials, rng.permutation(4))
    tx, rx = rng.uniform(-3, 3, 3), rng.uniform(-3, 3, 3)
    chains = [[]]
    for n in range(1, depth + 1):
        for _ in range(8):
            chain = [int(rng.integers(4))]
            while len(chain) < n:
                chain.append(int(rng.choice([i for i in range(4) if i != chain[-1]])))
            if reflects(tx, rx, site, chain):
                chains.append(chain)
    return site, make_paths(tx, [rx], site, [chains]), chains, rng


def oracle_gains(site, paths, chains, tx, rx, frequency=F):
    from sitetwin.channel import Surfaces

    eta = Surfaces.of(site.materials, frequency).eta.numpy()

    def coefficient(facet):
        m = site.facet_material[facet]
        if site.materials[m].thickness is None:
            return lambda cos: oracle.fresnel(cos, eta[m])

        def layer(cos):
            modes = oracle.transfer_matrix(np.arccos(cos), eta[m], site.materials[m].thickness, frequency)
            return modes["te"][0], modes["tm"][0]

        return layer

    result = np.zeros((paths.num_paths, len(rx[1]), len(tx[1])), complex)
    for p, chain in enumerate(chains):
        points = np.concatenate([paths.transmitter[None], paths.vertices[p, : len(chain)], paths.users[:1]])
        for i, rx_slant in enumerate(rx[1]):
            for j, tx_slant in enumerate(tx[1]):
                result[p, i, j] = oracle.path_gain(
                    points,
                    [site.facet_normal[f] for f in chain],
                    [coefficient(f) for f in chain],
                    frequency,
                    lambda d, s=tx_slant: oracle.element_field(d, tx[0], s, tx[2]),
                    lambda d, s=rx_slant: oracle.element_field(d, rx[0], s, rx[2]),
                )
    return result


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_random_chains_against_three_vectors(seed):
    site, paths, chains, rng = random_world(seed)
    tx_turn, rx_turn = (tuple(rng.uniform(-1.4, 1.4, 3)) for _ in range(2))
    tx = Radio(AntennaArray.single("tr38901", "cross"), tx_turn)
    rx = Radio(AntennaArray.single("dipole", "VH"), rx_turn)
    ours = path_gains(paths, site, F, tx, rx, dtype=DOUBLE).numpy()
    theirs = oracle_gains(
        site, paths, chains, (tx_turn, tx.array.slants, "tr38901"), (rx_turn, rx.array.slants, "dipole")
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-9 * np.abs(theirs).max(), rtol=1e-7)


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_reciprocity(seed):
    """Swapping the ends transposes the gain between ports."""
    site, paths, chains, rng = random_world(seed)
    one = Radio(AntennaArray.single("tr38901", "cross"), tuple(rng.uniform(-1.4, 1.4, 3)))
    other = Radio(AntennaArray.single("dipole", "VH"), tuple(rng.uniform(-1.4, 1.4, 3)))
    back = make_paths(paths.users[0], [paths.transmitter], site, [[c[::-1] for c in chains]])
    there = path_gains(paths, site, F, one, other, dtype=DOUBLE).values
    again = path_gains(back, site, F, other, one, dtype=DOUBLE).values.transpose(1, 2)
    torch.testing.assert_close(there, again, rtol=1e-7, atol=1e-9 * float(there.abs().max()))


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_a_rigid_turn_of_the_world_changes_nothing(seed):
    """World, positions and radios turned together: the same gains."""
    site, paths, chains, rng = random_world(seed)
    turns = [tuple(rng.uniform(-1.4, 1.4, 3)) for _ in range(3)]
    world = oracle.rotation(*turns[0])

    def euler(matrix):
        pitch = -math.asin(matrix[2, 0])
        yaw, roll = math.atan2(matrix[1, 0], matrix[0, 0]), math.atan2(matrix[2, 1], matrix[2, 2])
        return yaw, pitch, roll

    arrays = AntennaArray.single("tr38901", "cross"), AntennaArray.single("dipole", "VH")
    here = path_gains(paths, site, F, Radio(arrays[0], turns[1]), Radio(arrays[1], turns[2]), dtype=DOUBLE).values
    turned_site = plane_site(
        [(world @ n, d) for n, d in zip(site.facet_normal, site.facet_offset, strict=True)],
        site.materials,
        site.facet_material,
    )
    turned = make_paths(world @ paths.transmitter, paths.users @ world.T, turned_site, [chains])
    radios = [
        Radio(array, euler(world @ oracle.rotation(*turn))) for array, turn in zip(arrays, turns[1:], strict=True)
    ]
    there = path_gains(turned, turned_site, F, *radios, dtype=DOUBLE).values
    torch.testing.assert_close(here, there, rtol=1e-5, atol=1e-7 * float(here.abs().max()))


def test_normal_incidence_needs_no_plane_of_incidence():
    site = plane_site([((1, 0, 0), 20.0)], [Material("wall", relative_permittivity=9.0, conductivity=0.0)])
    paths = make_paths([0, 0, 0], [[1.0, 0, 0]], site, [[[0]]])
    for dtype in (torch.complex64, DOUBLE):
        gain = path_gains(paths, site, F, dtype=dtype).values
        # the vertical field turns over: -(3 - 1) / (3 + 1)
        expected = -0.5 * phasor(torch.tensor([39.0 * F / C], dtype=torch.float64), DOUBLE) * C / F / (4 * math.pi * 39)
        torch.testing.assert_close(gain.flatten().to(DOUBLE), expected, rtol=1e-5, atol=0)


def test_single_precision_and_chunks():
    worlds = [random_world(seed) for seed in range(3)]
    for site, paths, _, _ in worlds:
        fine = path_gains(paths, site, F, dtype=DOUBLE).values
        coarse = path_gains(paths, site, F).values
        assert coarse.dtype == torch.complex64
        assert float((fine - coarse).abs().max() / fine.abs().max()) < 1e-5
        torch.testing.assert_close(coarse, path_gains(paths, site, F, chunk_paths=2).values, rtol=1e-5, atol=1e-12)


def test_phase_of_a_long_path_survives_single_precision():
    """300 km at 28 GHz are 2.8e7 turns: reduced in float64, the phase is right to 1e-5 in complex64."""
    length = np.array([300_000.0 + 0.1234, 12_345.6789])
    paths = Paths(
        np.zeros(3),
        np.zeros((2, 3)),
        np.array([0, 1, 2]),
        np.zeros((2, 0), np.uint8),
        np.zeros((2, 0), np.int32),
        np.zeros((2, 0, 3)),
        length,
        np.tile([1.0, 0, 0], (2, 1)),
        np.tile([-1.0, 0, 0], (2, 1)),
        np.zeros(3, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0),
        np.zeros(0),
    )
    ours = path_gains(paths, plane_site([]), 28e9).values.flatten().numpy()
    import decimal

    decimal.getcontext().prec = 40
    turns = [
        float(decimal.Decimal(float(x)) * decimal.Decimal(28_000_000_000) / decimal.Decimal(299_792_458) % 1)
        for x in length
    ]
    np.testing.assert_allclose(ours / np.abs(ours), np.exp(-2j * np.pi * np.array(turns)), atol=1e-5)


def test_gradients_flow_to_materials_and_pose():
    site, paths, _, _ = random_world(7)
    eps = torch.tensor([4.0, 6.0, 3.0, 2.0], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.05, 0.1, 0.2, 0.3], dtype=torch.float64, requires_grad=True)
    pose = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    scale = 1e3

    def gains(eps, sigma, pose):
        options = FieldOptions(relative_permittivity=eps, conductivity=sigma)
        tx = Radio(AntennaArray.single("tr38901", "cross"), pose)
        return torch.view_as_real(scale * path_gains(paths, site, F, tx, None, options, dtype=DOUBLE).values)

    assert torch.autograd.gradcheck(gains, (eps, sigma, pose), atol=1e-6)


def test_orientation_per_user():
    site = plane_site([])
    users = [[30.0, 5, 1], [-20.0, 8, 2]]
    paths = make_paths([0, 0, 5], users, site, [[[]], [[]]])
    poses = torch.tensor([[0.5, 0.1, 0.2], [-2.0, 0.3, -0.4]], dtype=torch.float64)
    array = AntennaArray.single("tr38901", "VH")
    together = path_gains(paths, site, F, rx=Radio(array, poses), dtype=DOUBLE).values
    for user, pose in enumerate(poses):
        alone = path_gains(
            paths.select_users(np.array([user])), site, F, rx=Radio(array, tuple(pose.tolist())), dtype=DOUBLE
        ).values
        torch.testing.assert_close(together[user], alone[0])
    with pytest.raises(SiteTwinError, match="give one row per user"):
        path_gains(paths, site, F, rx=Radio(array, poses[:1]))
    with pytest.raises(SiteTwinError, match="transmitter"):
        path_gains(paths, site, F, tx=Radio(array, poses))


def test_no_path_no_gain():
    paths = make_paths([0, 0, 5], [[1.0, 2, 3], [4.0, 5, 6]], plane_site([]), [[], []])
    assert path_gains(paths, plane_site([]), F).values.shape == (0, 1, 1)


def test_another_site_is_refused():
    site, paths, _, _ = random_world(1)
    small = plane_site([((0, 0, 1), 0.0)])
    with pytest.raises(SiteTwinError, match="site has 1"):
        path_gains(paths, small, F)
    with pytest.raises(SiteTwinError, match="not a positive number"):
        path_gains(paths, site, float("nan"))
    twice = replace(paths, kinds=np.where(paths.kinds > 0, 2, 0).astype(np.uint8), facets=np.minimum(paths.facets, 0))
    with pytest.raises(SiteTwinError, match="scatter centre"):
        path_gains(twice, site, F)


def test_an_interaction_without_a_field_model_is_refused():
    site, paths, _, _ = random_world(1)
    unheard = replace(paths, kinds=np.where(paths.kinds > 0, 9, 0).astype(np.uint8))
    with pytest.raises(SiteTwinError, match="kind 9"):
        path_gains(unheard, site, F)


def test_nodes_follow_the_ripple_of_a_slab():
    """A low-loss pane rings across 400 MHz: nodes are asked for, and between them the gain is met."""
    pane = Material("pane", relative_permittivity=6.3, conductivity=0.001, thickness=0.12)
    site = plane_site([((1, 0, 0), 30.0)], [pane])
    paths = make_paths([0, 0, 5], [[5.0, 20, 2]], site, [[[], [0]]])
    band = band_nodes(paths, site, F, 400e6, dtype=DOUBLE, max_nodes=15)
    nodes, gains = band.nodes_hz, band.values
    assert len(nodes) >= 5
    assert torch.allclose(nodes, 2 * F - nodes.flip(0))
    calm = band_nodes(paths, site, F, 1e5, dtype=DOUBLE)
    assert len(calm.nodes_hz) == 1
    torch.testing.assert_close(calm.values[0], path_gains(paths, site, F, dtype=DOUBLE).values)
    for node, gain in zip(nodes.tolist(), gains, strict=True):
        alone = path_gains(paths, site, node, phase_frequency_hz=F, dtype=DOUBLE).values
        torch.testing.assert_close(gain, alone)


def test_foliage_and_canopy_need_no_vegetation():
    site, paths, _, _ = random_world(2)
    torch.testing.assert_close(
        path_gains(paths, site, F).values,
        path_gains(paths, site, F, options=FieldOptions(foliage=None, season="winter")).values,
    )


def test_long_paths_are_not_taken_for_one_another():
    site = plane_site([((0, 0, 1), 0.0)])
    paths = make_paths([0, 0, 5], [[5.0, 0, 2]], site, [[[], [0]]])
    kinds = np.zeros((4, 40), np.uint8)
    for row, depth in enumerate((22, 23, 40, 22)):
        kinds[row, :depth] = 1
    long = replace(
        paths,
        kinds=kinds,
        facets=np.zeros((4, 40), np.int32),
        vertices=np.zeros((4, 40, 3)),
        length=np.ones(4),
        departure=np.zeros((4, 3)),
        arrival=np.zeros((4, 3)),
        offsets=np.array([0, 4]),
        crossing_offsets=np.zeros(5, np.int64),
    )
    groups = path_groups(long, 10)
    assert sorted(group.tolist() for group in groups) == [[0, 3], [1], [2]]

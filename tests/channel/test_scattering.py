"""Diffuse scattering: normalisation, closed forms, reciprocity, and Sionna RT's power."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import AntennaArray, FieldOptions, Radio, Surfaces, path_gains
from sitetwin.channel.fields.scattering import RoughSurfaces, jones, lobe_integral
from sitetwin.errors import SiteTwinError
from sitetwin.rays import Interaction, TraceSettings, trace
from sitetwin.rays.referee.sionna_scene import build_scene, path_solver
from sitetwin.site.materials import Material
from tests.rays.shapes import ground, quad_site

F = 3.5e9
WAVELENGTH = 299_792_458.0 / F
METAL = Material("metal", relative_permittivity=1.0, conductivity=1e7, scattering_coefficient=0.6)
PATTERNS = [
    {},
    {"scattering_pattern": "directive", "alpha_r": 1},
    {"scattering_pattern": "directive", "alpha_r": 4},
    {"scattering_pattern": "directive", "alpha_r": 37},
    {"scattering_pattern": "backscattering", "alpha_r": 3, "alpha_i": 8, "forward_share": 0.7},
    {"scattering_pattern": "backscattering", "alpha_r": 20, "alpha_i": 1, "forward_share": 0.0},
]


def settings(paths=20_000, tile=2.0):
    return TraceSettings(max_depth=1, rays_per_lattice=2000, unseen_bound=0.5, diffuse_paths=paths, diffuse_tile_m=tile)


def hemisphere(count=400):
    """Directions (3, N) above z = 0 and their weights in sr: Gauss in the cosine, even in azimuth."""
    nodes, weights = np.polynomial.legendre.leggauss(count // 2)
    z, w = (nodes + 1) / 2, weights / 2
    azimuth = 2 * np.pi * (np.arange(count) + 0.5) / count
    flat = np.sqrt(1 - z**2)
    d = np.stack([np.outer(flat, np.cos(azimuth)), np.outer(flat, np.sin(azimuth)), np.outer(z, np.ones(count))])
    return torch.from_numpy(d.reshape(3, -1)), np.repeat(w, count) * 2 * np.pi / count


@pytest.mark.parametrize("incidence", [0.0, 20.0, 55.0, 88.0])
@pytest.mark.parametrize("options", PATTERNS)
def test_a_pattern_spreads_all_the_power_over_the_half_space(options, incidence):
    rough = RoughSurfaces.of([METAL, replace(METAL, **options)])
    scattered, weights = hemisphere()
    n, angle = scattered.shape[1], math.radians(incidence)
    incident = torch.tensor([[math.sin(angle)], [0.0], [-math.cos(angle)]]).double().expand(3, n)
    normal = torch.tensor([[0.0], [0.0], [1.0]]).double().expand(3, n)
    values = rough.pattern(torch.ones(n, dtype=torch.int64), normal, incident, scattered).numpy()
    assert (values >= 0).all()
    assert (values * weights).sum() == pytest.approx(1.0, rel=1e-6)
    assert not rough.pattern(torch.ones(n, dtype=torch.int64), normal, incident, -scattered).any()


def test_lobes_point_where_they_should():
    rough = RoughSurfaces.of([
        replace(METAL, scattering_pattern="directive", alpha_r=10),
        replace(METAL, scattering_pattern="backscattering", alpha_i=10, forward_share=0.0),
    ])  # fmt: skip
    scattered, _ = hemisphere()
    n = scattered.shape[1]
    incident = torch.tensor([[0.6], [0.0], [-0.8]]).double()
    normal = torch.tensor([[0.0], [0.0], [1.0]]).double().expand(3, n)
    for material, towards in ((0, [0.6, 0, 0.8]), (1, [-0.6, 0, 0.8])):
        values = rough.pattern(torch.full((n,), material), normal, incident.expand(3, n), scattered)
        np.testing.assert_allclose(scattered[:, int(values.argmax())].numpy(), towards, atol=0.02)


def test_integrals_of_single_precision_hold():
    alpha, cosine = torch.tensor([1.0, 10.0, 100.0]), torch.tensor([0.3, 0.9, 0.5])
    exact = lobe_integral(alpha.double(), cosine.double())
    np.testing.assert_allclose(lobe_integral(alpha, cosine).numpy(), exact.numpy(), rtol=1e-5)


def test_mixing_of_polarisations_keeps_power():
    share = torch.tensor([0.0, 0.2, 1.0]).double()
    phases = torch.from_numpy(np.random.default_rng(0).uniform(0, 7, (3, 2)))
    tt, tp, pt, pp = (x.numpy() for x in jones(share, phases))
    matrix = np.moveaxis(np.array([[tt, tp], [pt, pp]]), 2, 0)
    np.testing.assert_allclose(matrix @ matrix.conj().transpose(0, 2, 1), np.tile(np.eye(2), (3, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(np.abs(pt) ** 2, share)
    np.testing.assert_array_equal(pt, tp)


def diffuse_gains(site, a, b, radio=None, wanted=None, seed=0):
    """Gains of the diffuse paths in double precision, and the paths."""
    paths = trace(site, np.array(a), np.array([b]), wanted or settings())
    options = FieldOptions(diffuse_seed=seed)
    gains = path_gains(paths, site, F, radio, radio, options, dtype=torch.complex128).values
    rows = (paths.kinds == Interaction.DIFFUSE).any(axis=1)
    return gains[rows].numpy(), paths, gains[~rows].numpy()


def plate(half, material=METAL):
    return quad_site([ground(half)], [material])


BOTH = Radio(AntennaArray.ula(1, polarisation="VH"))


def test_lambertian_power_of_a_large_plate_in_closed_form():
    """Both ends at height h over an endless plate: the share S^2 / (2 h^2) of (lambda / 4 pi)^2 comes back.

    With r the distance from the foot, the power is the integral of ``h^2 / (pi d^6)`` over the plate, d^2 = r^2 + h^2.
    """
    height, half = 5.0, 40.0
    closed = (WAVELENGTH / (4 * math.pi)) ** 2 * METAL.scattering_coefficient**2 / (2 * height**2)
    errors = []
    for tile in (8.0, 4.0, 2.0):
        gains, _, _ = diffuse_gains(plate(half), (0, 0, height), (0.01, 0, height), BOTH, settings(tile=tile))
        # both polarisations of the receiver catch what one port sends
        errors.append(abs((np.abs(gains[:, :, 0]) ** 2).sum() / closed - 1))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.01


@pytest.mark.parametrize("options", PATTERNS)
def test_total_power_converges_as_tiles_shrink(options):
    site = plate(15.0, replace(METAL, **options))
    totals = []
    for tile in (3.0, 1.5, 0.8):
        gains, _, _ = diffuse_gains(site, (-4, 1, 6.0), (5, -2, 4.0), BOTH, settings(tile=tile))
        totals.append((np.abs(gains[:, :, 0]) ** 2).sum())
    assert totals[0] == pytest.approx(totals[2], rel=0.05)
    assert totals[1] == pytest.approx(totals[2], rel=0.01)


@pytest.mark.parametrize("cross", [0.0, 0.3])
def test_lambertian_metal_is_reciprocal_and_cross_polarisation_has_its_share(cross):
    site = plate(6.0, replace(METAL, xpd_coefficient=cross, conductivity=1e20))
    a, b = (-3.0, 1.0, 4.0), (2.0, -2.0, 2.5)
    out, _, _ = diffuse_gains(site, a, b, BOTH)
    back, _, _ = diffuse_gains(site, b, a, BOTH)
    assert len(out) > 100
    np.testing.assert_allclose(out.transpose(0, 2, 1), back, atol=1e-6 * np.abs(out).max())
    power = (np.abs(out) ** 2).sum(axis=0)
    assert power[1, 0] / power[:, 0].sum() == pytest.approx(cross, abs=1e-6)


A, B = (-3.0, 1.0, 4.0), (2.0, -2.0, 2.5)


def test_the_mirror_gives_up_what_the_trace_scatters():
    """sqrt(1 - S^2) where diffuse paths were traced; all of it where nothing scatters."""
    smooth = plate(6.0, replace(METAL, scattering_coefficient=0.0))
    _, _, clean = diffuse_gains(smooth, A, B, wanted=settings(paths=0))
    for paths, kept in ((0, 1.0), (1, 0.8), (500, 0.8)):
        _, _, rough = diffuse_gains(plate(6.0), A, B, wanted=settings(paths=paths))
        np.testing.assert_allclose(np.abs(rough[0]), np.abs(clean[0]))  # line of sight
        np.testing.assert_allclose(np.abs(rough[1]), kept * np.abs(clean[1]))


def test_a_selection_of_paths_keeps_what_the_trace_was():
    """Specular paths taken from a trace with diffuse ones, or users without any of these, lose their share too."""
    site = plate(6.0)
    users = np.array([B, (0.0, 0.0, -3.0)])  # the second one is below the plate, where nothing scatters to
    paths = trace(site, np.array(A), users, settings(paths=50))
    whole = path_gains(paths, site, F).values
    mirrored = np.flatnonzero((paths.kinds == Interaction.REFLECTION).any(axis=1))
    torch.testing.assert_close(path_gains(paths.take(mirrored), site, F).values, whole[mirrored])
    assert paths.select_users([1]).scatters_diffusely
    assert not replace(paths.take(mirrored), attributes={}).scatters_diffusely
    assert replace(paths, attributes={}).scatters_diffusely  # it holds some


def test_the_options_can_switch_scattering_for_any_paths():
    """Off: mirrors keep all, diffuse paths carry nothing; on: as the model has it, diffuse paths or not."""
    site = plate(6.0)
    traced, plain = (trace(site, np.array(A), np.array([B]), settings(paths=n)) for n in (40, 0))

    def power(paths, **options):
        options = FieldOptions(**options)
        return path_gains(paths, site, F, BOTH, BOTH, options, dtype=torch.complex128).power.sum((1, 2)).numpy()

    rows = (traced.kinds == Interaction.DIFFUSE).any(axis=1)
    off, on = power(traced, diffuse=False), power(traced)
    assert not off[rows].any()
    assert on[rows].all()
    np.testing.assert_allclose(off[~rows], power(plain))
    np.testing.assert_allclose(on[~rows], power(plain, diffuse=True))
    np.testing.assert_array_equal(on, power(traced, diffuse=True))
    assert "diffuse" not in FieldOptions().facts(F)
    assert FieldOptions(diffuse=True).facts(F)["diffuse"] is True
    word = FieldOptions()
    object.__setattr__(word, "diffuse", "off")  # as a caller without checked types may give it
    with pytest.raises(SiteTwinError, match="diffuse is 'off'; give True, False, or None"):
        word.__post_init__()


@pytest.mark.parametrize("thickness", [None, 0.004, 0.05])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_slab_makes_no_power(thickness, share):
    """Mirrored, passed and scattered power (the pattern's integral is 1) are no more than what falls on the slab.

    What a slab scatters is taken from its reflection alone, so that without losses nothing is left over.
    """
    lossless = Material("slab", relative_permittivity=5.0, conductivity=0.0, thickness=thickness)
    for material in (lossless, replace(lossless, conductivity=0.3)):
        surfaces = Surfaces.of([material], F)
        cosine, index = torch.linspace(0.02, 1, 60).double(), torch.zeros(60, dtype=torch.int64)
        for r, t in zip(surfaces.reflection(cosine, index), surfaces.transmission(cosine, index), strict=True):
            reflected, passed = (x.abs().square() for x in (r, t))
            total = (1 - share**2) * reflected + share**2 * reflected + passed
            assert bool((total <= 1 + 1e-12).all())
            if thickness is not None and not material.conductivity:
                torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_scattering_takes_nothing_from_what_passes_a_slab(share):
    wall = [(0, -6, -4), (0, 6, -4), (0, 6, 4), (0, -6, 4)]
    gains = []
    for coefficient in (0.0, share):
        slab = Material("slab", itu="glass", thickness=0.01, scattering_coefficient=coefficient)
        site = quad_site([wall], [slab])
        paths = trace(
            site, np.array([-5.0, 0, 0]), np.array([[4.0, 1, 0.5]]), replace(settings(60), max_transmissions=1)
        )
        through = (paths.kinds == Interaction.TRANSMISSION).any(axis=1)
        assert through.sum() == 1
        gains.append(path_gains(paths, site, F).values[through])
    torch.testing.assert_close(*gains)


def test_phases_belong_to_the_tile_and_the_seed():
    site = plate(6.0)
    a, users = (-3.0, 1.0, 4.0), [(2.0, -2.0, 2.5), (2.5, 0.0, 1.0)]

    def turns(user, seed):
        """Phase beside the carrier's, by place of the tile."""
        gains, paths, _ = diffuse_gains(site, a, user, seed=seed)
        rows = (paths.kinds == Interaction.DIFFUSE).any(axis=1)
        carrier = np.exp(-2j * np.pi * paths.length[rows] / WAVELENGTH)
        places = map(tuple, paths.vertices[rows, 0])
        return dict(zip(places, np.angle(gains[:, 0, 0] / carrier), strict=True))

    one, other, again = turns(users[0], 0), turns(users[1], 0), turns(users[0], 1)
    assert one.keys() == other.keys() == again.keys()
    assert max(abs(np.exp(1j * one[p]) - np.exp(1j * other[p])) for p in one) < 1e-6
    assert np.mean([abs(np.exp(1j * one[p]) - np.exp(1j * again[p])) for p in one]) > 0.8
    # evenly spread: the mean of n unit phasors is about 1 / sqrt(n)
    assert abs(np.mean(np.exp(1j * np.array(list(one.values()))))) < 3 / math.sqrt(len(one))


def test_paths_without_their_tile_size_are_refused():
    _, paths, _ = diffuse_gains(plate(6.0), (-3.0, 1.0, 4.0), (2.0, -2.0, 2.5))
    with pytest.raises(SiteTwinError, match="no diffuse_tile_m"):
        path_gains(replace(paths, attributes={}), plate(6.0), F)
    with pytest.raises(SiteTwinError, match="no tile of this site"):
        path_gains(replace(paths, attributes={"settings": paths.attributes["settings"]}), plate(7.0), F)


@pytest.mark.parametrize(
    ("material", "tolerance"),
    [
        (METAL, 0.02),
        (replace(METAL, xpd_coefficient=0.3, scattering_pattern="directive", alpha_r=6), 0.02),
        (replace(METAL, scattering_pattern="backscattering", alpha_r=4, alpha_i=9, forward_share=0.4), 0.02),
        (Material("wall", itu="concrete", thickness=0.3, scattering_coefficient=0.5), 0.03),
    ],
)
def test_mean_power_is_that_of_sionna(material, tolerance):
    """A wall, vertical antennas; powers of the diffuse paths added without their phases."""
    material = material if material.thickness else replace(material, thickness=0.1)
    site = quad_site([[(0, -6, -4), (0, 6, -4), (0, 6, 4), (0, -6, 4)]], [material])
    a, b = np.array([6.0, -2.0, 0.5]), np.array([4.0, 3.0, -1.0])
    scene, _ = build_scene(site, F)
    scene.place(a, b[None])
    solved = path_solver()(
        scene, max_depth=1, max_num_paths_per_src=2_000_000, samples_per_src=1_000_000, synthetic_array=True,
        los=False, specular_reflection=False, diffuse_reflection=True, refraction=False, seed=7,
    )  # fmt: skip
    real, imaginary = (part.numpy() for part in solved.a)
    theirs = float((real.astype(float) ** 2 + imaginary.astype(float) ** 2).sum())
    gains, _, _ = diffuse_gains(site, a, b, wanted=settings(tile=0.5))
    assert float((np.abs(gains) ** 2).sum()) == pytest.approx(theirs, rel=tolerance)

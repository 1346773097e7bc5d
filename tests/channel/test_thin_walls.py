"""Walls thinner than a wavelength against the knife edge: closed form, continuity, reciprocity."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import fresnel

from sitetwin.channel import path_gains
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import TraceSettings, trace
from sitetwin.rays.paths import EDGES, SPEED_OF_LIGHT
from sitetwin.site import Site, build_site, itu_material
from tests.site.test_wedges import box, rectangle, site_of

SETTINGS = TraceSettings(max_depth=1, diffraction=True, rays_per_lattice=5_000)
CARRIER = 1e9
WAVE = SPEED_OF_LIGHT / CARRIER


def wall(thickness: float) -> Site:
    """A wall across the x axis whose top is at z = 0."""
    return site_of(box((-thickness / 2, -10, -20), (thickness / 2, 10, 0)))


def sheets(thickness: float) -> Site:
    """Two sheets back to back."""
    corners = [(-10, -20), (10, -20), (10, 0), (-10, 0)]
    return site_of(*(rectangle([(x, y, z) for y, z in corners]) for x in (-thickness / 2, thickness / 2)))


def coping(thickness: float) -> Site:
    """A wall with a top of two slopes and faces of two materials."""
    half, foot = thickness / 2, -thickness / 4
    profile = [(-half, -20.0), (-half, foot), (0.0, 0.0), (half, foot), (half, -20.0)]
    quads = [[(x, 10, z), (u, 10, w), (u, -10, w), (x, -10, z)] for (x, z), (u, w) in pairwise(profile)]
    vertices = np.array(quads, float).reshape(-1, 3)
    triangles = (4 * np.arange(4)[:, None, None] + np.array([(0, 2, 1), (0, 3, 2)])).reshape(-1, 3)
    materials = [itu_material("metal"), itu_material("concrete", 0.1)]
    return build_site(
        "coping", vertices, triangles, np.repeat(np.arange(4), 2), list("abcd"), np.array([0, 0, 1, 1]), materials
    )


def field(site: Site, transmitter: np.ndarray, users: np.ndarray, carrier: float = CARRIER) -> np.ndarray:
    """Sum of the paths of each user relative to free space."""
    paths = trace(site, np.asarray(transmitter, float), np.asarray(users, float), SETTINGS)
    gains = path_gains(paths, site, carrier).numpy().reshape(-1).astype(complex)
    total = np.zeros(len(users), complex)
    np.add.at(total, paths.user_of_path, gains)
    distance = np.linalg.norm(np.asarray(users) - transmitter, axis=1)
    return total * 4 * np.pi * distance * carrier / SPEED_OF_LIGHT


def knife_edge(height: np.ndarray, distance: float) -> np.ndarray:
    """Rec. ITU-R P.526, dB, both ends `height` above the edge and as far from it."""
    s, c = fresnel(-height * np.sqrt(4 / (WAVE * distance)))
    return -20 * np.log10(np.hypot(1 - c - s, c - s) / 2)


@pytest.mark.parametrize("make", [wall, sheets])
@pytest.mark.parametrize("thickness", [5e-5, 5e-4, 1e-3, 2e-3, 6e-3, 0.05, 0.1, 0.29])
def test_a_thin_wall_is_a_knife_edge(make, thickness: float) -> None:  # type: ignore[no-untyped-def]
    site = make(thickness)
    for height in (-0.2, 0.05, 0.2, 0.5, 1.0):
        loss = -20 * np.log10(np.abs(field(site, np.array([-5.0, 0, height]), np.array([[5.0, 0, height]]))[0]))
        assert loss == pytest.approx(knife_edge(np.array(height), 5.0), abs=0.8)


def test_a_coping_of_three_edges_is_a_knife_edge() -> None:
    site = coping(0.1)
    for height in (-0.2, 0.05, 0.5):
        loss = -20 * np.log10(np.abs(field(site, np.array([-5.0, 0, height]), np.array([[5.0, 0, height]]))[0]))
        assert loss == pytest.approx(knife_edge(np.array(height), 5.0), abs=1.2)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.01, 0.28), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(-2, 2))
def test_both_directions_are_the_same(thickness: float, one: float, other: float, aside: float) -> None:
    site, a, b = wall(thickness), np.array([-4.0, aside, one]), np.array([6.0, 0.3, other])
    there, back = field(site, a, b[None])[0], field(site, b, a[None])[0]
    assert abs(there - back) < 1e-3 * max(abs(there), 1e-2)


@pytest.mark.parametrize("transmitter", [(-5.0, 0.0, -2.0), (-5.0, 0.0, 0.3), (-1.5, 1.0, 2.0)])
def test_the_field_is_continuous_from_the_lit_side_into_the_shadow(transmitter: tuple[float, ...]) -> None:
    """Its size: where the two edges bend by turns, the phase may step by the rounding of the wall."""
    heights = np.arange(-3.0, 4.0, 0.01)
    users = np.column_stack([np.full(len(heights), 4.0), np.zeros(len(heights)), heights])
    size = np.abs(field(wall(0.1), np.array(transmitter), users))
    assert (size > 0).all()
    assert np.abs(np.diff(size)).max() < 0.06


@pytest.mark.filterwarnings("ignore:a path bends at one edge only")
def test_the_carrier_decides() -> None:
    """One trace: a knife edge for waves longer than the wall is thick, two edges for shorter ones."""
    site = wall(0.1)
    wedges = site.wedges
    assert np.isfinite(wedges.reflects_below).sum() == 4
    assert set(wedges.wavelengths[wedges.merged, 0].round(9)) == {0.1}
    shadow = np.array([[5.0, 0, -0.5]])
    assert abs(field(site, np.array([-5.0, 0, -0.5]), shadow, 2.9e9)[0]) > 0.05
    assert abs(field(site, np.array([-5.0, 0, -0.5]), shadow, 3.1e9)[0]) == 0


@pytest.mark.parametrize(("thickness", "height"), [(0.35, 0.05), (0.35, 0.2), (0.9, 0.1), (5.0, 0.1), (0.35, -0.5)])
def test_where_a_second_diffraction_is_missing_it_is_said(thickness: float, height: float) -> None:
    with pytest.warns(SiteTwinWarning, match="double diffraction is not modelled"):
        field(wall(thickness), np.array([-5.0, 0, height]), np.array([[5.0, 0, height]]))


@pytest.mark.parametrize(("thickness", "height"), [(0.1, 0.05), (0.1, -0.5), (0.35, 1.5)])
def test_where_one_edge_acts_nothing_is_said(thickness: float, height: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SiteTwinWarning)
        field(wall(thickness), np.array([-5.0, 0, height]), np.array([[5.0, 0, height]]))


@pytest.mark.filterwarnings("ignore:a path bends at one edge only")
@pytest.mark.parametrize("thickness", [0.03, 0.29, 0.35, 0.9])
def test_no_gain_beyond_that_of_a_knife_edge_on_the_lit_side(thickness: float) -> None:
    for height in (0.02, 0.3, 0.5, 0.72, 1.0):
        gain = 20 * np.log10(np.abs(field(wall(thickness), np.array([-5.0, 0, height]), np.array([[5.0, 0, height]]))))
        assert gain.max() < -knife_edge(np.array(height), 5.0) + 3.0
        assert gain.max() < 3.5


def test_paths_whose_edges_were_numbered_otherwise_are_refused() -> None:
    site = wall(0.1)
    paths = trace(site, np.array([-5.0, 0, 0.5]), np.array([[5.0, 0, 0.5]]), SETTINGS)
    for stated in ({}, {EDGES: "another"}):
        attributes = {k: v for k, v in paths.attributes.items() if k != EDGES} | stated
        with pytest.raises(SiteTwinError, match="trace them again"):
            path_gains(replace(paths, attributes=attributes), site, CARRIER)


def test_a_house_is_no_thin_wall() -> None:
    assert not site_of(box((0, 0, 0), (8, 12, 20))).wedges.merged.any()

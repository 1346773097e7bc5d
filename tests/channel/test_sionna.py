"""Path by path against Sionna RT, an engine that shares nothing with the package but the scene.

Sionna's own vertices are turned into `Paths` here; its gains come from ``Paths.cir(normalize_delays=False)``, which
holds the carrier phase.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sitetwin.backend import mitsuba
from sitetwin.channel import AntennaArray, Radio, ideal_response, path_gains
from sitetwin.channel.antennas.patterns import HALF_WAVE_GAIN
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site import load_scene

C = 299_792_458.0
F = 3.5e9
SCENES = {
    "simple_reflector": ((-0.3, 0.2, 0.6), (0.35, -0.1, 0.5)),
    "simple_street_canyon": ((-33.0, 11.0, 32.0), (27.0, -13.0, 1.5)),
    "box": ((0.5, 0.3, 1.3), (2.1, 1.0, 1.0)),
}
TX_TURN, RX_TURN = (0.3, 0.15, -0.2), (-2.4, 0.1, 0.35)


def arrays(kind):
    """The same antennas for both engines: (pattern, polarisation, columns) of each side."""
    return {
        "iso V": (("iso", "V", 1), ("iso", "V", 1)),
        "iso dual": (("iso", "VH", 1), ("iso", "cross", 1)),
        "dipoles": (("dipole", "V", 1), ("hw_dipole", "H", 1)),
        "panels": (("tr38901", "cross", 4), ("tr38901", "VH", 2)),
    }[kind]


def ours(side, turn):
    pattern, polarisation, columns = side
    return Radio(AntennaArray.ula(columns, pattern=pattern, polarisation=polarisation), turn)


def sionna_paths(name, kind):
    mitsuba()
    import sionna.rt as rt

    scene = rt.load_scene(getattr(rt.scene, name), merge_shapes=False)
    scene.frequency = F
    for side, where in zip(arrays(kind), ("tx_array", "rx_array"), strict=True):
        pattern, polarisation, columns = side
        array = rt.PlanarArray(num_rows=1, num_cols=columns, pattern=pattern, polarization=polarisation)
        setattr(scene, where, array)
    turned = kind != "iso V"
    tx, rx = SCENES[name]
    scene.add(rt.Transmitter("tx", list(tx), orientation=list(TX_TURN) if turned else [0.0, 0, 0]))
    scene.add(rt.Receiver("rx", list(rx), orientation=list(RX_TURN) if turned else [0.0, 0, 0]))
    solved = rt.PathSolver()(
        scene,
        max_depth=3,
        los=True,
        specular_reflection=True,
        diffuse_reflection=False,
        refraction=False,
        synthetic_array=True,
        samples_per_src=200_000,
        seed=1,
    )
    a, tau = solved.cir(normalize_delays=False, out_type="numpy")
    vertices = solved.vertices.numpy()[:, 0, 0]
    valid = solved.valid.numpy()[0, 0]
    hits = solved.interactions.numpy()[:, 0, 0]
    return a[0, :, 0, :, :, 0][..., valid], tau[0, 0][valid], vertices[:, valid], hits[:, valid], turned


def facet_at(site, before, vertex, after):
    """The facet that holds the vertex and mirrors the ray there."""
    incoming, outgoing = vertex - before, after - vertex
    incoming, outgoing = incoming / np.linalg.norm(incoming), outgoing / np.linalg.norm(outgoing)
    held = np.abs(site.facet_normal @ vertex - site.facet_offset)
    normals = site.facet_normal
    mirrored = incoming - 2 * (normals @ incoming)[:, None] * normals
    error = np.linalg.norm(mirrored - outgoing, axis=1) + held
    candidates = np.flatnonzero(error < 5e-3)
    inside = [f for f in candidates if holds(site, f, vertex)]
    assert len(inside) == 1  # coplanar walls of several buildings share the plane, not the place
    return int(inside[0])


def holds(site, facet, point):
    """Whether a point of a facet's plane lies in one of its triangles, within a millimetre or so."""
    corners = site.vertices[site.triangles[site.triangle_facet == facet]]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = np.cross(b - a, c - a)
    square = (area**2).sum(axis=1)
    weights = [
        np.einsum("ij,ij->i", np.cross(e1 - point, e2 - point), area) / square for e1, e2 in ((b, c), (c, a), (a, b))
    ]
    return bool((np.min(weights, axis=0) > -1e-3).any())


def to_paths(site, tx, rx, vertices, hits):
    """Sionna's vertices as Paths."""
    tx, rx = np.array(tx), np.array(rx)
    depth, count = hits.shape
    kinds = np.where(hits == 1, Interaction.REFLECTION, 0).T.astype(np.uint8)
    facets = np.full((count, depth), -1, np.int32)
    places = np.full((count, depth, 3), np.nan)
    length, departure, arrival = np.zeros(count), np.zeros((count, 3)), np.zeros((count, 3))
    for p in range(count):
        n = int((hits[:, p] != 0).sum())
        points = np.concatenate([tx[None], vertices[:n, p].astype(float), rx[None]])
        for i in range(n):
            facets[p, i] = facet_at(site, *points[i : i + 3])
        places[p, :n] = points[1:-1]
        steps = np.diff(points, axis=0)
        sizes = np.linalg.norm(steps, axis=1)
        length[p], departure[p], arrival[p] = sizes.sum(), steps[0] / sizes[0], -steps[-1] / sizes[-1]
    nothing = np.zeros(0)
    return Paths(
        tx,
        rx[None],
        np.array([0, count]),
        kinds,
        facets,
        places,
        length,
        departure,
        arrival,
        np.zeros(count + 1, np.int64),
        nothing.astype(np.int32),
        nothing,
        nothing,
    )


@pytest.mark.parametrize("kind", ["iso V", "iso dual", "dipoles", "panels"])
@pytest.mark.parametrize("name", list(SCENES))
def test_power_delay_and_phase(name, kind):
    theirs, tau, vertices, hits, turned = sionna_paths(name, kind)
    assert theirs.shape[-1] >= {"simple_reflector": 2, "simple_street_canyon": 5, "box": 20}[name]
    site = load_scene(name)
    paths = to_paths(site, *SCENES[name], vertices, hits)
    none = (0.0, 0.0, 0.0)
    sides = arrays(kind)
    tx, rx = ours(sides[0], TX_TURN if turned else none), ours(sides[1], RX_TURN if turned else none)
    gains = path_gains(paths, site, F, tx, rx, dtype=torch.complex128)
    mine = ideal_response(paths, gains, tx, rx)[0][0].numpy()
    assert mine.shape == theirs.shape
    np.testing.assert_allclose(paths.length / C, tau, rtol=3e-6)
    # without the carrier phase, whose last digits single precision does not hold
    mine = mine * np.exp(2j * np.pi * F * paths.length / C)
    theirs = theirs * np.exp(2j * np.pi * F * tau.astype(float))
    for pattern, _, _ in sides:
        if pattern == "hw_dipole":
            theirs = theirs * np.sqrt(HALF_WAVE_GAIN / 1.643)  # Sionna RT rounds the directivity of a half-wave dipole
    scale = np.abs(theirs).max()
    # where effects nearly cancel, single precision shows: 0.01 dB within 20 dB of the strongest, 0.05 dB within 40 dB
    for below, largest_db, largest_deg in ((0.1, 0.01, 0.5), (0.01, 0.05, 1.0)):
        strong = np.abs(theirs) > below * scale
        ratio = mine[strong] / theirs[strong]
        assert np.median(np.abs(20 * np.log10(np.abs(ratio)))) < 0.003
        assert np.abs(20 * np.log10(np.abs(ratio))).max() < largest_db
        assert np.median(np.abs(np.degrees(np.angle(ratio)))) < 0.1
        assert np.abs(np.degrees(np.angle(ratio))).max() < largest_deg
    np.testing.assert_allclose(mine, theirs, atol=5e-4 * scale)

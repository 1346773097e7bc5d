"""How a site looks: ground, houses with windows, poles, and trees of leaves within the tracer's canopies."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from jaxtyping import Float

from sitetwin.site import Site
from sitetwin.site.canopy_meshes import canopy_mesh
from sitetwin.site.plan import PARKED
from sitetwin.site.vegetation import Cylinder
from sitetwin.vision.frames import NOTHING
from sitetwin.vision.render.surfaces import Builder, Look, Surfaces
from sitetwin.vision.render.vehicle_looks import vehicle_surfaces
from sitetwin.vision.street.bodies import vehicle_of_body
from sitetwin.vision.street.posts import POLE

ASPHALT = Look((0.115, 0.115, 0.12), grain=0.10)
PAVEMENT = Look((0.30, 0.29, 0.27), grain=0.08)
MARKING = Look((0.62, 0.62, 0.58), grain=0.05)
POLE_GREY = Look((0.25, 0.26, 0.27), mirror=0.02)
BARK = Look((0.16, 0.12, 0.09), grain=0.15)
PARKED_METAL = Look((0.40, 0.41, 0.43), mirror=0.05)
ROOF = Look((0.22, 0.17, 0.15), grain=0.08)

_FACADES = (
    (0.52, 0.47, 0.38),
    (0.40, 0.20, 0.14),
    (0.58, 0.57, 0.54),
    (0.46, 0.38, 0.30),
    (0.33, 0.33, 0.34),
    (0.60, 0.52, 0.40),
    (0.30, 0.17, 0.13),
)
_LEAVES = ((0.055, 0.11, 0.025), (0.075, 0.13, 0.03), (0.045, 0.09, 0.025))
_PANE = Look((0.03, 0.035, 0.04), mirror=0.08)
_LIT_CD_M2 = 25.0  # of a lit window at night
_LIT_SHARE = 0.3

_WINDOW = (1.2, 1.6)  # metres wide and high
_PITCH = (2.6, 3.2)
_SILL, _MARGIN, _OUT = 1.0, 0.8, 0.02  # metres
_UPRIGHT = 0.05  # vertical part of a wall's normal, at most
_LEAF = 0.16  # half a leaf card, metres
_LEAVES_PER_M2, _MOST_LEAVES = 14.0, 2500
_ALL_LEAVES, _LARGEST_LEAF = 300_000, 0.6  # of a site; where there are more trees, leaves are fewer and larger
_MOST_WINDOWS = 20_000  # of a wall
_DETAIL = 150.0  # metres from the eye


def site_surfaces(site: Site, eye: Float[np.ndarray, " 3"], *, lit: bool = False) -> Surfaces:
    """Return all that is seen of a site at rest, parked vehicles too: none of it has an identity.

    Args:
        site: The site.
        eye: (3,) from where it is seen, metres: windows are made on the sides of walls that face it, within 150 m.
        lit: Whether a share of the windows is lit.
    """
    made, parked = Builder(), list[Surfaces]()
    ground = site.is_ground
    if ground.any():
        _add(made, site, ground, ASPHALT)
    for number, name in enumerate(site.objects):
        rows = np.flatnonzero((site.triangle_object == number) & ~ground)
        if not len(rows):
            continue
        if name.startswith(POLE):
            _add(made, site, rows, POLE_GREY)
        elif name.startswith(PARKED):
            vehicle = vehicle_of_body(site, number, paint=_seed(name))
            if vehicle is None:
                _add(made, site, rows, PARKED_METAL)
            else:
                parked.append(vehicle_surfaces(vehicle, NOTHING))
        else:
            _house(site, name, rows, made, eye, lit)
    return Surfaces.joined([made.done(), _trees(site), *parked])


def painted_ground(rings: list[Float[np.ndarray, "corners 3"]], look: Look) -> Surfaces:
    """Return convex areas of the ground, a few millimetres above it, that look alike.

    Args:
        rings: Corners of each, (n, 3) metres on the ground.
        look: Their look.
    """
    made = Builder()
    for ring in rings:
        fan = np.array([(0, k, k + 1) for k in range(1, len(ring) - 1)])
        made.add(ring + np.array([0.0, 0.0, 0.008]), fan, look)
    return made.done()


def _add(made: Builder, site: Site, rows: np.ndarray, look: Look) -> None:
    """Add some triangles of a site, with corners of their own: its vertices are many more."""
    corners = site.vertices[site.triangles[rows]]
    made.add(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), look)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "little")


def _house(site: Site, name: str, rows: np.ndarray, made: Builder, eye: np.ndarray, lit: bool) -> None:
    """Walls in one colour of the palette, roofs dark, and windows on all walls that have room for them."""
    seed = _seed(name)
    facet = site.triangle_facet[rows]
    upright = np.abs(site.facet_normal[facet][:, 2]) < _UPRIGHT
    wall = Look(_FACADES[seed % len(_FACADES)], grain=0.10)
    if upright.any():
        _add(made, site, rows[upright], wall)
    if not upright.all():
        _add(made, site, rows[~upright], ROOF)
    rng = np.random.default_rng(seed)
    frame = Look(tuple(0.6 * c for c in wall.colour))  # type: ignore[arg-type]
    for number in np.unique(facet[upright]):
        own = rows[facet == number]
        before = float(site.facet_normal[number] @ eye - site.facet_offset[number])
        away = np.linalg.norm(site.vertices[site.triangles[own]].reshape(-1, 3) - eye, axis=1).min()
        panes = _windows(site, int(number), own) if away < _DETAIL else np.zeros((0, 4, 3))
        if not len(panes):
            continue
        glowing = rng.random(len(panes)) < _LIT_SHARE if lit else np.zeros(len(panes), dtype=bool)
        outwards = math.copysign(_OUT, before) * site.facet_normal[number]
        made.add_quads(_grown(panes, 0.10) + 0.5 * outwards, frame)
        made.add_quads(panes[~glowing] + outwards, _PANE)
        if glowing.any():
            made.add_quads(panes[glowing] + outwards, Look((0.9, 0.75, 0.5)).lit(_LIT_CD_M2))


def _grown(quads: np.ndarray, by: float) -> np.ndarray:
    """Quadrilaterals grown about their middles by metres on each side."""
    middle = quads.mean(axis=1, keepdims=True)
    away = quads - middle
    return middle + away * (1 + by / np.linalg.norm(away, axis=2, keepdims=True))


def _windows(site: Site, facet: int, rows: np.ndarray) -> Float[np.ndarray, "windows 4 3"]:
    """(W, 4, 3) windows on a lattice, all corners of which lie on the wall."""
    normal = site.facet_normal[facet]
    along = np.array([-normal[1], normal[0], 0.0]) / np.hypot(normal[0], normal[1])
    corners = site.vertices[site.triangles[rows]]
    origin = corners.reshape(-1, 3)[0]
    flat = np.stack([(corners - origin) @ along, corners[..., 2]], axis=-1)
    (left, low), (right, high) = flat.reshape(-1, 2).min(axis=0), flat.reshape(-1, 2).max(axis=0)
    columns = int((right - left - 2 * _MARGIN + _PITCH[0] - _WINDOW[0]) // _PITCH[0])
    floors = int((high - low - _SILL - 0.4 + _PITCH[1] - _WINDOW[1]) // _PITCH[1])
    if columns < 1 or floors < 1 or columns * floors > _MOST_WINDOWS:
        return np.zeros((0, 4, 3))
    start = 0.5 * (left + right) - 0.5 * ((columns - 1) * _PITCH[0] + _WINDOW[0])
    u, v = np.meshgrid(start + _PITCH[0] * np.arange(columns), low + _SILL + _PITCH[1] * np.arange(floors))
    foot = np.column_stack([u.ravel(), v.ravel()])
    box = foot[:, None] + np.array([(0.0, 0.0), (_WINDOW[0], 0.0), _WINDOW, (0.0, _WINDOW[1])])
    box = box[_within(box, flat).all(axis=1)]
    points = origin + box[..., :1] * along
    points[..., 2] = box[..., 1]
    return points + (site.facet_offset[facet] - points @ normal)[..., None] * normal


def _within(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(N, 4) bool: whether points (N, 4, 2) lie in any of some triangles (T, 3, 2)."""
    inside = np.zeros(points.shape[:2], dtype=bool)
    for a, b, c in triangles:
        sides = [
            (q[0] - p[0]) * (points[..., 1] - p[1]) - (q[1] - p[1]) * (points[..., 0] - p[0])
            for p, q in ((a, b), (b, c), (c, a))
        ]
        inside |= (np.minimum.reduce(sides) >= -1e-9) | (np.maximum.reduce(sides) <= 1e-9)
    return inside


def _trees(site: Site) -> Surfaces:
    """Trunks, and leaves scattered in the canopies that the tracer knows."""
    made = Builder()
    most = min(_MOST_LEAVES, _ALL_LEAVES // max(site.vegetation.num_volumes, 1))
    for number, volume in enumerate(site.vegetation.volumes):
        if isinstance(volume, Cylinder) and volume.part == "trunk":
            made.add(*canopy_mesh(volume), BARK)
            continue
        rng = np.random.default_rng(number)
        hull, faces = canopy_mesh(volume)
        a, b, c = (hull[faces[:, k]] for k in range(3))
        area = 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())
        wanted = max(int(_LEAVES_PER_M2 * area), 1)
        centres = volume.sample(max(min(most, wanted), 1), rng)
        half = min(_LEAF * math.sqrt(wanted / len(centres)), _LARGEST_LEAF)
        turn = rng.standard_normal((len(centres), 2, 3))
        one = turn[:, 0] / np.linalg.norm(turn[:, 0], axis=1, keepdims=True)
        two = np.cross(one, turn[:, 1])
        two /= np.linalg.norm(two, axis=1, keepdims=True)
        corner = [centres + half * (s * one + t * two) for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        quads = np.stack(corner, axis=1)
        for tone, colour in enumerate(_LEAVES):
            made.add_quads(quads[tone :: len(_LEAVES)], Look(colour, grain=0.2))
    return made.done()

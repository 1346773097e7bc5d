"""Which wedges the transmitter lights, straight or by way of one facet, and along which part of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.cells import CellUsers
from sitetwin.rays.chains import source_images
from sitetwin.rays.device import array3, norm, split, to_device
from sitetwin.rays.edges.scene import EdgeScene
from sitetwin.rays.lattice import fibonacci_directions, random_rotation
from sitetwin.rays.specular.reach import beam_planes, reaches

SETS = 4
"""Independent sets of samples; what only one of them met tells how much all of them missed."""

_SPACING = 1.0  # m between samples of one set on an edge
_LEAST_SAMPLES = 4  # of one set on an edge
_FACET_RAYS = 250_000  # of one set, to find the facets that the transmitter lights
_LANES = 1 << 22
_PAIRS = 1 << 22


@dataclass(frozen=True, eq=False)
class LitWedges:
    """Wedges with the sources that light them.

    Attributes:
        before: (N,) int32, facet by way of which the wedge is lit, -1 for straight.
        wedge: (N,) int32.
        lit: (N, 2) float64, metres from the wedge's start, between which every lit sample lies, widened by a gap.
        seen_in: (N,) int32, number of sets with a lit sample.
    """

    before: np.ndarray
    wedge: np.ndarray
    lit: np.ndarray
    seen_in: np.ndarray

    def take(self, rows: np.ndarray) -> LitWedges:
        return LitWedges(self.before[rows], self.wedge[rows], self.lit[rows], self.seen_in[rows])


def lit_wedges(scene: EdgeScene, reflections: int, seed: int) -> LitWedges:
    """Every convex wedge and free edge that the transmitter lights, even partly.

    Args:
        scene: The site on the device.
        reflections: 0 for straight light alone, 1 to add what comes by way of one facet.
        seed: Seed of the lattices that find the facets.
    """
    wedges = scene.convex.astype(np.int32)
    parts = [_lit(scene, np.full(len(wedges), -1, np.int32), wedges)]
    if reflections:
        facets = _lit_facets(scene, seed)
        parts += [_lit(scene, *pair) for pair in _in_beam(scene, facets)]
    return LitWedges(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("before", "wedge", "lit", "seen_in"))
    )


def _lit_facets(scene: EdgeScene, seed: int) -> np.ndarray:
    """(G,) facets that a ray from the transmitter hits first."""
    import drjit as dr

    mi = mitsuba()
    rng = np.random.default_rng([seed, 1])
    lit = np.zeros(scene.site.num_facets, dtype=bool)
    for _ in range(SETS):
        direction = fibonacci_directions(_FACET_RAYS, random_rotation(rng))
        origin = mi.Point3f(scene.source) + dr.zeros(mi.Point3f, _FACET_RAYS)
        lit[_facets_hit(scene, origin, direction)] = True
    corners = scene.site.vertices[scene.site.triangles].mean(axis=1)
    target = array3(corners)
    step = target - scene.source
    origin = mi.Point3f(scene.source) + dr.zeros(mi.Point3f, len(corners))
    lit[_facets_hit(scene, origin, mi.Vector3f(step / norm(step)))] = True
    return np.flatnonzero(lit)


def _facets_hit(scene: EdgeScene, origin: Any, direction: Any) -> np.ndarray:
    import drjit as dr

    mi = mitsuba()
    hit = scene.caster.scene.ray_intersect_preliminary(mi.Ray3f(origin, direction), coherent=True)
    facet = dr.select(
        hit.is_valid(), dr.gather(mi.Int32, scene.caster.triangle_facet, hit.prim_index, hit.is_valid()), -1
    )
    found = np.unique(facet.numpy())
    return found[found >= 0]


def _in_beam(scene: EdgeScene, facets: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(facet, wedge) pairs for which the wedge's bounding box meets the beam of the facet, in batches."""
    if not len(facets) or not len(scene.convex):
        return []
    chains = facets[:, None].astype(np.int32)
    images = source_images(scene.site, scene.transmitter, chains)
    planes = beam_planes(scene.site, scene.caster.frames, images, chains)
    wedges = scene.site.wedges
    start, end = wedges.start[scene.convex], wedges.end[scene.convex]
    count = len(scene.convex)
    boxes = CellUsers(
        order=np.arange(count),
        points=start,
        cells=np.arange(count),
        offsets=np.arange(count + 1),
        low=np.minimum(start, end),
        high=np.maximum(start, end),
    )
    at_once = max(1, _PAIRS // count)
    batches = []
    for first in range(0, len(facets), at_once):
        chain = np.repeat(np.arange(first, min(first + at_once, len(facets))), count)
        box = np.tile(np.arange(count), len(chain) // count)
        met = reaches(planes, chain, boxes, box)
        facet, wedge = facets[chain[met]].astype(np.int32), scene.convex[box[met]].astype(np.int32)
        apart = scene.apart(wedge, facet)
        batches.append((facet[apart], wedge[apart]))
    return [batch for batch in batches if len(batch[0])]


def _lit(scene: EdgeScene, before: np.ndarray, wedge: np.ndarray) -> LitWedges:
    """The lit ones among (facet, wedge) pairs; all with a facet or all without."""
    length = scene.site.wedges.length[wedge]
    samples = SETS * np.maximum(_LEAST_SAMPLES, np.ceil(length / _SPACING)).astype(np.int64)
    total = np.cumsum(samples)
    low, high = np.full(len(wedge), np.inf), np.full(len(wedge), -np.inf)
    met = np.zeros((len(wedge), SETS), dtype=bool)
    cuts = np.searchsorted(total, np.arange(_LANES, total[-1] if len(total) else 0, _LANES))
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(wedge)], strict=True):
        count = samples[start:stop]
        pair = np.repeat(np.arange(start, stop), count)
        number = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)
        at = (number + 0.5) / samples[pair] * length[pair]
        seen = _samples_lit(scene, before[pair], wedge[pair], at)
        pair, number, at = pair[seen], number[seen], at[seen]
        np.minimum.at(low, pair, at)
        np.maximum.at(high, pair, at)
        met[pair, number % SETS] = True
    gap = length / samples
    rows = np.flatnonzero(met.any(axis=1))
    lit = np.column_stack([np.maximum(low - gap, 0.0), np.minimum(high + gap, length)])
    return LitWedges(before[rows], wedge[rows], lit[rows], met[rows].sum(axis=1).astype(np.int32))


def _samples_lit(scene: EdgeScene, before: np.ndarray, wedge: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(N,) bool: points on edges, given by their distance from the start, that the source lights."""
    import drjit as dr

    mi = mitsuba()
    if not len(wedge):
        return np.zeros(0, dtype=bool)
    which, facet, distance = (
        to_device(mi.UInt32, wedge.astype(np.uint32)),
        to_device(mi.Int32, before),
        to_device(mi.Float64, at),
    )
    straight = before[0] < 0

    def place(lane: Any) -> tuple[Any, Any, Any]:
        """Lifted point, source (or its image), and whether the source stands in the wedge's open space."""
        edge = scene.wedge(dr.gather(mi.UInt32, which, lane))
        point = edge.start + edge.direction * dr.gather(mi.Float64, distance, lane)
        source = scene.source if straight else scene.mirror(scene.source, dr.gather(mi.Int32, facet, lane))
        _, across = split(source - point, edge.direction)
        phi = edge.angle(across)
        return edge.lifted(point, phi), source, edge.open(phi)

    lane = dr.arange(mi.UInt32, len(wedge))
    lane = _where(place(lane)[2], lane)
    point, source, _ = place(lane)
    if straight:
        lane = _where(scene.caster.clear(point, source, dr.full(mi.Bool, True, dr.width(lane))), lane)
    else:
        lane = _where(_by_way_of_facet(scene, point, source, dr.gather(mi.Int32, facet, lane)), lane)
    seen = np.zeros(len(wedge), dtype=bool)
    seen[lane.numpy()] = True
    return seen


def _by_way_of_facet(scene: EdgeScene, point: Any, image: Any, facet: Any) -> Any:
    """Whether light from the transmitter reaches points by a reflection."""
    crossing, good = scene.crossing(point, image, facet)
    good = scene.caster.first_facet(point, crossing, good) == facet
    return scene.caster.clear(scene.lift_off(crossing, facet, scene.source), scene.source, good)


def _where(good: Any, lane: Any) -> Any:
    import drjit as dr

    dr.eval(good, lane)
    return dr.gather(mitsuba().UInt32, lane, dr.compress(good))

"""Checks of the mesh (holes, facing, surfaces in one another, slivers) and of the places of buildings and trees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sitetwin.site.check.edges import EdgeDefects, edge_defects
from sitetwin.site.check.findings import EXAMPLES, Finding
from sitetwin.site.check.places import (
    GROUND_TOLERANCE,
    LEAST_OVERLAP,
    buried_buildings,
    floating_buildings,
    misplaced_canopies,
    overlapping_buildings,
)
from sitetwin.site.check.surfaces import duplicate_triangles, inverted_bodies, shared_planes
from sitetwin.site.check.view import View
from sitetwin.site.facets import components, norm
from sitetwin.site.mesh import FAR

SLIVER_ALTITUDE = 0.01
"""Metres: thinner triangles rarely catch a ray, and their normals are poor."""


def geometry_findings(view: View) -> Iterator[Finding]:
    """List what is wrong with the mesh and with the places of buildings and trees."""
    yield from _edges(view)
    yield from _facing(view)
    yield from _surfaces(view)
    yield from _triangles(view)
    yield from _places(view)


def _edges(view: View) -> Iterator[Finding]:
    """Watertightness of the buildings, taken together."""
    places, index = np.unique(view.labels[view.standing], return_inverse=True)
    points = np.empty((len(places), 3))
    points[index.reshape(-1)] = view.corners[view.standing].reshape(-1, 3)
    triangles = index.reshape(-1, 3)
    level = np.full(len(points), -np.inf)
    np.maximum.at(level, triangles.reshape(-1), np.repeat(view.bodies.low[view.owner], 3))

    def grounded(chosen: np.ndarray) -> np.ndarray:
        """Whether points are on or in the ground; where there is none, at the lowest height of their building."""
        ground = view.ground.height(points[chosen, :2])
        return points[chosen, 2] <= np.where(np.isnan(ground), level[chosen], ground) + GROUND_TOLERANCE

    yield from _edge_findings(view, edge_defects(points, triangles, grounded))


def _edge_findings(view: View, defects: EdgeDefects) -> Iterator[Finding]:
    raised = _at_lowest(view, defects.hole)
    for severity, check, half_edges, text, mend in (
        (
            "error",
            "holes",
            defects.hole[~raised],
            "{edges} edges of {buildings} buildings are open above the ground: rays enter there",
            "close the surface, or draw what is meant to be open as a body of its own",
        ),
        (
            "error",
            "raised bottoms",
            defects.hole[raised],
            "the open bottoms of {buildings} buildings hang above the ground at {edges} edges: rays enter below them",
            "draw the walls down to the lowest ground around the building, or close the bottom",
        ),
        (
            "warning",
            "winding",
            defects.flipped,
            "at {edges} edges of {buildings} buildings neighbouring triangles face opposite ways",
            "turn the triangles so that all are counter-clockwise seen from outside",
        ),
        (
            "note",
            "open bottoms",
            defects.bottom,
            "{buildings} buildings have no floor where they stand on the ground ({edges} edges): no ray gets there",
            "",
        ),
    ):
        if len(half_edges):
            owner = view.owner[half_edges // 3]
            said = text.format(edges=len(half_edges), buildings=len(np.unique(owner)))
            yield Finding(severity, check, said, len(half_edges), view.names(owner), mend)  # type: ignore[arg-type]
    if defects.t_junctions:
        yield Finding(
            "note",
            "T-junctions",
            f"{defects.t_junctions} edges end within other edges: closed, but not by shared corners",
            defects.t_junctions,
        )
    if defects.crowded:
        yield Finding(
            "note",
            "touching edges",
            f"more than two triangles meet at {defects.crowded} edges, all of them in pairs (bodies that touch)",
            defects.crowded,
        )


def _at_lowest(view: View, half_edges: np.ndarray) -> np.ndarray:
    """(H,) bool, half-edges that run along the lowest height of their building."""
    row, corner = half_edges // 3, half_edges % 3
    height = view.corners[view.standing[row], :, 2]
    upper = np.maximum(height[np.arange(len(row)), corner], height[np.arange(len(row)), (corner + 1) % 3])
    return upper <= view.bodies.low[view.owner[row]] + GROUND_TOLERANCE


def _facing(view: View) -> Iterator[Finding]:
    """Bodies inside out, ground that faces down."""
    labels = view.labels[view.standing]
    if len(labels):
        places = components(int(labels.max()) + 1, labels[:, [0, 1]].reshape(-1), labels[:, [1, 2]].reshape(-1))
        key = view.owner * (int(labels.max()) + 1) + places[labels[:, 0]]
        _, first, body = np.unique(key, return_index=True, return_inverse=True)
        inside_out = np.flatnonzero(inverted_bodies(view.corners[view.standing], body))
        if len(inside_out):
            owner = view.owner[first[inside_out]]
            yield Finding(
                "warning",
                "inside out",
                f"{len(inside_out)} closed parts of {len(np.unique(owner))} buildings face inwards, which spoils "
                "exports with one-sided surfaces",
                len(inside_out),
                view.names(owner),
                "turn their triangles over, so that all are counter-clockwise seen from outside",
            )
    down = view.is_ground & (view.normal[:, 2] < 0)
    if down.any():
        objects = view.site.triangle_object[down]
        yield Finding(
            "warning",
            "ground faces down",
            f"{int(down.sum())} triangles of the ground face down",
            int(down.sum()),
            tuple(view.site.objects[i] for i in np.unique(objects)[:EXAMPLES]),
            "turn them over, so that all are counter-clockwise seen from above",
        )


def _surfaces(view: View) -> Iterator[Finding]:
    """Triangles that are there twice, and facets in one another."""
    again = np.flatnonzero(duplicate_triangles(view.labels))
    if len(again):
        yield Finding(
            "warning",
            "duplicate triangles",
            f"{len(again)} triangles have the same corners as others",
            len(again),
            view.object_names(again),
            "keep one of each: equal ones do no harm in one facet, but cost rays and room",
        )
    ground, standing = np.flatnonzero(view.is_ground), view.standing
    doubled, back_to_back = [], np.zeros((0, 2), dtype=np.int64)
    for rows in (standing, ground):
        found = shared_planes(view.site, rows, view.normal[rows])
        doubled.append(found.same)
        if rows is standing:
            back_to_back = found.opposite
    same = np.concatenate(doubled)
    first_triangle = np.zeros(view.site.num_facets, dtype=np.int64)
    first_triangle[view.site.triangle_facet[::-1]] = np.arange(view.site.num_triangles)[::-1]
    if len(same):
        yield Finding(
            "error",
            "double surfaces",
            f"{len(same)} pairs of facets lie in one another, face the same way and overlap by more than 0.01 m2: a "
            "ray meets either of the two",
            len(same),
            view.object_names(first_triangle[same[:, 0]]),
            "keep one of the two, or join the bodies",
        )
    if len(back_to_back):
        yield Finding(
            "note",
            "walls back to back",
            f"{len(back_to_back)} pairs of facets touch back to back, as walls between houses do: no ray gets there",
            len(back_to_back),
            view.object_names(first_triangle[back_to_back[:, 0]]),
        )


def _triangles(view: View) -> Iterator[Finding]:
    """Triangles that are too thin or too far away."""
    edges = [norm(view.corners[:, (k + 1) % 3] - view.corners[:, k]) for k in range(3)]
    thin = np.flatnonzero(2 * view.area < SLIVER_ALTITUDE * np.max(edges, axis=0))
    if len(thin):
        yield Finding(
            "note",
            "slivers",
            f"{len(thin)} triangles are thinner than {100 * SLIVER_ALTITUDE:g} cm",
            len(thin),
            view.object_names(thin),
            "simplify the outlines if there are many: each may become a facet of its own",
        )
    dropped = view.site.provenance.get("dropped_degenerate_triangles", 0)
    if isinstance(dropped, int) and dropped:
        yield Finding(
            "note",
            "degenerate triangles",
            f"{dropped} triangles without area were dropped when the site was made",
            dropped,
        )
    reach = float(np.abs(view.site.bounds).max())
    if reach > FAR:
        spacing = float(np.spacing(np.float32(reach)))
        yield Finding(
            "warning",
            "far from the origin",
            f"the site reaches {reach / 1e3:,.1f} km from its origin, where single precision resolves "
            f"{1e3 * spacing:.2g} mm",
            1,
            (),
            "import its file again, which moves the origin into the site, or cut it into smaller sites",
        )


def _places(view: View) -> Iterator[Finding]:
    """Buildings and trees where they cannot be."""
    names = view.site.buildings[0]
    pairs, area = overlapping_buildings(view.bodies)
    if len(pairs):
        yield Finding(
            "warning",
            "overlaps",
            f"{len(pairs)} pairs of buildings stand in one another, sharing more than {LEAST_OVERLAP:g} m2 in plan "
            f"each ({area.max():,.0f} m2 at most) and heights",
            len(pairs),
            tuple(f"{names[a]} & {names[b]}" for a, b in pairs[:EXAMPLES]),
            "move or cut one of the two; rays outside are right, walls inside are not seen",
        )
    if not view.ground.known:
        yield Finding(
            "warning",
            "no ground",
            "no surface is the ground, so that nothing reflects from below and heights above it cannot be checked",
            1,
            (),
            "add a surface that reaches under and around the buildings; a mesh that lies on its side needs --up y",
        )
        return
    yield from _heights(view)


def _heights(view: View) -> Iterator[Finding]:
    floating, gap = floating_buildings(view.bodies, view.ground)
    if len(floating):
        yield Finding(
            "warning",
            "floating",
            f"{len(floating)} buildings stand on nothing: their lowest points are {gap.min():.1f} to {gap.max():.1f} m "
            "above the ground",
            len(floating),
            view.names(floating),
            "check their lower ends (min_height, the terrain); bridges and roofs without walls may be meant so",
        )
    buried, depth = buried_buildings(view.bodies, view.ground)
    if len(buried):
        yield Finding(
            "warning",
            "buried",
            f"{len(buried)} buildings do not rise above the ground; the deepest ends {depth.max():.1f} m below it",
            len(buried),
            view.names(buried),
            "check their heights and the terrain; what is underground can be left out",
        )
    under, indoors = misplaced_canopies(view.site, view.ground)
    for check, found, text in (
        ("buried trees", under, "{} canopies end below the ground"),
        ("trees in buildings", indoors, "{} canopies have their middles inside buildings"),
    ):
        if len(found):
            keys = tuple(f"canopy {i}" for i in found[:EXAMPLES])
            yield Finding("warning", check, text.format(len(found)), len(found), keys, "move or remove them")

"""Is a site fit to be traced: what it holds, what is wrong with it, and how to mend that.

Checked are the mesh (holes, facing, surfaces in one another, slivers), the places of buildings and trees, the materials
at a carrier, and what an import assumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.account import account_of
from sitetwin.site.check.edges import EdgeDefects, edge_defects, weld
from sitetwin.site.check.places import (
    GROUND_TOLERANCE,
    LEAST_OVERLAP,
    Bodies,
    Ground,
    buried_buildings,
    floating_buildings,
    misplaced_canopies,
    overlapping_buildings,
)
from sitetwin.site.check.surfaces import duplicate_triangles, inverted_bodies, shared_planes
from sitetwin.site.facets import components, norm
from sitetwin.site.site import Site

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
KINDS = ("ground", "roofs", "walls", "undersides")

FAR = 10_000.0
"""Metres from the origin: beyond it single-precision ray casters place surfaces worse than 1 mm."""

SLIVER_ALTITUDE = 0.01
"""Metres: thinner triangles rarely catch a ray, and their normals are poor."""

_EXAMPLES = 5
_STEEP = 0.5  # cosine between normal and vertical: less is a wall


@dataclass(frozen=True)
class Finding:
    """Something that is worth knowing before a trace.

    Attributes:
        severity: "error" (rays or places of users will be wrong there), "warning" (likely unwanted), "note".
        check: Short name of the check.
        text: What was found, one sentence.
        count: How often.
        objects: Names of the first few.
        mend: What to do about it; empty where nothing need be done.
    """

    severity: Severity
    check: str
    text: str
    count: int
    objects: tuple[str, ...] = ()
    mend: str = ""


@dataclass(frozen=True)
class SiteReport:
    """What `check_site` found.

    Attributes:
        site: Name of the site.
        hash: Its hash.
        counts: Triangles, facets, objects, buildings, materials, canopies, trunks, scatter centres.
        extent: (2, 3) lowest and highest corner, metres, as lists.
        kinds: For ground, roofs, walls and undersides: triangles, facets, area in m2.
        materials: Name, share of the surface area, thickness, and whether the carrier lies in its range (None: not
            asked).
        vegetation: Canopies by shape, by leaf type and by leaf cycle.
        imported: The account of the import: kind, what, count, examples.
        findings: Errors first, then warnings, then notes.
    """

    site: str
    hash: str
    counts: dict[str, int]
    extent: list[list[float]]
    kinds: dict[str, dict[str, float]]
    materials: list[dict[str, Any]]
    vegetation: dict[str, dict[str, int]]
    imported: list[dict[str, Any]]
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(f for f in self.findings if f.severity == severity)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.of("error")

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-serialisable."""
        facts = asdict(self)
        facts["findings"] = [{**asdict(f), "objects": list(f.objects)} for f in self.findings]
        return {**facts, "ok": self.ok}


def check_site(site: Site, frequency_hz: float | None = None) -> SiteReport:
    """Look for what would make traces of a site wrong.

    Buildings are the objects that are not ground; an object's name up to "-walls", "-roof" and the like says which
    building it belongs to.

    Args:
        site: The site.
        frequency_hz: Carrier at which materials must be specified, Hz; None does not ask.

    Raises:
        SiteTwinError: The frequency is not positive.
    """
    if frequency_hz is not None and not (np.isfinite(frequency_hz) and frequency_hz > 0):
        raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
    view = _View(site)
    materials = _materials(view, frequency_hz)
    imported = account_of(site)
    findings = [
        *_edges(view),
        *_facing(view),
        *_surfaces(view),
        *_triangles(view),
        *_places(view),
        *_material_findings(materials, frequency_hz),
        *_import_findings(imported),
    ]
    trunks = int(site.vegetation.is_trunk.sum())
    return SiteReport(
        site=site.name,
        hash=site.hash,
        counts={
            "triangles": site.num_triangles,
            "facets": site.num_facets,
            "objects": len(site.objects),
            "buildings": int(np.isfinite(view.bodies.low).sum()),
            "materials": len(site.materials),
            "canopies": site.vegetation.num_volumes - trunks,
            "trunks": trunks,
            "scatter_centres": site.vegetation.num_scatter_centres,
        },
        extent=site.bounds.tolist(),
        kinds=_kinds(view),
        materials=materials,
        vegetation=_vegetation(site),
        imported=imported,
        findings=tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity))),
    )


@dataclass(eq=False)
class _View:
    """What several checks need of a site, computed once."""

    site: Site
    is_ground: np.ndarray = field(init=False)
    corners: np.ndarray = field(init=False)
    normal: np.ndarray = field(init=False)
    area: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        site = self.site
        self.is_ground = site.is_ground
        self.corners = site.vertices[site.triangles]
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        twice = norm(cross)
        self.normal = cross / np.maximum(twice, 1e-300)[:, None]
        self.area = 0.5 * twice

    @cached_property
    def standing(self) -> np.ndarray:
        """(S,) int64, triangles of buildings."""
        return np.flatnonzero(~self.is_ground)

    @cached_property
    def owner(self) -> np.ndarray:
        """(S,) int64, building of each of them."""
        return self.site.buildings[1][self.site.triangle_object[self.standing]].astype(np.int64)

    @cached_property
    def bodies(self) -> Bodies:
        return Bodies.of(self.site.buildings[0], self.corners[self.standing], self.owner)

    @cached_property
    def ground(self) -> Ground:
        return Ground(self.corners[self.is_ground])

    @cached_property
    def labels(self) -> np.ndarray:
        """(T, 3) int64, corners of all triangles, equal for equal places."""
        return weld(self.site.vertices)[self.site.triangles]

    def names(self, buildings: np.ndarray) -> tuple[str, ...]:
        """Names of the first few different buildings of a list."""
        _, first = np.unique(buildings, return_index=True)
        return tuple(self.site.buildings[0][int(buildings[i])] for i in np.sort(first)[:_EXAMPLES])


def _edges(view: _View) -> Iterator[Finding]:
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


def _edge_findings(view: _View, defects: EdgeDefects) -> Iterator[Finding]:
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


def _at_lowest(view: _View, half_edges: np.ndarray) -> np.ndarray:
    """(H,) bool, half-edges that run along the lowest height of their building."""
    row, corner = half_edges // 3, half_edges % 3
    height = view.corners[view.standing[row], :, 2]
    upper = np.maximum(height[np.arange(len(row)), corner], height[np.arange(len(row)), (corner + 1) % 3])
    return upper <= view.bodies.low[view.owner[row]] + GROUND_TOLERANCE


def _facing(view: _View) -> Iterator[Finding]:
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
                f"{len(inside_out)} closed parts of {len(np.unique(owner))} buildings face inwards, which spoils what "
                "is told by facing: the space under eaves and bridges, exports with one-sided surfaces",
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
            tuple(view.site.objects[i] for i in np.unique(objects)[:_EXAMPLES]),
            "turn them over, so that all are counter-clockwise seen from above",
        )


def _surfaces(view: _View) -> Iterator[Finding]:
    """Triangles that are there twice, and facets in one another."""
    again = np.flatnonzero(duplicate_triangles(view.labels))
    if len(again):
        yield Finding(
            "warning",
            "duplicate triangles",
            f"{len(again)} triangles have the same corners as others",
            len(again),
            _object_names(view, again),
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
            _object_names(view, first_triangle[same[:, 0]]),
            "keep one of the two, or join the bodies",
        )
    if len(back_to_back):
        yield Finding(
            "note",
            "walls back to back",
            f"{len(back_to_back)} pairs of facets touch back to back, as walls between houses do: no ray gets there",
            len(back_to_back),
            _object_names(view, first_triangle[back_to_back[:, 0]]),
        )


def _triangles(view: _View) -> Iterator[Finding]:
    """Triangles that are too thin or too far away."""
    edges = [norm(view.corners[:, (k + 1) % 3] - view.corners[:, k]) for k in range(3)]
    thin = np.flatnonzero(2 * view.area < SLIVER_ALTITUDE * np.max(edges, axis=0))
    if len(thin):
        yield Finding(
            "note",
            "slivers",
            f"{len(thin)} triangles are thinner than {100 * SLIVER_ALTITUDE:g} cm",
            len(thin),
            _object_names(view, thin),
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
            "move the origin into the site",
        )


def _places(view: _View) -> Iterator[Finding]:
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
            tuple(f"{names[a]} & {names[b]}" for a, b in pairs[:_EXAMPLES]),
            "move or cut one of the two; rays outside are right, walls inside are not seen",
        )
    if not view.ground.known:
        yield Finding(
            "warning",
            "no ground",
            "no object is the ground, so that nothing reflects from below and heights above it cannot be checked",
            1,
            (),
            "name the ground's object 'ground', or add one",
        )
        return
    yield from _heights(view)


def _heights(view: _View) -> Iterator[Finding]:
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
            keys = tuple(f"canopy {i}" for i in found[:_EXAMPLES])
            yield Finding("warning", check, text.format(len(found)), len(found), keys, "move or remove them")


def _materials(view: _View, frequency_hz: float | None) -> list[dict[str, Any]]:
    site = view.site
    area = np.bincount(site.facet_material[site.triangle_facet], weights=view.area, minlength=len(site.materials))
    total = float(area.sum())
    found: list[dict[str, Any]] = []
    for material, covered in zip(site.materials, area, strict=True):
        inside: bool | None = None
        if frequency_hz is not None:
            inside = not material.ranges or any(row.contains(frequency_hz / 1e9) for row in material.ranges)
        found.append(
            {
                "name": material.name,
                "itu": material.itu,
                "thickness_m": material.thickness,
                "area_share": float(covered) / total if total else 0.0,
                "in_range": inside,
                "ranges_ghz": [[row.low_ghz, row.high_ghz] for row in material.ranges],
            }
        )
    return found


def _material_findings(materials: list[dict[str, Any]], frequency_hz: float | None) -> Iterator[Finding]:
    outside = [m for m in materials if m["in_range"] is False and m["area_share"] > 0]
    if outside and frequency_hz is not None:
        ranges = "; ".join(
            f"{m['name']}: {', '.join(f'{low:g}-{high:g}' for low, high in m['ranges_ghz'])} GHz" for m in outside
        )
        yield Finding(
            "warning",
            "material range",
            f"the ITU-R does not give {len(outside)} materials at {frequency_hz / 1e9:g} GHz ({ranges})",
            len(outside),
            tuple(m["name"] for m in outside[:_EXAMPLES]),
            "take another material or constants of your own; by default the values at the nearest edge are used",
        )


def _import_findings(imported: list[dict[str, Any]]) -> Iterator[Finding]:
    for entry in imported:
        if entry.get("kind") in ("assumed", "dropped") and entry.get("count"):
            examples = tuple(str(key) for key in entry.get("examples", ())[:_EXAMPLES])
            yield Finding("note", f"import, {entry['kind']}", str(entry.get("what", "")), int(entry["count"]), examples)


def _kinds(view: _View) -> dict[str, dict[str, float]]:
    kind = np.where(view.normal[:, 2] > _STEEP, 1, np.where(view.normal[:, 2] < -_STEEP, 3, 2))
    kind[view.is_ground] = 0
    facet_kind = np.zeros(view.site.num_facets, dtype=np.int64)
    facet_kind[view.site.triangle_facet[::-1]] = kind[::-1]
    return {
        name: {
            "triangles": int(np.count_nonzero(kind == k)),
            "facets": int(np.count_nonzero(facet_kind == k)),
            "area_m2": float(view.area[kind == k].sum()),
        }
        for k, name in enumerate(KINDS)
    }


def _vegetation(site: Site) -> dict[str, dict[str, int]]:
    volumes = [v for v, trunk in zip(site.vegetation.volumes, site.vegetation.is_trunk, strict=True) if not trunk]
    counted: dict[str, dict[str, int]] = {}
    for what, values in (
        ("shape", [v.shape for v in volumes]),
        ("leaf_type", [v.leaf_type for v in volumes]),
        ("leaf_cycle", [v.leaf_cycle for v in volumes]),
    ):
        counted[what] = {value: values.count(value) for value in sorted(set(values))}
    return counted


def _object_names(view: _View, triangles: np.ndarray) -> tuple[str, ...]:
    """Names of the first few different objects of a list of triangles."""
    objects = view.site.triangle_object[triangles]
    _, first = np.unique(objects, return_index=True)
    return tuple(view.site.objects[int(objects[i])] for i in np.sort(first)[:_EXAMPLES])

"""Summarise a site in a few lines, for notebooks and logs."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from sitetwin.site.facets import norm
from sitetwin.site.mesh import Mesh
from sitetwin.site.plan import standing_buildings

_MOST_MATERIALS = 6
_MOST_NAMES = 4  # of the ground's objects
_STEEPEST_ROOF = 0.5  # of a unit normal's z: surfaces with less are walls (more than 60 degrees from level)

Rows = Sequence[tuple[str, str]]
"""What a fact is called, and the fact."""


def mesh_rows(mesh: Mesh) -> Rows:
    """Return size, counts and materials of a mesh, one row per fact."""
    low, high = mesh.bounds + 0.0  # -0.0 becomes 0.0
    return [
        (
            "size",
            f"{high[0] - low[0]:,.0f} m x {high[1] - low[1]:,.0f} m, z from {low[2]:,.1f} to {high[2]:,.1f} m",
        ),
        ("mesh", f"{mesh.num_triangles:,} triangles, {mesh.num_facets:,} facets, {len(mesh.objects):,} objects"),
        ("ground", ground_text(mesh)),
        ("buildings", f"{int(standing_buildings(mesh).sum()):,}"),
        ("materials", _materials(mesh)),
    ]


def ground_text(mesh: Mesh) -> str:
    """Say which objects are the ground, as geometry decides."""
    whole = set(mesh.ground_objects)
    parts = [k for k in np.unique(mesh.triangle_object[mesh.is_ground]).tolist() if k not in whole]
    if not whole and not parts:
        return "none, each surface belongs to a body; heights count from the lowest point, unless a ground is added"
    names = [mesh.objects[k] for k in sorted(whole)[:_MOST_NAMES]]
    listed = f" ({', '.join(names)}{', ...' if len(whole) > _MOST_NAMES else ''})" if whole else ""
    of_parts = f" and parts of {len(parts)} more" if parts else ""
    return f"{len(whole)} of {len(mesh.objects):,} objects{listed}{of_parts}, by geometry"


def as_text(title: str, rows: Rows) -> str:
    """Format a title and facts as text, one line per fact."""
    width = max(len(name) for name, _ in rows)
    return "\n".join([title, *(f"  {name:<{width}}  {fact}" for name, fact in rows)])


def as_html(title: str, rows: Rows) -> str:
    """Format a title and facts as an HTML table."""
    cells = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(fact)}</td></tr>" for name, fact in rows)
    return f"<table><caption>{html.escape(title)}</caption><tbody>{cells}</tbody></table>"


def _materials(mesh: Mesh) -> str:
    """Each material with its shares of the area of the ground, of the walls and of the rest, largest areas first."""
    corners = mesh.corners
    area = 0.5 * norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    ground = mesh.is_ground
    wall = ~ground & (np.abs(mesh.facet_normal[mesh.triangle_facet, 2]) < _STEEPEST_ROOF)
    kinds = {"ground": ground, "walls": wall, "other": ~ground & ~wall}
    of_triangle, count = mesh.facet_material[mesh.triangle_facet], len(mesh.materials)
    areas = {kind: np.bincount(of_triangle, area * rows, count) for kind, rows in kinds.items()}
    total = sum(areas.values(), np.zeros(count))
    largest = np.argsort(-total, kind="stable")
    told = []
    for k in largest[:_MOST_MATERIALS].tolist():
        of_kind = [(kind, part[k] / part.sum()) for kind, part in areas.items() if part[k] > 0]
        shares = [f"{kind} {share:.0%}" if share >= 0.005 else f"{kind} <1%" for kind, share in of_kind]
        told.append(f"{mesh.materials[k].name} ({', '.join(shares) or 'unused'})")
    more = len(largest) - len(told)
    return ", ".join(told) + (f", and {more} more" if more > 0 else "")

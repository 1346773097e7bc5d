"""What importers assumed of materials because their sources do not say it, in a form that can be reckoned with.

The account of an import has sentences; here are the materials behind them. An assumption holds as long as the site has
a material of that name with the assumed value: what a user has set is assumed no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from sitetwin.site.materials import Material
from sitetwin.site.site import Site

What = Literal["thickness", "substance", "ground"]
"""Thickness of a slab; what a surface is made of; what the ground is made of where the source says nothing."""

_KEY = "assumed_materials"


def assumed_record(entries: Iterable[tuple[Material, What]]) -> dict[str, Any]:
    """Return the part of a site's provenance that holds assumed materials; empty where nothing was assumed.

    Args:
        entries: Materials as they are in the site, and what of each was assumed.
    """
    found = [
        {"name": m.name, "what": what, "value": m.thickness if what == "thickness" else m.itu}
        for m, what in dict.fromkeys(entries)
    ]
    return {_KEY: found} if found else {}


def assumed_materials(site: Site, what: What) -> list[tuple[Material, float]]:
    """Return the materials in use of which something is still assumed, largest areas first, with their areas in m2."""
    values = {
        entry["name"]: entry["value"]
        for entry in site.provenance.get(_KEY, [])
        if isinstance(entry, dict) and entry.get("what") == what
    }
    areas = material_areas(site)
    found = [
        (material, float(area))
        for material, area in zip(site.materials, areas, strict=True)
        if area > 0
        and material.name in values
        and values[material.name] == (material.thickness if what == "thickness" else material.itu)
    ]
    return sorted(found, key=lambda pair: -pair[1])


def material_areas(site: Site) -> Float[np.ndarray, " materials"]:
    """(M,) m2 of surface of each material of a site."""
    corners = site.corners
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = 0.5 * np.sqrt((normal * normal).sum(axis=1))
    return np.bincount(site.facet_material[site.triangle_facet], area, len(site.materials))

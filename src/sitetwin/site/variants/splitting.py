"""Give buildings, or facets, materials of their own, so that each can be told apart from the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.plan import standing_buildings
from sitetwin.site.site import Site
from sitetwin.site.variants.draws import digest

Grouping = Literal["material", "building", "facet"]


def split_materials(site: Site, by: Grouping) -> Site:
    """Make a variant of a site in which each group of facets has a material entry of its own.

    Nothing changes in what waves meet: the new entries are copies under other names. A tensor with a value per material
    (see `sitetwin.channel.FieldOptions`) or a mapping of names then reaches each group. One trace serves both sites.

    Args:
        site: The site.
        by: "material": one entry for each different material, as the site has them, without those that no facet has;
            "building": one for each material of each building, named ``brick@house-7``; the ground and all that is no
            building keep the material's name; "facet": one for each facet, named ``brick@facet-12``.

    Returns:
        The site with other `materials` and `facet_material`; the geometry's hash is the same.

    Raises:
        SiteTwinError: The grouping is unknown.
    """
    if by not in get_args(Grouping):
        raise SiteTwinError(f"materials are split by '{by}', which is unknown; choose {', '.join(get_args(Grouping))}")
    old = np.asarray(site.facet_material, dtype=np.int64)
    labels, group = _groups(site, by)
    pairs, number = np.unique(np.stack([old, group], axis=1), axis=0, return_inverse=True)
    taken: set[str] = set()
    materials = []
    for material, at in pairs.tolist():
        name = site.materials[material].name + (f"@{labels[at]}" if at >= 0 else "")
        materials.append(replace(site.materials[material], name=_unused(name, taken)))
    number = number.reshape(-1).astype(np.int32)
    difference = {"what": "split materials", "by": by, "entries": len(materials), "sha256": digest(number)}
    provenance = {
        **site.provenance,
        "parent": site.hash,
        "differences": [*site.provenance.get("differences", []), difference],
    }
    return replace(site, materials=tuple(materials), facet_material=number, provenance=provenance)


def _groups(site: Site, by: Grouping) -> tuple[list[str], np.ndarray]:
    """Names of groups, and (F,) the group of each facet, -1 for none."""
    if by == "material":
        return [], np.full(site.num_facets, -1, dtype=np.int64)
    if by == "facet":
        return [f"facet-{at}" for at in range(site.num_facets)], np.arange(site.num_facets)
    names, building = site.buildings
    of_building = np.where(standing_buildings(site), np.arange(len(names)), -1)
    group = np.full(site.num_facets, -1, dtype=np.int64)
    group[site.triangle_facet] = of_building[building[site.triangle_object]]
    return list(names), group


def _unused(name: str, taken: set[str]) -> str:
    """A name that no other entry has, so that a mapping of names means one entry."""
    number, unused = 1, name
    while unused in taken:
        number += 1
        unused = f"{name}_{number}"
    taken.add(unused)
    return unused

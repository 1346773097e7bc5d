"""Remove buildings, as if the map lacked them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool
from pydantic import ConfigDict

from sitetwin.errors import SiteTwinError
from sitetwin.site.mesh import AnyMesh
from sitetwin.site.plan import standing_buildings


@dataclass(frozen=True)
class MissingBuildings:
    """Which buildings are left out; exactly one of the three is given.

    Attributes:
        share: Share of the buildings, rounded to a whole number of them.
        count: Number of buildings.
        names: Names of the buildings, as in `Site.buildings`.

    Raises:
        SiteTwinError: None or several of the three are given, or one is out of its range.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    share: float | None = None
    count: int | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        if (self.share is not None) + (self.count is not None) + bool(self.names) != 1:
            raise SiteTwinError("missing buildings need one of share, count or names; give exactly one of them")
        if self.share is not None and not 0 <= self.share <= 1:
            raise SiteTwinError(f"a share of {self.share} missing buildings is none; give a number from 0 to 1")
        if self.count is not None and self.count < 0:
            raise SiteTwinError(f"{self.count} missing buildings cannot be; give 0 or more")

    @property
    def random(self) -> bool:
        """Whether the buildings are drawn."""
        return not self.names


def remove_buildings(
    site: AnyMesh, missing: MissingBuildings, rng: np.random.Generator | None
) -> tuple[AnyMesh, dict[str, Any]]:
    """Remove buildings from a site; return the new site and the entry for its list of differences.

    Drawn buildings are the first of a random order. So with equal generators, the buildings of a smaller share are
    among those of a larger share. Facets, objects and vertices are renumbered.

    Args:
        site: The site.
        missing: Which buildings are removed.
        rng: Source of randomness; not needed if the buildings are named.

    Raises:
        SiteTwinError: A name is unknown, more buildings are asked for than stand there, or nothing would be left.
    """
    names, building = site.buildings
    rows = np.flatnonzero(standing_buildings(site))
    if missing.random:
        assert rng is not None
        wanted = round((missing.share or 0.0) * len(rows)) if missing.count is None else missing.count
        if wanted > len(rows):
            raise SiteTwinError(f"{wanted} buildings cannot be missing of the {len(rows)} in the site '{site.name}'")
        gone = np.sort(rng.permutation(rows)[:wanted])
    else:
        known = {names[k]: k for k in rows.tolist()}
        for name in missing.names:
            if name not in known:
                raise SiteTwinError(
                    f"the site '{site.name}' has no building '{name}'; see Site.buildings for its names"
                )
        gone = np.unique([known[name] for name in missing.names])
    keep = ~np.isin(building[site.triangle_object], gone)
    if not keep.any():
        raise SiteTwinError(f"without {len(gone)} buildings nothing is left of the site '{site.name}'; let some stand")
    lost = [names[k] for k in gone.tolist()]
    difference = {
        "what": "missing buildings",
        "buildings_before": len(rows),
        "missing": len(lost),
        "triangles": int((~keep).sum()),
        "examples": lost[:5],
        "sha256": hashlib.sha256("\n".join(lost).encode()).hexdigest(),
    }
    return (keep_triangles(site, keep) if len(lost) else site), difference


def keep_triangles(site: AnyMesh, keep: Bool[np.ndarray, " triangles"]) -> AnyMesh:
    """Return the site with only some of its triangles.

    Facets, objects and vertices without a triangle are removed, and the others are renumbered.

    Args:
        site: The site.
        keep: (T,) bool, the triangles that are kept.
    """
    facets, facet = np.unique(site.triangle_facet[keep], return_inverse=True)
    objects, owner = np.unique(site.triangle_object[keep], return_inverse=True)
    used, corner = np.unique(site.triangles[keep], return_inverse=True)
    return replace(
        site,
        vertices=site.vertices[used],
        triangles=corner.reshape(-1, 3).astype(np.int32),
        triangle_facet=facet.astype(np.int32),
        triangle_object=owner.astype(np.int32),
        objects=tuple(site.objects[k] for k in objects),
        object_building=None if site.object_building is None else site.object_building[objects],
        facet_normal=site.facet_normal[facets],
        facet_offset=site.facet_offset[facets],
        facet_material=site.facet_material[facets],
    )

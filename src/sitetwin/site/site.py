"""The site: the objects of a place, as the tracer and the field models see them.

A `Site` is immutable: a labelled mesh, vegetation (a medium, not a surface, and therefore not part of the mesh), a
place on earth, and the account of where all this comes from.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.late import later
from sitetwin.site.edge_joining import Precision
from sitetwin.site.mesh import Mesh
from sitetwin.site.projection import Georeference
from sitetwin.site.summary import Rows, as_html, as_text, mesh_rows
from sitetwin.site.vegetation import Vegetation
from sitetwin.site.wedges import Wedges, find_wedges

_POSITION_STEP = "position_step_m"


@dataclass(frozen=True, eq=False, repr=False)
class Site(Mesh):
    """Geometry, materials and vegetation of one place.

    The mesh is described at `sitetwin.site.mesh.Mesh`.

    Attributes:
        vegetation: Canopy volumes; may be empty.
        georeference: Where on earth the local origin lies, if known.
        provenance: Sources with their hashes, every default that was assumed, and the differences to the parent site
            for a variant. JSON-serialisable; holds no timestamps.
        opened_from: Absolute path, or name of a built-in scene, from which the site was opened or to which it was
            saved, and its hash then; None if it was made in memory. No part of the hash.
    """

    vegetation: Vegetation = field(default_factory=Vegetation.none)
    georeference: Georeference | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    opened_from: tuple[str, str] | None = field(default=None, compare=False)

    def remember_place(self, place: str | Path) -> None:
        """Note where the site was opened or saved, so that what is made of it can find it again."""
        path = Path(place)
        known = str(path.absolute()) if path.exists() else str(place)
        object.__setattr__(self, "opened_from", (known, self.hash))

    @cached_property
    def geometry_hash(self) -> str:
        """SHA-256 of everything that the tracer depends on: mesh, facets and vegetation volumes, without materials."""
        digest = hashlib.sha256(b"sitetwin-geometry-1")
        arrays = (
            np.ascontiguousarray(self.vertices, "<f8"),
            np.ascontiguousarray(self.triangles, "<i4"),
            np.ascontiguousarray(self.triangle_facet, "<i4"),
            np.ascontiguousarray(self.facet_normal, "<f8"),
            np.ascontiguousarray(self.facet_offset, "<f8"),
        )
        for array in arrays:
            digest.update(str(array.shape).encode())
            digest.update(array.tobytes())
        digest.update(self.vegetation.geometry_bytes())
        if self.position_step > 0:
            digest.update(f"step {self.position_step!r}".encode())
        return digest.hexdigest()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything: geometry, objects, materials, vegetation attributes, georeference, provenance."""
        digest = hashlib.sha256(self.geometry_hash.encode())
        digest.update(np.ascontiguousarray(self.triangle_object, "<i4").tobytes())
        digest.update(np.ascontiguousarray(self.facet_material, "<i4").tobytes())
        labels = {
            "objects": self.objects,
            "materials": [m.to_dict() for m in self.materials],
            "vegetation": self.vegetation.to_dict(),
            "georeference": vars(self.georeference) if self.georeference else None,
            "provenance": self.provenance,
            **({} if self.object_building is None else {"buildings": self.object_building.tolist()}),
        }
        digest.update(json.dumps(labels, sort_keys=True).encode())
        return digest.hexdigest()

    @cached_property
    def wedges(self) -> Wedges:
        """The edges at which a wave is diffracted, as `sitetwin.site.wedges.find_wedges` finds them."""
        return find_wedges(self, Precision(self.position_step))

    @property
    def position_step(self) -> float:
        """Metres between the positions that the source could hold; 0 where they are as exact as floating point."""
        source = self.provenance.get("source")
        step = source.get(_POSITION_STEP, 0.0) if isinstance(source, dict) else 0.0
        return float(step) if isinstance(step, (int, float)) and 0 < step < np.inf else 0.0

    def variant(self, *, name: str | None = None, rng: np.random.Generator | None = None, **changes: Any) -> Site:
        """Make a variant of this site; ``provenance["differences"]`` lists each difference.

        Args:
            name: Name of the variant, the site's own by default.
            rng: Source of randomness for all changes that are drawn.
            **changes: The changes: attributes of `sitetwin.site.variants.Changes`, such as ``trees=``, ``walls=`` or
                ``materials=``.

        Raises:
            SiteTwinError: A change is random and `rng` is not given, a name of a material or building is unknown, or
                `together` is given without walls or heights.
        """
        making = later("site.variants.changes")
        variant, vegetation, differences = making.apply_changes(self, self.vegetation, making.Changes(**changes), rng)
        provenance = {
            **self.provenance,
            "parent": self.hash,
            "differences": [*self.provenance.get("differences", []), *differences],
        }
        return replace(variant, name=name or self.name, vegetation=vegetation, provenance=provenance)

    def plot(self, transmitters: Any = None, users: Any = None, ax: Any = None) -> Any:
        """Draw the site from above, with transmitters and users if they are given.

        Args:
            transmitters: (transmitters, 3) metres, or (3,) for one.
            users: (users, 3) metres.
            ax: Matplotlib axes to draw on; by default those of a new figure.

        Returns:
            The axes.
        """
        return later("drawing.plots").plot_scene(self, transmitters, users, ax=ax)

    def view(self, *paths: Any, carrier_hz: float = 3.5e9, port: int = 0) -> Any:
        """Show the site in the browser, and the paths that were traced in it.

        Args:
            *paths: Folders of stores of paths of this site.
            carrier_hz: Carrier at which the users' powers are shown, Hz.
            port: Port to listen on; 0 takes any that is free.

        Returns:
            The viewer. `.url` is its address, `.stop()` ends it.

        Raises:
            SiteTwinError: A folder holds no finished store of paths, or paths of another site.
        """
        return later("face.viewing").view(self, *paths, carrier_hz=carrier_hz, port=port)

    def __repr__(self) -> str:
        return as_text(self._title, self._rows)

    def _repr_html_(self) -> str:
        return as_html(self._title, self._rows)

    @property
    def _title(self) -> str:
        return f"Site '{self.name}' ({self.hash[:12]})"

    @cached_property
    def _rows(self) -> Rows:
        trunks = int(np.count_nonzero(self.vegetation.is_trunk))
        volumes = f"{self.vegetation.num_volumes - trunks:,} canopies, {trunks:,} trunks"
        place, where = self.georeference, "not known"
        if place is not None:
            where = f"{place.latitude:.6f}, {place.longitude:.6f} (WGS84), z = 0 is {place.vertical_datum}"
        return [*mesh_rows(self), ("vegetation", volumes), ("origin", where)]


def with_position_step(site: Site, step: float) -> Site:
    """Return a site that knows how coarsely its source held positions; edges nearer to each other than that are one.

    Args:
        site: The site.
        step: Metres between the positions that the source could hold; the site stays as it is for 0.
    """
    if step <= 0:
        return site
    source = {**site.provenance.get("source", {}), _POSITION_STEP: step}
    return replace(site, provenance={**site.provenance, "source": source})

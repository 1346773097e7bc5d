"""Things that move through a site: the site at one moment, and how fast its facets and wedges move then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from sitetwin.site.bodies import MovingObject, add_bodies
from sitetwin.site.site import Site


def place_objects(site: Site, objects: Sequence[MovingObject]) -> Site:
    """The site with bodies in its mesh; the facets and objects of the site keep their numbers.

    Args:
        site: The site.
        objects: The bodies; their facets follow those of the site, in this order.
    """
    placed = [{"what": "object", "name": body.name, "bounds_m": body.bounds.tolist()} for body in objects]
    differences = [*site.provenance.get("differences", []), *placed]
    return replace(add_bodies(site, objects), provenance={**site.provenance, "differences": differences})


def facet_velocities(site: Site, objects: Sequence[MovingObject]) -> Float[np.ndarray, "facets 3"]:
    """(F, 3) float64, m/s: velocity of each facet of the site that `place_objects` made; zero for what stands still."""
    velocity = np.zeros((site.num_facets, 3))
    first = len(site.objects) - len(objects)
    for number, body in enumerate(objects):
        velocity[site.triangle_facet[site.triangle_object == first + number]] = body.velocity
    return velocity


def wedge_velocities(site: Site, objects: Sequence[MovingObject]) -> Float[np.ndarray, "wedges 3"]:
    """(W, 3) float64, m/s: velocity of each wedge of the site that `place_objects` made; zero for what stands still.

    A wedge moves with its face 0: bodies stand clear of all else, so that both its faces are of one body.
    """
    return facet_velocities(site, objects)[site.wedges.facets[:, 0]]

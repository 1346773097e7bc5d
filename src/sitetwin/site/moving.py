"""Moving objects in a site: the site at one moment, and the velocities of its facets and wedges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from sitetwin.site.bodies import MovingObject, add_bodies
from sitetwin.site.site import Site


def place_objects(site: Site, objects: Sequence[MovingObject]) -> Site:
    """Add bodies to the mesh of a site; facets and objects of the site keep their numbers.

    Args:
        site: The site.
        objects: The bodies. Their facets follow the facets of the site, in this order.
    """
    placed = [{"what": "object", "name": body.name, "bounds_m": body.bounds.tolist()} for body in objects]
    differences = [*site.provenance.get("differences", []), *placed]
    return replace(add_bodies(site, objects), provenance={**site.provenance, "differences": differences})


def facet_velocities(site: Site, objects: Sequence[MovingObject]) -> Float[np.ndarray, "facets 3"]:
    """Return the velocity of each facet of the site that `place_objects` made, (F, 3) float64, m/s; zero at rest."""
    velocity = np.zeros((site.num_facets, 3))
    first = len(site.objects) - len(objects)
    for number, body in enumerate(objects):
        velocity[site.triangle_facet[site.triangle_object == first + number]] = body.velocity
    return velocity


def wedge_velocities(site: Site, objects: Sequence[MovingObject]) -> Float[np.ndarray, "wedges 3"]:
    """Return the velocity of each wedge of the site that `place_objects` made, (W, 3) float64, m/s; zero at rest.

    A wedge moves with its face 0. Bodies do not touch anything else, so both faces belong to one body.
    """
    return facet_velocities(site, objects)[site.wedges.facets[:, 0]]

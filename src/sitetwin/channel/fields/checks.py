"""Check whether fields can be computed for paths in a site."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.paths import EDGES, Interaction, Paths
from sitetwin.rays.scatter.account import SMOOTH, DiffuseAccount
from sitetwin.rays.scatter.roughness import pattern_words

_MORE_LEFT_OUT = 0.05
"""Share of the diffuse power that other materials may leave out beyond what the trace states, without a warning."""


def check_paths(paths: Paths, site: Any) -> None:
    """Check that paths belong to a site and that their interactions have a field model.

    Args:
        paths: The paths.
        site: The `Site` in which the paths were traced, or a variant of it with the same facets and canopies.

    Raises:
        SiteTwinError: The paths state another geometry than the site's, or name facets, edges or canopies that the site
            lacks; a surface that was opaque in the trace is not opaque now; or a path has an interaction that is not
            modelled.
    """
    _check_geometry(paths, site)
    _check_edges(paths, site)
    _check_opacity(paths, site)
    _check_crossings(paths, site)
    if not paths.max_depth or not paths.num_paths:
        return
    _check_ids(paths, site)
    _check_kinds(paths)


def _check_geometry(paths: Paths, site: Any) -> None:
    """Compare the geometry that the paths state with that of the site, where both are known."""
    stated, known = paths.attributes.get("geometry_hash"), getattr(site, "geometry_hash", None)
    if stated is not None and known is not None and stated != known:
        raise SiteTwinError(
            f"the paths were traced in another geometry ({stated[:12]}) than that of site '{site.name}' "
            f"({known[:12]}); give the site in which they were traced, or a variant with the same geometry"
        )


def _check_edges(paths: Paths, site: Any) -> None:
    """The numbers of edges must mean what they meant in the trace; paths made by hand state no geometry either."""
    if "geometry_hash" not in paths.attributes or not (paths.kinds == Interaction.DIFFRACTION).any():
        return
    stated = paths.attributes.get(EDGES)
    if stated != site.wedges.key:
        raise SiteTwinError(
            "the paths name the edges at which they bend by number, and were traced by a version of the code that "
            "found other edges or numbered them otherwise; trace them again"
        )


def _check_opacity(paths: Paths, site: Any) -> None:
    """No surface that was opaque in a trace through slabs may be a slab now: paths through it are missing.

    The other way round nothing is missing: what passes a surface that is opaque now has the gain zero.
    """
    slab = np.array([m.thickness is not None for m in site.materials], dtype=bool)
    material = np.asarray(site.facet_material)
    if "opaque_facets" in paths.attributes:
        was_opaque = np.zeros(len(material), dtype=bool)
        try:
            for start, stop in paths.attributes["opaque_facets"]:
                was_opaque[start:stop] = True
        except (TypeError, ValueError):
            raise SiteTwinError(
                "the paths do not say which facets were opaque as pairs of numbers; trace them again"
            ) from None
        opened = material[was_opaque & slab[material]]
        if len(opened):
            raise SiteTwinError(
                f"a surface of '{site.materials[opened[0]].name}' is a slab but was opaque when the paths were traced, "
                f"so that paths through it are missing, as through {len(opened)} such surfaces in all; trace again "
                "with this site, or give the site of the trace"
            )
    numbers = paths.attributes.get("opaque_materials", [])
    if any(index >= len(slab) or slab[index] for index in numbers):  # in paths of an older version
        raise SiteTwinError(
            f"the paths name the materials that were opaque by number, {', '.join(map(str, numbers))}, and not all of "
            "these are opaque in this site: its list of materials is another one, or paths through some are missing; "
            "trace again with this site"
        )


def check_roughness(
    paths: Paths, site: Any, scattering_coefficient: Float[np.ndarray, " materials"] | None = None
) -> None:
    """Check that paths which scatter have tiles on all surfaces that scatter in a site.

    A trace chooses tiles by the power that the materials let them carry. If the materials have changed since, what was
    left out has changed too; a warning says so where it became more.

    Args:
        paths: The paths.
        site: The site of the fields.
        scattering_coefficient: (M,) scattering coefficients of the fields; those of the site's materials by default.

    Raises:
        SiteTwinError: A surface scatters that scattered nothing in the trace, so that its tiles are missing.
    """
    coefficient = scattering_coefficient
    if coefficient is None:
        coefficient = np.array([m.scattering_coefficient for m in site.materials], dtype=np.float64)
    material = np.asarray(site.facet_material)
    for first, last in _pairs(paths.attributes.get(SMOOTH, ())):
        rough = material[first:last][coefficient[material[first:last]] > 0]
        if len(rough):
            name = site.materials[rough[0]].name
            raise SiteTwinError(
                f"surfaces of '{name}' scatter (S = {coefficient[rough[0]]:g}) but scattered nothing in the trace, so "
                "that their tiles are missing; trace again in this site, or leave their S at 0"
            )
    account = _account(paths)
    if account is None:
        return
    if not all(type(row.facet) is int and 0 <= row.facet < len(material) for row in account.surfaces):
        raise SiteTwinError("the account of the diffuse paths names facets that the site has not; trace again")
    for row in account.surfaces:
        own = site.materials[material[row.facet]]
        if coefficient[material[row.facet]] and row.pattern not in ("", pattern_words(own)):
            warnings.warn(
                f"surfaces of '{own.name}' scatter otherwise ({pattern_words(own)}) than in the trace, which chose the "
                f"tiles ({row.pattern}): others may carry more; trace again in this site",
                SiteTwinWarning,
                stacklevel=3,
            )
    now = {row.facet: float(coefficient[material[row.facet]]) for row in account.surfaces}
    left_out = account.left_out_with(now)
    if left_out > account.left_out + _MORE_LEFT_OUT:
        warnings.warn(
            f"the materials scatter otherwise than in the trace, which chose the tiles: {left_out:.0%} of the diffuse "
            f"power is left out now, {account.left_out:.0%} was in the trace; trace again in this site",
            SiteTwinWarning,
            stacklevel=3,
        )


def _pairs(stated: Any) -> list[tuple[int, int]]:
    """Ranges of facets as a trace states them."""
    plain = isinstance(stated, (list, tuple)) and all(isinstance(pair, (list, tuple)) for pair in stated)
    if not plain or not all(len(pair) == 2 and all(type(end) is int for end in pair) for pair in stated):
        raise SiteTwinError("the paths do not say which facets were smooth as pairs of numbers; trace them again")
    return [(first, last) for first, last in stated]


def _account(paths: Paths) -> DiffuseAccount | None:
    try:
        return DiffuseAccount.of(paths.attributes)
    except (TypeError, KeyError, AttributeError) as error:
        raise SiteTwinError("the account of the diffuse paths is damaged; trace them again") from error


def _check_ids(paths: Paths, site: Any) -> None:
    """Every interaction must name a facet, scatter centre or wedge of the site."""
    known = {int(kind) for kind in Interaction}
    if not (int(paths.kinds.min()) >= min(known) and int(paths.kinds.max()) <= max(known)):
        unknown = sorted(set(np.unique(paths.kinds).tolist()) - known)
        raise SiteTwinError(f"the paths have interactions of kind {unknown[0]}, which has no field model here")
    edge = _met(paths, Interaction.DIFFRACTION)
    for name, chosen, count in (
        (
            "facet",
            _met(paths, Interaction.REFLECTION, Interaction.TRANSMISSION, Interaction.DIFFUSE),
            len(site.facet_material),
        ),
        ("scatter centre", _met(paths, Interaction.CANOPY), len(site.vegetation.scatter_volume)),
        ("wedge", edge, 0 if edge is None else len(site.wedges.exterior_angle)),
    ):
        if chosen is None:
            continue
        if bool(((paths.facets < 0) & chosen).any()):
            raise SiteTwinError(
                f"some paths name no {name} where they meet one (-1), so that they have no field; drop those paths"
            )
        highest = int(np.where(chosen, paths.facets, -1).max())
        if highest >= count:
            raise SiteTwinError(
                f"the paths name {name} {highest} but the site has {count}; use the site that the paths were traced in"
            )


def _check_crossings(paths: Paths, site: Any) -> None:
    """Every crossing must be of a canopy of the site; a negative number would mean the last one."""
    crossed = paths.crossing_volume
    if not len(crossed):
        return
    count = len(site.vegetation.is_trunk)
    if not 0 <= int(crossed.min()) <= int(crossed.max()) < count:
        wrong = int(crossed.min()) if int(crossed.min()) < 0 else int(crossed.max())
        raise SiteTwinError(
            f"the paths cross canopy {wrong} but the site has {count}; use the site that the paths were traced in"
        )


def _check_kinds(paths: Paths) -> None:
    """Scattering and diffraction happen once on a path, and diffuse scattering alone."""
    single = _met(paths, Interaction.CANOPY, Interaction.DIFFRACTION)
    if single is not None and bool((single.sum(axis=1) > 1).any()):
        raise SiteTwinError(
            "a path meets several canopies or edges; only single scattering and single diffraction are modelled"
        )
    diffuse = _met(paths, Interaction.DIFFUSE)
    if diffuse is not None and bool((diffuse.any(axis=1) & (paths.depth > 1)).any()):
        raise SiteTwinError("a path scatters diffusely and interacts elsewhere too; only single bounces are modelled")


def _met(paths: Paths, *kinds: Interaction) -> np.ndarray | None:
    """(P, D) bool: interactions of some kinds; None where there is none, as of most kinds in most paths."""
    found = paths.kinds == kinds[0]
    for kind in kinds[1:]:
        found |= paths.kinds == kind
    return found if found.any() else None

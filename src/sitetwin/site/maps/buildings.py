"""Buildings: closed bodies with walls and roofs from the outlines on a map.

Outlines are repaired (`footprints`), parts replace what they cover of their building (`parts`, `pieces`), heights and
roofs come from tags or stated assumptions (`heights`, `roofs`). All outlines, together with the breaks of roofs, divide
the plan into faces (`arrangement`); over each face stands a column of solid intervals (`columns`), and the surface
around all columns (`surfaces`) is closed, whatever touches or overlaps whatever. Nothing is solid twice, and there is
no wall where two solids touch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.bodies import Body
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.heights import BuildingOptions
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.pieces import GroundHeight, Piece, find_pieces
from sitetwin.site.maps.solids import Solids, make_solids, surface_of
from sitetwin.site.maps.surfaces import Surface
from sitetwin.site.maps.watertight import open_edges

_CEDED = 0.01  # m2: smaller overlaps are rounding of the map's coordinates, and not worth an entry

_DEFAULTS = BuildingOptions()


@runtime_checkable
class SurfaceMaterials(Protocol):
    """Choose materials by tags."""

    def wall(self, tags: Mapping[str, str]) -> str:
        """Return the name of the material of a building's walls."""

    def roof(self, tags: Mapping[str, str]) -> str:
        """Return the name of the material of a building's roof."""


def build_buildings(
    features: Sequence[Feature],
    rules: SurfaceMaterials,
    ledger: Ledger,
    ground_height: GroundHeight,
    *,
    options: BuildingOptions = _DEFAULTS,
    rng: np.random.Generator | None = None,
) -> list[Body]:
    """Build the walls and roofs of all buildings on a map.

    All bodies together are one closed surface that faces outwards: each edge is passed equally often in both directions
    (if shared walls are kept, all edges but theirs). Each building stands on the lowest ground along its outline, from
    which its heights are measured, and reaches `options.foundation` below that, so that no building floats and each
    floor is under the ground. The volume of a building with a flat roof is its area times its height above that ground,
    plus the volume of the foundation. The result does not depend on the order of the features.

    Where the outlines of two buildings overlap, the space at each height belongs to the building that reaches higher
    there. Roofs that stand without walls (`building=roof`, carports, `wall=no`) are slabs of the roof's material.

    Args:
        features: The features of a map; features that are not buildings are ignored.
        rules: Rules for the materials. They get a part's tags together with the tags of its building.
        ledger: Account of the import; it records what was read, repaired, assumed and dropped.
        ground_height: Function from points (N, 2) to the ground's heights (N,), metres; NaN where there is no ground.
        options: What is assumed about buildings.
        rng: Source of randomness for default heights, needed if `options.default_spread` is not 0; heights are drawn in
            the order of the keys.

    Returns:
        Bodies "<key>-walls" (with undersides) and "<key>-roof" of each building, by key. The bodies of a part are
        called "<key>-part_<key of the part>-walls" and so on, so that they go with their building.

    Raises:
        SiteTwinError: A spread of heights is set and no generator is given, the ground's heights have the wrong shape,
            or the surface is not closed.
    """
    pieces = find_pieces(features, ground_height, ledger)
    solids = make_solids(pieces, options, ledger, rng)
    if not len(solids.piece):
        return []
    names = [piece.feature.key for piece in pieces]
    surface, ceded = surface_of(solids, names, keep_shared=options.shared_walls == "keep")
    _note_overlaps(solids, surface, ceded, pieces, ledger)
    leaks = open_edges(surface.corners[~surface.is_shared])
    if len(leaks):
        x, y, z = leaks[0, 0]
        raise SiteTwinError(
            f"the buildings' surface has {len(leaks)} open edges, the first at ({x:.2f}, {y:.2f}, {z:.2f}) m; simplify "
            "the outlines there"
        )
    return _bodies(solids, surface, pieces, rules)


def _note_overlaps(solids: Solids, surface: Surface, ceded: np.ndarray, pieces: list[Piece], ledger: Ledger) -> None:
    lost, left = np.zeros(len(pieces)), np.zeros(len(pieces), dtype=bool)
    np.add.at(lost, solids.piece, ceded)
    left[solids.piece[surface.owner]] = True
    for row in np.flatnonzero((lost > _CEDED) & left):
        what = "overlap of buildings, given to the one that reaches higher"
        ledger.note("repaired", what, pieces[row].feature.key)
    for row in np.flatnonzero((lost > 0) & ~left):
        ledger.note(
            "dropped", "building inside of another that reaches higher, or drawn twice", pieces[row].feature.key
        )


def _bodies(solids: Solids, surface: Surface, pieces: list[Piece], rules: SurfaceMaterials) -> list[Body]:
    group = 2 * solids.piece[surface.owner] + surface.is_roof
    order = np.argsort(group, kind="stable")
    bodies = []
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        number, is_roof = divmod(int(group[rows[0]]), 2)
        piece = pieces[number]
        name = piece.building.key
        if piece.feature is not piece.building:
            name += f"-part_{piece.feature.key}"
        tags = {**piece.building.tags, **piece.feature.tags}
        material = rules.roof(tags) if is_roof or solids.slab[number] else rules.wall(tags)
        called = f"{name}-{'roof' if is_roof else 'walls'}"
        bodies.append(Body(called, surface.corners[rows], material, piece.building.key))
    return bodies

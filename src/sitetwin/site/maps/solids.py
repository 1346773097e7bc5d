"""Turn pieces of buildings into volumes, and volumes into the surface around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Int, Shaped

from sitetwin.site.maps.arrangement import arrange
from sitetwin.site.maps.columns import Volumes, find_columns
from sitetwin.site.maps.crossings import MARGIN, crossing_lines, crossing_ticks
from sitetwin.site.maps.crowding import refuse_crowds
from sitetwin.site.maps.footprints import GRID
from sitetwin.site.maps.heights import SHORTEST, SLAB, BuildingOptions, Heights, heights, roof_height
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.pieces import Piece
from sitetwin.site.maps.roofs import break_lines, roof_form
from sitetwin.site.maps.surfaces import Surface, enclose

_MOST_ROUNDS = 3  # of cutting edges where surfaces cross; after the second only rounding is left


@dataclass(frozen=True, eq=False)
class Solids:
    """The volumes that a surface encloses.

    Attributes:
        volumes: The volumes, one for each polygon of each piece.
        breaks: (B,) lines along which roofs change their plane.
        piece: (V,) int64, the piece that a volume belongs to.
        slab: (N,) bool, for each piece whether it is a roof without walls.
    """

    volumes: Volumes
    breaks: Shaped[np.ndarray, " lines"]
    piece: Int[np.ndarray, " volumes"]
    slab: Bool[np.ndarray, " pieces"]


def make_solids(
    pieces: list[Piece], options: BuildingOptions, ledger: Ledger, rng: np.random.Generator | None
) -> Solids:
    """Make volumes with their heights and roofs.

    Args:
        pieces: The pieces of buildings, by their keys.
        options: What is assumed about buildings.
        ledger: Account of the import; it records the assumptions.
        rng: Source of randomness for default heights, needed if a spread is set.
    """
    shapes: list[shapely.Polygon] = []
    owner: list[int] = []
    bottoms: list[np.ndarray] = []
    roofs: list[np.ndarray] = []
    breaks = [np.empty(0, dtype=object)]
    slab = np.zeros(len(pieces), dtype=bool)
    for number, piece in enumerate(pieces):
        if not piece.polygons:
            continue
        outline_tags = piece.building.tags if piece.building is not piece.feature else None
        limits = heights(piece.feature.key, piece.feature.tags, outline_tags, options, ledger, rng)
        slab[number] = limits.slab
        for polygon in piece.polygons:
            bottom, roof = _bottom_and_roof(piece, polygon, limits, options, ledger)
            if len(roof) > 1:
                breaks.append(break_lines(roof, polygon, MARGIN))
            shapes.append(polygon)
            owner.append(number)
            bottoms.append(np.array([[0.0, 0.0, bottom]]))
            roofs.append(roof)
    table = np.concatenate([np.empty((0, 3)), *bottoms, *roofs])
    planes, place = np.unique(table, axis=0, return_inverse=True)
    place = place.reshape(-1)
    keys = [piece.building.key for piece in pieces]
    _, building = np.unique(np.array(keys, dtype=str), return_inverse=True)
    row = np.array(owner, dtype=np.int64)
    volumes = Volumes(
        footprint=np.array(shapes, dtype=object),
        planes=planes,
        bottom=place[: len(shapes)],
        roof=place[len(shapes) :],
        roof_offset=np.concatenate([[0], np.cumsum([len(roof) for roof in roofs])]).astype(np.int64),
        building=building[row],
    )
    return Solids(volumes, np.concatenate(breaks), row, slab)


def _bottom_and_roof(
    piece: Piece, polygon: shapely.Polygon, limits: Heights, options: BuildingOptions, ledger: Ledger
) -> tuple[float, np.ndarray]:
    """Height of the underside, metres, and (K, 3) the planes of the roof."""
    key, tags = piece.feature.key, piece.feature.tags
    form = roof_form(key, polygon, tags, ledger)
    rise = 0.0 if form is None else roof_height(key, tags, form.run, options, ledger)
    if limits.top is not None:
        room = limits.top - (limits.bottom or 0.0) - (SLAB if limits.slab else 0.0)
        if rise > max(room, 0.0):
            ledger.note("repaired", "roof higher than its building, lowered to it", key)
            rise = max(room, 0.0)
        eaves = limits.top - rise
    else:
        foot = limits.bottom or 0.0
        eaves = (limits.eaves or 0.0) + (limits.loft if form is None else 0.0)
        eaves = max(eaves, foot, foot + SHORTEST - rise)
    if limits.bottom is not None:
        bottom = limits.bottom
    elif limits.slab:
        bottom = eaves - SLAB
        ledger.note("assumed", f"roof without walls: a slab of {SLAB:g} m", key)
    else:
        bottom = -options.foundation
    base = _on_grid(piece.ground + eaves)
    if form is None or rise < GRID:
        roof = np.array([[0.0, 0.0, base]])
    else:
        roof = form.planes * rise + np.array([0.0, 0.0, base])
    return _on_grid(piece.ground + bottom), roof


def _on_grid(height: float) -> float:
    return float(np.rint(height / GRID) * GRID)


def surface_of(solids: Solids, names: Sequence[str], *, keep_shared: bool) -> tuple[Surface, np.ndarray]:
    """Make the surface around volumes.

    Args:
        solids: The volumes.
        names: Name of each piece, for messages.
        keep_shared: Also make the walls between touching volumes of different buildings.

    Returns:
        The surface; and (V,) float64 the area over which each volume had to give way to a higher one, m2.

    Raises:
        SiteTwinError: The outlines cross, or lie over one another, more often than anybody can mean.
    """
    volumes = solids.volumes
    outlines = [names[piece] for piece in solids.piece]
    refuse_crowds(volumes.footprint, outlines, "outlines of buildings")
    lines = np.concatenate([shapely.boundary(volumes.footprint), solids.breaks, crossing_lines(volumes)])
    if len(lines) > len(outlines):
        said = [*outlines, *["a roof"] * (len(lines) - len(outlines))]
        refuse_crowds(lines, said, "outlines, ridges and meeting lines of buildings")
    for _ in range(_MOST_ROUNDS):
        plan = arrange(lines)
        columns = find_columns(plan, volumes)
        ticks = crossing_ticks(plan, columns, volumes)
        if not len(ticks):
            break
        lines = np.concatenate([lines, ticks])
    return enclose(plan, columns, volumes, keep_shared=keep_shared), columns.ceded

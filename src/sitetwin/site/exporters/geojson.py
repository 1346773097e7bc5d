"""Export building footprints and trees to GeoJSON, with the keys of OpenStreetMap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import cut_in_two, wrapped
from sitetwin.site.exporters.files import write_file
from sitetwin.site.facets import norm
from sitetwin.site.footprints import footprint
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.places.placement import ground_height
from sitetwin.site.plan import standing_buildings
from sitetwin.site.projection import Georeference, LocalProjection
from sitetwin.site.site import Site
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon, Volume

_STEEP = 0.5  # upward or downward part of a unit normal below which a surface is a wall
_DECIMALS = 9  # of degrees: 0.1 mm


def export_footprints(site: Site, path: str | Path) -> Ledger:
    """Write the buildings of a site as footprints and its canopies as trees and woods, in WGS84 degrees.

    A footprint is the union of the projections of a building's triangles, with courtyards as holes. The keys are those
    of OpenStreetMap: ``height`` and ``min_height`` (metres above the ground under the building), ``building:material``
    and ``roof:material`` (name of the site's material with the largest area); ``natural=tree`` with ``height``,
    ``diameter_crown``, ``leaf_type``, ``leaf_cycle``; ``natural=wood`` for canopies over a polygon. The shapes of
    roofs, the terrain and the constants of materials are lost. The same site gives the same bytes (RFC 7946).

    Args:
        site: The site; it needs a georeference.
        path: The file to write.

    Returns:
        The account of the export: what was written and which objects have no footprint.

    Raises:
        SiteTwinError: The site has no georeference, or the file cannot be written (permissions, full disk).
    """
    if site.georeference is None:
        raise SiteTwinError(
            f"the site '{site.name}' has no georeference, without which it has no longitudes and latitudes; give its "
            "origin by with_georeference(site, latitude, longitude)"
        )
    ledger = Ledger()
    features = _buildings(site, ledger) + _canopies(site, ledger)
    for feature in features:
        feature["geometry"] = _degrees(feature["geometry"], site.georeference)
    collection = {"type": "FeatureCollection", "features": features}
    write_file(Path(path), (json.dumps(collection, ensure_ascii=False, indent=1) + "\n").encode())
    return ledger


def _buildings(site: Site, ledger: Ledger) -> list[dict[str, Any]]:
    names, building_of_object = site.buildings
    building = building_of_object[site.triangle_object]
    rows = np.flatnonzero(standing_buildings(site)[building])
    building = building[rows]
    if site.object_building is not None:
        for number in np.flatnonzero(site.object_building < 0).tolist():
            ledger.note("dropped", "parked vehicle: it is no building", site.objects[number])
    features = []
    order = np.argsort(building, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(building[order])) + 1) if len(rows) else []
    outlines = [footprint(site.vertices[site.triangles[group]]) for group in groups]
    foot = _ground_under(site, [o.representative_point() if not o.is_empty else shapely.Point(0, 0) for o in outlines])
    for group, outline, ground in zip(groups, outlines, foot, strict=True):
        name = names[building_of_object[site.triangle_object[group[0]]]]
        if outline.is_empty:
            ledger.note("dropped", "building without a footprint: it has upright surfaces only", name)
            continue
        z = site.vertices[site.triangles[group]][..., 2]
        level = ground if np.isfinite(ground) else float(z.min())
        tags: dict[str, Any] = {
            "building": "yes",
            "height": _metres(z.max() - level),
            "min_height": _metres(max(z.min() - level, 0.0)),
            **_materials(site, group),
        }
        features.append({"type": "Feature", "id": name, "properties": tags, "geometry": outline})
        ledger.note("read", "building footprints written")
    return features


def _ground_under(site: Site, points: list[shapely.Point]) -> np.ndarray:
    """(N,) height of the ground under points, metres; NaN without ground."""
    if not points or not site.is_ground.any():
        return np.full(len(points), np.nan)
    return ground_height(site, np.array([[p.x, p.y] for p in points]))


def _materials(site: Site, rows: np.ndarray) -> dict[str, str]:
    """The wall and roof materials of the largest area."""
    corners = site.vertices[site.triangles[rows]]
    area = 0.5 * norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    facet = site.triangle_facet[rows]
    steep = np.abs(site.facet_normal[facet, 2]) < _STEEP
    found = {}
    for key, chosen in (("building:material", steep), ("roof:material", ~steep)):
        if chosen.any():
            weight = np.bincount(site.facet_material[facet[chosen]], area[chosen])
            found[key] = site.materials[int(weight.argmax())].name
    return found


def _canopies(site: Site, ledger: Ledger) -> list[dict[str, Any]]:
    trunks = site.vegetation.is_trunk
    if trunks.any():
        ledger.note("dropped", "trunk of a tree: a reader makes it from the tree's height", count=int(trunks.sum()))
    volumes = [v for v, trunk in zip(site.vegetation.volumes, trunks, strict=True) if not trunk]
    shapes = [_canopy(volume) for volume in volumes]
    foot = _ground_under(site, [shape.representative_point() for shape, _, _ in shapes])
    features = []
    for k, (volume, (shape, top, tags), ground) in enumerate(zip(volumes, shapes, foot, strict=True)):
        level = ground if np.isfinite(ground) else float(site.bounds[0, 2])
        tags["height"] = _metres(top - level)
        tags |= {"leaf_type": volume.leaf_type, "leaf_cycle": volume.leaf_cycle}
        features.append({"type": "Feature", "id": f"canopy/{k}", "properties": tags, "geometry": shape})
        ledger.note("read", "trees written" if tags["natural"] == "tree" else "woods written")
    return features


def _canopy(volume: Volume) -> tuple[shapely.Geometry, float, dict[str, Any]]:
    """Shape in local metres, height of the top, and the tags of its kind."""
    if isinstance(volume, ExtrudedPolygon):
        return shapely.make_valid(shapely.Polygon(volume.ring)), volume.z_max, {"natural": "wood"}
    if isinstance(volume, Cylinder):
        return (
            shapely.Point(volume.centre),
            volume.z_max,
            {"natural": "tree", "diameter_crown": _metres(2 * volume.radius)},
        )
    assert isinstance(volume, Ellipsoid)
    a, b, c = volume.semi_axes
    tags = {"natural": "tree", "diameter_crown": _metres(2 * float(np.sqrt(a * b)))}
    return shapely.Point(volume.centre[:2]), volume.centre[2] + c, tags


def _degrees(shape: shapely.Geometry, georeference: Georeference) -> dict[str, Any]:
    """A local shape as a GeoJSON geometry of RFC 7946: outer rings counter-clockwise, cut at the antimeridian."""
    projection = LocalProjection.of(georeference)

    def near(xy: np.ndarray) -> np.ndarray:
        """Longitudes and latitudes, without a jump at the antimeridian."""
        degrees = projection.to_wgs84(xy)
        degrees[:, 0] = georeference.longitude + wrapped(degrees[:, 0] - georeference.longitude)
        return degrees

    placed = cut_in_two(shapely.transform(shape, near))
    placed = shapely.transform(placed, lambda degrees: np.round(degrees, _DECIMALS))
    return json.loads(shapely.to_geojson(shapely.reverse(shapely.normalize(placed))))  # normal rings are clockwise


def _metres(value: float) -> float:
    return round(float(value), 3)

"""CityJSON documents, written by hand for the tests."""

from __future__ import annotations

from typing import Any

Point = tuple[float, float, float]


class CityWriter:
    """Collects vertices as integers of a scale and writes city objects.

    Attributes:
        scale: Of the vertices.
        translate: Of the vertices.
        document: The document so far.
    """

    def __init__(
        self, epsg: int | None = None, version: str = "2.0", translate: Point = (0.0, 0.0, 0.0), scale: float = 0.001
    ) -> None:
        self.scale, self.translate = scale, translate
        self.document: dict[str, Any] = {
            "type": "CityJSON",
            "version": version,
            "transform": {"scale": [scale] * 3, "translate": list(translate)},
            "CityObjects": {},
            "vertices": [],
        }
        if epsg is not None:
            url = f"https://www.opengis.net/def/crs/EPSG/0/{epsg}"
            urn = f"urn:ogc:def:crs:EPSG::{epsg}"
            self.document["metadata"] = {"referenceSystem": urn if version == "1.0" else url}

    def vertex(self, point: Point) -> int:
        row = [round((p - t) / self.scale) for p, t in zip(point, self.translate, strict=True)]
        self.document["vertices"].append(row)
        return len(self.document["vertices"]) - 1

    def ring(self, points: list[Point]) -> list[int]:
        return [self.vertex(p) for p in points]

    def add(self, key: str, kind: str, geometries: list[dict[str, Any]], **rest: Any) -> None:
        self.document["CityObjects"][key] = {"type": kind, "geometry": geometries, **rest}


def box_rings(low: Point, high: Point) -> list[tuple[str, list[Point]]]:
    """Faces of a box with their semantics, outwards."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    a, b, c, d = (x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)
    e, f, g, h = (x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)
    return [
        ("GroundSurface", [a, d, c, b]),
        ("RoofSurface", [e, f, g, h]),
        ("WallSurface", [a, b, f, e]),
        ("WallSurface", [b, c, g, f]),
        ("WallSurface", [c, d, h, g]),
        ("WallSurface", [d, a, e, h]),
    ]


def solid(
    city: CityWriter, faces: list[tuple[str, list[Any]]], lod: Any = "2", semantic: bool = True
) -> dict[str, Any]:
    """A Solid of faces; a face is a ring, or a list of rings of which the others are holes."""
    shell = [[city.ring(r) for r in (face if isinstance(face[0], list) else [face])] for _, face in faces]
    geometry: dict[str, Any] = {"type": "Solid", "lod": lod, "boundaries": [shell]}
    if semantic:
        kinds = sorted({kind for kind, _ in faces})
        geometry["semantics"] = {
            "surfaces": [{"type": kind} for kind in kinds],
            "values": [[kinds.index(kind) for kind, _ in faces]],
        }
    return geometry


def multi(city: CityWriter, rings: list[list[Point]], lod: Any = "1") -> dict[str, Any]:
    """A MultiSurface of rings without semantics."""
    return {"type": "MultiSurface", "lod": lod, "boundaries": [[city.ring(ring)] for ring in rings]}


def courtyard_house(city: CityWriter, height: float = 20.0, z: float = 0.0) -> dict[str, Any]:
    """A house of 30 m x 20 m with a courtyard of 10 m x 8 m: its roof and ground have a hole."""
    outer, inner = ((0.0, 0.0), (30.0, 20.0)), ((8.0, 5.0), (18.0, 13.0))
    faces: list[tuple[str, list[Any]]] = []
    lids: dict[float, list[list[Point]]] = {z: [], z + height: []}
    for (x0, y0), (x1, y1), hole in ((*outer, False), (*inner, True)):
        corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        if hole:
            corners.reverse()
        for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
            wall = [(ax, ay, z), (bx, by, z), (bx, by, z + height), (ax, ay, z + height)]
            faces.append(("WallSurface", wall))
        lids[z + height].append([(x, y, z + height) for x, y in corners])
        lids[z].append([(x, y, z) for x, y in reversed(corners)])
    faces += [("RoofSurface", lids[z + height]), ("GroundSurface", lids[z])]
    return solid(city, faces)

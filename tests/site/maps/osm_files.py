"""One small town in every format the readers know, written by the tests themselves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import osmium


@dataclass
class Town:
    """Elements: nodes (longitude, latitude, tags), ways (refs, tags), relations (members, tags)."""

    nodes: dict[int, tuple[float, float, dict[str, str]]] = field(default_factory=dict)
    ways: dict[int, tuple[list[int], dict[str, str]]] = field(default_factory=dict)
    relations: dict[int, tuple[list[tuple[str, int, str]], dict[str, str]]] = field(default_factory=dict)

    def ring(self, way: int, corners: list[tuple[float, float]], **tags: str) -> None:
        """A closed way; its nodes are numbered after it."""
        first = way * 100
        for k, (longitude, latitude) in enumerate(corners):
            self.nodes[first + k] = (longitude, latitude, {})
        self.ways[way] = ([*range(first, first + len(corners)), first], _tags(tags))

    def square(self, way: int, west: float, south: float, side: float, **tags: str) -> None:
        """A closed square."""
        east, north = west + side, south + side
        self.ring(way, [(west, south), (east, south), (east, north), (west, north)], **tags)


def _tags(words: dict[str, str]) -> dict[str, str]:
    return {key.replace("__", ":"): value for key, value in words.items()}


def town(west: float = 13.4, south: float = 52.5) -> Town:
    """Two houses, a block with a courtyard, a street, trees and a park, some 200 m wide."""
    made = Town()
    made.square(1, west, south, 2e-4, building="yes", height="12 m")
    made.square(2, west + 5e-4, south, 2e-4, building="house", building__levels="2")
    made.square(3, west, south + 5e-4, 6e-4)
    made.square(4, west + 2e-4, south + 7e-4, 2e-4)
    made.ring(
        5, [(west + 1e-3, south), (west + 2e-3, south), (west + 2e-3, south + 1e-3)], leisure="park", name="Grün & Öde"
    )
    made.nodes[7] = (west + 1e-4, south + 3.3e-4, {"natural": "tree", "height": "9"})
    made.nodes[8] = (west - 5e-4, south + 4e-4, {})
    made.nodes[9] = (west + 25e-4, south + 4e-4, {"highway": "crossing"})
    made.ways[6] = ([8, 9], {"highway": "residential"})
    made.relations[1] = ([("w", 3, "outer"), ("w", 4, "inner")], {"type": "multipolygon", "building": "yes"})
    made.relations[2] = ([("w", 6, "")], {"type": "route", "route": "bus"})
    return made


def xml(made: Town, bounds: tuple[float, float, float, float] | None = None, backwards: bool = False) -> bytes:
    """OpenStreetMap XML; backwards: relations first, nodes last."""
    rows = [f'<node id="{i}" lon="{x:.7f}" lat="{y:.7f}">{_xml_tags(t)}</node>' for i, (x, y, t) in made.nodes.items()]
    for i, (refs, tags) in made.ways.items():
        rows.append(f'<way id="{i}">' + "".join(f'<nd ref="{r}"/>' for r in refs) + _xml_tags(tags) + "</way>")
    kinds = {"n": "node", "w": "way", "r": "relation"}
    for i, (members, tags) in made.relations.items():
        inner = "".join(f'<member type="{kinds[k]}" ref="{r}" role="{role}"/>' for k, r, role in members)
        rows.append(f'<relation id="{i}">{inner}{_xml_tags(tags)}</relation>')
    if backwards:
        rows.reverse()
    if bounds:
        rows.insert(0, '<bounds minlon="{}" minlat="{}" maxlon="{}" maxlat="{}"/>'.format(*bounds))
    return ('<?xml version="1.0" encoding="UTF-8"?><osm version="0.6">' + "\n".join(rows) + "</osm>").encode()


def _xml_tags(tags: dict[str, str]) -> str:
    quoted = {k: v.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;") for k, v in tags.items()}
    return "".join(f'<tag k="{k}" v="{v}"/>' for k, v in quoted.items())


def pbf(made: Town, path: Path, bounds: tuple[float, float, float, float] | None = None) -> Path:
    """OpenStreetMap PBF, by pyosmium."""
    kind, header = osmium.osm.mutable, osmium.io.Header()
    if bounds:
        header.add_box(osmium.osm.Box(*bounds))
    with osmium.SimpleWriter(str(path), overwrite=True, header=header) as writer:
        for i, (x, y, tags) in sorted(made.nodes.items()):
            writer.add_node(kind.Node(id=i, location=(round(x, 7), round(y, 7)), tags=tags))
        for i, (refs, tags) in sorted(made.ways.items()):
            writer.add_way(kind.Way(id=i, nodes=refs, tags=tags))
        for i, (members, tags) in sorted(made.relations.items()):
            writer.add_relation(kind.Relation(id=i, members=members, tags=tags))
    return path


def overpass(made: Town, geometry: bool = False) -> dict[str, Any]:
    """An Overpass answer: tags first, then the skeleton of the nodes (``out body; >; out skel``), or ``out geom``."""
    kinds = {"n": "node", "w": "way", "r": "relation"}
    place = {i: {"lat": round(y, 7), "lon": round(x, 7)} for i, (x, y, _) in made.nodes.items()}
    elements: list[dict[str, Any]] = []
    for i, (_, _, tags) in made.nodes.items():
        if tags:
            elements.append({"type": "node", "id": i, **place[i], "tags": tags})
    for i, (refs, tags) in made.ways.items():
        way: dict[str, Any] = {"type": "way", "id": i, "nodes": refs, "tags": tags}
        member = any(i == r for members, _ in made.relations.values() for _, r, _ in members)
        if geometry and member and not tags:
            continue  # drawn by its relation
        elements.append({**way, "geometry": [place[r] for r in refs]} if geometry else way)
    for i, (members, tags) in made.relations.items():
        rows = []
        for k, r, role in members:
            row: dict[str, Any] = {"type": kinds[k], "ref": r, "role": role}
            if geometry:
                row["geometry"] = [place[n] for n in made.ways[r][0]]
            rows.append(row)
        elements.append({"type": "relation", "id": i, "members": rows, "tags": tags})
    if not geometry:
        elements += [{"type": "node", "id": i, **place[i]} for i in made.nodes]
    return {"version": 0.6, "generator": "test", "elements": elements}


def write(path: Path, content: bytes | dict[str, Any]) -> Path:
    """A file of bytes, or of JSON."""
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path

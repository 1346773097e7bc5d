"""Turn OpenStreetMap's elements into points, lines and areas."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.site.antimeridian import side_by_side
from sitetwin.site.maps.drawn import BUILDING, Drawn, is_building
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.areas import as_line, is_area, makes_area, repeats, same_kind, says_something
from sitetwin.site.maps.readers.elements import Elements, Member, Relation, Tags, Way
from sitetwin.site.maps.readers.rings import assemble_area, clean_ring

_Row = tuple[str, Tags, np.ndarray]  # key, tags, points in degrees


def draw_elements(elements: Elements, ledger: Ledger) -> list[Drawn]:
    """Make points from tagged nodes, areas and lines from tagged ways, and areas from multipolygon relations.

    A closed way is an area if its tags say so (`is_area`); a building's outline that is not closed is closed. So is a
    multipolygon (`makes_area`); one whose own tags make none takes those of its outer ways, as was once usual. Ways
    that repeat the tags of their relation are left out, so that courts stay open. ``type=building`` relations mark
    their members (`BUILDING`). Things without tags are left out.

    Args:
        elements: The elements of a file.
        ledger: Account of the import; it records what was read, repaired, assumed and dropped.

    Returns:
        Things in degrees, in no particular order.
    """
    return _Drawing(elements, ledger).draw()


class _Drawing:
    """State while elements become things."""

    def __init__(self, elements: Elements, ledger: Ledger) -> None:
        self.elements, self.ledger = elements, ledger
        self.marks: dict[str, Tags] = {}
        self.absorbed: dict[int, str] = {}  # ways that stand in their multipolygons, and why
        self.members: set[int] = set()  # ways that relations use

    def draw(self) -> list[Drawn]:
        relations = self.elements.relations.values()
        for relation in relations:
            if relation.tags.get("type") == "building":
                self._mark(relation)
        things = [thing for relation in relations for thing in self._of_relation(relation)]
        for node in self.elements.nodes.values():
            if says_something(node.tags):
                things.append(Drawn(f"node/{node.id}", shapely.Point(node.position), node.tags))
                self.ledger.note("read", "OpenStreetMap nodes with tags")
        things += self._ways()
        return things

    def _mark(self, relation: Relation) -> None:
        """Tie the outline and the parts of a building together; the relation's tags are the outline's."""
        outlines = [m for m in relation.members if m.role == "outline"] or [
            m for m in relation.members if m.role in ("outer", "")
        ]
        name = _key(outlines[0]) if outlines else f"relation/{relation.id}"
        self.ledger.note("read", "OpenStreetMap building relations")
        if len(outlines) != 1:
            self.ledger.note("assumed", "building relation without one outline: its parts belong together", name)
        for member in relation.members:
            self.members |= {member.id} if member.kind == "way" else set()
            self.marks.setdefault(_key(member), {})[BUILDING] = name
        own = {key: value for key, value in relation.tags.items() if key != "type"}
        if outlines:
            self.marks[name] = {**own, **self.marks[name]}
        elif own:
            self.ledger.note("dropped", "tags of a building relation without an outline", name)

    def _tags(self, key: str, tags: Tags) -> Tags:
        """Tags of an element with those its relations give it; its own count first."""
        return {**self.marks[key], **tags} if key in self.marks else tags

    def _of_relation(self, relation: Relation) -> Iterator[Drawn]:
        key, kind = f"relation/{relation.id}", relation.tags.get("type", "")
        if kind == "building":
            return
        tags = self._tags(key, relation.tags)
        if kind != "multipolygon" and not (kind == "boundary" and makes_area(tags, kind)):
            self.ledger.note("dropped", "relation that is no multipolygon and no building (routes, borders, ...)", key)
            return
        members = {m.id: m for m in relation.members if m.kind == "way"}
        present = [(m, self.elements.ways[m.id]) for m in members.values() if m.id in self.elements.ways]
        self.members |= members.keys()
        if any(m.kind == "relation" for m in relation.members):
            self.ledger.note("dropped", "relation within a multipolygon: only its ways bound it", key)
        if not present:
            self.ledger.note("dropped", "multipolygon whose ways are not in the file", key)
            return
        if len(present) < len(members):
            self.ledger.note(
                "dropped", "way of a multipolygon that is not in the file", key, len(members) - len(present)
            )
        outer = [way for m, way in present if m.role != "inner"]
        inner = [way for m, way in present if m.role == "inner"]
        yield from self._areas_of(key, kind, tags, outer, inner)

    def _areas_of(self, key: str, kind: str, tags: Tags, outer: list[Way], inner: list[Way]) -> Iterator[Drawn]:
        """The areas of a multipolygon: one by its tags, or those of its outer ways, each with its courts."""
        whole = self._multipolygon_tags(key, kind, tags, outer)
        if whole is not None:
            yield from self._area(key, whole, outer, inner)
            return
        tagged = [way for way in outer if makes_area(way.tags, kind)]
        if not all(way.closed for way in tagged):
            tagged = []
        for way in tagged:
            self.ledger.note("assumed", "outer way with tags of its own has the courts of its multipolygon", key)
            yield from self._area(f"way/{way.id}", self._tags(f"way/{way.id}", way.tags), [way], inner)
        if not tagged:
            says = says_something(tags) or any(says_something(way.tags) for way in outer)
            what = "multipolygon whose tags make no area" if says else "multipolygon without tags"
            self.ledger.note("dropped", what, key)

    def _area(self, key: str, tags: Tags, outer: list[Way], inner: list[Way]) -> Iterator[Drawn]:
        """An area with its courts; the ways that only repeat its tags are absorbed."""
        lines = side_by_side([way.points for way in (*outer, *inner)])
        assembly = assemble_area(lines[: len(outer)], lines[len(outer) :], key)
        for note in assembly.notes:
            self.ledger.note(*note, key)
        if assembly.area is None:
            self.ledger.note("dropped", "multipolygon without a closed ring", key)
            return
        self.ledger.note("read", "OpenStreetMap multipolygons")
        yield Drawn(key, assembly.area, {k: v for k, v in tags.items() if k != "type"})
        for way in outer:
            if same_kind(way.tags, tags):
                self.absorbed[way.id] = "outer way that repeats its multipolygon"
        for way in inner:
            if repeats(way.tags, tags) or (is_building(way.tags) and not way.closed):
                self.absorbed[way.id] = "inner way with the tags of its multipolygon: the court stays open"

    def _multipolygon_tags(self, key: str, kind: str, tags: Tags, outer: list[Way]) -> Tags | None:
        """The relation's tags with what its one outer way adds, or those that all its tagged outer ways share.

        None if neither make an area.
        """
        if makes_area(tags, kind):
            way = outer[0] if len(outer) == 1 else None
            added = {k: v for k, v in way.tags.items() if k not in tags} if way and same_kind(way.tags, tags) else {}
            if added:
                self.ledger.note("assumed", "multipolygon takes further tags of its outer way", key)
            return {**added, **tags}
        tagged = [way.tags for way in outer if makes_area(way.tags, kind)]
        shared = {k: v for k, v in tagged[0].items() if all(t.get(k) == v for t in tagged)} if tagged else {}
        alike = all(t == shared for t in tagged) or not all(way.closed for way in outer)
        if not (alike and makes_area(shared, kind)):
            return None
        self.ledger.note("assumed", "multipolygon without tags takes those of its outer ways", key)
        return {**tags, **shared}

    def _ways(self) -> list[Drawn]:
        rings: list[_Row] = []
        lines: list[_Row] = []
        for way in self.elements.ways.values():
            key = f"way/{way.id}"
            tags = self._tags(key, way.tags)
            if way.id in self.absorbed:
                self.ledger.note("dropped", self.absorbed[way.id], key)
            elif says_something(tags):
                apart = as_line(tags) if way.closed and is_area(tags) else None
                if apart is None:
                    self._sort(way, key, tags, rings, lines)
                else:
                    self._sort(way, key, apart[0], rings, lines)
                    lines.append((f"{key}.2", apart[1], side_by_side([way.points])[0]))
            elif way.id not in self.members:
                self.ledger.note("dropped", "way without tags", key)
        for rows, what in ((rings, "OpenStreetMap areas (closed ways)"), (lines, "OpenStreetMap lines")):
            if rows:
                self.ledger.note("read", what, count=len(rows))
        return [*_things(rings, polygons), *_things(lines, linestrings)]

    def _sort(self, way: Way, key: str, tags: Tags, rings: list[_Row], lines: list[_Row]) -> None:
        """Put a way among the areas or among the lines."""
        area = is_area(tags) if way.closed else is_building(tags) and tags.get("area") != "no"
        (drawn,) = side_by_side([way.points])
        points = clean_ring(drawn) if area else _clean_line(drawn)
        what = "area" if area else "line"
        if points is None:
            corners = "three corners" if area else "two points"
            nodes = ", nodes missing in the file" if way.missing else ""
            self.ledger.note("dropped", f"{what} of fewer than {corners}{nodes}", key)
            return
        if way.missing:
            self.ledger.note("repaired", f"{what} drawn without its nodes that are not in the file", key)
        if area and not way.closed:
            self.ledger.note("repaired", "building outline that was not closed", key)
        (rings if area else lines).append((key, tags, points))


def _things(rows: list[_Row], make: Callable[[list[np.ndarray]], list[BaseGeometry]]) -> Iterator[Drawn]:
    for (key, tags, _), shape in zip(rows, make([points for _, _, points in rows]), strict=True):
        yield Drawn(key, shape, tags)


def _clean_line(points: np.ndarray) -> np.ndarray | None:
    """A line without points that repeat their predecessor; None if fewer than two are left."""
    if len(points) < 2:
        return None
    line = points[np.concatenate([[True], np.any(points[1:] != points[:-1], axis=1)])]
    return line if len(line) > 1 else None


def polygons(rings: list[np.ndarray]) -> list[BaseGeometry]:
    """Make polygons without holes, all in one call."""
    if not rings:
        return []
    owner = np.repeat(np.arange(len(rings)), [len(r) for r in rings])
    return list(shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=owner)))


def linestrings(lines: list[np.ndarray]) -> list[BaseGeometry]:
    """Make lines, all in one call."""
    if not lines:
        return []
    owner = np.repeat(np.arange(len(lines)), [len(r) for r in lines])
    return list(shapely.linestrings(np.concatenate(lines), indices=owner))


def _key(member: Member) -> str:
    return f"{member.kind}/{member.id}"

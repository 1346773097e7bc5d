"""OpenStreetMap's elements as all readers return them: with positions of the nodes and unchanged tags."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from sitetwin.site.antimeridian import FARTHEST_TURN, wrapped
from sitetwin.site.maps.ledger import Ledger

Tags = dict[str, str]
Position = tuple[float, float]


@dataclass(frozen=True)
class Node:
    """A tagged point: longitude and latitude, degrees."""

    id: int
    position: Position
    tags: Tags


@dataclass(frozen=True, eq=False)
class Way:
    """A line, open or closed.

    Attributes:
        id: Number of the way.
        points: (N, 2) float64, longitude and latitude, degrees, of its nodes; those whose position is not known are
            left out.
        closed: Whether the way ends at the node where it starts.
        missing: How many nodes were left out.
        tags: Keys and values; empty for a way that is only a member of relations.
    """

    id: int
    points: Float[np.ndarray, "nodes 2"]
    closed: bool
    missing: int
    tags: Tags


@dataclass(frozen=True)
class Member:
    """A member of a relation: its type ("node", "way" or "relation"), its number and its role."""

    kind: str
    id: int
    role: str


@dataclass(frozen=True)
class Relation:
    """A relation with its members in their order."""

    id: int
    members: tuple[Member, ...]
    tags: Tags


@dataclass
class Elements:
    """The elements of one file.

    Attributes:
        nodes: Nodes with tags.
        ways: Ways, by number.
        relations: Relations, by number.
        bounds: (west, south, east, north) degrees, the area the file says it covers, or None; a west greater than the
            east is over the antimeridian.
    """

    nodes: dict[int, Node] = field(default_factory=dict)
    ways: dict[int, Way] = field(default_factory=dict)
    relations: dict[int, Relation] = field(default_factory=dict)
    bounds: tuple[float, float, float, float] | None = None


LARGEST_ID = 2**62


class Collector:
    """Collects elements in any order, and looks up the positions of ways at the end.

    An element that occurs twice is taken once: if both have the same place, their tags are united (an Overpass answer
    may give the skeleton and the tags separately); otherwise the first one counts.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.bounds: tuple[float, float, float, float] | None = None
        self._astray: set[int] = set()
        self._positions: dict[int, Position] = {}
        self._node_tags: dict[int, Tags] = {}
        self._ways: dict[int, tuple[tuple[int, ...], Tags]] = {}
        self._relations: dict[int, tuple[tuple[Member, ...], Tags]] = {}

    def node(self, number: int, longitude: float, latitude: float, tags: Tags) -> None:
        """Add a node; a node whose position is not on the earth is dropped."""
        if not (abs(longitude) <= FARTHEST_TURN and -90 <= latitude <= 90):
            if number not in self._astray:
                self.ledger.note("dropped", "node whose position is not on the earth", f"node/{number}")
            self._astray.add(number)
            return
        longitude = wrapped(longitude) if abs(longitude) > 180 else longitude
        if self._positions.setdefault(number, (longitude, latitude)) != (longitude, latitude):
            self._twice(f"node/{number}")
        elif tags:
            self._node_tags.setdefault(number, {}).update(tags)

    def way(self, number: int, refs: tuple[int, ...], tags: Tags) -> None:
        """Add a way, given by the numbers of its nodes."""
        kept = self._ways.setdefault(number, (refs, {}))
        if kept[0] != refs:
            self._twice(f"way/{number}")
        else:
            kept[1].update(tags)

    def has_way(self, number: int) -> bool:
        """Return whether a way was added."""
        return number in self._ways

    def relation(self, number: int, members: tuple[Member, ...], tags: Tags) -> None:
        """Add a relation."""
        kept = self._relations.setdefault(number, (members, {}))
        if kept[0] != members:
            self._twice(f"relation/{number}")
        else:
            kept[1].update(tags)

    def _twice(self, key: str) -> None:
        self.ledger.note("dropped", "element given a second time, differently", key)

    def elements(self) -> Elements:
        """Return all elements, with positions."""
        found = Elements(bounds=self.bounds)
        for number, tags in self._node_tags.items():
            found.nodes[number] = Node(number, self._positions[number], tags)
        for number, (refs, tags) in self._ways.items():
            points = [self._positions[ref] for ref in refs if ref in self._positions]
            closed = len(refs) > 2 and refs[0] == refs[-1]
            array = np.array(points, dtype=float).reshape(-1, 2)
            found.ways[number] = Way(number, array, closed, len(refs) - len(points), tags)
        for number, (members, tags) in self._relations.items():
            found.relations[number] = Relation(number, members, tags)
        return found

"""Overpass answers in JSON: ``out body``, ``out skel`` and ``out geom``, in any order of elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import FARTHEST_TURN
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.elements import LARGEST_ID, Collector, Elements, Member, Tags

MOST_ELEMENTS = 2**22
"""Nodes, ways and relations of one answer."""


def read_overpass(value: dict[str, Any], where: str, ledger: Ledger) -> Elements:
    """Read an Overpass answer.

    Args:
        value: The parsed JSON: an object with "elements".
        where: Name of the file, for messages.
        ledger: Account of the import; it records broken elements, which are dropped.

    Raises:
        SiteTwinError: The object is not an Overpass answer, or the answer says that Overpass stopped early.
    """
    remark = value.get("remark")
    if isinstance(remark, str) and "error" in remark.lower():
        raise SiteTwinError(
            f"the Overpass answer '{where}' is incomplete, it says \"{remark[:120]}\"; ask for a smaller "
            "area or a longer timeout"
        )
    elements = value.get("elements")
    if not isinstance(elements, list):
        raise SiteTwinError(f"'{where}' is no Overpass answer: it has no list of elements; fetch it again")
    if len(elements) > MOST_ELEMENTS:
        raise SiteTwinError(f"'{where}' has more than {MOST_ELEMENTS} elements; ask for a smaller area")
    reader = _Reader(ledger)
    for element in elements:
        if isinstance(element, dict):
            reader.read(element)
        else:
            ledger.note("dropped", "element that is no object")
    return reader.elements()


class _Reader:
    """State while an answer is read."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.collector = ledger, Collector(ledger)
        self._nameless: dict[tuple[float, float], int] = {}
        self._drawn_members: dict[int, list[Any]] = {}

    def elements(self) -> Elements:
        """Return all elements; ways that occur only in relations are included."""
        for number, geometry in self._drawn_members.items():
            if not self.collector.has_way(number):
                self._way(number, {"geometry": geometry})
        return self.collector.elements()

    def read(self, element: dict[str, Any]) -> None:
        kind, number = element.get("type"), _integer(element.get("id"))
        if kind not in ("node", "way", "relation"):
            if kind != "count":
                self.ledger.note("dropped", "element that is no node, way or relation")
        elif number is None:
            self.ledger.note("dropped", f"{kind} without a number")
        elif kind == "node":
            self.collector.node(number, _degrees(element.get("lon")), _degrees(element.get("lat")), _tags(element))
        elif kind == "way":
            self._way(number, element)
        else:
            self.collector.relation(number, tuple(self._members(element)), _tags(element))

    def _way(self, number: int, element: dict[str, Any]) -> None:
        """A way by its nodes; with ``out geom`` their positions stand beside, or alone."""
        nodes, geometry = element.get("nodes"), element.get("geometry")
        refs = [_integer(ref) for ref in nodes] if isinstance(nodes, list) else []
        if isinstance(geometry, list):
            if len(refs) != len(geometry):
                refs = [self._reference(point) for point in geometry]
            for ref, point in zip(refs, geometry, strict=True):
                if ref is not None and isinstance(point, dict):  # null: outside the box that was asked for
                    self.collector.node(ref, _degrees(point.get("lon")), _degrees(point.get("lat")), {})
        self.collector.way(number, tuple(LARGEST_ID if ref is None else ref for ref in refs), _tags(element))

    def _reference(self, point: Any) -> int | None:
        """A number for a position without one; equal positions share it."""
        if not isinstance(point, dict):
            return None
        position = (_degrees(point.get("lon")), _degrees(point.get("lat")))
        return self._nameless.setdefault(position, -LARGEST_ID - len(self._nameless))

    def _members(self, element: dict[str, Any]) -> Iterator[Member]:
        members = element.get("members")
        for member in members if isinstance(members, list) else []:
            number = _integer(member.get("ref")) if isinstance(member, dict) else None
            if number is None:
                continue
            kind, role = str(member.get("type", "")), str(member.get("role", ""))
            if kind == "way" and isinstance(member.get("geometry"), list):
                self._drawn_members.setdefault(number, member["geometry"])
            yield Member(kind, number, role)


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST_ID else None


def _degrees(value: Any) -> float:
    """A coordinate; NaN, which no range holds, where there is none."""
    return float(value) if isinstance(value, (int, float)) and abs(value) <= FARTHEST_TURN else float("nan")


def _tags(element: dict[str, Any]) -> Tags:
    tags = element.get("tags")
    return {k: str(v) for k, v in tags.items()} if isinstance(tags, dict) else {}

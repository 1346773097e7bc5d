"""OpenStreetMap XML (.osm), as the API, Overpass and JOSM write it."""

from __future__ import annotations

import re

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import wrapped
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.elements import LARGEST_ID, Collector, Elements, Member, Tags
from sitetwin.site.xml import walk_xml

_DEEPEST = 16
_ELEMENTS = {"node", "way", "relation"}
_INTEGER = re.compile(r"-?\d{1,19}")
_DECIMAL = re.compile(r"-?\d{1,3}(?:\.\d*)?(?:[eE]-\d{1,2})?")


def read_osm_xml(data: bytes, where: str, ledger: Ledger) -> Elements:
    """Read an OpenStreetMap XML file; elements may stand in any order.

    Args:
        data: Content of the file.
        where: Name of the file, for messages.
        ledger: Account of the import; it records broken elements, which are dropped.

    Raises:
        SiteTwinError: The file is not well-formed, is truncated, declares a document type or entities, or is not a map.
    """
    handler = _Handler(where, ledger)
    walk_xml(
        data,
        handler,
        f"map file '{where}'",
        deepest=_DEEPEST,
        fault="is not well-formed XML or was cut short",
        mend="download or export it again",
    )
    return handler.collector.elements()


class _Handler:
    """State while a file is read: the element that is open, and its children so far."""

    def __init__(self, where: str, ledger: Ledger) -> None:
        self.where, self.ledger = where, ledger
        self.collector = Collector(ledger)
        self._depth = 0
        self._attributes: dict[str, str] = {}
        self._tags: Tags = {}
        self._refs: list[int] = []
        self._members: list[Member] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            self._check_root(name)
        elif self._depth == 2 and name in _ELEMENTS:
            self._attributes, self._tags, self._refs, self._members = attributes, {}, [], []
        elif self._depth == 2 and name == "bounds":
            self._bounds(attributes)
        elif self._depth == 3:
            self._child(name, attributes)

    def _check_root(self, name: str) -> None:
        if name == "osm":
            return
        if name == "osmChange":
            raise SiteTwinError(f"'{self.where}' is a file of changes, not a map; give the map itself as .osm")
        raise SiteTwinError(
            f"'{self.where}' is not OpenStreetMap XML: its outermost element is <{name[:40]}>, not <osm>; "
            "give an .osm file"
        )

    def _child(self, name: str, attributes: dict[str, str]) -> None:
        if name == "tag" and "k" in attributes and "v" in attributes:
            self._tags[attributes["k"]] = attributes["v"]
        elif name == "nd":
            ref = _integer(attributes.get("ref", ""))
            self._refs.append(LARGEST_ID if ref is None else ref)  # no such node: counted as missing
        elif name == "member":
            ref = _integer(attributes.get("ref", ""))
            if ref is not None:
                self._members.append(Member(attributes.get("type", ""), ref, attributes.get("role", "")))

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._depth != 1 or name not in _ELEMENTS:
            return
        number = _integer(self._attributes.get("id", ""))
        if number is None:
            self.ledger.note("dropped", f"{name} without a number")
        elif self._attributes.get("visible") == "false" or self._attributes.get("action") == "delete":
            self.ledger.note("dropped", f"deleted {name}", f"{name}/{number}")
        elif name == "node":
            longitude, latitude = (_degrees(self._attributes.get(side, "")) for side in ("lon", "lat"))
            self.collector.node(number, longitude, latitude, self._tags)
        elif name == "way":
            self.collector.way(number, tuple(self._refs), self._tags)
        else:
            self.collector.relation(number, tuple(self._members), self._tags)

    def data(self, text: str) -> None:
        """Text says nothing in this format."""

    def _bounds(self, attributes: dict[str, str]) -> None:
        west, south, east, north = (_degrees(attributes.get(s, "")) for s in ("minlon", "minlat", "maxlon", "maxlat"))
        west, east = wrapped(west), wrapped(east)
        if max(abs(west), abs(east)) <= 180 and west != east and -90 <= south < north <= 90:
            self.collector.bounds = (west, south, east, north)


def _integer(text: str) -> int | None:
    value = int(text) if _INTEGER.fullmatch(text) else LARGEST_ID
    return value if abs(value) < LARGEST_ID else None


def _degrees(text: str) -> float:
    """A coordinate; NaN, which no range holds, where there is none."""
    return float(text) if _DECIMAL.fullmatch(text) else float("nan")

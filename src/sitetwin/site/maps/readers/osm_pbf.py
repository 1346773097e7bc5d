"""OpenStreetMap PBF (.osm.pbf), read by libosmium after a check of its blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import numpy as np
import osmium
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.elements import Elements, Member, Node, Relation, Way

LARGEST_HEADER = 2**16
LARGEST_BLOCK = 2**25
"""Bytes of a block's header and of its content, from the format's specification."""

SLACK = 2**26
SWELL = 16
"""A file may unpack to `SLACK` bytes and `SWELL` times its own size; real maps swell two to four times."""

_KINDS = {"n": "node", "w": "way", "r": "relation"}


def read_osm_pbf(data: bytes, where: str, ledger: Ledger) -> Elements:
    """Read an OpenStreetMap PBF file.

    Untagged nodes stay inside libosmium. If a node is given twice, libosmium picks one of its positions.

    Args:
        data: Content of the file.
        where: Name of the file, for messages.
        ledger: Account of the import; it records broken elements, which are dropped.

    Raises:
        SiteTwinError: The file is damaged, truncated, or far too large when unpacked.
    """
    _check_blocks(data, where)
    try:
        return _Reader(data, ledger).read()
    except (RuntimeError, ValueError, KeyError, OverflowError) as error:  # libosmium's own errors are among these
        _refuse(where, f"cannot be read ({str(error)[:100]})")


class _Reader:
    """Several passes over one file."""

    def __init__(self, data: bytes, ledger: Ledger) -> None:
        self.data, self.ledger = data, ledger
        self.positions = osmium.index.create_map("flex_mem")

    def read(self) -> Elements:
        found = Elements(bounds=self._bounds())
        for node in self._pass(osmium.osm.NODE, osmium.filter.EmptyTagFilter()):
            if node.location.valid():
                tags = dict(_tags(node))
                found.nodes.setdefault(node.id, Node(node.id, (node.location.lon, node.location.lat), tags))
            else:
                self.ledger.note("dropped", "node whose position is not on the earth", f"node/{node.id}")
        for relation in self._pass(osmium.osm.RELATION, osmium.filter.EmptyTagFilter()):
            taken = Relation(relation.id, tuple(_members(relation)), dict(_tags(relation)))
            found.relations.setdefault(relation.id, taken)
        self._ways(found)
        return found

    def _bounds(self) -> tuple[float, float, float, float] | None:
        with osmium.io.Reader(self._buffer(), osmium.osm.NOTHING) as reader:
            box = reader.header().box()
            if not (box.valid() and box.bottom_left.valid() and box.top_right.valid()):
                return None
            low, high = box.bottom_left, box.top_right
        return (low.lon, low.lat, high.lon, high.lat) if low.lon != high.lon and low.lat < high.lat else None

    def _buffer(self) -> Any:
        return osmium.io.FileBuffer(self.data, "pbf")

    def _pass(self, entities: Any, *filters: Any) -> Iterator[Any]:
        """Elements of one kind; their positions are remembered, or looked up for ways."""
        handler = osmium.NodeLocationsForWays(self.positions)
        handler.ignore_errors()
        with osmium.io.Reader(self._buffer(), entities) as reader:
            for element in osmium.OsmFileIterator(reader, handler, *filters):
                if element.deleted:
                    kind = _KINDS[element.type_str()]
                    self.ledger.note("dropped", f"deleted {kind}", f"{kind}/{element.id}")
                else:
                    yield element

    def _ways(self, found: Elements) -> None:
        """Take ways. libosmium writes a whole line as WKB, many times faster than point by point."""
        factory = osmium.geom.WKBFactory()
        rows: list[tuple[int, bool, dict[str, str]]] = []
        lines: list[str] = []
        for way in self._pass(osmium.osm.WAY):
            if way.id in found.ways:
                continue
            tags = dict(_tags(way))
            closed = len(way.nodes) > 2 and way.ends_have_same_id()
            try:
                lines.append(factory.create_linestring(way, osmium.geom.use_nodes.ALL))
                rows.append((way.id, closed, tags))
            except (RuntimeError, osmium.InvalidLocationError):  # a node is missing, or there is but one
                points = [(n.lon, n.lat) for n in way.nodes if n.location.valid()]
                array = np.array(points, dtype=float).reshape(-1, 2)
                found.ways.setdefault(way.id, Way(way.id, array, closed, len(way.nodes) - len(points), tags))
        for (number, closed, tags), line in zip(rows, shapely.from_wkb(lines), strict=True):
            found.ways.setdefault(number, Way(number, shapely.get_coordinates(line), closed, 0, tags))


def _tags(element: Any) -> Iterable[tuple[str, str]]:
    return ((tag.k, tag.v) for tag in element.tags)


def _members(relation: Any) -> Iterator[Member]:
    for member in relation.members:
        yield Member(_KINDS.get(member.type, ""), member.ref, member.role)


def _check_blocks(data: bytes, where: str) -> None:
    """Walk the blocks without unpacking them: lengths add up, and the sizes they announce are bearable."""
    at, unpacked = 0, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if not 0 < length <= LARGEST_HEADER or at + length > len(data):
            _refuse(where, "is cut short or no PBF file")
        size = _field(data[at : at + length], 3, where)
        at += length
        if not 0 < size <= LARGEST_BLOCK or at + size > len(data):
            _refuse(where, "is cut short or damaged")
        unpacked += _field(data[at : at + size], 2, where)
        at += size
    if unpacked > SLACK + SWELL * len(data):
        _refuse(where, f"would unpack to {unpacked >> 20} MB, far more than a map of its size; refused")


def _field(message: bytes, wanted: int, where: str) -> int:
    """An integer field of a Protocol Buffers message, 0 if it is absent."""
    at, value = 0, 0
    while at < len(message):
        key, at = _varint(message, at, where)
        if key & 7 == 0:
            number, at = _varint(message, at, where)
            if key >> 3 == wanted:
                value = number
        elif key & 7 == 2:
            length, at = _varint(message, at, where)
            at += length
        elif key & 7 in (1, 5):
            at += 8 if key & 7 == 1 else 4
        else:
            _refuse(where, "is damaged")
    return value


def _varint(message: bytes, at: int, where: str) -> tuple[int, int]:
    """A number in base 128, and where the next thing starts."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    _refuse(where, "is damaged")


def _refuse(where: str, what: str) -> NoReturn:
    mend = "" if what.endswith("refused") else "; download it again"
    raise SiteTwinError(f"map file '{where}' {what}{mend}")

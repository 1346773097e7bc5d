"""Read XML from untrusted files: no document types, no entities, no deep nesting, nothing too large.

`defusedxml` parses without namespaces: names keep their prefixes, and an undeclared prefix is no error.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any, Protocol, runtime_checkable
from xml.sax import SAXException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from sitetwin.errors import SiteTwinError

DEEPEST = 32
"""Elements within one another."""

MOST_TAGS = 2**22
"""Beginnings and ends of elements in one file; a map of 256 MB has some four million."""

MOST_TAGS_OF_A_TREE = 2**20
"""The same, of a file that is held whole: scenes and tracks. A day at one point a second has half a million."""


@runtime_checkable
class XmlTarget(Protocol):
    """What is told of the elements of a document, in their order."""

    def start(self, tag: str, attributes: dict[str, str], /) -> Any:
        """An element begins; attributes come by name."""

    def end(self, tag: str, /) -> Any:
        """An element ends."""

    def data(self, text: str, /) -> Any:
        """Text within the innermost element that is open."""


def walk_xml(
    data: bytes,
    target: XmlTarget,
    what: str,
    *,
    deepest: int = DEEPEST,
    fault: str = "is not well-formed XML",
    mend: str = "repair or export it again",
) -> None:
    """Tell a target the elements of an XML document one by one; no tree of them is kept.

    Args:
        data: Content of the file.
        target: It is told of each element and text.
        what: Kind and name of the file, for messages: "scene file 'x.xml'".
        deepest: Most elements within one another.
        fault: What a file that cannot be parsed is.
        mend: What the user can do about it.

    Raises:
        SiteTwinError: The content is not well-formed, nests too many elements, or declares a document type or entities
            (which can grow without bound or name other files).
    """
    _check_tags(data, what, MOST_TAGS)
    parser = DefusedExpatParser(forbid_dtd=True)
    parser.setContentHandler(_Teller(target, what, deepest))
    try:
        parser.feed(data)
        parser.close()
    except DefusedXmlException as error:
        raise SiteTwinError(f"{what} declares a document type or entities; refused, remove <!DOCTYPE ...>") from error
    except (SAXException, ValueError, LookupError) as error:
        raise SiteTwinError(f"{what} {fault} ({_reason(error)}); {mend}") from error


def parse_xml(data: bytes, what: str, largest: int) -> ET.Element:
    """Parse well-formed XML and return the outermost element.

    Args:
        data: Content of the file.
        what: Kind and name of the file, for messages: "scene file 'x.xml'".
        largest: Largest size of the file, bytes.

    Raises:
        SiteTwinError: The content is larger than `largest`, not well-formed, nests more than 32 elements, or declares a
            document type or entities.
    """
    if len(data) > largest:
        raise SiteTwinError(f"{what} is larger than {largest >> 20} MB; that is no such file")
    _check_tags(data, what, MOST_TAGS_OF_A_TREE)
    builder = ET.TreeBuilder()
    walk_xml(data, builder, what)
    return builder.close()


def _check_tags(data: bytes, what: str, most: int) -> None:
    if data.count(b"<") > most:
        raise SiteTwinError(f"{what} has more than {most} tags; cut it into smaller files")


class _Teller(ContentHandler):
    """Passes elements on, as long as they do not nest too deeply."""

    def __init__(self, target: XmlTarget, what: str, deepest: int) -> None:
        super().__init__()
        self._target, self._what, self._deepest, self._depth = target, what, deepest, 0

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802
        self._depth += 1
        if self._depth > self._deepest:
            raise SiteTwinError(f"{self._what} nests more than {self._deepest} elements; refused")
        self._target.start(name, dict(attrs.items()))

    def endElement(self, name: str) -> None:  # noqa: N802
        self._depth -= 1
        self._target.end(name)

    def characters(self, content: str) -> None:
        self._target.data(content)


def _reason(error: Exception) -> object:
    """What the parser says: with line and column, where it knows them."""
    return (error.getException() if isinstance(error, SAXException) else None) or error

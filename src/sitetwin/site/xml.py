"""Read XML from untrusted files: no document types, no entities, no deep nesting, nothing too large."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import NoReturn
from xml.parsers import expat

from sitetwin.errors import SiteTwinError

DEEPEST = 32
"""Elements within one another."""


def parse_xml(data: bytes, what: str, largest: int) -> ET.Element:
    """Parse well-formed XML and return the outermost element.

    Args:
        data: Content of the file.
        what: Kind and name of the file, for messages: "scene file 'x.xml'".
        largest: Largest size of the file, bytes.

    Raises:
        SiteTwinError: The content is larger than `largest`, not well-formed, nests more than 32 elements, or declares a
            document type or entities (which can grow without bound or name other files).
    """
    if len(data) > largest:
        raise SiteTwinError(f"{what} is larger than {largest >> 20} MB; that is no such file")
    builder, depth = ET.TreeBuilder(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise SiteTwinError(f"{what} nests more than {DEEPEST} elements; refused")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> NoReturn:
        raise SiteTwinError(f"{what} declares a document type or entities; refused, remove <!DOCTYPE ...>")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise SiteTwinError(f"{what} is not well-formed XML ({error}); repair or export it again") from error

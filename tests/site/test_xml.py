"""XML of untrusted files: what is lawful is read as the standard library reads it, all else is refused."""

import contextlib
import tracemalloc
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.osm_xml import read_osm_xml
from sitetwin.site.xml import parse_xml

NAMES = st.text("abcXYZ", min_size=1, max_size=5)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=20)
TREES = st.recursive(
    st.tuples(NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), TEXTS, st.just(())),
    lambda inner: st.tuples(NAMES, st.dictionaries(NAMES, TEXTS, max_size=3), TEXTS, st.lists(inner, max_size=3)),
    max_leaves=12,
)


def element(tree) -> ET.Element:
    name, attributes, text, children = tree
    made = ET.Element(name, attributes)
    made.text = text
    made.extend(element(child) for child in children)
    return made


@given(TREES, st.sampled_from(["us-ascii", "utf-8", "utf-16", "iso-8859-1"]))
def test_lawful_documents_are_read_as_the_standard_library_reads_them(tree, encoding):
    data = ET.tostring(element(tree), encoding=encoding, xml_declaration=True)
    assert ET.tostring(parse_xml(data, "file 'x'", 2**20)) == ET.tostring(ET.fromstring(data))


def test_names_keep_their_prefixes_and_an_undeclared_one_is_no_error():
    root = parse_xml(b'<g:gpx xmlns:g="http://x"><h:hr v="1"/></g:gpx>', "file 'x'", 100)
    assert (root.tag, root[0].tag, root[0].attrib) == ("g:gpx", "h:hr", {"v": "1"})


HOSTILE = [
    (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
    (b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', "document type"),
    (b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/x.dtd"><a/>', "document type"),
    (b'<!DOCTYPE a [<!ENTITY % b SYSTEM "http://127.0.0.1:1/x"> %b;]><a/>', "document type"),
    (b"<!DOCTYPE a><a/>", "document type"),
    (b"<a>&b;</a>", "undefined entity: line 1"),
    (b"<a><b></a>", "mismatched tag: line 1"),
    (b"<a>", "no element found"),
    (b"", "no element found"),
    (b"<a/><b/>", "junk after"),
    (b'<a b="1" b="2"/>', "duplicate attribute"),
    (b'<?xml version="1.0" encoding="no-such"?><a/>', "unknown encoding"),
    (b'<?xml version="1.0" encoding="big5"?><a/>', "encoding"),
    (b"<a>\x00</a>", "not well-formed"),
    (b"<a>\xff</a>", "not well-formed"),
    (b"<a>" * 33 + b"</a>" * 33, "nests more than 32"),
    (b"<a>" + b" " * 2000 + b"</a>", "larger than"),
]


@pytest.mark.parametrize(("data", "says"), HOSTILE)
def test_hostile_documents_are_refused_in_one_sentence(data, says):
    with pytest.raises(SiteTwinError, match=says) as refusal:
        parse_xml(data, "file 'x'", 1000)
    assert "file 'x'" in str(refusal.value)


@given(TREES, st.data())
def test_damaged_documents_are_read_or_refused(tree, draw):
    data = bytearray(ET.tostring(element(tree)))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    with contextlib.suppress(SiteTwinError):
        parse_xml(bytes(data), "file 'x'", 2**20)


def test_elements_of_a_map_are_not_kept_as_a_tree():
    data = b"<osm>" + b'<node id="1" visible="false"><tag k="a" v="b"/>text</node>' * 20_000 + b"</osm>"
    tracemalloc.start()
    read_osm_xml(data, "x.osm", Ledger())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data)

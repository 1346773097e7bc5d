"""Mutations of JSON, TOML and XML that keep them well formed: what is wrong then is the content."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fuzz.values import NUMBERS, TEXTS, near, value

_ENTITIES = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    b'<!DOCTYPE x SYSTEM "file:///etc/passwd">',
    b"<!-- " + b"c" * 5000 + b" -->",
    b"<?pi x?>",
)


def json_document(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Drop, double, swap, rename or retarget members of a JSON document."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return data
    for _ in range(int(rng.choice(3, p=(0.7, 0.2, 0.1))) + 1):
        document = _changed(document, words, rng)
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        return data


def _places(document: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value."""
    found: list[tuple[Any, Any]] = []
    left = [document]
    while left:
        here = left.pop()
        entries = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
        for key, inner in entries:
            found.append((here, key))
            if isinstance(inner, (dict, list)):
                left.append(inner)
    return found


def _changed(document: Any, words: Sequence[bytes], rng: np.random.Generator) -> Any:
    places = _places(document)
    if not places or rng.random() < 0.01:
        return value(rng)
    named = [place for place in places if isinstance(place[0], dict)]
    pool = named if named and rng.random() < 0.6 else places  # lists of numbers hold most of the values
    here, key = pool[rng.integers(len(pool))]
    kind = int(rng.integers(9))
    if kind == 0:
        del here[key]
    elif kind in (1, 2):
        here[key] = value(rng)
    elif kind in (3, 4):
        here[key] = near(here[key], rng)
    elif kind == 5:
        other, name = places[rng.integers(len(places))]
        here[key] = json.loads(json.dumps(other[name]))
    elif kind == 6:
        other, name = places[rng.integers(len(places))]
        here[key], other[name] = other[name], here[key]
        if _loops(document):
            other[name], here[key] = here[key], other[name]
    elif kind == 7 and isinstance(here, dict):
        names = [k for k, _ in [(p[1], 0) for p in named]]
        word = words[rng.integers(len(words))].decode("utf-8", "replace") if words else "x"
        here[str(names[rng.integers(len(names))]) if rng.random() < 0.5 else word] = here.pop(key)
    elif isinstance(here, list):
        here[key:key] = [here[key]] * int((1, 2, 40)[rng.integers(3)])
    else:
        inner = here[key]
        for _ in range(int((1, 3, 200)[rng.integers(3)])):
            inner = [inner] if rng.random() < 0.5 else {"a": inner}
        here[key] = inner
    return document


def _loops(document: Any) -> bool:
    """Whether a swap has put a container into itself."""
    try:
        json.dumps(document)
    except (ValueError, RecursionError):
        return True
    return False


def toml_document(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Change one line of a TOML document: its key, its value, its table."""
    rows = data.decode("utf-8", "replace").split("\n")
    at = int(rng.integers(len(rows)))
    for _ in range(8):
        if rows[at].strip():
            break
        at = int(rng.integers(len(rows)))
    row, kind = rows[at], int(rng.integers(8))
    key, equals, old = row.partition("=")
    word = words[rng.integers(len(words))].decode("utf-8", "replace") if words else "x"
    if kind == 0:
        rows[at] = f"{word} = {old}" if equals else f"[{word}]"
    elif kind in (1, 2, 3) and equals:
        rows[at] = f"{key}={_toml_value(rng)}"
    elif kind == 4 and equals:
        rows[at] = f"{key}={re.sub(r'[-+]?[0-9.]+', lambda _: _toml_number(rng), old, count=1)}"
    elif kind == 5:
        rows[at] = f"[{word}.{'a.' * int((0, 20, 9000)[rng.integers(3)])}{key.strip() or 'b'}]"
    elif kind == 6:
        rows.insert(at, f"{word} = {_toml_value(rng)}")
    else:
        rows.insert(int(rng.integers(len(rows))), row)
    return "\n".join(rows).encode("utf-8", "surrogatepass")


def _toml_number(rng: np.random.Generator) -> str:
    return NUMBERS[rng.integers(len(NUMBERS))].decode()


def _toml_value(rng: np.random.Generator) -> str:
    kind = int(rng.integers(5))
    if kind == 0:
        return _toml_number(rng)
    if kind == 1:
        text = TEXTS[rng.integers(len(TEXTS))]
        return json.dumps(text) if rng.random() < 0.8 else f"'{text}'"
    if kind == 2:
        return ("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", "{}", "[]", "[[]]", "true", "nan")[rng.integers(8)]
    if kind == 3:
        return f"[{', '.join(_toml_number(rng) for _ in range(int(rng.integers(6))))}]"
    return f"{{ a = {_toml_number(rng)}, b.c = [] }}"


def xml_document(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Drop, double, move or rename elements and attributes of an XML document."""
    if rng.random() < 0.04:
        end = data.find(b"?>") + 2 if data.startswith(b"<?xml") else 0
        return data[:end] + _ENTITIES[rng.integers(len(_ENTITIES))] + data[end:]
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, ValueError):
        return data
    for _ in range(int(rng.choice(3, p=(0.7, 0.2, 0.1))) + 1):
        _change_element(root, words, rng)
    try:
        return ET.tostring(root, encoding="utf-8")
    except (ValueError, RecursionError, TypeError):
        return data


def _change_element(root: ET.Element, words: Sequence[bytes], rng: np.random.Generator) -> None:
    parents = [e for e in root.iter() if len(e)]
    elements = list(root.iter())
    here = elements[rng.integers(len(elements))]
    parent = parents[rng.integers(len(parents))] if parents else root
    child = parent[rng.integers(len(parent))] if len(parent) else None
    names = sorted({name for e in elements for name in e.attrib})
    word = words[rng.integers(len(words))].decode("utf-8", "replace") if words else "x"
    kind = int(rng.integers(10))
    if kind == 0 and child is not None:
        parent.remove(child)
    elif kind == 1 and child is not None:
        for _ in range(int((1, 2, 60)[rng.integers(3)])):
            parent.append(child)
    elif kind == 2 and child is not None and child is not here and here not in list(child.iter()):
        here.append(child)
    elif kind == 3:
        here.tag = elements[rng.integers(len(elements))].tag if rng.random() < 0.6 else "x"
    elif kind == 4 and here.attrib:
        del here.attrib[sorted(here.attrib)[rng.integers(len(here.attrib))]]
    elif kind == 5 and names:
        here.set(names[rng.integers(len(names))], word)
    elif kind == 6:
        here.text = _xml_text(here.text or "", rng)
    elif kind == 7 and child is not None:
        deep = child
        for _ in range(int((2, 30, 900)[rng.integers(3)])):
            deep = ET.SubElement(deep, child.tag, child.attrib)
    elif here.attrib:
        name = sorted(here.attrib)[rng.integers(len(here.attrib))]
        here.set(name, _xml_text(here.get(name, ""), rng))


def _xml_text(old: str, rng: np.random.Generator) -> str:
    kind = int(rng.integers(4))
    if kind == 0:
        return NUMBERS[rng.integers(len(NUMBERS))].decode()
    if kind == 1:
        return "".join(c for c in TEXTS[rng.integers(len(TEXTS))] if c.isprintable() or c in "\n\t")
    if kind == 2:
        return re.sub(r"[-+]?[0-9.]+", lambda _: NUMBERS[rng.integers(len(NUMBERS))].decode(), old, count=1)
    return str(near(old, rng))

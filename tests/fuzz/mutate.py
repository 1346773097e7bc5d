"""From sound files to damaged ones: the mutations that suit each file, drawn from one generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from tests.fuzz import containers, documents, plain

_INNER: dict[str, tuple[plain.Mutation, ...]] = {
    **dict.fromkeys((".json", ".geojson", ".gltf", ".jsonl"), (documents.json_document,)),
    ".toml": (documents.toml_document,),
    **dict.fromkeys((".xml", ".osm", ".gpx"), (documents.xml_document,)),
    ".npy": (containers.npy,),
    ".npz": (containers.archive,),
    ".mat": (containers.mat,),
    ".glb": (containers.glb,),
    ".pbf": (containers.pbf,),
    ".tfrecords": (containers.records,),
    **dict.fromkeys((".gz", ".bz2"), (containers.packed,)),
}
"""By the ending of a file, mutations that know its format."""

_BINARY = (
    ".npy",
    ".tfrecords",
    ".npz",
    ".mat",
    ".glb",
    ".pbf",
    ".gz",
    ".bz2",
    ".tif",
    ".hgt",
    ".bin",
    ".ply",
    ".stl",
    ".gpkg",
    ".shp",
)


def mutated(files: Mapping[str, bytes], words: Sequence[bytes], rng: np.random.Generator) -> dict[str, bytes]:
    """Change one of some files in one to four ways; now and then a file is gone, or holds what another one does.

    Args:
        files: Content of the files by their names.
        words: Words of the format.
        rng: The only source of randomness: an equal generator gives equal files.
    """
    names = sorted(files)
    name = names[rng.integers(len(names))]
    changed = dict(files)
    if len(names) > 1 and rng.random() < 0.03:
        del changed[name]
        return changed
    if len(names) > 1 and rng.random() < 0.02:
        changed[name] = files[names[rng.integers(len(names))]]
        return changed
    data = changed[name]
    ending = "." + name.rpartition(".")[2].lower()
    outer = plain.BYTES if ending in _BINARY or b"\0" in data[:512] else plain.LINES
    inner = _lines_of(_INNER.get(ending, ()), data)
    for _ in range(int(rng.choice(4, p=(0.6, 0.2, 0.12, 0.08))) + 1):
        kinds = inner if inner and rng.random() < 0.6 else outer
        with suppress(Exception):  # those that know the format may fail at what others have damaged
            data = kinds[rng.integers(len(kinds))](data, words, rng)
    changed[name] = data[: plain.MOST]
    return changed


def _lines_of(inner: tuple[plain.Mutation, ...], data: bytes) -> tuple[plain.Mutation, ...]:
    """For a text of several JSON documents, the mutation of one of its lines."""
    if not (inner and inner[0] is documents.json_document and b"\n{" in data):
        return inner

    def one_line(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
        rows = data.split(b"\n")
        at = int(rng.integers(len(rows)))
        rows[at] = documents.json_document(rows[at], words, rng)
        return b"\n".join(rows)

    return (one_line,)

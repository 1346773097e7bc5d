"""Ways to damage a folder, and ways to forge a store with checksums that agree."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.store.groups import Array, write_group
from sitetwin.store.manifest import _WHOLE, Checksums, _hash_of
from sitetwin.store.tiles import TileStore


@dataclass(frozen=True)
class Case:
    """A folder to be damaged.

    Attributes:
        place: The folder.
        outside: A folder beside it, to which links lead; nothing in it may change.
        rng: Source of chance.
    """

    place: Path
    outside: Path
    rng: random.Random

    def files(self, pattern: str = "*") -> list[Path]:
        """Regular files of the folder."""
        return sorted(f for f in self.place.rglob(pattern) if f.is_file() and not f.is_symlink())

    def file(self, pattern: str = "*") -> Path:
        """Any regular file."""
        return self.rng.choice(self.files(pattern))

    def folder(self) -> Path:
        """Any folder below the place."""
        return self.rng.choice(sorted(f for f in self.place.rglob("*") if f.is_dir()))

    def store(self) -> Path:
        """A store in the place: the place itself, or one of a collection."""
        return self.rng.choice(sorted(f.parent for f in self.place.rglob("manifest.json")))


Mutation = Callable[[Case], None]
DAMAGE: dict[str, Mutation] = {}
"""Damage: every value that is read afterwards must be the old one."""

FORGERY: dict[str, Mutation] = {}
"""Forgeries that contradict themselves or what they belong to: as damage, although all checksums agree."""

CHANGES: dict[str, Mutation] = {}
"""Forgeries that nobody can tell from the truth: nothing may crash, hang, write elsewhere or take much memory."""


def damage(mutation: Mutation) -> Mutation:
    DAMAGE[mutation.__name__] = mutation
    return mutation


def forgery(mutation: Mutation) -> Mutation:
    FORGERY[mutation.__name__] = mutation
    return mutation


def change(mutation: Mutation) -> Mutation:
    CHANGES[mutation.__name__] = mutation
    return mutation


@damage
def flip(case: Case) -> None:
    file = case.file()
    data = bytearray(file.read_bytes())
    if data:
        data[case.rng.randrange(len(data))] ^= 1 << case.rng.randrange(8)
        file.write_bytes(data)


@damage
def cut(case: Case) -> None:
    file = case.file()
    file.write_bytes(file.read_bytes()[: case.rng.randrange(file.stat().st_size + 1)])


@damage
def lengthen(case: Case) -> None:
    with case.file().open("ab") as stream:
        stream.write(case.rng.randbytes(case.rng.randrange(1, 50)))


@damage
def scramble(case: Case) -> None:
    file = case.file()
    file.write_bytes(case.rng.randbytes(file.stat().st_size))


@damage
def lose_file(case: Case) -> None:
    case.file().unlink()


@damage
def lose_folder(case: Case) -> None:
    shutil.rmtree(case.folder())


@damage
def exchange_files(case: Case) -> None:
    one, other = case.file(), case.file()
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@damage
def take_other_file(case: Case) -> None:
    one = case.file()
    same = [file for file in case.files(one.name) if file != one]
    if same:
        one.write_bytes(case.rng.choice(same).read_bytes())


@damage
def exchange_folders(case: Case) -> None:
    one, other, aside = case.folder(), case.folder(), case.place.parent / "aside"
    if one == other or one in other.parents or other in one.parents:
        return
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


@damage
def file_becomes_folder(case: Case) -> None:
    file = case.file()
    file.unlink()
    file.mkdir()


@damage
def file_becomes_pipe(case: Case) -> None:
    file = case.file()
    file.unlink()
    os.mkfifo(file)


@damage
def file_becomes_link(case: Case) -> None:
    file = case.file()
    shutil.copy(file, case.outside / "copy")
    file.unlink()
    file.symlink_to(case.rng.choice([case.outside / "copy", case.outside, file, Path("/dev/zero"), Path("nowhere")]))


@damage
def folder_becomes_link(case: Case) -> None:
    folder = case.folder()
    shutil.copytree(folder, case.outside / "tree")
    shutil.rmtree(folder)
    folder.symlink_to(case.rng.choice([case.outside / "tree", case.outside, folder, Path("..")]))


@damage
def file_becomes_hard_link(case: Case) -> None:
    file = case.file()
    shutil.copy(file, case.outside / "copy")
    file.unlink()
    os.link(case.outside / "copy", file)


@damage
def add_link(case: Case) -> None:
    name = case.rng.choice(["x", ".partial", "zarr.json", "tiles", "chains", "c", "parts", "seeds", "models", "tx002"])
    place = case.rng.choice([case.place, case.folder()]) / name
    if not place.exists() and not place.is_symlink():
        place.symlink_to(case.outside)


@damage
def add_unfinished(case: Case) -> None:
    partial = case.rng.choice([case.place, case.store() if case.files("manifest.json") else case.place]) / ".partial"
    partial.mkdir(exist_ok=True)
    for name in ("000000-999999", "manifest.json-1", "diary.txt", f"axes-{os.getpid()}"):
        place = partial / name
        if case.rng.random() < 0.5:
            place.symlink_to(case.outside)
        elif case.rng.random() < 0.5:
            place.mkdir()
            (place / "link").symlink_to(case.outside)
        else:
            place.write_text("x")


@damage
def add_file(case: Case) -> None:
    names = [b"x", "k\u0301 \u202e.json".encode(), b"\xff\xfe", b"zarr.json", b"a\nb", b"c"]
    place = os.fsencode(case.folder()) + b"/" + case.rng.choice(names)
    if not os.path.lexists(place):
        with open(place, "wb") as stream:
            stream.write(case.rng.randbytes(20))


@damage
def edit_json(case: Case) -> None:
    file = case.rng.choice(case.files("*.json"))
    value = json.loads(file.read_bytes())
    change_somewhere(value, case.rng)
    file.write_text(json.dumps(value))


def change_somewhere(value: Any, rng: random.Random) -> None:
    """Replace an entry of a document by something else."""
    odd = (
        *(None, True, -1, 0, 1, 7, 10**6, 2**31, 2**63, 10**30, 0.5, 1e300, "", "x", "../../outside", "/etc"),
        *("NaN", [], {}, [1], {"name": "sharding_indexed"}, [[]], float("nan"), "\x00", "0" * 64),
    )
    places: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        node = left.pop()
        entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, entry in entries:
            places.append((node, key))
            left.append(entry)
    if places:
        node, key = rng.choice(places)
        if rng.random() < 0.15 and isinstance(node, dict):
            del node[key]
        else:
            node[key] = rng.choice(odd)


def reseal(store: Path) -> None:
    """Compute all checksums of a store anew, as who forges one would."""
    file = store / "manifest.json"
    value = json.loads(file.read_bytes())
    for tile in value["tiles"]:
        sums = Checksums.of(store / tile["group"])
        tile["sha256"], tile["parts"] = sums.whole, dict(sums.parts)
    for name in value["groups"]:
        value["groups"][name] = Checksums.of(store / name).whole
    reseal_manifest(file, value)


def reseal_manifest(file: Path, value: dict[str, Any]) -> None:
    """Write a manifest with hashes that agree."""
    from sitetwin.store.files import canonical_json, hash_bytes

    value["configuration_hash"] = hash_bytes(canonical_json(value["configuration"]).encode())
    value[_WHOLE] = _hash_of(value)
    file.write_text(json.dumps(value))


def rewrite(case: Case, edit: Callable[[dict[str, Array]], None]) -> None:
    """Write the arrays of a tile again after an edit, past all checks, and seal the store."""
    store = case.store()
    index = case.rng.randrange(len(TileStore.open(store).tiles))
    tile = TileStore.open(store).read_tile(index)
    arrays = {name: Array(a.dims, a.data.copy(), a.attributes) for name, a in tile.arrays.items()}
    edit(arrays)
    folder = store / f"tiles/{index:06d}"
    shutil.rmtree(folder)
    folder.mkdir()
    write_group(folder, {}, tile.attributes)
    for name, array in arrays.items():  # one after the other, so that none is held against another
        alone = folder / "alone"
        write_group(alone, {name: Array(array.dims, array.data)}, {})
        shutil.move(alone / name, folder / name)
        shutil.rmtree(alone)
        meta = json.loads((folder / name / "zarr.json").read_bytes())
        meta["attributes"] = array.attributes
        (folder / name / "zarr.json").write_text(json.dumps(meta))
    reseal(store)


@forgery
def forge_offsets(case: Case) -> None:
    def edit(arrays: dict[str, Array]) -> None:
        names = [name for name, a in arrays.items() if name in ("offsets", "crossing_offsets")]
        if names:
            data = arrays[case.rng.choice(names)].data
            place = case.rng.randrange(len(data))
            data[place] += case.rng.choice([-1, 1, 5, -(10**6), 10**9, 2**62])

    rewrite(case, edit)


@forgery
def forge_not_finite(case: Case) -> None:
    def edit(arrays: dict[str, Array]) -> None:
        names = ["users", "length", "departure", "arrival", "cfr", "cir", "delay_angle", "gain"]
        data = arrays[case.rng.choice([name for name in names if name in arrays and arrays[name].data.size])].data
        data.reshape(-1)[case.rng.randrange(data.size)] = case.rng.choice([np.nan, np.inf])

    rewrite(case, edit)


@forgery
def forge_fewer_users(case: Case) -> None:
    def edit(arrays: dict[str, Array]) -> None:
        name = case.rng.choice(sorted(arrays))
        arrays[name] = Array(arrays[name].dims, np.concatenate([arrays[name].data, arrays[name].data[:1]]), {})

    rewrite(case, edit)


@forgery
def forge_type(case: Case) -> None:
    def edit(arrays: dict[str, Array]) -> None:
        names = ["users", "offsets", "kinds", "facets", "vertices", "cfr", "cir", "delay_angle", "gain"]
        name = case.rng.choice([name for name in names if name in arrays])
        arrays[name] = Array(arrays[name].dims, arrays[name].data.real.astype(np.float32), arrays[name].attributes)

    rewrite(case, edit)


@forgery
def forge_lost_array(case: Case) -> None:
    def edit(arrays: dict[str, Array]) -> None:
        names = ["users", "offsets", "facets", "crossing_volume", "cfr", "cir", "delay_angle", "gain"]
        del arrays[case.rng.choice([name for name in names if name in arrays])]

    rewrite(case, edit)


@forgery
def forge_size(case: Case) -> None:
    """Gigabytes declared by a few bytes."""
    store = case.store()
    file = case.rng.choice(sorted(store.glob("tiles/*/*/zarr.json")))
    meta = json.loads(file.read_bytes())
    meta["shape"][0] = case.rng.choice([400_000_000, 2**40, 2**62])
    if case.rng.random() < 0.5:
        meta["chunk_grid"]["configuration"]["chunk_shape"][0] = meta["shape"][0]
    file.write_text(json.dumps(meta))
    reseal(store)


@forgery
def forge_lost_chunk(case: Case) -> None:
    store = case.store()
    case.rng.choice([f for f in store.glob("tiles/*/*/c/**/*") if f.is_file()]).unlink()
    reseal(store)


@forgery
def forge_chunk_that_claims_gigabytes(case: Case) -> None:
    store = case.store()
    file = case.rng.choice([f for f in store.glob("tiles/*/*/c/**/*") if f.is_file()])
    file.write_bytes(b"\x28\xb5\x2f\xfd\xe0" + (3 << 30).to_bytes(8, "little") + b"\x03\x00\x00\x00")
    reseal(store)


@forgery
def forge_tiles(case: Case) -> None:
    store = case.store()
    file = store / "manifest.json"
    value = json.loads(file.read_bytes())
    tiles = value["tiles"]
    odd = case.rng.randrange(5)
    if odd == 0:
        tiles[-1]["stop"] += case.rng.choice([1, 10**15])
    elif odd == 1:
        tiles[0]["stop"] -= 1
        tiles[1]["start"] -= 1
    elif odd == 2:
        tiles[0]["group"] = case.rng.choice(["../outside", "/etc", "tiles/0", "tiles/000001", "..", "tiles/\u06f0"])
    elif odd == 3:
        value["groups"][case.rng.choice(["../outside", "/etc", "..", "tiles/../../outside", ".partial"])] = "0" * 64
    else:
        del value["tiles"][1]
    reseal_manifest(file, value)


@change
def forge_metadata(case: Case) -> None:
    store = case.store()
    file = case.rng.choice(sorted(store.glob("**/zarr.json")))
    value = json.loads(file.read_bytes())
    for _ in range(case.rng.randrange(1, 3)):
        change_somewhere(value, case.rng)
    file.write_text(json.dumps(value))
    reseal(store)


@change
def forge_manifest(case: Case) -> None:
    file = case.store() / "manifest.json"
    value = json.loads(file.read_bytes())
    change_somewhere(value, case.rng)
    if isinstance(value, dict) and "configuration" in value:
        reseal_manifest(file, value)
    else:
        file.write_text(json.dumps(value))


@change
def forge_numbers(case: Case) -> None:
    """Bytes of any array, in the tiles or beside them."""
    store = case.store()
    names = sorted(f.parent for f in store.glob("**/zarr.json") if (f.parent / "c").is_dir())
    import zarr

    array = zarr.open_array(case.rng.choice(names), mode="r+")
    values = np.asarray(array[...])
    raw = values.view(np.uint8).reshape(-1)
    for _ in range(case.rng.randrange(1, 20)):
        raw[case.rng.randrange(len(raw))] = case.rng.randrange(256)
    array[...] = values
    reseal(store)


@change
def forge_ids(case: Case) -> None:
    def edit(arrays: dict[str, Array]) -> None:
        for name in ("facets", "crossing_volume", "kinds"):
            if name in arrays and arrays[name].data.size:
                data = arrays[name].data.reshape(-1)
                data[case.rng.randrange(len(data))] = case.rng.choice([200, 7]) if name == "kinds" else 10**6

    rewrite(case, edit)


@change
def forge_chains(case: Case) -> None:
    """Numbers of facets, edges and cells that no site has."""
    import zarr

    store = case.store()
    if not (store / "chains").is_dir():
        return
    names = [f.parent for f in store.glob("chains/*/zarr.json") if (f.parent / "c").is_dir()]
    array = zarr.open_array(case.rng.choice(sorted(names)), mode="r+")
    values = np.asarray(array[...])
    values.reshape(-1)[case.rng.randrange(values.size)] = case.rng.choice([-7, 0, 1, 2**30])
    array[...] = values
    reseal(store)

"""All that is done with stores and studies: functions from a folder to a fingerprint of what it says."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr

import sitetwin as st
from sitetwin.channel import ChannelRequest, OfdmGrid, load_channels, write_channels
from sitetwin.channel.formats.arrays import write_channel_arrays, write_path_arrays
from sitetwin.channel.formats.source import GainSource
from sitetwin.channel.stored import open_channel_store
from sitetwin.errors import SiteTwinError
from sitetwin.rays.jobs.io import CHAINS, load_paths, summarise, write_paths_tile
from sitetwin.rays.jobs.run import TileSolver
from sitetwin.rays.layout import LAYOUT
from sitetwin.store import TileStore, begin_collection, compact, finish_collection
from sitetwin.studies.frame import Frozen, claim_folder, read_part, write_part
from sitetwin.untrusted.arrays import read_npz
from sitetwin.view.channels import channel_quantities, open_channels
from sitetwin.view.sources import open_worlds

SCENE = "simple_street_canyon"
TRANSMITTERS = ((-33.0, 0.0, 32.0), (20.0, 3.0, 30.0))
USERS = np.array([(x, y, 1.5) for x in range(-20, 22, 6) for y in (-3.0, 0.0, 4.0)])
TILE_USERS = 8
SETTINGS = st.TraceSettings(max_depth=1, rays_per_lattice=4000)
QUANTITIES = ("cfr", "cir", "delay-angle", "gains")
KINDS = ("paths", "collection", *QUANTITIES, "study")


class SmallStudy(Frozen):
    """A study of three parts."""

    name: str = "damage"


PARTS = {"one": {"a": [1.5, None]}, "two": [[0.1, 0.2]], "three": {"seed": 3}}


@dataclass(frozen=True)
class Base:
    """Sound folders, and what is needed to go on with them."""

    folder: Path
    site: Any
    job: Any

    def place(self, kind: str) -> Path:
        """The sound folder of a kind."""
        return self.folder / kind


def make_base(folder: Path) -> Base:
    """Trace, synthesise and study what will be damaged."""
    site = st.open_site(SCENE)
    job = st.TraceJob(site, TRANSMITTERS, USERS, SETTINGS, TILE_USERS)
    job.run(folder / "collection")
    st.TraceJob(site, TRANSMITTERS[0], USERS, SETTINGS, TILE_USERS).run(folder / "paths")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few taps miss much of the power
        for quantity in QUANTITIES:
            write_channels(folder / "paths", site, folder / quantity, request_of(quantity))
    key = claim_folder(folder / "study", SmallStudy(), ("errors.py",))
    for name, content in PARTS.items():
        write_part(folder / "study" / "parts" / f"{name}.json", key, content)
    return Base(folder, site, job)


def request_of(quantity: str) -> ChannelRequest:
    """A small request."""
    more = {"num_taps": 4, "delay_reference": "first-path"} if quantity in ("cir", "delay-angle") else {}
    array = st.AntennaArray.upa(2, 2)
    return ChannelRequest(OfdmGrid(3.5e9, 16, 1e6), quantity, st.Radio(array), **more)


def fingerprint(*values: Any) -> str:
    """SHA-256 of arrays, numbers and texts."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, dict):
            digest.update(fingerprint(*(part for key in sorted(value) for part in (key, value[key]))).encode())
        elif isinstance(value, np.ndarray):
            digest.update(f"{value.shape}{value.dtype}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def paths_print(paths: Any) -> str:
    """Fingerprint of paths."""
    return fingerprint(paths.transmitter, {name: getattr(paths, name) for name in LAYOUT}, paths.attributes)


_OF_MANIFESTS = ("configuration", "paths_sha256")  # what a forged manifest changes, whatever the values are


def group_print(group: Any) -> str:
    """Fingerprint of arrays with their labels."""
    arrays = {name: a.data for name, a in group.arrays.items()}
    labels = {name: (a.dims, sorted(a.attributes.items())) for name, a in group.arrays.items()}
    return fingerprint(arrays, labels, {k: v for k, v in group.attributes.items() if k not in _OF_MANIFESTS})


Operation = Callable[[Base, Path, Path], str]


def verify(base: Base, place: Path, out: Path) -> str:
    store = TileStore.open(place)
    found = store.verify()
    if found or store.missing_tiles():
        raise SiteTwinError(f"{place} is not whole: {found}")
    return "whole"


def flatten(base: Base, place: Path, out: Path) -> str:
    compact(TileStore.open(place), out / "flat")
    flat = zarr.open_group(out / "flat", mode="r")
    return fingerprint({name: np.asarray(flat[name][...]) for name in sorted(flat)}, dict(flat.attrs))


def read_all(base: Base, place: Path, out: Path) -> str:
    return paths_print(load_paths(place))


def read_some(base: Base, place: Path, out: Path) -> str:
    return paths_print(load_paths(place, slice(15, 3, -2)))


def sum_up(base: Base, place: Path, out: Path) -> str:
    return fingerprint(summarise(place))


def export(base: Base, place: Path, out: Path) -> str:
    with torch.no_grad():
        write_path_arrays(GainSource.open(place, base.site, request_of("gains")), out / "paths.npz")
    return fingerprint({k: v for k, v in read_npz(out / "paths.npz", "x", "y").items() if k != "attributes"})


def to_channels(base: Base, place: Path, out: Path) -> str:
    write_channels(place, base.site, out / "made", request_of("cfr"))
    return group_print(load_channels(out / "made"))


def look(base: Base, place: Path, out: Path) -> str:
    world = open_worlds([str(place)], [], SCENE)[0]
    return fingerprint([paths_print(link.paths) for link in world.links])


def go_on(base: Base, place: Path, out: Path, number: int = 0) -> str:
    """Resume a trace; what it would solve anew is taken from the sound store."""
    job, sound = base.job, base.place("collection") / f"tx{number:03d}"
    store = job._begin(place, number, True)
    if not store.has_group(CHAINS):
        group = TileStore.open(sound).read_group(CHAINS)
        store.write_group(CHAINS, group.arrays, group.attributes)
    TileSolver(base.site, job.settings).chains_of(store)
    for index in store.missing_tiles():
        write_paths_tile(store, index, load_paths(sound, slice(*store.tiles[index])))
    verify(base, place, out)
    return paths_print(load_paths(place))


def go_on_with_all(base: Base, place: Path, out: Path) -> str:
    begin_collection(place, ["tx000", "tx001"])
    said = [go_on(base, place / f"tx{number:03d}", out, number) for number in range(2)]
    finish_collection(place, {}, [TileStore.open(place / f"tx{number:03d}") for number in range(2)])
    return fingerprint(said)


def read_each(base: Base, place: Path, out: Path) -> str:
    return fingerprint([paths_print(load_paths(place / f"tx{number:03d}")) for number in range(2)])


def read_channels(base: Base, place: Path, out: Path) -> str:
    return group_print(load_channels(place))


def read_some_channels(base: Base, place: Path, out: Path) -> str:
    return group_print(load_channels(place, slice(2, 19, 3)))


def label_channels(base: Base, place: Path, out: Path) -> str:
    array = st.open_channels(place)
    labels = {str(name): np.asarray(c.values) for name, c in array.coords.items()}
    return fingerprint(labels, np.asarray(array.values), sorted(array.attrs))


def export_channels(base: Base, place: Path, out: Path) -> str:
    write_channel_arrays(TileStore.open(place), out / "channels.npz")
    return fingerprint({k: v for k, v in read_npz(out / "channels.npz", "x", "y").items() if k != "attributes"})


def look_at_channels(base: Base, place: Path, out: Path) -> str:
    return fingerprint({name: q.values for name, q in channel_quantities(open_channels(place), 2).items()})


def go_on_with_channels(base: Base, place: Path, out: Path) -> str:
    quantity = open_channel_store(place).configuration["quantity"]
    write_channels(base.place("paths"), base.site, place, request_of(str(quantity)))
    verify(base, place, out)
    return group_print(load_channels(place))


def go_on_with_study(base: Base, place: Path, out: Path) -> str:
    key = claim_folder(place, SmallStudy(), ("errors.py",))
    found = {}
    for name, content in PARTS.items():
        part = place / "parts" / f"{name}.json"
        found[name] = read_part(part, key)
        if found[name] is None:
            found[name] = content
            write_part(part, key, content)
        assert read_part(part, key) == content
    return fingerprint(found)


_OF_PATHS = (verify, read_all, read_some, sum_up, flatten, export, to_channels, look, go_on)
_OF_CHANNELS = (
    *(verify, read_channels, read_some_channels, label_channels, export_channels, flatten, look_at_channels),
    go_on_with_channels,
)
OPERATIONS: dict[str, tuple[Operation, ...]] = {
    "paths": _OF_PATHS,
    "collection": (read_each, look, go_on_with_all),
    **dict.fromkeys(QUANTITIES, _OF_CHANNELS),
    "study": (go_on_with_study,),
}
"""What is done with a folder of each kind, reading first."""

OF_ANY_ARRAYS = ("verify", "flatten")
"""Operations that know arrays and checksums, but not what the numbers mean."""


def outcome(operation: Operation, base: Base, place: Path, out: Path) -> tuple[str, str]:
    """("says", fingerprint), ("refuses", sentence) or ("fails", error)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "says", operation(base, place, out)
        except SiteTwinError as error:
            return ("refuses" if _is_a_sentence(str(error)) else "fails"), str(error)
        except BaseException as error:
            import traceback

            last = traceback.extract_tb(error.__traceback__)[-1]
            return "fails", f"{type(error).__name__}: {str(error)[:300]} at {last.filename}:{last.lineno}"


def _is_a_sentence(text: str) -> bool:
    return "\n" not in text and len(text) < 1000 and "Traceback" not in text

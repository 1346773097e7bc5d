"""Where the site of a store of paths is found again: a small file beside the tiles, checked by the site's hash."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.rays.jobs.io import geometry_of, open_paths
from sitetwin.site import Site, open_site
from sitetwin.store import TileStore
from sitetwin.store.files import disk_errors, own_place, write_file
from sitetwin.untrusted import is_missing, read_json

SCENE = "scene.json"
"""File of a store that says where its site lies, relative to the store. It is no part of the manifest."""

_MEND = "give the site of the paths (--scene, or sitetwin.open_site in Python)"
_MOST_BYTES = 1 << 16


def keep_scene(store: TileStore, site: Site) -> None:
    """Write where the site of a store lies, if the site is still what was opened there.

    Raises:
        SiteTwinError: The disk cannot be written.
    """
    if site.opened_from is None or site.opened_from[1] != site.hash:
        return  # made in memory: no file holds it
    place = Path(site.opened_from[0])
    if not place.is_absolute():
        return  # a built-in scene, which the store names already
    relative = Path(os.path.relpath(place, store.path.absolute())).as_posix()
    with disk_errors(f"writing {SCENE}", store.path):
        write_file(store.path / SCENE, (json.dumps({"site": relative}) + "\n").encode())


def site_of_paths(store: TileStore | str | Path) -> Site:
    """Open the site in which the paths of a store were traced.

    A saved site or a file is sought where it lay when the paths were traced, relative to the store; a built-in scene by
    its name.

    Args:
        store: Store of paths, or its folder; of several transmitters the folder of one, or of all.

    Raises:
        SiteTwinError: The store does not say where its site lies, the site is there no more, or has changed since.
    """
    if not isinstance(store, TileStore):
        first = sorted(manifest.parent for manifest in Path(store).glob("tx[0-9]*/manifest.json"))[:1]
        store = open_paths(first[0] if first else store)
    kept = _kept_place(store)
    name = str(kept or store.attributes.get("site") or "")
    if not name:
        raise SiteTwinError(f"{store.path} does not name the scene of its paths; {_MEND}")
    if kept is not None and not kept.exists():
        raise SiteTwinError(f"the site of the paths in {store.path} lay at {kept}, where nothing is now; {_MEND}")
    try:
        site = open_site(name)
    except SiteTwinError as error:
        if kept is not None:
            raise SiteTwinError(f"the site of the paths in {store.path} cannot be opened: {error}") from error
        raise SiteTwinError(
            f"the paths in {store.path} are of the scene '{name}', which is not built in; {_MEND}"
        ) from error
    _check_unchanged(store, site, name)
    return site


def _check_unchanged(store: TileStore, site: Site, name: str) -> None:
    geometry, whole = geometry_of(store), store.attributes.get("site_hash")
    if geometry is not None and geometry != site.geometry_hash:
        raise SiteTwinError(
            f"the site at {name} has another geometry ({site.geometry_hash[:12]}) than when the paths in {store.path} "
            f"were traced ({geometry[:12]}); trace again, or {_MEND}"
        )
    if whole is not None and whole != site.hash:
        raise SiteTwinError(
            f"the site at {name} has the geometry of the paths in {store.path}, but other materials, leaves, origin or "
            f"account than when they were traced ({str(whole)[:12]} then, {site.hash[:12]} now); to take it as it is, "
            f"{_MEND}"
        )


def _kept_place(store: TileStore) -> Path | None:
    """Where the site lay, as the store keeps it; None where it does not say."""
    file = store.path / SCENE
    if is_missing(file):
        return None
    kept = read_json(own_place(store.path, SCENE), str(file), _MOST_BYTES, _MEND)
    place = kept.get("site") if isinstance(kept, dict) else None
    if not isinstance(place, str) or "\0" in place:
        raise SiteTwinError(f"{file} is damaged; {_MEND}")
    return Path(os.path.normpath(store.path.absolute() / place))

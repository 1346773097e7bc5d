"""Arrays on disk: tiles of users in Zarr v3, checksummed, resumable, readable with xarray alone.

This is the lowest layer: it knows arrays, attributes and manifests, but not their meaning.
"""

from sitetwin.store.collection import begin_collection, finish_collection
from sitetwin.store.compact import compact
from sitetwin.store.groups import Array, Group
from sitetwin.store.manifest import CODE
from sitetwin.store.tiles import TileStore

__all__ = ["CODE", "Array", "Group", "TileStore", "begin_collection", "compact", "finish_collection"]

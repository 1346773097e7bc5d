"""Propagation paths: only geometry, without fields, materials and frequency."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

from sitetwin.errors import SiteTwinError
from sitetwin.late import later
from sitetwin.rays.layout import LAYOUT, to_dataset
from sitetwin.rays.soundness import check_structure
from sitetwin.rays.unseen import UNSEEN_KEYS, unseen_in_words
from sitetwin.site import Site
from sitetwin.site.earth_surface import SPEED_OF_LIGHT as SPEED_OF_LIGHT
from sitetwin.store.ragged import checked_selection, take_groups

if TYPE_CHECKING:
    import xarray


class Interaction(IntEnum):
    """Kind of interaction at a vertex of a path."""

    NONE = 0
    REFLECTION = 1
    CANOPY = 2  # single scattering at a scatter centre inside a canopy; its `facets` entry is the centre's index
    DIFFRACTION = 3  # at an edge; its `facets` entry is the wedge's index in `site.wedges`
    TRANSMISSION = 4  # straight through a thin slab
    DIFFUSE = 5  # scattering at the centre of a tile of a facet


EDGES = "edges_sha256"
"""Attribute of paths that bend at edges: `Wedges.key`, which says what the numbers of edges mean."""

_PER_PATH = ("kinds", "facets", "vertices", "length", "departure", "arrival")
_PER_CROSSING = ("crossing_volume", "crossing_entry", "crossing_exit")


@dataclass(frozen=True, eq=False, repr=False)
class Paths:
    """All paths from one transmitter to U users, as a ragged table: one row per path, a user's paths contiguous.

    Within a user the paths stand in canonical order: by number of interactions, then kinds, then facet ids.
    ``len(paths)`` is the number of paths, not of users.

    Attributes:
        transmitter: (3,) float64, position of the transmitter, metres.
        users: (U, 3) float64, positions of the users, metres.
        offsets: (U + 1,) int64; the paths of user u are rows ``offsets[u]:offsets[u + 1]``.
        kinds: (P, D) uint8, `Interaction` at each vertex, 0 where the path has fewer vertices.
        facets: (P, D) int32, facet id at each vertex (the scatter centre's index for CANOPY, the wedge's for
            DIFFRACTION), -1 where there is none.
        vertices: (P, D, 3) float64, metres, NaN where there is none. Ordered from transmitter to user.
        length: (P,) float64, metres, unfolded length from transmitter to user.
        departure: (P, 3) float64, unit vector at the transmitter, pointing away from it.
        arrival: (P, 3) float64, unit vector at the user, pointing away from it (towards where the wave comes from).
        crossing_offsets: (P + 1,) int64; the vegetation crossings of path p are rows
            ``crossing_offsets[p]:crossing_offsets[p + 1]`` of the three arrays below.
        crossing_volume: (C,) int32, index of the vegetation volume.
        crossing_entry: (C,) float64, metres along the path from the transmitter, where it enters the volume.
        crossing_exit: (C,) float64, metres along the path from the transmitter, where it leaves the volume.
        attributes: JSON-serialisable facts of the trace: engine, versions, site geometry hash, seed, depth,
            completeness report, hash of the chain list.

    Raises:
        SiteTwinError: The arrays do not fit together.
    """

    transmitter: Float[np.ndarray, " 3"]
    users: Float[np.ndarray, "users 3"]
    offsets: Integer[np.ndarray, " users+1"]
    kinds: Integer[np.ndarray, "paths depth"]
    facets: Integer[np.ndarray, "paths depth"]
    vertices: Float[np.ndarray, "paths depth 3"]
    length: Float[np.ndarray, " paths"]
    departure: Float[np.ndarray, "paths 3"]
    arrival: Float[np.ndarray, "paths 3"]
    crossing_offsets: Integer[np.ndarray, " paths+1"]
    crossing_volume: Integer[np.ndarray, " crossings"]
    crossing_entry: Float[np.ndarray, " crossings"]
    crossing_exit: Float[np.ndarray, " crossings"]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_structure(self)

    @property
    def num_users(self) -> int:
        return len(self.users)

    @property
    def num_paths(self) -> int:
        return len(self.length)

    @property
    def max_depth(self) -> int:
        return self.kinds.shape[1]

    @property
    def counts(self) -> Integer[np.ndarray, " users"]:
        """(U,) int64, number of paths of each user."""
        return np.diff(self.offsets)

    @property
    def user_of_path(self) -> Integer[np.ndarray, " paths"]:
        """(P,) int64, user index of each path."""
        return np.repeat(np.arange(self.num_users), self.counts)

    @property
    def depth(self) -> Integer[np.ndarray, " paths"]:
        """(P,) int64, number of interactions of each path; 0 is line of sight."""
        return np.count_nonzero(self.kinds, axis=1)

    @property
    def delay(self) -> Float[np.ndarray, " paths"]:
        """(P,) float64, propagation delay of each path, seconds."""
        return self.length / SPEED_OF_LIGHT

    @property
    def scatters_diffusely(self) -> bool:
        """Whether surfaces scattered in the trace: its settings asked for diffuse paths, or the table holds some.

        It is a fact of the whole trace, so that a selection of users or paths keeps it.
        """
        settings = self.attributes.get("settings")
        asked = settings.get("diffuse_paths", 0) if isinstance(settings, dict) else 0
        return bool(asked) or bool((self.kinds == Interaction.DIFFUSE).any())

    @property
    def bends_at_edges(self) -> bool:
        """Whether edges diffracted in the trace: its settings asked for diffraction, or the table holds some.

        It is a fact of the whole trace, so that a selection of users or paths keeps it.
        """
        settings = self.attributes.get("settings")
        asked = settings.get("diffraction", False) if isinstance(settings, dict) else False
        return bool(asked) or bool((self.kinds == Interaction.DIFFRACTION).any())

    def take(self, rows: ArrayLike) -> Paths:
        """Take some of the paths; all users stay, even without a path.

        Args:
            rows: (N,) row indices, or a mask (P,) bool. The order of indices does not matter: the paths of a user
                stay together and in canonical order.

        Raises:
            SiteTwinError: A mask does not have the length P, an index lies outside 0..P-1 or occurs twice, or `rows` is
                neither a mask nor whole numbers.
        """
        index = np.sort(checked_selection(rows, self.num_paths, "paths"))
        if (index[1:] == index[:-1]).any():
            raise SiteTwinError("a path is taken twice; name each row once, or give a mask")
        return self._with_rows(index, np.searchsorted(index, self.offsets).astype(np.int64), self.users)

    def select_users(self, index: ArrayLike) -> Paths:
        """Select the paths of some users, in the given order of users.

        Args:
            index: (N,) user indices, which may repeat, or a mask (U,) bool.

        Raises:
            SiteTwinError: A mask does not have the length U, an index lies outside 0..U-1, or `index` is neither a mask
                nor whole numbers.
        """
        chosen = checked_selection(index, self.num_users, "users")
        offsets, rows = take_groups(self.offsets, chosen)
        return self._with_rows(rows, offsets, self.users[chosen])

    def _with_rows(self, rows: np.ndarray, offsets: np.ndarray, users: np.ndarray) -> Paths:
        """Rows of all arrays, with their crossings; `offsets` and `users` say to whom they belong."""
        crossing_offsets, crossings = take_groups(self.crossing_offsets, rows)
        return replace(
            self,
            users=users,
            offsets=offsets,
            crossing_offsets=crossing_offsets,
            **{name: getattr(self, name)[rows] for name in _PER_PATH},
            **{name: getattr(self, name)[crossings] for name in _PER_CROSSING},
        )

    def to_xarray(self) -> xarray.Dataset:
        """Return a labelled data set in memory, with the same arrays and names as a store of paths.

        Its dimensions are ``user``, ``path``, ``interaction``, ``xyz`` and ``crossing``; units stand in the
        attributes of each variable. Paths are ragged: those of user u are rows ``offsets[u]`` to ``offsets[u + 1]`` of
        the dimension ``path`` (``user_edge`` has one entry more than ``user``), and ``user_of_path`` gives the user of
        each row, for ``groupby``. The crossings of vegetation are ragged too, along ``path_edge``.
        """
        derived = {"user_of_path": self.user_of_path, "delay": self.delay}
        return to_dataset({name: getattr(self, name) for name in LAYOUT}, derived, self.transmitter, self.attributes)

    def power_db(self, site: Site, **choices: Any) -> Float[np.ndarray, " paths"]:
        """Received over transmitted power of each path in dB; between radios with several ports, the mean over them.

        Args:
            site: The site they were traced in, or a variant of the same geometry.
            **choices: ``carrier_hz=3.5e9, radio=..., user_radio=..., season="winter"`` and more, as `sitetwin.gains`
                takes them. The carrier is needed.

        Raises:
            SiteTwinError: The paths are of another site, or a choice is impossible.
        """
        found: np.ndarray = later("face.quantities").path_power_db(self, site, **choices)
        return found

    def delay_spread(self, site: Site, **choices: Any) -> Float[np.ndarray, " users"]:
        """Root mean square delay spread of each user in seconds; NaN without a path. Takes and raises as `power_db`."""
        found: np.ndarray = later("face.quantities").delay_spread(self, site, **choices)
        return found

    def angular_spread(
        self, site: Site, which: str = "azimuth_departure", **choices: Any
    ) -> Float[np.ndarray, " users"]:
        """Circular standard deviation of an angle of each user (3GPP TR 38.901, Annex A.1) in radians.

        Args:
            site: As for `power_db`.
            which: "azimuth_departure", "zenith_departure", "azimuth_arrival" or "zenith_arrival".
            **choices: As for `power_db`.

        Raises:
            SiteTwinError: As for `power_db`; or there is no such angle.
        """
        found: np.ndarray = later("face.quantities").angular_spread(self, site, which, **choices)
        return found

    def plot(self, user: int, site: Site | None = None, ax: Any = None) -> Any:
        """Draw the rays of a user in 3-D, over the buildings nearby if the site is given.

        Args:
            user: Index of the user.
            site: The site of the paths.
            ax: Matplotlib axes to draw on, made with ``projection="3d"``; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            SiteTwinError: There is no such user, or the axes are plane ones.
        """
        return later("drawing.plots").plot_rays(site, self, user, ax=ax)

    def save(self, path: str | Path, tile_users: int = 50_000) -> Path:
        """Write the paths into a new store, or finish an interrupted store.

        Args:
            path: Folder of the store.
            tile_users: Users per tile.

        Returns:
            The folder.

        Raises:
            SiteTwinError: The folder holds something else, or the disk cannot be written.
        """
        later("rays.jobs.io").save_paths(self, path, tile_users)
        return Path(path)

    @staticmethod
    def load(path: str | Path, users: slice | None = None) -> Paths:
        """Read the paths of a store, for all users or for some.

        Args:
            path: Folder of the store that `save`, `TraceJob.run` or the command line wrote.
            users: Indices of the users; only tiles with some of them are read.

        Raises:
            SiteTwinError: The folder is not a store of paths, or a tile is missing or damaged.
        """
        loaded: Paths = later("rays.jobs.io").load_paths(path, users)
        return loaded

    def __len__(self) -> int:
        """Return the number of paths."""
        return self.num_paths

    def __bool__(self) -> bool:
        """Return True always: a trace without any path is still a trace."""
        return True

    def __repr__(self) -> str:
        return "\n".join(["<Paths>", *(f"  {name}: {value}" for name, value in self._facts().items())])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in self._facts().items())
        return f"<table><caption>Paths</caption>{rows}</table>"

    def _facts(self) -> dict[str, str]:
        """What a reader wants to know of paths at first, in a few words each."""
        sighted = np.unique(self.user_of_path[self.depth == 0]).size
        counted = np.bincount(self.kinds.ravel().astype(np.int64), minlength=len(Interaction))
        kinds = [f"{counted[kind]:,} {kind.name.lower()}" for kind in Interaction if kind and counted[kind]]
        x, y, z = self.transmitter
        facts = {
            "transmitter": f"({x:g}, {y:g}, {z:g}) m",
            "users": f"{self.num_users:,}, {np.count_nonzero(self.counts == 0):,} without a path",
            "paths": f"{self.num_paths:,}, at most {self.depth.max(initial=0)} interactions each",
            "interactions": ", ".join(kinds) or "none",
            "line of sight": f"{sighted / self.num_users:.1%} of the users" if self.num_users else "no users",
            "engine": str(self.attributes.get("engine", "not stated")),
        }
        for name, key in (("unseen", "completeness"), ("unseen, diffracted", "completeness_diffraction")):
            stated = self.attributes.get(key)
            if isinstance(stated, dict) and stated.get("unseen_share") is not None:
                facts[name] = unseen_in_words(*(stated.get(key) for key in UNSEEN_KEYS))
        return facts

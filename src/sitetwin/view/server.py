"""The page in the browser: scene, sliders and menus, legend, and what a click does."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import viser
from jaxtyping import Float
from scipy.spatial import cKDTree

from sitetwin.channel.antennas.radio import Radio
from sitetwin.errors import SiteTwinError
from sitetwin.store import TileStore
from sitetwin.view.channels import channel_quantities, made_from
from sitetwin.view.colours import colours_of, legend, scale_of
from sitetwin.view.guard import guard
from sitetwin.view.quantities import LEAVES, Leaves, Quantity, path_powers, user_quantities
from sitetwin.view.rays import path_table, picked_user, ray_segments
from sitetwin.view.scenery import BARE, IN_LEAF, WOOD, canopy_mesh, city_meshes
from sitetwin.view.sliders import NamedSlider
from sitetwin.view.sources import Link, World, value_quantities

_HIDDEN = "hidden"
_SEASONS = ("in leaf", "bare", "no trees")  # of `LEAVES`, as short as a slider needs them
_HINT = "Click on a user to see its rays."
_BS_COLOUR = (214, 39, 40)
_SKY, _EARTH = (255, 255, 255), (196, 192, 186)
_POINT_SHARE = 0.7  # of the distance between users


@dataclass(frozen=True)
class ViewSettings:
    """How paths are evaluated for the eye.

    Attributes:
        carrier_hz: Hz.
        tx: Radio of the transmitters, with one antenna.
        beams: Radio of the codebook.
        values: Numbers per user from a file, by name.
        channels: Data sets of channels made from paths that are shown.
    """

    carrier_hz: float
    tx: Radio = field(default_factory=Radio)
    beams: Radio = field(default_factory=Radio)
    values: dict[str, np.ndarray] = field(default_factory=dict)
    channels: tuple[TileStore, ...] = ()


class _LocalServer(viser.ViserServer):
    """A server that never asks a relay on the internet for a public address, whatever a page sends it."""

    def request_share_url(self, verbose: bool = True) -> str | None:
        """Refused."""
        return None


class Viewer:
    """A server that shows worlds until it is stopped.

    Args:
        worlds: At least one; the first is shown first.
        settings: How paths are evaluated.
        host: Address to listen on.
        port: Port to listen on, 0 for any that is free.

    Raises:
        SiteTwinError: The address cannot be listened on, or values or channels fit no store of paths.
    """

    def __init__(
        self, worlds: Sequence[World], settings: ViewSettings, host: str = "127.0.0.1", port: int = 8080
    ) -> None:
        self._worlds, self._settings = tuple(worlds), settings
        _check_values(self._worlds, settings)
        _check_address(host, port)
        self._lock = threading.RLock()  # callbacks come from several threads
        self._cache: dict[tuple[int, int, str], tuple[np.ndarray, dict[str, Quantity]]] = {}
        self._of_channel_sets: dict[str, dict[str, Quantity]] = {}
        self._shown: list[Any] = []
        self._trees: Any = None
        self._points: Any = None
        self._rays: Any = None
        self._picked: int | None = None
        self._world = self._link = 0
        with contextlib.redirect_stdout(io.StringIO()):  # a banner of the library's own
            self._server = _LocalServer(host=host, port=port, label="sitetwin", verbose=False)
        guard(self._server)
        self._build_menus()
        self._show_world()
        self._server.scene.on_click()(self._clicked)
        self._server.on_client_connect(self._set_depth_range)

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{self._server.get_host()}:{self._server.get_port()}"

    def stop(self) -> None:
        """Close the page's connections and the port."""
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    @property
    def _leaves(self) -> Leaves:
        return LEAVES[self._season_slider.index]

    def _build_menus(self) -> None:
        gui, scene = self._server.gui, self._server.scene
        gui.configure_theme(show_logo=False, show_share_button=False, control_width="medium", dark_mode=False)
        scene.set_up_direction("+z")
        scene.configure_environment_map(hdri=None)  # would be fetched from the network
        scene.configure_default_lights(enabled=True, cast_shadow=False)
        scene.add_light_hemisphere("/sky", sky_color=_SKY, ground_color=_EARTH, intensity=1.8)
        worlds, world = self._worlds, self._worlds[0]
        self._variant_slider = NamedSlider(
            gui, "variant", [w.name for w in worlds], visible=len(worlds) > 1, on_update=self._chose_world
        )
        self._season_slider = NamedSlider(
            gui, "season", _SEASONS, visible=world.site.vegetation.num_volumes > 0, on_update=self._chose_season
        )
        self._link_menu = gui.add_dropdown("transmitter", _link_names(world), visible=len(world.links) > 1)
        self._quantity_menu = gui.add_dropdown("users", [_HIDDEN], visible=bool(world.links))
        self._size_slider = gui.add_slider("point size (m)", 0.1, 10.0, 0.1, 1.0, visible=bool(world.links))
        self._legend = gui.add_html("")
        self._notes = gui.add_markdown("")
        self._table = gui.add_markdown("")
        self._link_menu.on_update(lambda _: self._chose_link())
        self._quantity_menu.on_update(lambda _: self._recolour())
        self._size_slider.on_update(lambda _: self._resize())

    def _show_world(self) -> None:
        """Put the surfaces of the chosen variant in place, then its canopies and users."""
        world, scene = self._worlds[self._world], self._server.scene
        for handle in self._shown:
            handle.remove()
        self._shown = [
            scene.add_mesh_simple(
                f"/city/{mesh.name}",
                mesh.vertices,
                mesh.faces,
                color=mesh.colour,
                flat_shading=True,
                side="double",
                cast_shadow=False,
                receive_shadow=False,
            )
            for mesh in city_meshes(world.site)
        ]
        extent = float(np.ptp(world.site.bounds[:, :2], axis=0).max())
        for number, link in enumerate(world.links):
            self._shown.append(
                scene.add_icosphere(
                    f"/stations/{number}",
                    radius=max(0.004 * extent, 0.5),
                    color=_BS_COLOUR,
                    position=tuple(link.transmitter),
                    cast_shadow=False,
                    receive_shadow=False,
                )
            )
        self._place_camera(world)
        self._show_trees()
        self._show_users()

    def _place_camera(self, world: World) -> None:
        """Look from the south, and steeply from above all roofs, at the users or at the whole site."""
        low, high = world.site.bounds
        if world.links:
            users = world.links[self._link].paths.users
            low, high = users.min(axis=0), users.max(axis=0)
        middle, extent = 0.5 * (low + high), float(np.ptp(np.stack([low, high])[:, :2], axis=0).max())
        extent = max(extent, 20.0)
        camera = self._server.initial_camera
        camera.look_at = (middle[0], middle[1], low[2])
        camera.position = (middle[0], middle[1] - 0.45 * extent, world.site.bounds[1, 2] + extent)
        # A near plane that is not too near: else the depth buffer does not tell users from the ground under them.
        self._near = max(4e-3 * extent, 0.05)
        self._far = 20.0 * max(float(np.linalg.norm(world.site.bounds[1] - world.site.bounds[0])), extent)
        camera.near, camera.far = self._near, self._far
        for client in self._server.get_clients().values():
            self._set_depth_range(client)

    def _set_depth_range(self, client: Any) -> None:
        """The initial camera's range reaches a page only if it is there before the page: say it again."""
        client.camera.near, client.camera.far = self._near, self._far

    def _show_trees(self) -> None:
        world, leaves = self._worlds[self._world], self._leaves
        if self._trees is not None:
            for handle in self._trees:
                handle.remove()
        self._trees = []
        if leaves == "no trees" or not world.site.vegetation.num_volumes:
            return
        deciduous = np.array([cycle == "deciduous" for cycle in world.site.vegetation.leaf_cycle], dtype=bool)
        bare, trunk = deciduous & (leaves == "out of leaf"), world.site.vegetation.is_trunk
        for name, chosen, colour, opacity in (
            ("leaves", ~bare & ~trunk, IN_LEAF, 0.9),
            ("branches", bare & ~trunk, BARE, 0.45),
            ("trunks", trunk, WOOD, None),
        ):
            vertices, faces = canopy_mesh(world.site.vegetation, chosen)
            if len(faces):
                self._trees.append(
                    self._server.scene.add_mesh_simple(
                        f"/trees/{name}",
                        vertices,
                        faces,
                        color=colour,
                        flat_shading=True,
                        opacity=opacity,
                        cast_shadow=False,
                        receive_shadow=False,
                    )
                )

    def _evaluated(self) -> tuple[np.ndarray, dict[str, Quantity]]:
        """Powers of the paths of the chosen link, and the quantities of its users."""
        leaves = self._leaves
        key = (self._world, self._link, leaves)
        if key not in self._cache:
            world, settings = self._worlds[self._world], self._settings
            link = world.links[self._link]
            power = path_powers(link.paths, world.site, settings.carrier_hz, settings.tx, leaves)
            quantities = user_quantities(link.paths, power, settings.beams)
            others = {**self._of_channels(link), **value_quantities(settings.values, link)}
            self._cache[key] = power, {**quantities, **others}
        return self._cache[key]

    def _of_channels(self, link: Link) -> dict[str, Quantity]:
        """Quantities of the data sets made from a link's paths; theirs are the trees that they were made with."""
        key = str(link.store.path)
        if key not in self._of_channel_sets:
            stores = [store for store in self._settings.channels if made_from(store, link)]
            self._of_channel_sets[key] = {
                name if len(stores) == 1 else f"{name}, {store.path.name}": quantity
                for store in stores
                for name, quantity in channel_quantities(store, link.stride).items()
            }
        return self._of_channel_sets[key]

    def _show_users(self) -> None:
        world = self._worlds[self._world]
        self._link_menu.visible = len(world.links) > 1
        self._season_slider.visible = world.site.vegetation.num_volumes > 0
        for handle in (self._quantity_menu, self._size_slider):
            handle.visible = bool(world.links)
        self._forget_rays()
        if self._points is not None:
            self._points.remove()
            self._points = None
        self._notes.content = _about(world, named=len(self._worlds) > 1)
        if not world.links:
            self._legend.content = ""
            return
        link = world.links[self._link]
        _, quantities = self._evaluated()
        names = [*quantities, _HIDDEN]
        chosen = self._quantity_menu.value
        self._quantity_menu.options = names
        self._quantity_menu.value = chosen if chosen in quantities else names[0]
        size = round(float(np.clip(_POINT_SHARE * _spacing(link.paths.users), 0.1, 10.0)), 1)
        self._size_slider.value = size
        self._points = self._server.scene.add_point_cloud(
            "/users",
            link.paths.users.astype(np.float32),
            np.zeros((link.paths.num_users, 3), dtype=np.uint8),
            point_size=size,
            point_shape="circle",
            point_shading="flat",
            precision="float32",
        )
        if link.stride > 1:
            self._notes.content += f"\n\nOf {link.store.num_users:,} users every {link.stride}th is shown."
        self._recolour()

    def _recolour(self) -> None:
        with self._lock:
            if self._points is None:
                return
            _, quantities = self._evaluated()
            quantity = quantities.get(self._quantity_menu.value)
            self._points.visible = quantity is not None
            if quantity is None:
                self._legend.content = ""
                return
            scale = scale_of(quantity)
            self._points.colors = colours_of(quantity, scale)
            self._legend.content = legend(quantity, scale)

    def _resize(self) -> None:
        with self._lock:
            if self._points is not None:
                self._points.point_size = float(self._size_slider.value)

    def _chose_world(self) -> None:
        with self._lock:
            chosen = self._variant_slider.index
            if chosen == self._world:
                return  # a slider that is drawn along says so more often than it arrives
            self._world, self._link = chosen, 0
            self._link_menu.options = _link_names(self._worlds[self._world])
            self._show_world()

    def _chose_link(self) -> None:
        with self._lock:
            names = _link_names(self._worlds[self._world])
            chosen = names.index(self._link_menu.value) if self._link_menu.value in names else 0
            if chosen != self._link:
                self._link = chosen
                self._show_users()

    def _chose_season(self) -> None:
        with self._lock:
            self._show_trees()
            if self._points is not None:
                self._recolour()
                self._draw_rays()

    def _clicked(self, event: Any) -> None:
        self.pick(np.array(event.ray_origin), np.array(event.ray_direction))

    def pick(self, origin: Float[np.ndarray, " 3"], direction: Float[np.ndarray, " 3"]) -> int | None:
        """Show the rays of the user that a click means, or no rays if it means no user.

        Args:
            origin: (3,) the eye, metres.
            direction: (3,) where the click points.

        Returns:
            The user's index among those shown.
        """
        with self._lock:
            world = self._worlds[self._world]
            if self._points is None or not self._points.visible:
                return None
            self._picked = picked_user(world.links[self._link].paths.users, origin, direction)
            self._draw_rays()
            return self._picked

    def _draw_rays(self) -> None:
        """Rays and table of the chosen user, with the trees as they are now."""
        picked = self._picked
        self._forget_rays()
        if picked is None:
            return
        self._picked = picked
        paths = self._worlds[self._world].links[self._link].paths
        power, _ = self._evaluated()
        segments, colours = ray_segments(paths, power, picked)
        if len(segments):
            self._rays = self._server.scene.add_line_segments(
                "/rays", segments.astype(np.float32), colours, thickness=2.5, thickness_units="screen"
            )
        self._table.content = path_table(paths, power, picked)

    def _forget_rays(self) -> None:
        if self._rays is not None:
            self._rays.remove()
        self._rays = self._picked = None
        self._table.content = _HINT if self._worlds[self._world].links else ""


def _check_values(worlds: Sequence[World], settings: ViewSettings) -> None:
    links: list[Link] = [link for world in worlds for link in world.links]
    fitting = {name for link in links for name in value_quantities(settings.values, link)}
    if settings.values and not fitting:
        rows = sorted({len(array) for array in settings.values.values()})
        raise SiteTwinError(
            f"the values have {', '.join(map(str, rows))} rows, the stores of paths "
            f"{', '.join(str(n) for n in sorted({link.store.num_users for link in links})) or 'no'} users; give one "
            "row for each user"
        )
    for store in settings.channels:
        if not any(made_from(store, link) for link in links):
            raise SiteTwinError(
                f"the channels in {store.path} were made from none of the stores of paths shown; give that store too"
            )


def _check_address(host: str, port: int) -> None:
    """Make sure that the address can be listened on, as the server itself would take another port without a word."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SiteTwinError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); give another port, or 0 for any that "
            "is free"
        ) from error


def _link_names(world: World) -> list[str]:
    return [link.name for link in world.links] or ["none"]


def _about(world: World, *, named: bool) -> str:
    site = world.site
    name = f"`{world.name.replace('`', ' ')}`: " if named else ""  # as code, in which nothing is markup
    users = f", {world.links[0].paths.num_users:,} users" if world.links else ""
    canopies = site.vegetation.num_volumes - int(site.vegetation.is_trunk.sum())
    return f"{name}{site.num_triangles:,} triangles, {canopies:,} canopies{users}"


def _spacing(users: np.ndarray) -> float:
    """Distance between neighbouring users, metres: the median over some of them."""
    if len(users) < 2:
        return 1.0
    some = users[:: max(1, len(users) // 1000)]
    return float(np.median(cKDTree(users).query(some, k=2)[0][:, 1]))

"""The page: menus and clicks without a browser, and what a browser draws of it."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sitetwin.channel import AntennaArray, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceJob, TraceSettings
from sitetwin.site import Cylinder, Site, Vegetation, load_scene, save_site, user_grid
from sitetwin.view.server import Viewer, ViewSettings
from sitetwin.view.sources import open_worlds
from tests.view.browser import Page, browser

SETTINGS = ViewSettings(3.5e9, beams=Radio(AntennaArray.ula(8)))


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    """A street with a tree, saved, with the paths to users in it beside it."""
    folder = tmp_path_factory.mktemp("street")
    site = load_scene("simple_street_canyon").variant(vegetation=Vegetation((Cylinder((5.0, 0.0), 3.0, 3.0, 8.0),)))
    save_site(site, folder / "site")
    users, _ = user_grid((-40.0, -8.0, 40.0, 8.0), 2.0, 1.5, site)
    TraceJob(site, np.array([-33.0, 0.0, 12.0]), users, TraceSettings(max_depth=1)).run(folder / "paths")
    return site, folder


@pytest.fixture
def viewer(street: tuple[Site, Path]) -> Iterator[Viewer]:
    worlds = open_worlds([str(street[1] / "site"), "simple_street_canyon"], [street[1] / "paths"], None)
    viewer = Viewer(worlds, SETTINGS, port=0)
    yield viewer
    viewer.stop()


def until(done: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return done()


def test_a_click_draws_the_rays_of_the_user_it_means(viewer: Viewer) -> None:
    paths = viewer._worlds[0].links[0].paths
    user = int(np.argmax(paths.counts))
    eye = paths.users[user] + [3.0, -20.0, 40.0]
    assert viewer.pick(eye, paths.users[user] - eye) == user
    assert len(viewer._rays.points) == (paths.depth[paths.offsets[user] : paths.offsets[user + 1]] + 1).sum()
    assert f"user {user}" in viewer._table.content
    assert viewer.pick(eye, np.array([0.0, 0.0, 1.0])) is None
    assert viewer._rays is None


def test_season_and_menus_recolour_users(viewer: Viewer) -> None:
    first = viewer._points.colors.copy()
    viewer._season_slider.index = 2
    assert viewer._season_slider.name == "no trees"
    assert until(lambda: not np.array_equal(viewer._points.colors, first))
    assert until(lambda: not viewer._trees)
    viewer._season_slider.index = 0
    assert until(lambda: np.array_equal(viewer._points.colors, first))
    assert until(lambda: len(viewer._trees) == 1)
    viewer._quantity_menu.value = "line of sight"
    assert until(lambda: "line of sight" in viewer._legend.content)
    viewer._quantity_menu.value = "hidden"
    assert until(lambda: not viewer._points.visible)
    assert viewer.pick(np.array([0.0, 0.0, 50.0]), np.array([0.0, 0.0, -1.0])) is None


def test_another_variant_has_its_own_users(viewer: Viewer) -> None:
    assert "`site`" in viewer._notes.content
    viewer._variant_slider.index = 1
    assert until(lambda: viewer._points is None)
    assert "`simple_street_canyon`" in viewer._notes.content
    assert viewer._legend.content == ""
    assert not viewer._quantity_menu.visible
    assert not viewer._season_slider.visible  # it has no trees
    viewer._variant_slider.index = 0
    assert until(lambda: viewer._points is not None)
    assert viewer._season_slider.visible


def test_it_listens_on_this_machine_alone_and_refuses_a_port_in_use(viewer: Viewer, street: tuple[Site, Path]) -> None:
    host, port = viewer.url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    with pytest.raises(SiteTwinError, match="cannot be listened on"):
        Viewer(open_worlds(["simple_street_canyon"], [], None), SETTINGS, port=int(port))
    assert viewer._server.request_share_url() is None


def test_values_that_fit_no_store_are_refused(street: tuple[Site, Path]) -> None:
    worlds = open_worlds([str(street[1] / "site")], [street[1] / "paths"], None)
    with pytest.raises(SiteTwinError, match="one row for each user"):
        Viewer(worlds, ViewSettings(3.5e9, values={"nmse": np.zeros(3)}), port=0)
    users = worlds[0].links[0].store.num_users
    viewer = Viewer(worlds, ViewSettings(3.5e9, values={"nmse": np.zeros(users)}), port=0)
    try:
        assert "nmse" in viewer._quantity_menu.options
    finally:
        viewer.stop()


def test_the_page_in_a_browser(street: tuple[Site, Path], tmp_path: Path) -> None:
    """A server of its own, a headless browser: the picture holds buildings, trees and users; Ctrl-C ends the server."""
    _, folder = street
    command = [sys.executable, "-m", "sitetwin", "view", str(folder / "paths"), "--scene", str(folder / "site")]
    with browser(tmp_path / "profile") as page:
        server = subprocess.Popen(
            [*command, "--port", "0"], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[0]
            page.ask("Page.navigate", url=url)
            shown = _drawn(page, tmp_path / "page.png")
            picked = _clicked(page)
            page_text = str(page.script("document.body.innerText"))
            requested = {m["params"]["request"]["url"] for m in page.log if m["method"] == "Network.requestWillBeSent"}
        finally:
            server.send_signal(signal.SIGINT)
            code = server.wait(timeout=120)
            assert server.stdout is not None
            server.stdout.close()
    assert code == 0
    assert all(u.startswith((url, "data:", "blob:")) for u in requested), "the page asked the internet for something"
    assert picked, "a click on the users drew no rays"
    assert "season" in page_text
    assert "bare" in page_text
    assert all(shown.values()), f"missing in {tmp_path / 'page.png'}: {[k for k, seen in shown.items() if not seen]}"


def _clicked(page: Page) -> bool:
    """Click into the middle of the scene, where the camera looks at the users, until the page lists rays of one."""
    width, height = (int(page.script(f"window.inner{side}")) for side in ("Width", "Height"))
    for _ in range(10):
        page.click(width / 2, height / 2)
        time.sleep(1.0)
        if re.search(r"user \d+ at .* paths", str(page.script("document.body.innerText"))):
            return True
    return False


def _drawn(page: Page, file: Path) -> dict[str, bool]:
    """What is to be seen on the page, by its colours, as soon as all of it is there, or after two minutes."""
    deadline = time.monotonic() + 120
    while True:
        time.sleep(1.0)
        file.write_bytes(page.screenshot())
        picture = _pixels(file.read_bytes())
        shown = {
            "surfaces": _share(picture, lambda r, g, b: np.minimum(np.minimum(r, g), b) < 240) > 0.2,
            "shaded walls": _share(picture, lambda r, g, b: (r < 200) & (r > 60) & (abs(r - b) < 60)) > 0.02,
            "leaves": _share(picture, lambda r, g, b: (g > r + 25) & (g > b + 25) & (g < 170)) > 1e-4,
            "users": _share(picture, lambda r, g, b: np.maximum(g, b) - np.minimum(r, b) > 90) > 1e-3,
        }
        if all(shown.values()) or time.monotonic() > deadline:
            return shown


def _pixels(png: bytes) -> np.ndarray:
    from matplotlib.image import imread

    return np.rint(255 * imread(io.BytesIO(png), format="png")[..., :3]).astype(np.int64)


def _share(picture: np.ndarray, chosen: Callable[..., np.ndarray]) -> float:
    scene = picture[:, : picture.shape[1] * 7 // 10]  # without the menus
    return float(chosen(*np.moveaxis(scene, -1, 0)).mean())

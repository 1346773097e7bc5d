"""Users coloured by channels: their power is that of the paths, their strongest angle that of the line of sight."""

from pathlib import Path

import numpy as np
import pytest

from sitetwin.channel import AntennaArray, ChannelRequest, OfdmGrid, Radio, write_channels
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceJob, TraceSettings
from sitetwin.site import Site, load_scene, user_grid
from sitetwin.view.channels import ANGLE, POWER, channel_quantities, open_channels
from sitetwin.view.server import Viewer, ViewSettings
from sitetwin.view.sources import open_worlds

GRID = OfdmGrid(3.5e9, 64, 30e3)
PLACE = np.array([-33.0, 0.0, 12.0])


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    """A street with users in line of sight only: one path each."""
    folder = tmp_path_factory.mktemp("street")
    site = load_scene("simple_street_canyon")
    users, _ = user_grid((-20.0, -8.0, 40.0, 8.0), 4.0, 1.5, site)
    TraceJob(site, PLACE, users, TraceSettings(max_depth=0)).run(folder / "paths")
    return site, folder


def made(street: tuple[Site, Path], quantity: str, tx: Radio) -> Path:
    out = street[1] / f"{quantity}-{tx.array.num_antennas}-{tx.array.num_ports}"
    taps = GRID.num_subcarriers if quantity == "delay-angle" else 32  # all of them: Parseval's theorem is exact
    write_channels(street[1] / "paths", street[0], out, ChannelRequest(GRID, quantity, num_taps=taps, tx=tx))
    return out


def friis_db(street: tuple[Site, Path]) -> np.ndarray:
    (world,) = open_worlds([str(street[1] / "paths")], [], "simple_street_canyon")
    gain = path_gains(world.links[0].paths, street[0], GRID.carrier_hz).values.reshape(-1)
    return 20 * np.log10(np.abs(gain.numpy()))


@pytest.mark.parametrize("quantity", ["cfr", "delay-angle", "gains"])
def test_power_of_a_single_path_is_its_gain(street: tuple[Site, Path], quantity: str) -> None:
    array = AntennaArray.ula(1) if quantity == "gains" else AntennaArray.ula(8)
    found = channel_quantities(open_channels(made(street, quantity, Radio(array))), 1)
    np.testing.assert_allclose(found[POWER].values, friis_db(street), atol=1e-3)


def test_power_is_the_mean_over_polarised_ports(street: tuple[Site, Path]) -> None:
    array = AntennaArray.ula(4, polarisation="VH")
    flat, angles = (
        channel_quantities(open_channels(made(street, q, Radio(array))), 2)[POWER].values
        for q in ("cfr", "delay-angle")
    )
    np.testing.assert_allclose(angles, flat, atol=1e-3)


def test_the_strongest_angle_is_that_of_the_line_of_sight(street: tuple[Site, Path]) -> None:
    found = channel_quantities(open_channels(made(street, "delay-angle", Radio(AntennaArray.ula(8)))), 1)
    (world,) = open_worlds([str(street[1] / "paths")], [], "simple_street_canyon")
    users = world.links[0].paths.users
    away = users - PLACE
    cosine = away[:, 1] / np.linalg.norm(away, axis=1)  # half-wave spacing along y: bins of 2/8 in the cosine
    expected = 4 + 4 * cosine
    assert (np.abs(found[ANGLE].values - expected) <= 0.5 + 1e-9).all()


def test_channels_of_other_paths_are_refused(street: tuple[Site, Path], tmp_path: Path) -> None:
    store = open_channels(made(street, "cfr", Radio(AntennaArray.ula(2))))
    users = np.array([[0.0, 0.0, 1.5]])
    TraceJob(street[0], PLACE, users, TraceSettings(max_depth=0)).run(tmp_path / "other")
    for target, fits in ((tmp_path / "other", False), (street[1] / "paths", True)):
        worlds = open_worlds([str(target)], [], "simple_street_canyon")
        settings = ViewSettings(GRID.carrier_hz, channels=(store,))
        if fits:
            viewer = Viewer(worlds, settings, port=0)
            assert POWER in viewer._quantity_menu.options
            viewer.stop()
        else:
            with pytest.raises(SiteTwinError, match="made from none of the stores"):
                Viewer(worlds, settings, port=0)
    with pytest.raises(SiteTwinError, match="--channels"):
        open_worlds([str(store.path)], [], "simple_street_canyon")
    with pytest.raises(SiteTwinError, match="no data set of channels"):
        open_channels(street[1] / "paths")

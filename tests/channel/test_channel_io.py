import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections import namedtuple
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sitetwin.channel import (
    AntennaArray,
    Atmosphere,
    CanopyScattering,
    ChannelLoader,
    FieldOptions,
    OfdmGrid,
    Radio,
    Woodland,
    path_gains,
)
from sitetwin.channel.antennas.descriptions import describe_radio
from sitetwin.channel.antennas.names import named_array
from sitetwin.channel.antennas.patterns import SampledPattern
from sitetwin.channel.io import TILE_BYTES, expected_bytes, load_channels, write_channels
from sitetwin.channel.request import ChannelRequest, angle_axes
from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.jobs.io import save_paths
from sitetwin.site import load_scene
from sitetwin.site.materials import Material, itu_material
from sitetwin.store import TileStore, compact
from sitetwin.version import code_version
from tests.channel import oracle
from tests.channel.worlds import make_paths
from tests.rays.shapes import quad_site

TX = np.array([0.0, -20.0, 12.0])
CARRIER = 3.5e9
GRID = OfdmGrid(CARRIER, 16, 2e6)
YAW = 1.2
GROUND = [(-500, -500, 0), (500, -500, 0), (500, 500, 0), (-500, 500, 0)]
WALL = [(40, -500, 0), (40, 500, 0), (40, 500, 80), (40, -500, 80)]
USERS = 23


def make_site(*materials):
    plain = Material("wall", relative_permittivity=5.0, conductivity=0.05)
    return quad_site([GROUND, WALL], materials or (plain, plain))


def traced(site, users=USERS):
    """Line of sight, ground, wall and wall then ground; every fifth user has no path."""
    rng = np.random.default_rng(3)
    places = np.column_stack([rng.uniform(-60, 30, users), rng.uniform(20, 90, users), np.full(users, 1.5)])
    chains = [[] if u % 5 == 4 else [(), (0,), (1,), (1, 0)][: 1 + u % 4] for u in range(users)]
    paths = make_paths(TX, places, site, chains)
    return replace(paths, attributes={"geometry_hash": site.geometry_hash})


def request(quantity="cfr", **changes):
    given = {"grid": GRID, "tx": Radio(AntennaArray.ula(4), (YAW, 0.0, 0.0)), "num_taps": 8, **changes}
    return ChannelRequest(quantity=quantity, **given)


def files_of(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    site = make_site()
    paths = traced(site)
    folder = tmp_path_factory.mktemp("world") / "paths"
    save_paths(paths, folder, tile_users=10)
    return site, paths, folder


def direct(paths, site, wanted, **changes):
    """All users in one batch, in double precision, without a store."""
    loader = ChannelLoader(paths, site, replace(wanted, **changes), dtype=torch.complex128)
    return loader.channels(torch.arange(paths.num_users)).numpy()


def assert_close(ours, theirs, tolerance=1e-5):
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("quantity", ["cfr", "delay-angle"])
def test_xarray_alone_reads_what_direct_synthesis_gives(world, tmp_path, quantity):
    site, paths, folder = world
    rx = Radio(AntennaArray.ula(2, polarisation="VH"), (-2.0, 0.1, 0.0))
    wanted = request(quantity, rx=rx)
    write_channels(folder, site, tmp_path / "c", wanted)
    with xr.open_datatree(tmp_path / "c", engine="zarr") as tree:
        tiles = [tree[f"tiles/{i:06d}"].to_dataset() for i in range(3)]
        values = xr.concat([t[wanted.array_name] for t in tiles], "user")
        places = xr.concat([t["users"] for t in tiles], "user").values
        counts = xr.concat([t["num_paths"] for t in tiles], "user").values
        axes, root = tree["axes"].to_dataset().load(), dict(tree.attrs)
        values = values.load()
    assert values.dtype == np.complex64
    assert_close(values.values, direct(paths, site, wanted))
    np.testing.assert_array_equal(places, paths.users)
    np.testing.assert_array_equal(counts, paths.counts)
    assert not values.values[counts == 0].any()
    assert values.attrs["carrier_phase"] == root["carrier_phase"].partition(":")[0] == "included"
    assert values.attrs["normalisation"] == root["normalisation"].partition(":")[0] == "none"
    assert values.attrs["units"] == "1"
    assert root["carrier_hz"] == CARRIER
    assert (root["site_hash"], root["geometry_hash"]) == (site.hash, site.geometry_hash)
    assert root["transmitter"] == TX.tolist()
    assert root["tx"]["orientation_rad"] == [YAW, 0.0, 0.0]
    assert root["rx"]["port_slants_deg"] == [0.0, 90.0]
    if quantity == "cfr":
        assert values.dims == ("user", "rx_antenna", "tx_antenna", "subcarrier")
        np.testing.assert_allclose(axes["frequency"], CARRIER + 2e6 * np.arange(-8, 8))
        assert axes["frequency"].attrs["units"] == "Hz"
    else:
        assert values.dims == ("user", "rx_antenna", "angle", "delay")
        np.testing.assert_allclose(axes["delay"], np.arange(8) / (16 * 2e6))


def test_stored_impulse_responses_are_sums_of_pulses_written_out(world, tmp_path):
    site, paths, folder = world
    wanted = request("cir", tx=Radio(), num_taps=24, pulse="raised-cosine")
    write_channels(folder, site, tmp_path / "c", wanted)
    with xr.open_datatree(tmp_path / "c", engine="zarr") as tree:
        values = xr.concat([tree[f"tiles/{i:06d}"].to_dataset()["cir"] for i in range(3)], "user").load()
        delay = tree["axes"].to_dataset()["delay"].load()
    time = np.arange(24) - GRID.bandwidth_hz * paths.length[:, None] / 299792458.0
    pulses = np.sinc(time) * np.cos(np.pi * 0.25 * time) / (1 - (0.5 * time) ** 2)
    gains = path_gains(paths, site, CARRIER, dtype=torch.complex128).numpy()[:, 0, 0]
    expected = np.zeros((USERS, 24), np.complex128)
    np.add.at(expected, paths.user_of_path, gains[:, None] * pulses)
    assert values.dims == ("user", "rx_antenna", "tx_antenna", "delay")
    assert_close(values.values[:, 0, 0], expected)
    assert not values.values[paths.counts == 0].any()
    assert "raised-cosine" in values.attrs["description"]
    np.testing.assert_allclose(delay, np.arange(24) / GRID.bandwidth_hz)
    assert delay.attrs["units"] == "s"
    assert TileStore.open(tmp_path / "c").configuration["pulse"] == "raised-cosine"
    with pytest.raises(SiteTwinError, match=r"another configuration.*pulse"):
        write_channels(folder, site, tmp_path / "c", replace(wanted, pulse="sinc"))


def test_the_stored_response_is_the_sum_over_paths_written_out(world, tmp_path):
    """An oracle that shares no code: 3-vectors over mirrors, and the textbook sum over paths and subcarriers."""
    site, paths, folder = world
    write_channels(folder, site, tmp_path / "c", request())
    stored = load_channels(tmp_path / "c")["cfr"]
    eta = 5.0 - 1j * 0.05 / (2 * np.pi * CARRIER * oracle.EPS0)
    across = oracle.rotation(YAW, 0, 0)[:, 1]  # of the linear array
    offsets = CARRIER + 2e6 * np.arange(-8, 8)
    expected = np.zeros((USERS, 1, 4, 16), complex)
    for p, user in enumerate(paths.user_of_path):
        depth = int(np.count_nonzero(paths.kinds[p]))
        points = np.concatenate([TX[None], paths.vertices[p, :depth], paths.users[user][None]])
        normals = site.facet_normal[paths.facets[p, :depth]]
        gain = oracle.path_gain(
            points,
            normals,
            [lambda cos: oracle.fresnel(cos, eta)] * depth,
            CARRIER,
            lambda k: oracle.element_field(k, (YAW, 0.0, 0.0)),
            lambda k: oracle.element_field(k, (0.0, 0.0, 0.0)),
        )
        first = points[1] - points[0]
        cosine = first @ across / np.linalg.norm(first)
        steering = np.exp(2j * np.pi * 0.5 * (np.arange(4) - 1.5) * cosine)
        delay = np.linalg.norm(np.diff(points, axis=0), axis=1).sum() / oracle.C
        tones = np.exp(-2j * np.pi * (offsets - CARRIER) * delay)
        expected[user, 0] += gain * steering[:, None] * tones
    assert_close(stored, expected)


def test_gains_stand_in_the_order_of_the_paths(world, tmp_path):
    site, paths, folder = world
    wanted = request("gains", tx=Radio(AntennaArray.single(polarisation="cross")))
    store = write_channels(folder, site, tmp_path / "g", wanted)
    gains = path_gains(paths, site, CARRIER, wanted.tx, wanted.rx, dtype=torch.complex128).numpy()
    compact(store, tmp_path / "flat")
    with xr.open_zarr(tmp_path / "flat") as flat:
        flat = flat.load()
    assert flat["gain"].dims == ("path", "rx_port", "tx_port")
    assert_close(flat["gain"].values, gains)
    np.testing.assert_array_equal(flat["offsets"], paths.offsets)
    np.testing.assert_array_equal(flat["delay"], paths.delay)
    np.testing.assert_array_equal(flat["departure"], paths.departure)
    np.testing.assert_array_equal(flat["arrival"], paths.arrival)
    assert flat["delay"].attrs["units"] == "s"


@pytest.mark.parametrize("text", ["ula:8", "ula:7", "upa:4x6", "upa:3x5:VH"])
def test_a_wave_towards_a_bins_direction_falls_into_that_bin(text):
    """The axes say where the bins look; a plane wave from there must agree."""
    array = named_array(text)
    axes = angle_axes(array)
    y, z = axes["angle_cosine_y"].data, axes["angle_cosine_z"].data
    for bin_ in np.flatnonzero(y**2 + z**2 <= 1):
        towards = np.array([np.sqrt(1 - y[bin_] ** 2 - z[bin_] ** 2), y[bin_], z[bin_]])
        site = quad_site([GROUND])
        paths = make_paths((0, 0, 0), [100 * towards], site, [[()]])
        wanted = ChannelRequest(GRID, "delay-angle", tx=Radio(array), num_taps=16)
        power = np.sum(np.abs(direct(paths, site, wanted)) ** 2, axis=(0, 1, 3))
        vertical = axes["angle_port"].data == 0
        assert power[bin_ % array.num_positions] > 0.999 * power[vertical].sum()


def test_tiles_follow_the_paths_and_keep_the_bound(world, tmp_path):
    site, _, folder = world
    wanted = request()
    bound = 4 * wanted.bytes_per_row
    assert wanted.bytes_per_row == 8 * 4 * 16
    whole = write_channels(folder, site, tmp_path / "whole", wanted)
    split = write_channels(folder, site, tmp_path / "split", wanted, tile_bytes=bound)
    assert whole.tiles == ((0, 10), (10, 20), (20, 23))
    assert {10, 20, 23} <= {stop for _, stop in split.tiles}
    assert max(stop - start for start, stop in split.tiles) == 4
    assert_close(load_channels(tmp_path / "split")["cfr"], load_channels(tmp_path / "whole")["cfr"], 1e-6)
    assert expected_bytes(folder, wanted) == USERS * wanted.bytes_per_row
    assert expected_bytes(folder, request("gains")) is None


def test_the_default_bound_holds_for_large_arrays():
    wanted = request(tx=Radio(named_array("upa:16x16:VH")), rx=Radio(named_array("ula:4:VH")))
    large = replace(wanted, grid=OfdmGrid(CARRIER, 1024, 30e3))
    assert large.bytes_per_row == 8 * 512 * 8 * 1024
    assert large.batch_users * large.bytes_per_row <= TILE_BYTES


@pytest.mark.parametrize("quantity", ["cfr", "delay-angle", "gains"])
def test_each_user_may_be_turned_its_own_way(world, tmp_path, quantity):
    site, paths, folder = world
    turns = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (USERS, 3)))
    wanted = request(quantity, rx=Radio(AntennaArray.ula(2), turns))
    write_channels(folder, site, tmp_path / "c", wanted, tile_bytes=4 * wanted.bytes_per_row)
    stored = load_channels(tmp_path / "c")
    np.testing.assert_array_equal(stored["rx_orientation"], turns)
    if quantity == "gains":
        expected = path_gains(paths, site, CARRIER, wanted.tx, wanted.rx, dtype=torch.complex128).numpy()
    else:
        expected = direct(paths, site, wanted)
    assert_close(stored[wanted.array_name], expected)
    few = replace(wanted, rx=Radio(AntennaArray.ula(2), turns[:5]))
    with pytest.raises(SiteTwinError, match="5 orientations were given for 23 users"):
        write_channels(folder, site, tmp_path / "few", few)


def test_other_wavefronts_and_steering_arrive(world, tmp_path):
    site, paths, folder = world
    wanted = request("delay-angle", wavefront="spherical", steering="per-subcarrier")
    write_channels(folder, site, tmp_path / "c", wanted)
    expected = direct(paths, site, wanted, wavefront="spherical", steering="per-subcarrier")
    assert_close(load_channels(tmp_path / "c")["delay_angle"], expected)


KILLED = """
import os, signal, sys
from tests.channel.test_channel_io import make_site, request
from sitetwin.channel.io import write_channels

def die(stage, share):
    if share > 0.6:
        os.kill(os.getpid(), signal.SIGKILL)

write_channels(sys.argv[1], make_site(), sys.argv[2], request(), die)
"""


def test_a_killed_run_goes_on_to_the_same_bytes(world, tmp_path):
    site, _, folder = world
    write_channels(folder, site, tmp_path / "whole", request())
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", KILLED, folder, tmp_path / "killed"], cwd=root, check=False)
    assert run.returncode == -signal.SIGKILL
    store = TileStore.open(tmp_path / "killed")
    assert store.verify() == []
    assert 0 < len(store.missing_tiles()) < 3
    with pytest.raises(SiteTwinError, match="not written yet; resume"):
        load_channels(tmp_path / "killed")
    with pytest.raises(SiteTwinError, match="resume it"):
        write_channels(folder, site, tmp_path / "killed", request(), resume=False)
    shares = []
    write_channels(folder, site, tmp_path / "killed", request(), lambda stage, share: shares.append((stage, share)))
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
    assert {stage for stage, _ in shares} == {"channels"}
    assert [share for _, share in shares] == sorted(share for _, share in shares)
    assert shares[-1][1] == 1.0
    assert shares[0][1] > 0.3  # what was there is not made again


def test_a_truncated_data_set_is_said_and_mended(world, tmp_path):
    site, _, folder = world
    write_channels(folder, site, tmp_path / "c", request())
    before = files_of(tmp_path / "c")
    chunk = next(f for f in (tmp_path / "c/tiles/000001/cfr/c").rglob("*") if f.is_file())
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(SiteTwinError, match=r"tiles/000001 .* is damaged .* resume"):
        load_channels(tmp_path / "c")
    assert load_channels(tmp_path / "c", slice(0, 10))["cfr"].shape[0] == 10
    write_channels(folder, site, tmp_path / "c", request())
    assert files_of(tmp_path / "c") == before


def test_damaged_or_unfinished_paths_make_no_channels(world, tmp_path):
    site, _, folder = world
    shutil.copytree(folder, tmp_path / "p")
    (tmp_path / "p/tiles/000001/length/c/0").write_bytes(b"")
    with pytest.raises(SiteTwinError, match=r"tiles/000001 .* is damaged"):
        write_channels(tmp_path / "p", site, tmp_path / "c", request())
    begun = TileStore.create(tmp_path / "begun", {"kind": "paths"}, {}, [(0, 3)])
    with pytest.raises(SiteTwinError, match="1 of 1 tiles of paths are missing; resume the trace"):
        write_channels(begun.path, site, tmp_path / "d", request())
    assert not (tmp_path / "d").exists()


def test_the_wrong_site_is_refused_and_other_materials_are_not(world, tmp_path):
    site, paths, folder = world
    higher = quad_site([GROUND, [(x, y, 2 * z) for x, y, z in WALL]])
    with pytest.raises(SiteTwinError, match=f"another geometry.*{higher.name}.*give the scene"):
        write_channels(folder, higher, tmp_path / "c", request())
    assert not (tmp_path / "c").exists()
    metal = make_site(Material("a", relative_permittivity=1.0, conductivity=1e7), itu_material("metal"))
    wet = write_channels(folder, metal, tmp_path / "metal", request())
    assert wet.attributes["site_hash"] == metal.hash != site.hash
    with pytest.raises(SiteTwinError, match=r"another configuration: site \("):
        write_channels(folder, site, tmp_path / "metal", request())
    save_paths(replace(paths, attributes={}), tmp_path / "nameless")
    with pytest.raises(SiteTwinError, match="does not say in which site"):
        write_channels(tmp_path / "nameless", site, tmp_path / "c", request())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"grid": OfdmGrid(3.6e9, 16, 2e6)}, "carrier_hz"),
        ({"grid": OfdmGrid(CARRIER, 32, 2e6)}, "num_subcarriers"),
        ({"grid": OfdmGrid(CARRIER, 16, 1e6)}, "spacing_hz"),
        ({"tx": Radio(AntennaArray.ula(4), (YAW, 0.1, 0.0))}, r"tx\.orientation_rad"),
        ({"tx": Radio(AntennaArray.ula(4, spacing=0.6), (YAW, 0.0, 0.0))}, r"tx\.positions_sha256"),
        ({"tx": Radio(AntennaArray.ula(4, pattern="tr38901"), (YAW, 0.0, 0.0))}, r"tx\.pattern\.kind"),
        ({"rx": Radio(AntennaArray.single(polarisation="H"))}, r"rx\.port_slants_deg"),
        ({"options": FieldOptions(season="winter")}, "season"),
        ({"options": FieldOptions(foliage="weissberger")}, "foliage"),
        ({"options": FieldOptions(foliage=None)}, "foliage"),
        ({"options": FieldOptions(out_of_range="error")}, "out_of_range"),
        ({"wavefront": "spherical"}, "wavefront"),
        ({"quantity": "delay-angle"}, "quantity"),
    ],
)
def test_a_folder_of_another_configuration_is_refused_by_name(world, tmp_path, changes, named):
    site, _, folder = world
    write_channels(folder, site, tmp_path / "c", request())
    with pytest.raises(SiteTwinError, match=f"another configuration: .*{named} \\("):
        write_channels(folder, site, tmp_path / "c", replace(request(), **changes))


def test_what_has_no_say_does_not_count_and_other_paths_do(world, tmp_path):
    site, paths, folder = world
    write_channels(folder, site, tmp_path / "c", request(num_taps=8))
    write_channels(folder, site, tmp_path / "c", request(num_taps=4))  # a frequency response has no taps
    save_paths(paths.select_users(np.arange(USERS)[::-1]), tmp_path / "others", tile_users=10)
    with pytest.raises(SiteTwinError, match=r"another configuration: paths \("):
        write_channels(tmp_path / "others", site, tmp_path / "c", request())


def test_a_frequency_outside_the_range_of_a_material(tmp_path):
    site = make_site(itu_material("wet_ground"), itu_material("concrete"))
    save_paths(traced(site), tmp_path / "p", tile_users=3)
    high = request(grid=OfdmGrid(28e9, 16, 2e6))
    with pytest.warns(SiteTwinWarning, match="wet_ground.*10 GHz only, not at 28 GHz") as caught:
        write_channels(tmp_path / "p", site, tmp_path / "c", high)
    assert len([w for w in caught if "wet_ground" in str(w.message)]) == 1  # for all tiles together
    for policy in ("error", "extrapolate"):  # soil must not be extrapolated either
        with pytest.raises(SiteTwinError, match="wet_ground"):
            write_channels(
                tmp_path / "p", site, tmp_path / "e", replace(high, options=FieldOptions(out_of_range=policy))
            )
        assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("quantity", ["cfr", "delay-angle"])
def test_users_in_the_near_field_are_spoken_of_once(world, tmp_path, quantity):
    site, _, folder = world
    wide = request(quantity, tx=Radio(AntennaArray.ula(64)))
    with pytest.warns(SiteTwinWarning) as caught:
        write_channels(folder, site, tmp_path / "c", wide)
    told = [str(w.message) for w in caught if "more than 1 % of their power" not in str(w.message)]
    assert ["far field of the transmitter" in text for text in told] == [True]


def test_no_path_at_all_gives_zeros(tmp_path):
    site = make_site()
    paths = make_paths(TX, np.ones((3, 3)), site, [[], [], []])
    save_paths(replace(paths, attributes={"geometry_hash": site.geometry_hash}), tmp_path / "p")
    for quantity, shape in (("cfr", (3, 1, 4, 16)), ("delay-angle", (3, 1, 4, 8)), ("gains", (0, 1, 1))):
        wanted = request(quantity)
        write_channels(tmp_path / "p", site, tmp_path / quantity, wanted)
        values = load_channels(tmp_path / quantity)[wanted.array_name]
        assert values.shape == shape
        assert not values.any()


def test_a_disk_that_is_too_small_is_said_beforehand(world, tmp_path, monkeypatch):
    site, _, folder = world
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6, 5_000))
    with pytest.warns(SiteTwinWarning, match="before compression"):
        write_channels(folder, site, tmp_path / "c", request())


@pytest.mark.parametrize("quantity", ["cfr", "gains"])
@pytest.mark.parametrize(
    "users", [None, slice(4, 9), slice(9, 21), slice(21, 99), slice(1, 22, 5), slice(20, 3, -4), slice(5, 5)]
)
def test_some_users_are_loaded(world, tmp_path_factory, quantity, users):
    site, paths, folder = world
    out = tmp_path_factory.getbasetemp() / f"loaded-{quantity}"
    wanted = request(quantity)
    write_channels(folder, site, out, wanted)
    index = np.arange(USERS)[users or slice(None)]
    loaded = load_channels(out, users)
    some = paths.select_users(index)
    np.testing.assert_array_equal(loaded["users"], some.users)
    if quantity == "gains":
        np.testing.assert_array_equal(loaded["offsets"], some.offsets)
        np.testing.assert_array_equal(loaded["departure"], some.departure)
    else:
        np.testing.assert_array_equal(loaded["cfr"], load_channels(out)["cfr"][index])
    assert loaded.attributes["configuration"]["quantity"] == quantity
    assert loaded.arrays[wanted.array_name].dims == wanted.dims


def test_a_store_of_paths_holds_no_channels(world, tmp_path):
    site, _, folder = world
    with pytest.raises(SiteTwinError, match="not of channels"):
        load_channels(folder)
    write_channels(folder, site, tmp_path / "c", request())
    with pytest.raises(SiteTwinError, match="not of paths"):
        write_channels(tmp_path / "c", site, tmp_path / "d", request())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": FieldOptions(foliage="bushes")}, "bushes"),
        ({"quantity": "delay-angle", "num_taps": 17}, "17 delay taps"),
        ({"quantity": "delay-angle", "tx": Radio(AntennaArray(torch.zeros(2, 3)))}, "uniform array"),
        ({"quantity": "gains", "wavefront": "spherical"}, "wavefront"),
        ({"tx": Radio(AntennaArray.single(), torch.zeros(4, 3))}, "transmitter"),
    ],
)
def test_impossible_requests(changes, said):
    with pytest.raises(SiteTwinError, match=said):
        replace(request(), **changes)


@pytest.mark.parametrize(
    ("text", "shape", "slants"),
    [
        ("single", (1, 1), 1),
        ("single:H", (1, 1), 1),
        ("ula:32", (1, 32), 1),
        (" ula:4:cross ", (1, 4), 2),
        ("upa:8x4:vh", (8, 4), 2),
    ],
)
def test_arrays_by_name(text, shape, slants):
    array = named_array(text)
    assert (array.shape, array.num_ports) == (shape, slants)


@given(st.one_of(st.text(max_size=12), st.from_regex(r"(single|ula|upa)(:[-0-9x.]{0,4}){0,2}(:[VHx]{0,2})?")))
def test_any_other_name_is_a_sentence(text):
    try:
        array = named_array(text)
    except SiteTwinError:
        return
    assert re.match(r"single|ula:\d|upa:\d+x\d", text.strip())
    assert array.num_antennas >= 1


def test_equal_radios_have_equal_descriptions_and_others_have_not():
    def pattern(gain, name="a"):
        table = torch.full((2, 4), gain, dtype=torch.float64)
        return SampledPattern(torch.tensor([0.0, np.pi]), torch.arange(4) * np.pi / 2, table, None, name)

    radios = [
        Radio(AntennaArray.ula(2, pattern=pattern(1.0))),
        Radio(AntennaArray.ula(2, pattern=pattern(2.0))),
        Radio(AntennaArray.ula(2)),
        Radio(AntennaArray.upa(2, 1)),
        Radio(AntennaArray.ula(2), (0.0, 0.0, 1.0)),
        Radio(AntennaArray.ula(2), torch.zeros(3, 3)),
        Radio(AntennaArray.ula(2), torch.ones(3, 3)),
    ]
    described = [str(describe_radio(radio)) for radio in radios]
    assert len(set(described)) == len(radios)
    renamed = Radio(AntennaArray.ula(2, pattern=pattern(1.0, "/home/somebody/antenna.msi")))
    assert str(describe_radio(renamed)) == described[0]  # wherever its file lay
    odd = Radio(AntennaArray.single(pattern=lambda theta, phi: (theta, phi)))
    with pytest.raises(SiteTwinError, match="cannot be described"):
        describe_radio(odd)


# -- the command line ------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street") / "paths"
    ways = ("--tx", "-33,0,32", "--area", "-30,-10,30,10", "--spacing", "4", "--tile-users", "40", "--depth", "2")
    result = run("trace", "simple_street_canyon", *ways, "--out", folder)
    assert result.exit_code == 0, result.stderr
    return folder


def test_from_a_scene_to_a_data_set_in_two_commands(street, tmp_path):
    words = ("--quantity", "delay-angle", "--bs-array", "upa:2x4:VH", "--bs-downtilt", "10", "--pattern", "tr38901")
    result = run("channels", street, "--scene", "simple_street_canyon", "--out", tmp_path / "c", *words)
    assert result.exit_code == 0, result.stderr
    assert "1 rx_antenna x 16 angle x 32 delay" in result.stdout
    assert result.stdout.replace("\n", "").endswith("c")
    stored = load_channels(tmp_path / "c")
    assert stored["delay_angle"].shape[1:] == (1, 16, 32)
    assert stored.attributes["tx"]["orientation_rad"] == pytest.approx([0, np.radians(10), 0])
    again = run("channels", street, "--out", tmp_path / "c", *words)
    assert again.exit_code == 1
    assert "resume it" in again.stderr
    before = files_of(tmp_path / "c")
    shutil.rmtree(tmp_path / "c/tiles/000001")
    assert run("channels", street, "--out", tmp_path / "c", *words, "--resume").exit_code == 0  # scene by the paths
    assert files_of(tmp_path / "c") == before


def test_batches_count_what_the_values_are_made_from():
    """Where the delay-angle matrix goes over the subcarriers, memory holds the response and not its 32 taps."""
    grid = OfdmGrid(CARRIER, 8192, 30e3)
    given = {"grid": grid, "tx": Radio(AntennaArray.ula(32)), "num_taps": 32}
    closed = ChannelRequest(quantity="delay-angle", **given)
    spherical = ChannelRequest(quantity="delay-angle", wavefront="spherical", **given)
    assert closed.batch_users == 4096
    assert spherical.batch_users == ChannelRequest(quantity="cfr", **given).batch_users == 16
    with pytest.raises(SiteTwinError, match="fewer antennas or subcarriers"):
        replace(spherical, rx=Radio(AntennaArray.ula(129)))
    assert replace(closed, rx=Radio(AntennaArray.ula(129))).batch_users == 31


def test_values_that_are_no_numbers_are_not_written(world, tmp_path):
    site, _, folder = world
    loud = AntennaArray.single(
        SampledPattern(*(torch.linspace(0, k * np.pi, 5) for k in (1, 1.5)), torch.full((5, 5), 2e3))
    )
    for quantity in ("cfr", "gains"):
        with pytest.raises(SiteTwinError, match=r"channels of tile 0 .* are not finite numbers; check the gains"):
            write_channels(folder, site, tmp_path / quantity, request(quantity, tx=Radio(loud)))
        assert TileStore.open(tmp_path / quantity).missing_tiles() == [0, 1, 2]


def test_downtilt_favours_users_below_the_horizon(street, tmp_path):
    """A 38.901 element 32 m above the street, looking along it: a moderate downtilt gives more power than an uptilt."""
    power = {}
    for tilt in (-40, 40):
        words = ("--quantity", "gains", "--bs-array", "single", "--pattern", "tr38901", "--bs-downtilt", tilt)
        assert run("channels", street, "--out", tmp_path / f"c{tilt}", *words).exit_code == 0
        power[tilt] = np.sum(np.abs(load_channels(tmp_path / f"c{tilt}")["gain"]) ** 2)
    assert power[40] > 10 * power[-40]


def test_patterns_from_files(street, tmp_path):
    rows = [f"{theta},{phi},3" for theta in (0, 90, 180) for phi in (0, 90, 180, 270)]
    (tmp_path / "flat.csv").write_text("\n".join(rows))
    common = ("--quantity", "gains", "--bs-array", "single")
    assert run("channels", street, "--out", tmp_path / "iso", *common).exit_code == 0
    result = run("channels", street, "--out", tmp_path / "csv", *common, "--pattern", tmp_path / "flat.csv")
    assert result.exit_code == 0, result.stderr
    iso, flat = (load_channels(tmp_path / name)["gain"] for name in ("iso", "csv"))
    assert_close(flat, iso * 10 ** (3 / 20))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--quantity", "cir"), "--quantity is 'cir'; choose one of cfr, delay-angle, gains"),
        (("--carrier", "nan"), "--carrier is nan"),
        (("--carrier", "-1"), "--carrier is -1"),
        (("--spacing", "0"), "--spacing is 0"),
        (("--bs-yaw", "inf"), "--bs-yaw is inf"),
        (("--bs-array", "upa:8"), "antenna array 'upa:8' is not understood"),
        (("--bs-array", "ula:4:X"), "polarisation 'X' is unknown"),
        (("--pattern", "parabola"), "antenna pattern 'parabola' is unknown"),
        (("--pattern", "no/such.msi"), "antenna pattern no/such.msi cannot be read"),
        (("--foliage", "bushes"), "--foliage is 'bushes'; choose one of default, woodland"),
        (("--quantity", "delay-angle", "--taps", "300"), "300 delay taps were asked for of 256 subcarriers"),
        (("--scene", "munch"), "did you mean 'munich'"),
        (("--scene", "simple_reflector"), "traced in another geometry"),
        (("--carrier", "500e9", "--out-of-range", "error"), "ITU-R P.2040-4"),
    ],
)
def test_bad_options_are_one_sentence_and_leave_no_folder(street, tmp_path, words, said):
    result = run("channels", street, "--out", tmp_path / "c", *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.startswith("sitetwin: error: ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (FieldOptions(foliage="bushes"), "foliage model 'bushes' is unknown"),
        (FieldOptions(foliage=Woodland()), "names its foliage model"),
    ],
)
def test_requests_refuse_options_that_no_file_can_hold(options, said):
    with pytest.raises(SiteTwinError, match=said):
        request(options=options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (FieldOptions(conductivity=torch.ones(2)), "constants of materials from the site.*settled_site"),
        (FieldOptions(relative_permittivity={"concrete": 4.0}), "constants of materials from the site"),
        (FieldOptions(transmitter_offset=torch.zeros(3)), "no tensors, but transmitter_offset was given"),
    ],
)
def test_tensors_go_into_no_data_set(street, tmp_path, options, said):
    with pytest.raises(SiteTwinError, match=said):
        write_channels(street, load_scene("simple_street_canyon"), tmp_path / "c", request(options=options))
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("name", "word", "said"),
    [
        ("season", "spring", "season 'spring' is unknown; choose one of summer, winter"),
        ("out_of_range", "ignore", "policy for frequencies out of range 'ignore' is unknown; choose one of clamp"),
        ("diffraction", "knife", "diffraction model 'knife' is unknown; choose one of luebbers, sionna"),
    ],
)
def test_options_refuse_words_that_they_do_not_know(name, word, said):
    options = FieldOptions()
    object.__setattr__(options, name, word)  # past the tests' own checks of types
    with pytest.raises(SiteTwinError, match=said):
        options.__post_init__()


def test_options_are_written_in_the_request_as_names_and_numbers():
    air = Atmosphere(rain_mm_h=20.0)
    facts = request(options=FieldOptions("winter", "nzg", out_of_range="error", atmosphere=air)).configuration()
    names = ["season", "foliage", "canopy", "out_of_range", "diffraction", "diffuse_seed", "atmosphere"]
    assert list(facts)[4:11] == names
    assert [facts[name] for name in names] == [
        "winter",
        "nzg",
        asdict(CanopyScattering()),
        "error",
        "luebbers",
        0,
        asdict(air),
    ]


def test_paths_that_name_no_built_in_scene(world, tmp_path):
    _, _, folder = world
    result = run("channels", folder, "--out", tmp_path / "c")
    assert result.exit_code == 1
    assert "give the site of the paths (--scene" in result.stderr
    result = run("channels", tmp_path, "--out", tmp_path / "c")
    assert "is not a sitetwin store" in result.stderr


def test_ctrl_c_says_how_to_go_on(street, tmp_path, monkeypatch):
    import sitetwin.channel.io as module
    import sitetwin.face.channels as face

    plain = ("--bs-array", "single", "--subcarriers", "8")

    def stop_at_once(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(face, "write_channels", stop_at_once)
    result = run("channels", street, "--out", tmp_path / "c", *plain)
    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert "nothing was written yet" in result.stderr
    monkeypatch.undo()
    monkeypatch.setattr(module, "_write_tile", stop_at_once)
    result = run("channels", street, "--out", tmp_path / "c", *plain)
    assert result.exit_code == 130
    assert f"with --resume to go on with {tmp_path / 'c'}" in result.stderr
    monkeypatch.undo()
    assert run("channels", street, "--out", tmp_path / "c", *plain, "--resume").exit_code == 0


def test_warnings_are_notes(street, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("always", SiteTwinWarning)
        result = run("channels", street, "--out", tmp_path / "c", "--carrier", "500e9", "--quantity", "gains")
    assert result.exit_code == 0
    notes = [line for line in result.stderr.splitlines() if line.startswith("sitetwin: note: ITU-R P.2040-4")]
    assert len(notes) == len(set(notes)) > 0
    for one, other in pairwise(sorted(notes)):
        assert one != other


def test_a_data_set_begun_by_other_code_is_not_gone_on_with_but_read(world, tmp_path, monkeypatch):
    site, _, paths = world
    store = write_channels(paths, site, tmp_path / "c", request())
    this = store.configuration["code"]
    assert this == code_version("backend.py", "compiled.py", "site", "rays", "channel", "store")
    monkeypatch.setattr("sitetwin.channel.io.code_version", lambda *rooms: "0.9.0+0123456789ab")
    with pytest.raises(SiteTwinError, match=rf"other code \({re.escape(this)}\) than this \(0\.9\.0\+0123456789ab\)"):
        write_channels(paths, site, tmp_path / "c", request())
    assert load_channels(tmp_path / "c")["cfr"].shape[0] == store.num_users

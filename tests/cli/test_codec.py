"""`sitetwin codec ...` on files of a user's own, and on data sets of channels."""

import json
import re

import h5py
import numpy as np
import pytest
import scipy.io
from typer.testing import CliRunner

import sitetwin as st
from sitetwin.cli import app as cli
from sitetwin.learn import CellCodec, Reports
from sitetwin.measured import read_named_csi
from tests.learn.cell.conftest import AXES, GRID, LINK, cell_channels

FREQUENCY = GRID.frequencies_hz.numpy()


def run(*words, code=0):
    result = CliRunner().invoke(cli.app, ["codec", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A folder with a codec, and measured channels as NPZ, MATLAB 5, HDF5 and MATLAB 7.3."""
    folder = tmp_path_factory.mktemp("cell")
    CellCodec().fit(cell_channels(600), axes=AXES, link=LINK).save(folder / "cell.codec")
    h = cell_channels(60, seed=1)
    np.savez(folder / "a.npz", h=h, frequency=FREQUENCY)
    np.savez(folder / "named.npz", h=h.transpose(2, 0, 1), axes=np.array("subcarrier,time,antenna"))
    scipy.io.savemat(folder / "a.mat", {"h": h, "frequency": FREQUENCY})
    scipy.io.savemat(folder / "parts.mat", {"h_re": h.real, "h_im": h.imag, "frequency": FREQUENCY})
    with h5py.File(folder / "a.h5", "w") as file:
        file["h"], file["frequency"] = np.stack([h.real, h.imag], axis=-1), FREQUENCY
    with h5py.File(folder / "matlab73.mat", "w", userblock_size=512) as file:
        kind = np.dtype([("real", "<f4"), ("imag", "<f4")])
        turned = np.zeros(h.T.shape, kind)
        turned["real"], turned["imag"] = h.T.real, h.T.imag
        file["h"], file["frequency"] = turned, FREQUENCY[:, None]
        for name, word in (("h", b"single"), ("frequency", b"double")):
            file[name].attrs["MATLAB_class"] = np.bytes_(word)
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM"
    with (folder / "matlab73.mat").open("r+b") as stream:
        stream.write(head)
    return folder


@pytest.mark.parametrize("name", ["a.npz", "named.npz", "a.mat", "parts.mat", "a.h5", "matlab73.mat"])
def test_all_formats_give_the_same_reports(cell, tmp_path, name):
    said = run("encode", cell / "cell.codec", cell / name, "--out", tmp_path / "r.npz")
    codec = CellCodec.load(cell / "cell.codec")
    expected = codec.encode(cell_channels(60, seed=1), axes=AXES)
    assert np.array_equal(Reports.load(tmp_path / "r.npz").payload, expected.payload)
    assert "does not say its array (ula:16)" in said.stderr
    assert ("band" in said.stderr) == (name == "named.npz")


@pytest.mark.parametrize("ending", ["npz", "mat"])
def test_a_round_trip_and_an_update(cell, tmp_path, ending):
    codec, reports = tmp_path / "cell.codec", tmp_path / "r.npz"
    codec.write_bytes((cell / "cell.codec").read_bytes())
    run("encode", codec, cell / f"a.{ending}", "--out", reports)
    out = tmp_path / f"found.{ending}"
    run("decode", codec, reports, "--out", out, "--axes", "user,antenna,subcarrier")
    back = read_named_csi(out, AXES if ending == "mat" else None)
    assert back.dims == AXES
    assert np.array_equal(back["frequency"], FREQUENCY)
    expected = CellCodec.load(codec).decode(Reports.load(reports), AXES)
    assert np.array_equal(back.values.astype(np.complex64), expected.values)

    before = json.loads(run("eval", codec, cell / f"a.{ending}", "--json").stdout)
    run("update", codec, "--measured", cell / f"a.{ending}", "--keep", 30, "--select", "k-centre")
    after = json.loads(run("eval", tmp_path / "cell-v2.codec", cell / f"a.{ending}", "--json").stdout)
    assert after["nmse_db"] < before["nmse_db"]
    told = run("decode", tmp_path / "cell-v2.codec", reports, "--out", tmp_path / "no.npz", code=1)
    assert "version 1 of this codec, and this is version 2; decode them with the file of that version" in told.stderr
    run("update", tmp_path / "cell-v2.codec", "--measured", cell / f"a.{ending}", "--keep", 2)
    info = json.loads(run("info", tmp_path / "cell-v3.codec", "--json").stdout)
    assert info["version"] == 3
    assert info["parents"] == [CellCodec.load(tmp_path / name).hash for name in ("cell.codec", "cell-v2.codec")]
    assert "update to version 3" in run("info", tmp_path / "cell-v3.codec").stdout
    assert "exists already" in run("update", codec, "--measured", cell / f"a.{ending}", "--keep", 3, code=1).stderr


def test_export_is_what_torch_says(cell, tmp_path):
    said = run("export", cell / "cell.codec", "--onnx", tmp_path / "onnx")
    assert "100.00%" in said.stdout
    about = json.loads((tmp_path / "onnx" / "codec.json").read_text())
    assert about["hash"] == CellCodec.load(cell / "cell.codec").hash


@pytest.mark.parametrize(
    ("arrays", "options", "said"),
    [
        ({"h": np.ones((32, 16, 64), complex)}, [], "are not told: the file does not name them"),
        ({"h": np.ones((16, 16, 64), complex), "frequency": FREQUENCY}, [], "as many users as antennas"),
        ({"h": np.ones((64, 16, 64), complex), "frequency": FREQUENCY}, [], "frequencies may be axis 0 or 2"),
        ({"h": np.ones((20, 64, 16), complex), "frequency": FREQUENCY}, [], "frequencies may be axis 1"),
        ({"h": np.ones((20, 16, 64), complex)}, ["--axes", "user,antenna"], "2 axes are named"),
        ({"h": np.ones((20, 16, 64), complex)}, ["--axes", "user,antenna,colour"], "the axis 'colour' is unknown"),
        (
            {"h": np.ones((20, 16, 64), complex), "axes": np.array("user,delay,angle")},
            ["--axes", "a,b,c"],
            "names its axes",
        ),
        ({"h": np.ones((20, 16, 64))}, ["--axes", "user,antenna,subcarrier"], "channels are complex"),
        ({"h": np.ones((20, 8, 64), complex)}, ["--axes", "user,antenna,subcarrier"], "these channels have 8"),
        ({"h": np.ones((20, 16, 64), complex), "frequency": FREQUENCY * 2}, [], "are not among those"),
        ({"h": np.ones((0, 16, 64), complex), "frequency": FREQUENCY}, [], "no users"),
        ({"h": np.ones((20, 16, 64), complex) * np.nan, "frequency": FREQUENCY}, [], "are not finite"),
        (
            {"h_re": 1 + np.random.default_rng(0).random((20, 16, 64)), "h_im": np.ones((20, 16, 64)) * 3},
            ["--axes", "user,antenna,subcarrier"],
            "look like magnitude and phase in radians",
        ),
        (
            {"h": np.random.default_rng(0).random((20, 16, 64, 2)) * [1, 360], "frequency": FREQUENCY},
            [],
            "look like magnitude and phase in degrees",
        ),
        ({"g": np.ones((20, 16, 64), complex)}, [], "lacks the array 'h'"),
        (
            {"h": np.ones((20, 16, 64), complex), "frequency": FREQUENCY[:9]},
            ["--axes", "user,antenna,subcarrier"],
            "not one number",
        ),
    ],
)
def test_files_that_are_refused(cell, tmp_path, arrays, options, said):
    np.savez(tmp_path / "x.npz", **arrays)
    result = run("encode", cell / "cell.codec", tmp_path / "x.npz", "--out", tmp_path / "r.npz", *options, code=1)
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "r.npz").exists()


def test_what_cannot_be_updated_with_is_refused(cell, tmp_path):
    one = np.repeat(cell_channels(1, seed=4), 50, axis=0)
    np.savez(tmp_path / "one.npz", h=one, frequency=FREQUENCY)
    told = run("update", cell / "cell.codec", "--measured", tmp_path / "one.npz", code=1)
    assert "all 50 measured channels are one and the same matrix" in told.stderr
    told = run("update", cell / "cell.codec", "--measured", cell / "a.npz", "--keep", 61, code=1)
    assert "61 measured channels are to be kept, and 60 different ones were given" in told.stderr
    (tmp_path / "short.codec").write_bytes((cell / "cell.codec").read_bytes()[:-100])
    assert "is damaged" in run("info", tmp_path / "short.codec", code=1).stderr
    assert run("info", tmp_path / "none.codec", code=1).stderr.count("\n") == 1


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_a_cell_from_a_site_and_from_its_data_set(tmp_path):
    site = ["simple_street_canyon", "--tx", "-33,0,12", "--area=-20,-7,50,7", "--spacing", 2, "--depth", 1]
    band = ["--bs-array", "ula:8", "--subcarriers", 64, "--taps", 16]
    run("fit", *site, *band, "--subcarrier-spacing", 120e3, "--out", tmp_path / "site.codec", "--bits", 64)
    words = ["trace", *site, "--height", 1.5, "--out", tmp_path / "paths"]
    assert CliRunner().invoke(cli.app, list(map(str, words))).exit_code == 0
    words = ["channels", tmp_path / "paths", *band, "--spacing", 120e3, "--quantity", "delay-angle"]
    assert CliRunner().invoke(cli.app, list(map(str, [*words, "--out", tmp_path / "set"]))).exit_code == 0
    run("fit", tmp_path / "set", "--out", tmp_path / "set.codec", "--bits", 64)
    both = [
        json.loads(run("eval", tmp_path / f"{one}.codec", tmp_path / "set", "--json").stdout) for one in ("site", "set")
    ]
    assert both[0]["nmse_db"] == pytest.approx(both[1]["nmse_db"], abs=0.5)
    st.export_channels(tmp_path / "set", tmp_path / "set.npz")
    exported = json.loads(run("eval", tmp_path / "set.codec", tmp_path / "set.npz", "--json").stdout)
    assert exported == both[1]
    told = run("fit", tmp_path / "set", "--bs-array", "ula:8", "--out", tmp_path / "no.codec", code=1)
    assert "--bs-array says nothing to" in told.stderr
    run(
        "fit", tmp_path / "paths", *band, "--subcarrier-spacing", 120e3, "--out", tmp_path / "paths.codec", "--bits", 64
    )
    assert CellCodec.load(tmp_path / "paths.codec").hash == CellCodec.load(tmp_path / "set.codec").hash
    assert (
        "a site needs its station"
        in run("fit", "munich", "--area=0,0,1,1", "--out", tmp_path / "no.codec", code=1).stderr
    )


# Fits to measured channels, to paths, and of users with several antennas


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Files with 200 measured channels, with and without their frequencies."""
    folder = tmp_path_factory.mktemp("measured")
    h = cell_channels(200)
    np.savez(folder / "frequencies.npz", h=h, frequency=FREQUENCY)
    np.savez(folder / "plain.npz", h=h)
    scipy.io.savemat(folder / "a.mat", {"h": h, "frequency": FREQUENCY})
    with h5py.File(folder / "a.h5", "w") as file:
        file["h"], file["frequency"] = np.stack([h.real, h.imag], axis=-1), FREQUENCY
    np.savez(folder / "uneven.npz", h=h, frequency=FREQUENCY + 5e3 * (np.arange(64) == 9))
    np.savez(folder / "two.npz", h=np.stack([h, np.roll(h, 3, axis=1)], axis=1))
    return folder


BAND = ["--carrier", "3.5e9", "--subcarrier-spacing", "120e3"]
NAMED = ["--axes", "user,antenna,subcarrier"]


@pytest.mark.parametrize(
    ("name", "options"), [("frequencies.npz", []), ("a.mat", []), ("a.h5", []), ("plain.npz", [*NAMED, *BAND])]
)
def test_a_codec_is_fitted_to_measured_channels_of_every_format(measured, tmp_path, name, options):
    run("fit", measured / name, "--bs-array", "ula:16", "--taps", 12, *options, "--out", tmp_path / "c")
    found = CellCodec.load(tmp_path / "c")
    expected = CellCodec().fit(cell_channels(200), axes=AXES, link=LINK)
    assert found.link == expected.link
    assert found.score(cell_channels(50, 1), axes=AXES) == pytest.approx(
        expected.score(cell_channels(50, 1), axes=AXES), abs=0.3
    )
    assert found.hash == expected.hash or name == "a.mat"  # which holds double precision


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("frequencies.npz", [], "do not say of which array they are"),
        ("frequencies.npz", ["--bs-array", "ula:8"], "are of 16 antennas, and the array has 8"),
        ("plain.npz", ["--bs-array", "ula:16"], "the axes of h are not told"),
        ("plain.npz", ["--bs-array", "ula:16", *NAMED], "do not say their band; give carrier_hz"),
        ("plain.npz", ["--bs-array", "ula:16", *NAMED, *BAND, "--subcarriers", "32"], "64 subcarriers, not 32"),
        ("uneven.npz", ["--bs-array", "ula:16"], "not evenly spaced"),
        (
            "frequencies.npz",
            ["--bs-array", "ula:16", "--carrier", "3.6e9"],
            "say carrier_hz = 3.5e",
        ),
        ("frequencies.npz", ["--bs-array", "ula:16", "--tx", "0,0,9"], "--tx says nothing to measured channels"),
        ("frequencies.npz", ["--bs-array", "ula:16", "--season", "winter"], "--season says nothing"),
        ("missing.npz", ["--bs-array", "ula:16"], "missing.npz"),
        ("frequencies.npz", ["--bs-array", "ula:16", "--epochs", "3"], "'klt' is not trained by epochs"),
        (
            "two.npz",
            ["--bs-array", "ula:16", "--axes", "user,rx_antenna,antenna,subcarrier", *BAND],
            "one antenna of the user, and these channels have 2; choose one, or take the layers",
        ),
        (
            "two.npz",
            ["--bs-array", "ula:16", "--axes", "user,rx_antenna,antenna,subcarrier", *BAND, "--layers", "3"],
            "3 layers are asked for, and these users have 2 antennas",
        ),
    ],
)
def test_measured_channels_that_make_no_codec_are_refused_as_such(measured, tmp_path, name, options, said):
    told = run("fit", measured / name, *options, "--out", tmp_path / "c", code=1).stderr
    assert re.search(said, " ".join(told.split())), told
    assert "scene" not in told
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("name", ["h.npy", "h.csv", "h.tfrecords"])
def test_a_file_that_holds_no_site_is_not_taken_for_one(tmp_path, name):
    (tmp_path / name).write_bytes(b"1,2,3")
    said = run("fit", tmp_path / name, "--bs-array", "ula:16", "--out", tmp_path / "c", code=1).stderr
    assert "is no site, and channels are read from .npz" in said


def test_layers_of_users_with_two_antennas(measured, tmp_path):
    axes = ["--axes", "user,rx_antenna,antenna,subcarrier", "--layers", "2"]
    source = measured / "two.npz"
    run("fit", source, "--bs-array", "ula:16", *BAND, *axes, "--taps", 12, "--out", tmp_path / "c")
    told = json.loads(run("eval", tmp_path / "c", source, *axes, "--json").stdout)
    assert [one["layer"] for one in told["layers"]] == [1, 2]
    assert all(one["users"] == 200 and one["sgcs"] > 0.5 for one in told["layers"])
    assert "sgcs of layer 2" in run("eval", tmp_path / "c", source, *axes).stdout
    run("encode", tmp_path / "c", source, *axes, "--out", tmp_path / "r.npz")
    assert len(Reports.load(tmp_path / "r.npz")) == 400


def test_epochs_are_those_of_the_training(measured, tmp_path):
    options = ["--bs-array", "ula:16", "--taps", 12, "--method", "adaptive", "--epochs", 2]
    run("fit", measured / "a.mat", *options, "--out", tmp_path / "c")
    assert CellCodec.load(tmp_path / "c").coder.codec.schedule.epochs == 2


def test_a_codec_of_a_store_of_paths_is_that_of_its_channels(tmp_path):
    site, users = st.open_site("simple_street_canyon"), [(float(x), 0.0, 1.5) for x in range(-10, 30)]
    st.trace(site, tx=(-33.0, 0.0, 12.0), users=users, max_depth=1).save(tmp_path / "paths")
    options = ["--site", "simple_street_canyon", "--bs-array", "ula:8", "--subcarriers", 64, "--taps", 16]
    run("fit", tmp_path / "paths", *options, "--subcarrier-spacing", "240e3", "--out", tmp_path / "c")
    h = st.channels(
        tmp_path / "paths",
        site,
        carrier_hz=3.5e9,
        spacing_hz=240e3,
        subcarriers=64,
        num_taps=16,
        radio=st.Radio("ula:8"),
        quantity="delay-angle",
    )
    assert CellCodec.load(tmp_path / "c").hash == st.fit_codec(h).hash
    told = run("fit", tmp_path / "paths", "--tx", "0,0,9", "--out", tmp_path / "d", code=1).stderr
    assert "--tx says nothing to a store of paths" in told


# The maintenance loop


def test_a_monitor_notices_updates_and_goes_on(cell, tmp_path):
    codec, state = tmp_path / "cell.codec", tmp_path / "state"
    CellCodec(bits=64).fit(cell_channels(60), axes=AXES, link=LINK).save(codec)
    np.savez(tmp_path / "before.npz", h=cell_channels(300, seed=3), frequency=FREQUENCY)
    np.savez(tmp_path / "after.npz", h=np.roll(cell_channels(900, seed=4), 5, axis=1), frequency=FREQUENCY)
    told = run("monitor", codec, tmp_path / "before.npz", "--state", state, "--keep", 30, "--check", 5, "--json")
    first = json.loads(told.stdout)
    assert (first["events"], first["reports"], first["version"]) == ([], 300, 1)
    assert (
        "--keep says nothing"
        in run("monitor", codec, tmp_path / "after.npz", "--state", state, "--keep", 9, code=1).stderr
    )
    told = run("monitor", codec, tmp_path / "after.npz", "--state", state)
    assert "users are served worse than before" in told.stderr
    assert "version 2 came into use" in told.stderr
    second = CellCodec.load(tmp_path / "cell-v2.codec")
    assert second.version == 2
    told = run("monitor", codec, tmp_path / "after.npz", "--state", state, code=1).stderr
    assert "looks after version" in told


def test_a_monitor_takes_errors_alone(cell, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "e.npz", nmse_db=np.concatenate([rng.normal(-15, 2, 400), rng.normal(-9, 2, 200)]))
    told = run("monitor", cell / "cell.codec", tmp_path / "e.npz", "--state", tmp_path / "s", "--json")
    found = json.loads(told.stdout)
    assert [event["direction"] for event in found["events"]] == ["worse"]
    assert "channels of users whose NMSE is" in found["asked"]
    assert found["uploads"] == 0
    np.savez(tmp_path / "bad.npz", nmse_db=np.array([-3.0, np.nan]))
    said = run("monitor", cell / "cell.codec", tmp_path / "bad.npz", "--state", tmp_path / "t", code=1).stderr
    assert "report 1 has nan, which is no NMSE in dB" in said
    assert not (tmp_path / "t").exists()

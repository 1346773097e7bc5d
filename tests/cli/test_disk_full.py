"""A disk without space: every command that writes says so in one sentence, leaves nothing half-written, and goes on.

A limit on the size of files (`ulimit -f`) stands for the full disk: the system then refuses a part of a file, as it
does when the space ends, wherever the bytes come from: Python, Zarr, Arrow or NumPy.
"""

import contextlib
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError

resource = pytest.importorskip("resource")
CANYON = "simple_street_canyon"
MAST, AREA = "--tx=-33,0,32", ("--area=-30,-8,30,8", "--spacing", "20", "--depth", "1")
STREET = f"""<osm version="0.6">
{
    "".join(
        f'<node id="{i}" lat="{48.137 + dy:.5f}" lon="{11.575 + dx:.5f}"/>'
        for i, (dx, dy) in enumerate([(0, 0), (2e-4, 0), (2e-4, 1e-4), (0, 1e-4)], 1)
    )
}
<way id="1">{"".join(f'<nd ref="{i}"/>' for i in (1, 2, 3, 4, 1))}<tag k="building" v="yes"/></way></osm>"""

RESUMED = {
    "trace": ["trace", CANYON, MAST, *AREA, "--tile-users", "2", "--out", "o"],
    "trace, two transmitters": ["trace", CANYON, MAST, "--tx=20,0,32", *AREA, "--out", "o"],
    "channels": ["channels", "IN/two/tx000", "--subcarriers", "8", "--out", "o"],
    "channels, two transmitters": ["channels", "IN/two", "--quantity", "gains", "--out", "o"],
    "coverage": ["coverage", CANYON, "--station", "position=-33,0,32 eirp_dbm=46", *AREA, "--out", "o"],
}
BEGUN_AGAIN = {
    "site import": ["site", "import", "IN/street.osm", "--out", "o"],
    "site variant": ["site", "variant", "IN/site", "--recipe", "lod2", "--out", "o"],
    "site check": ["site", "check", "IN/site", "--out", "o"],
    "site export, glb": ["site", "export", "IN/site", "--format", "glb", "--out", "o.glb"],
    "site export, mitsuba": ["site", "export", "IN/site", "--format", "mitsuba", "--out", "o"],
    "site export, geojson": ["site", "export", "IN/site", "--format", "geojson", "--out", "o.geojson"],
    **{
        f"export, {form}": ["export", "IN/two/tx000", "--format", form, "--out", f"o{ending}"]
        for form, ending in (
            ("deepmimo", ""),
            ("sionna-cir", ".npz"),
            ("npz", ".npz"),
            ("mat", ".mat"),
            ("parquet", ".parquet"),
        )
    },
    "export of channels, npz": ["export", "IN/csi", "--format", "npz", "--out", "o.npz"],
    "export of channels, mat": ["export", "IN/csi", "--format", "mat", "--out", "o.mat"],
    "convergence": ["convergence", CANYON, MAST, *AREA, "--lattices", "2", "--rays", "1000", "--out", "o.csv"],
    "store compact": ["store", "compact", "IN/two/tx000", "o"],
}
LIKE_OTHERS = (
    "trace",
    "channels",
    "site variant",
    "site export, mitsuba",
    "site export, geojson",
    "export, sionna-cir",
    "export, npz",
    "export of channels, mat",
)
"""They write as another of the list does, and are tried in long runs alone."""

BEGUN = ("manifest.json", "zarr.json", "configuration.json")
"""What a store, or a coverage, that is not finished consists of beside finished parts; it lists what is finished."""


@contextlib.contextmanager
def files_of_at_most(size: int):
    """No file may grow beyond this many bytes; what is piped to others is no file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def run(words, inputs):
    return CliRunner().invoke(cli.app, [word.replace("IN", str(inputs)) for word in words])


def contents(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "street.osm").write_text(STREET)
    for words in (
        ["site", "import", "IN/street.osm", "--out", "IN/site"],
        ["trace", CANYON, MAST, "--tx=20,0,32", *AREA, "--out", "IN/two"],
        ["channels", "IN/two/tx000", "--subcarriers", "8", "--out", "IN/csi"],
    ):
        result = run(words, folder)
        assert result.exit_code == 0, result.stderr
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such limit there")
@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in LIKE_OTHERS else []) for name in (*RESUMED, *BEGUN_AGAIN)],
)
def test_a_full_disk_is_one_sentence_and_work_goes_on(name, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr("sitetwin.report.coverage.writer._picture", lambda *arguments: bytes(9_000))
    monkeypatch.setattr("sitetwin.report.site_map.site_map", lambda *arguments: Figure(figsize=(1, 1)))
    words = {**RESUMED, **BEGUN_AGAIN}[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    result = run(words, inputs)
    assert result.exit_code == 0, result.stderr
    whole = contents(tmp_path / "whole")
    largest = max(len(data) for data in whole.values())
    for limit in (0, largest - 1):
        place = tmp_path / f"at-most-{limit}"
        place.mkdir()
        monkeypatch.chdir(place)
        with files_of_at_most(limit):
            result = run(words, inputs)
        assert result.exit_code == 1, limit
        last = result.stderr.splitlines()[-1]
        assert re.fullmatch(r"sitetwin: error: .*(the disk is full|free space).*", last), (limit, result.stderr)
        assert "Traceback" not in result.stderr
        assert "unexpected" not in result.stderr
        left = contents(place)
        odd = [file for file, data in left.items() if whole.get(file) != data and Path(file).name not in BEGUN]
        assert odd == [], limit
        hidden = [path for path in place.rglob("*") if path.name.startswith(".") and path.is_dir()]
        assert hidden == [], limit
    again = [*words, "--resume"] if name in RESUMED and left else words
    result = run(again, inputs)
    assert result.exit_code == 0, result.stderr
    assert contents(place) == whole


@pytest.mark.parametrize("limit", [0, 100])
def test_models_pages_and_maps_are_whole_or_absent(limit, tmp_path, monkeypatch):
    import torch

    from sitetwin.learn.csi.csinet import csinet_plus_network
    from sitetwin.learn.csi.training import COSINE, train
    from sitetwin.learn.model_files import write_model
    from sitetwin.report.frame import write_page
    from sitetwin.site.maps import fetch_map
    from sitetwin.studies.frame import write_part, write_results

    answer = b'{"elements": [' + b'{"type": "node", "id": 1, "lat": 48.137, "lon": 11.575},' * 9 + b"{}]}"
    monkeypatch.setattr("sitetwin.site.maps.fetch.download", lambda request: answer)
    networks = iter(csinet_plus_network(torch.Generator().manual_seed(0)) for _ in range(2))
    samples = torch.randn(4, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    schedule = replace(COSINE, epochs=1)
    writers = {
        "model": lambda to: write_model(to / "m.npz", "klt", {}, {"basis": torch.zeros(64)}),
        "checkpoint": lambda to: train(
            next(networks), samples, schedule, torch.Generator().manual_seed(0), folder=to / "checkpoints"
        ),
        "part of a study": lambda to: write_part(to / "part.json", "key", list(np.arange(99.0))),
        "results of a study": lambda to: write_results(to, {"numbers": list(np.arange(99.0))}, {}),
        "page": lambda to: write_page(to, "page" * 99, {"map": {"png": bytes(999), "svg": bytes(999)}}),
        "map": lambda to: fetch_map("48.137,11.575", 100.0, to),
    }
    for name, write in writers.items():
        to = tmp_path / name
        to.mkdir()
        with files_of_at_most(limit), pytest.raises(SiteTwinError, match="the disk is full"):
            write(to)
        assert contents(to) == {}, name
        write(to)
        assert max(len(data) for data in contents(to).values()) > 100, name

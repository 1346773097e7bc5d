"""The beam study end to end on a street made by hand."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from pyproj import Transformer
from tests.measured.deepsense_folders import STATION, write_codebook, write_gathered, write_official, write_paper
from tests.site.insite_files import EARTH, face, house, mesh, reference
from typer.testing import CliRunner

from sitetwin.cli.app import app
from sitetwin.cli.study_beams import STRESS_NAMES
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn.beams import emulator
from sitetwin.learn.beams.baselines import nearest
from sitetwin.learn.beams.metrics import rank_of_best
from sitetwin.learn.beams.network import SHARED_LAYER
from sitetwin.measured.deepsense import read_codebook, read_deepsense, read_lanes
from sitetwin.report.beams.page import write_beams_report
from sitetwin.report.beams.released import Released, agreement, read_published
from sitetwin.site import Georeference, load_scene, save_site
from sitetwin.studies.beams import emulation as beams_emulation
from sitetwin.studies.beams import methods as beams_methods
from sitetwin.studies.beams import published as beams_published
from sitetwin.studies.beams.config import HEADLINE, BeamStudy, TwinAssumptions, beam_study
from sitetwin.studies.beams.registry import RIVALS, rows_of
from sitetwin.studies.beams.results import parse_results, read_results
from sitetwin.studies.beams.scores import paired_difference
from sitetwin.studies.beams.stress import STRESSES
from sitetwin.studies.beams.study import _benches, _ceilings, _identity, _usable, run_beam_study
from sitetwin.studies.beams.twin import StreetTwin, build_twin
from sitetwin.studies.frame import write_results

SMALL = BeamStudy(
    profile="quick",
    repeats=2,
    folds=2,
    fold_repeats=1,
    real_sizes=(0, 5),
    drive_sizes=(5,),
    network_sizes=(8,),
    transfer_sizes=(4,),
    twin_rows=20,
    bootstrap_draws=50,
    twin=TwinAssumptions(spacing_m=6.0),
)


def write_site(folder):
    """A long wall 30 m west of the street's station, on a plain, and where on the globe that is."""
    folder.mkdir()
    plain = face([(-90, -90, 0), (90, -90, 0), (90, 90, 0), (-90, 90, 0)])
    (folder / "wall.city").write_text(mesh([house(-85, -27.5, size=55.0)]))
    (folder / "plain.ter").write_text(mesh([[plain]], "terrain", EARTH, reference(above="sealevel")))
    frame = f"+proj=tmerc +lat_0={STATION[0]} +lon_0={STATION[1]} +k=1 +datum=WGS84 +units=m"
    lon, lat = Transformer.from_crs("EPSG:4326", frame, always_xy=True).transform(
        [-90, 90], [-90, 90], direction="INVERSE"
    )
    box = {"x": [-90, 90], "y": [-90, 90], "lat": list(lat), "lon": list(lon)}
    (folder / "georeference.json").write_text(json.dumps(box))
    return folder


def test_steered_beams_of_the_twin_look_at_its_users(tmp_path):
    data = read_deepsense(write_gathered(tmp_path / "scenario", rows=40))
    twin = build_twin(write_site(tmp_path / "site"), data, TwinAssumptions(spacing_m=2.0))
    x, y = twin.users[:, 0], twin.users[:, 1]
    power = twin.beam_powers(0.0, np.radians(np.linspace(60, -60, 31)))
    best = np.linspace(60, -60, 31)[power.argmax(axis=1)]
    seen = np.degrees(np.arctan2(y, x))
    assert np.abs(best - seen)[np.abs(seen) < 55].max() < 6


def test_the_command_line_names_every_stress():
    assert tuple(STRESSES) == STRESS_NAMES


def test_a_saved_site_says_itself_where_it_lies(tmp_path):
    data = read_deepsense(write_gathered(tmp_path / "scenario", rows=40))
    street = TwinAssumptions(spacing_m=6.0)
    boxed = build_twin(write_site(tmp_path / "site"), data, street)
    bare = load_scene(str(tmp_path / "site"))
    north = replace(bare, georeference=Georeference(STATION[0] - 10 / 110_990, STATION[1]))
    moved = build_twin(save_site(north, tmp_path / "saved"), data, street)
    assert moved.station == pytest.approx([0.0, 10.0], abs=0.05)
    assert boxed.station == pytest.approx([0.0, 0.0], abs=0.05)
    save_site(replace(bare, georeference=None), tmp_path / "nowhere")
    with pytest.raises(SiteTwinError, match="does not say where on earth"):
        build_twin(tmp_path / "nowhere", data, street)


def test_a_street_outside_the_site_is_refused(tmp_path):
    data = read_deepsense(write_gathered(tmp_path / "scenario"))
    site = write_site(tmp_path / "site")
    box = json.loads((site / "georeference.json").read_text())
    (site / "georeference.json").write_text(json.dumps({**box, "lat": [10.0, 10.001]}))
    with pytest.raises(SiteTwinError, match="outside the site"):
        build_twin(site, data, TwinAssumptions())
    (site / "georeference.json").write_text('{"x": [1, "a"]}')
    with pytest.raises(SiteTwinError, match="ranges x, y, lat, lon"):
        build_twin(site, data, TwinAssumptions())


def test_rows_without_power_on_the_beams_in_use_are_left_out_and_counted(tmp_path):
    folder = write_gathered(tmp_path)
    data = read_deepsense(folder)
    assert _usable(SMALL, data) is data
    data.power[3, 1:61:4] = np.nan
    data.power[3, 61] = np.nan
    data.power[5, 1] = np.nan
    kept = _usable(SMALL, data)
    np.testing.assert_array_equal(kept.power, data.power[np.r_[0:3, 4:24]])
    assert kept.attrs["skipped"] == ["1 without power on the beams in use"]
    assert (kept.attrs["skipped_rows"], kept.attrs["masked_powers"]) == (1, 1)
    data.dead[2:] = True
    with pytest.raises(SiteTwinError, match="power on 1 of every 4th of its beams"):
        _usable(SMALL, data)


def benches(folder, drive, **changes):
    data = read_deepsense(write_gathered(folder, rows=len(drive)))
    data = data.assign(drive=("sample", np.asarray(drive)))
    book = read_codebook(write_codebook(folder / "book"), 64)
    return list(_benches(SMALL.model_copy(update=changes), data, book, None, None))


def test_released_figures_stand_in_the_column_of_their_name(tmp_path):
    def row(name, size):
        figure = {"mean": 0.625, "low": None, "high": None}
        keys = ("top1", "top2", "top3", "power_loss_db", "dba", "relative_power1")
        common = {"n_real": size, "split": "random", "beams": 16, "headline": False, "sweeps": []}
        return {"name": f"published network, {name}", **common, **dict.fromkeys(keys, figure)}

    results = {
        **{"schema": "sitetwin.beams/1", "title": "t", "profile": "quick", "headline_method": "h", "notes": []},
        **{"configuration_hash": "c", "ceilings": [], "emulation": [], "sensitivity": []},
        "data": {"rows": 1, "drives": 1, "layout": "paper", "skipped": [], "masked_powers": 0},
        "methods": [row("measured rows", 8), row("measured rows", 9)],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    released = [Released("real", "top1", 8, 0.5, 0.2), Released("real", "top2", 9, 0.25, 0.2)]
    page = write_beams_report(tmp_path, released).read_text().split("Beside the released curves")[1]
    lines = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", part, re.DOTALL) for part in page.split("<tr>")[1:4]]
    assert lines[0][2:] == ["top-1", "top-2"]
    assert ("0.500" in lines[1][2], lines[1][3]) == (True, "")
    assert (lines[2][2], "0.250" in lines[2][3]) == ("", True)


def test_no_ceiling_is_given_where_no_row_has_a_neighbour(tmp_path):
    data = read_deepsense(write_gathered(tmp_path))
    near = data.assign(east=data.east / 10, north=data.north / 10)
    assert [c["beams"] for c in _ceilings(SMALL, near)] == [16, 62]
    assert _ceilings(SMALL, near.assign(drive=("sample", np.arange(24)))) == []


def test_a_refused_site_claims_no_folder(tmp_path):
    scenario = write_gathered(tmp_path / "scenario")
    write_codebook(scenario / "codebook_beams")
    site = write_site(tmp_path / "site")
    (site / "georeference.json").unlink()
    with pytest.raises(SiteTwinError, match="is missing"):
        run_beam_study(SMALL, scenario, tmp_path / "out", site=site)
    assert not (tmp_path / "out").exists()


def test_another_street_or_another_count_of_drives_is_another_study(tmp_path):
    data = read_deepsense(write_gathered(tmp_path))
    book = read_codebook(write_codebook(tmp_path / "book"), 64)
    site = write_site(tmp_path / "site")
    seen = {
        _identity(data, book, None, None),
        _identity(data, book, np.zeros((3, 2)), None),
        _identity(data.assign(drive=data.drive + 1), book, None, None),
        _identity(data.assign(longitude=data.longitude + 1e-6), book, None, None),
        _identity(data, book, None, site),
    }
    assert _identity(data, book, None, site) in seen
    (site / "wall.city").write_text(mesh([house(-80, -27.5, size=55.0)]))
    assert len({*seen, _identity(data, book, None, site)}) == 6


def test_a_twin_with_too_few_users_is_one_sentence(tmp_path):
    bench = benches(tmp_path, np.zeros(60, np.int64))[0]

    class Dark(StreetTwin):
        users = bench.east_north

        def beam_powers(self, boresight, azimuth):
            return np.r_[np.ones(19), np.zeros(41)][:, None] * np.ones(len(azimuth))

    with pytest.raises(SiteTwinError, match="reaches 19 users"):
        beams_published._twin_rows(bench, object.__new__(Dark), bench.uniform)


def test_few_drives_and_few_rows(tmp_path):
    one = benches(tmp_path / "one", np.zeros(60, np.int64))
    assert [b.split for b in one] == ["random"]
    three = benches(tmp_path / "three", np.repeat([4, 7, 9], 20), folds=5, drive_sizes=(0, 10, 40, 41))
    assert [(b.split, b.per_repeat) for b in three] == [("random", 1), ("drives", 3), ("drives", 3)]
    assert sorted(np.concatenate([s.test for s in three[1].splits]).tolist()) == list(range(60))
    assert three[1].real_sizes == (0, 10, 40)
    counts = [(m["name"], m["n_real"]) for m in rows_of("baselines", three[1]) if m["name"] == "kNN (5)"]
    assert counts == [("kNN (5)", 10), ("kNN (5)", 40)]
    uneven = benches(tmp_path / "uneven", np.repeat([0, 1, 2], [10, 20, 30]), folds=3)[1]
    names = ("kNN (5)", "look-up table", "majority")
    whole = [m for m in rows_of("baselines", uneven) if m["n_real"] > 5]
    assert {m["name"]: m["n_real"] for m in whole} == dict.fromkeys(names, 50)
    places, powers = uneven.east_north, uneven.power
    hits = [  # of the folds, each on the whole of its own pool
        (rank_of_best(nearest(places[s.pool], powers[s.pool], places[s.test]), powers[s.test]) == 0).sum()
        for s in uneven.splits
    ]
    assert whole[0]["top1"]["mean"] == pytest.approx(sum(hits) / 60, abs=1e-4)
    with pytest.raises(SiteTwinError, match="leaves 9 rows"):
        benches(tmp_path / "few", np.zeros(12, np.int64))


@pytest.fixture
def few_users(monkeypatch):
    """Emulator and sensitivity on few users, so that a test takes seconds."""
    monkeypatch.setattr(beams_emulation, "_TRAINED", 150)
    monkeypatch.setattr(beams_emulation, "_TESTED", 50)
    monkeypatch.setattr(beams_emulation, "_VARIANTS", (("user_height_m", 2.0), ("bandwidth_hz", 20e6)))
    monkeypatch.setattr(emulator, "_STEPS", 50)
    monkeypatch.setattr(beams_methods, "SHARED_LAYER", replace(SHARED_LAYER, epochs=2))


def test_results_resume_and_page(tmp_path, few_users):
    scenario = write_official(tmp_path / "scenario", rows=60)
    book = write_codebook(scenario / "codebook_beams")
    site = write_site(tmp_path / "site")
    path = run_beam_study(SMALL, scenario, tmp_path / "out", site=site)
    first = path.read_bytes()
    results = json.loads(first)
    for row in results["methods"]:
        for key in ("top1", "top2", "top3", "power_loss_db", "dba"):
            assert {"mean", "low", "high", "n"} <= set(row[key])
        assert row["top1"]["mean"] <= row["top2"]["mean"] <= row["top3"]["mean"]
    assert {m["name"] for m in results["methods"] if m["headline"]} == {HEADLINE}
    for row in results["methods"]:
        if row["headline"] and len(row["paired"]) == 2:  # on the whole pool there is one reference alone
            same, whole = row["paired"]
            assert same["n_real"] == row["n_real"] < whole["n_real"]
            rivals = [
                m["top1"]["mean"]
                for m in results["methods"]
                if m["name"] in RIVALS and _of(m)[1:] == (row["split"], row["beams"], same["n_real"])
            ]
            assert len(rivals) == len(RIVALS)  # each on as many rows, as they come and chosen
            assert same["top1"]["mean"] == pytest.approx(row["top1"]["mean"] - max(rivals), abs=2e-4)
    assert "timing" not in results["emulation"][0]
    assert [s["assumption"] for s in results["sensitivity"]] == [
        *("none", "user_height_m", "bandwidth_hz"),
        *("uniform codebook", "DFT codebook"),
    ]
    assert results["sensitivity"][0]["other_best_beam"] == 0
    parts = sorted((tmp_path / "out" / "parts").glob("structured-*"))
    parts[0].unlink()
    parts[1].write_text("{")
    with pytest.warns(SiteTwinWarning, match="it is damaged, and is made again"):
        assert run_beam_study(SMALL, scenario, tmp_path / "out", book, site).read_bytes() == first
    with pytest.raises(SiteTwinError, match="another study"):
        run_beam_study(SMALL.model_copy(update={"seed": 3}), scenario, tmp_path / "out", site=site)
    table = tmp_path / "released.csv"
    table.write_text(
        "curve,metric,topk,n_train,mean,std\nreal,pwr,1,8,0.9,0\nreal,acc,1,8,0.5,0.1\nreal,acc,2,8,0.5,1\n"
    )
    page = write_beams_report(tmp_path / "out", read_published(table)).read_text()
    assert HEADLINE in page
    assert "Of\n3 figures " in page
    network = next(
        m for m in results["methods"] if m["name"] == "published network, measured rows" and m["n_real"] == 8
    )
    inside = sum(
        abs(network[key]["mean"] - mean) <= std
        for key, mean, std in (("top1", 0.5, 0.1), ("top2", 0.5, 1.0), ("relative_power1", 0.9, 1e-9))
    )
    assert agreement(parse_results(results), read_published(table))["within_one"] == inside
    assert "0.500 &plusmn; 0.100" in page
    assert "A network in place of the tracer" in page
    assert "http" not in page.split("</style>")[1]


def _of(row):
    return row["name"], row["split"], row["beams"], row["n_real"]


def test_a_paired_difference_keeps_what_two_methods_share():
    def row(hits):
        return {"by_drive": {"rows": [10, 30, 20], "top1_hits": hits}}

    same = paired_difference(row([1, 29, 10]), row([1, 29, 10]), 200, 0)
    assert (same["mean"], same["low"], same["high"]) == (0, 0, 0)
    better = paired_difference(row([2, 29, 12]), row([1, 26, 10]), 500, 0)
    assert better["mean"] == 0.1
    assert better["low"] == better["high"] == 0.1  # a tenth better in each drive: drawing drives says nothing else
    assert paired_difference(row([9, 3, 2]), row([1, 26, 10]), 500, 0)["low"] < -0.7


def test_the_published_lanes_are_read_or_refused(tmp_path):
    scenario = write_paper(tmp_path / "scenario")
    assert read_lanes(scenario) is None
    users = np.stack(np.meshgrid(np.arange(13, 22.0, 0.5), np.arange(-15, 15.0, 0.5)), axis=-1).reshape(-1, 2)
    scipy.io.savemat(scenario / "data/synth_UE_loc.mat", {"synth_UE_loc": users})
    np.testing.assert_array_equal(read_lanes(scenario), users)
    for wrong in (users[:, :1], users * np.nan, users * 1e10):
        scipy.io.savemat(scenario / "data/synth_UE_loc.mat", {"synth_UE_loc": wrong})
        with pytest.raises(SiteTwinError, match="no positions"):
            read_lanes(scenario)


def test_a_missing_codebook_is_one_sentence(tmp_path):
    scenario = write_gathered(tmp_path / "scenario")
    result = CliRunner().invoke(app, ["study", "beams", "--scenario", str(scenario), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "codebook" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("scenario", ["beams-scenario1", "beams-scenario5"])
def test_results_that_are_kept_are_read_and_written_byte_for_byte(tmp_path, scenario):
    kept = Path(__file__).parents[2] / "docs" / "results" / scenario
    path = write_results(tmp_path, read_results(kept), {})
    assert path.read_bytes() == (kept / "results.json").read_bytes()


def test_results_of_another_schema_are_refused(tmp_path):
    with pytest.raises(SiteTwinError, match="no results of a beam study"):
        parse_results({"schema": "sitetwin.csi/1"})
    kept = Path(__file__).parents[2] / "docs" / "results" / "beams-scenario5" / "results.json"
    raw = json.loads(kept.read_text())
    raw["methods"][3]["top1"]["mean"] = "much"
    with pytest.raises(SiteTwinError, match=r"wrong at methods\.3\.top1\.mean"):
        parse_results(raw)
    with pytest.raises(SiteTwinError, match="cannot be read: No such file"):
        read_results(tmp_path)


def test_profiles_hold_each_other(tmp_path):
    quick, paper, full = (beam_study(name) for name in ("quick", "paper", "full"))
    assert set(quick.real_sizes) <= set(paper.real_sizes) == set(full.real_sizes)
    assert [b.split for b in benches(tmp_path, np.repeat([4, 7, 9], 20), fold_repeats=0)] == ["random"]
    assert (paper.fold_repeats, full.fold_repeats) == (0, 5)
    assert (paper.ablations, full.ablations) == (False, True)


def test_unknown_profiles_and_tables_are_refused(tmp_path):
    with pytest.raises(SiteTwinError, match="no profile"):
        beam_study("fast")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SiteTwinError, match="no table"):
        read_published(tmp_path / "t.csv")

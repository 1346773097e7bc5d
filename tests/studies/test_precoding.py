"""The precoding study on a small canyon: laws of what it finds, resuming, refusals, and its page."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from tests.studies.small_precoding import SMALL

from sitetwin.errors import SiteTwinError
from sitetwin.report.precoding.page import precoding_table, write_precoding_report
from sitetwin.site.recipes import VariantRecipe
from sitetwin.site.variants import HiddenMaterials
from sitetwin.studies.precoding.calibrated import SoundedTarget, calibrated_taps
from sitetwin.studies.precoding.channels import data_subcarriers, measured
from sitetwin.studies.precoding.config import (
    CANYON,
    MATERIAL_CHOICES,
    Imperfections,
    PrecodedLink,
    precoding_study,
    read_place,
)
from sitetwin.studies.precoding.networks import SeedChannels, judge_networks, split_sides, split_users
from sitetwin.studies.precoding.results import read_precoding_results
from sitetwin.studies.precoding.sizes import choose_sizes, chosen_mlp, chosen_unet
from sitetwin.studies.precoding.statistics import umi_delay_spread_s
from sitetwin.studies.precoding.study import run_precoding_study
from sitetwin.studies.precoding.worlds import open_place, place_users, twin_world

NOTHING = Imperfections(
    site=VariantRecipe(name="the same"),
    tree_spacing_m=0,
    gps_bias_m=0,
    gps_sigma_m=0,
    antenna_gain_db=0,
    antenna_phase_deg=0,
    timing_samples=0,
    csi_snr_db=80,
    other_engine_share=0,
)


def small(**changed):
    study = precoding_study("quick", CANYON)
    return study.model_copy(
        update={
            "evaluation": SMALL,
            "link": PrecodedLink(carriers_hz=(3.5e9,), snr_db=(-10, 40, 2.5)),
            "diffraction": False,
            "max_depth": 2,
            **changed,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    to = tmp_path_factory.mktemp("study") / "run"
    run_precoding_study(small(), to)
    return to


def rows_of(folder, **wanted):
    found = [
        row
        for row in read_precoding_results(folder).rows
        if all(getattr(row, name) == value for name, value in wanted.items())
    ]
    assert found
    return found


def test_a_target_that_is_the_twin_leaves_nothing_to_lose(tmp_path):
    one = SMALL.model_copy(update={"seeds": (0,), "splits": ("random",)})
    run_precoding_study(small(target=NOTHING, evaluation=one), tmp_path / "run")
    (twin,) = rows_of(tmp_path / "run", figure="networks", method="twin")
    assert twin.loss_db.mean == pytest.approx(0, abs=1e-3)
    assert twin.nmse_raw_db.mean < -60
    assert twin.efficiency.mean == pytest.approx(1, abs=1e-5)
    (chosen,) = rows_of(tmp_path / "run", figure="materials", method="MC1")  # the twin's own materials
    assert chosen.loss_db.mean == pytest.approx(0, abs=1e-3)
    (nearest,) = rows_of(tmp_path / "run", figure="networks", method="nearest measurement")
    assert nearest.loss_db.mean > 0.1


def test_nobody_beats_the_genie_and_nothing_at_all_is_one_antenna(folder):
    for row in read_precoding_results(folder).rows:
        if row.precoder == "mmse" and row.loss_db.mean is not None:
            assert row.loss_db.mean > -0.5  # under a power of each symbol the genie's MMSE is near the least, not at it
    (zero,) = rows_of(folder, figure="networks", split="random", method="zero")
    assert zero.nmse_raw_db.mean == 0
    assert zero.efficiency.mean == pytest.approx(1 / 4)
    assert zero.silent_users == zero.users


def test_every_method_split_and_seed_is_there_and_everything_is_called_synthetic(folder):
    results = read_precoding_results(folder)
    assert results.synthetic
    assert {row.split for row in results.rows if row.figure == "networks"} == {"random", "drives"}
    methods = {row.method for row in results.rows if row.figure == "networks"}
    assert {"genie", "twin", "zero", "mean", "one gain", "linear (Wiener)", "nearest measurement"} < methods
    assert {"position only", "MLP", "U-Net"} < methods
    assert all(len(row.loss_db.values) == 2 for row in results.rows)
    assert len(results.worlds) == 2
    assert results.worlds[0].site_hash != results.worlds[1].site_hash
    listed = {one["what"] for one in results.worlds[0].differences}
    assert {"hidden materials", "pose", "positions", "trees"} <= listed


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_bytes(folder, tmp_path):
    copied = tmp_path / "run"
    copied.mkdir()
    (copied / "parts").mkdir()
    for name in ("configuration.json", "parts/seed-0.json"):
        (copied / name).write_bytes((folder / name).read_bytes())
    told = []
    run_precoding_study(small(), copied, lambda stage, share: told.append(stage))
    assert (copied / "results.json").read_bytes() == (folder / "results.json").read_bytes()
    assert not [stage for stage in told if "seed 0" in stage]
    with pytest.raises(SiteTwinError, match="another study"):
        run_precoding_study(small(max_depth=1), copied)


def test_the_page_shows_each_figure_and_both_printed_values(folder):
    page = write_precoding_report(folder).read_text()
    assert "synthetic targets" in page
    assert "8.24" in page
    assert "-21.28" in page
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert names == {"fig4-rays", "fig4-mechanisms", "fig5-materials", "fig6-random", "fig6-drives", "statistics"}
    table = precoding_table(json.loads((folder / "results.json").read_text()))
    assert table.row_count == 2 * 10 + 10


def test_errors_of_measurement_have_the_size_that_was_asked_for():
    rng = np.random.default_rng(0)
    truth = torch.zeros(2000, 4, 16, dtype=torch.complex64)
    truth[:, :, 3] = 1.0
    study = small(target=NOTHING.model_copy(update={"csi_snr_db": 10.0}))
    seen = measured(study, truth, rng)
    assert float(seen[:, :, 8].abs().square().mean() * 16) == pytest.approx(0.1, rel=0.05)
    phases = torch.angle(seen[:, 0, 3])
    assert float(torch.polar(torch.ones(2000), phases).mean().abs()) < 0.05  # a clock's phase is anything


def test_data_subcarriers_are_those_of_the_band():
    link = PrecodedLink()
    rows = data_subcarriers(link)
    spacing = link.sampling_hz / link.subcarriers
    assert len(rows) == 2 * math.floor(link.band_hz / 2 / spacing) + 1
    assert rows.mean() == link.subcarriers // 2


def test_splits_keep_their_distance():
    positions = torch.rand(300, 3, dtype=torch.float64) * 60
    drive = (positions[:, 1] > 30).long()
    nothing = torch.ones(300, 4, 16, dtype=torch.complex64)
    channels = SeedChannels(nothing, nothing, nothing, positions, drive)
    for kind in ("blocks", "drives"):
        split = split_users(small(), channels, kind, 0)
        apart = torch.cdist(positions[split.train, :2], positions[split.test, :2]).min()
        assert apart >= small().evaluation.guard_m
    split = split_users(small(), channels, "drives", 0)
    assert len(set(drive[split.test].tolist()) & set(drive[split.train].tolist())) == 0


def test_validation_users_are_as_far_from_training_as_test_users_are():
    positions = torch.rand(300, 3, dtype=torch.float64) * 60
    nothing = torch.ones(300, 4, 16, dtype=torch.complex64)
    channels = SeedChannels(nothing, nothing, nothing, positions, (positions[:, 1] > 30).long())
    for kind in ("blocks", "drives"):
        sides = split_sides(small(), channels, kind, 0)
        for one, other in itertools.combinations((sides.train, sides.validation, sides.test), 2):
            apart = torch.cdist(one.positions[:, :2], other.positions[:, :2]).min()
            assert apart >= (0 if one is sides.validation else small().evaluation.guard_m)
    sides = split_sides(small(), channels, "random", 0)
    assert len(sides.train) + len(sides.validation) + len(sides.test) == 300


def test_sizes_are_chosen_on_validation_users_once_and_written_down(folder):
    tried = read_precoding_results(folder).sizes
    assert [(one.network, one.kernel_size) for one in tried] == [("U-Net", 3), ("U-Net", 5), ("MLP", None)]
    unets = tried[:2]
    assert [one.chosen for one in unets] == [one.nmse_db == min(two.nmse_db for two in unets) for one in unets]
    assert unets[0].parameters < unets[1].parameters
    first, second = (json.loads((folder / "parts" / f"seed-{seed}.json").read_text()) for seed in (0, 1))
    assert first["content"]["sizes"] == second["content"]["sizes"]


def test_networks_that_chose_the_sizes_are_those_that_training_again_would_give():
    generator = torch.Generator().manual_seed(3)
    truth, twin = torch.randn(2, 60, 4, 16, dtype=torch.complex64, generator=generator)
    positions = torch.rand(60, 3, dtype=torch.float64, generator=generator) * 60
    channels = SeedChannels(truth, truth, twin, positions, torch.zeros(60, dtype=torch.int64))
    tried, chosen = choose_sizes(small(), channels, 0)
    assert set(chosen) == {"U-Net", "MLP"}
    choice = "random", 0, chosen_unet(tried), chosen_mlp(tried)
    again, known = (judge_networks(small(), channels, *choice, fitted=fitted) for fitted in ({}, chosen))
    assert {name: one.ber for name, one in known.items()} == {name: one.ber for name, one in again.items()}


def test_seeds_beyond_those_that_train_judge_the_rest(folder, tmp_path, monkeypatch):
    kept = [json.loads((folder / "parts" / f"seed-{seed}.json").read_text())["content"] for seed in (0, 1)]
    told = []

    def judged(shared, seed, progress, trained, sizes):
        told.append((seed, trained, sizes is None))
        return kept[seed]

    monkeypatch.setattr("sitetwin.studies.precoding.study.judge_seed", judged)
    run_precoding_study(small(evaluation=SMALL.model_copy(update={"trained_seeds": 1})), tmp_path / "run")
    assert told == [(0, True, True), (1, False, False)]


def test_the_generic_prior_has_the_delay_spread_of_3gpp():
    assert umi_delay_spread_s(3.5e9) == pytest.approx(10 ** (-0.24 * math.log10(4.5) - 7.14))
    assert umi_delay_spread_s(751e6) == umi_delay_spread_s(2e9)  # note 7 of the table


def test_a_place_comes_from_a_file_or_is_refused(tmp_path):
    path = tmp_path / "cell.toml"
    path.write_text('scene = "munich"\nbase_station = [0, 0, 20]\ndrives = [[[0, 0], [10, 0]]]\n')
    place = read_place(path)
    assert precoding_study("paper", place).evaluation.splits == ("random", "blocks")  # one drive cannot be split
    for text, message in (
        ("scene = 3", "scene"),
        ('scene = "munich"\nbase_station = [0, 0, 20]\ndrives = [[[0, 0]]]', "two or more points"),
        ('scene = "munich"\nbase_station = [0, 0, 20]\ndrives = [[[0, 0], [1, 1]]]\nspeed = 3', "speed"),
    ):
        path.write_text(text)
        with pytest.raises(SiteTwinError, match=message):
            read_place(path)
    with pytest.raises(SiteTwinError, match="no profile 'fast'"):
        precoding_study("fast")


def test_drives_through_walls_and_stations_in_walls_are_refused_before_anything_is_written(tmp_path):
    inside = CANYON.model_copy(update={"drives": (((-60.0, 30.0), (60.0, 30.0)), ((-60.0, 35.0), (60.0, 35.0)))})
    with pytest.raises(SiteTwinError, match="stand outdoors; move the drives"):
        run_precoding_study(small(place=inside), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_parameters_than_channels_leave_materials_to_their_classes():
    study = small(evaluation=SMALL.model_copy(update={"calibration_users": 10}))
    site, station = open_place(study)
    users = place_users(study, site)
    twin = twin_world(study, site, station, users, lambda stage, share: None)
    everyone = torch.arange(len(users.positions))
    taps, said = calibrated_taps(study, twin, SoundedTarget(study, twin, 0), everyone, 3.5e9, 0)
    assert len(taps) == len(everyone)
    assert "by class, not by building: 10 profiles cannot tell" in said[0]


@pytest.mark.slow
def test_fitted_materials_come_nearer_to_a_target_that_differs_in_materials_alone(tmp_path):
    brick = NOTHING.model_copy(
        update={"site": VariantRecipe(name="brick", hidden_materials=HiddenMaterials({"brick": 1}))}
    )
    one = SMALL.model_copy(update={"seeds": (0,), "splits": ("random",), "calibration_users": 40})
    choices = {name: MATERIAL_CHOICES[name] for name in ("MC1", "MC2")}  # brick is none of these
    run_precoding_study(small(target=brick, evaluation=one, materials=choices), tmp_path / "run")
    (fitted,) = rows_of(tmp_path / "run", figure="materials", method="fitted")
    (marble,) = rows_of(tmp_path / "run", figure="materials", method="MC1")
    assert fitted.nmse_gain_db.mean < marble.nmse_gain_db.mean - 3
    assert fitted.loss_db.mean < marble.loss_db.mean

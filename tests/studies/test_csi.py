"""The CSI study end to end on a small street, and what it promises."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn import CellCodec, Split, block_split
from sitetwin.learn.cell.matrices import CellMatrices
from sitetwin.report import write_report
from sitetwin.site import Ellipsoid, Site, Vegetation, open_site, save_site
from sitetwin.studies import (
    Cell,
    CsiStudy,
    claim_folder,
    csi_study,
    read_cell,
    read_cells,
    run_csi_study,
    write_csi_sets,
)
from sitetwin.studies.csi.config import Evaluation, Imperfections, RadioLink, Trees
from sitetwin.studies.csi.data import delay_angle_matrices, kept_energy, source_set, target_set, target_users
from sitetwin.studies.csi.headline import headline
from sitetwin.studies.csi.registry import ADAPTIVE, CSINET, HEADLINE_CASE, KLT, Plan
from sitetwin.studies.csi.summary import estimate
from sitetwin.studies.csi.worlds import World, Worlds, build_worlds

STREET = Cell(
    scene="simple_street_canyon",
    base_station=(-20.0, 0.0, 15.0),
    area=(-60.0, -7.0, 60.0, 7.0),
    spacing=0.5,
    user_height=1.5,
)


ROOMS = ("studies/csi",)


def small_study(**changes: object) -> CsiStudy:
    """A street, two seeds, a handful of samples: every step of the real study, in seconds."""
    study = CsiStudy(
        profile="quick",
        site=STREET,
        wrong_site=STREET.model_copy(
            update={"scene": "simple_street_canyon_with_cars", "base_station": (20.0, 3.0, 10.0)}
        ),
        trees=Trees(spacing=8.0, margin=0.0),
        imperfections=Imperfections(other_engine_users=20, other_engine_samples=20_000),
        evaluation=Evaluation(
            seeds=(0, 1),
            sampled_users=1500,
            test_users=300,
            block_m=10.0,
            guard_m=2.0,
            train_sizes=(20, 60),
            pool=60,
            refine_sizes=(10,),
        ),
        codecs={
            KLT.name: Plan(),
            ADAPTIVE.name: Plan(effort=3, refine_effort=2),
            CSINET.name: Plan(train_sizes=(60,), effort=1, refine_effort=1, seeds=1, cases=(HEADLINE_CASE,)),
        },
    )
    return study.model_copy(update=changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "out"
    run_csi_study(small_study(), folder, workers=1)
    return folder


def test_results_hold_every_section(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    study = small_study()
    curves = results["curves"]
    expected = {
        (*case, codec, source, size)
        for case in study.evaluation.cases
        for codec in ("KLT mixture", "adaptive codec")
        for source in ("twin", "wrong_site", "target")
        for size in study.evaluation.train_sizes
        if source != "wrong_site" or size == 60
    }
    got = {(c["target"], c["split"], c["codec"], c["source"], c["n_train"]) for c in curves}
    assert expected <= got
    assert all(len(c["nmse_db"]["values"]) == 2 for c in curves if c["codec"] != "CSINet+")
    assert not any(c["converged"] for c in curves if c["codec"] == "CSINet+")
    zero = [c["nmse_db"]["mean"] for c in results["controls"] if c["name"] == "zero"]
    np.testing.assert_allclose(zero, 0.0, atol=1e-4)
    assert results["configuration_hash"] == study.hash()
    assert results["worlds"]["target_b"]["differences"]
    assert results["users"]["other_engine"] == 20
    assert results["headline"]["method"] == "closed form, high NMSE"


def test_refined_rows_name_what_they_were_trained_on(finished: Path) -> None:
    rows = json.loads((finished / "results.json").read_text())["refinement"]
    assert {row["n_train"] for row in rows} == {60}
    methods = {(row["codec"], row["method"]) for row in rows}
    assert ("CSINet+", "naive, high NMSE, frozen batch-norm") in methods
    assert ("adaptive codec", "naive, high NMSE, frozen batch-norm") not in methods
    errors = {row["method"]: row["nmse_db"]["mean"] for row in rows if row["codec"] == "CSINet+"}
    assert errors["naive, high NMSE, frozen batch-norm"] != errors["naive, high NMSE"]
    assert all(row["full_uploads"] == row["n_real"] for row in rows)


@pytest.mark.parametrize(
    ("changes", "settled"),
    [
        ({}, True),
        ({ADAPTIVE.name: {"refine_effort": 1_999}}, False),
        ({CSINET.name: {"refine_effort": 99}}, False),
        ({ADAPTIVE.name: {"effort": 25_599}, CSINET.name: {"effort": 159}}, False),
    ],
)
def test_a_refined_network_is_converged_only_if_its_refinement_is(
    changes: dict[str, dict[str, int]], settled: bool
) -> None:
    study = csi_study("paper")
    plans = {name: plan.model_copy(update=changes.get(name, {})) for name, plan in study.codecs.items()}
    study = study.model_copy(update={"codecs": plans})
    assert all(entry.refinement_converged(study.plan(entry)) for entry in (ADAPTIVE, CSINET)) is settled
    assert KLT.refinement_converged(study.plan(KLT))  # a closed form


def test_the_report_can_be_made(finished: Path) -> None:
    page = write_report(finished)
    assert page.stat().st_size > 10_000


def test_resuming_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """One seed's result and all networks are lost; the run goes on and ends in the same results."""
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    before = (folder / "results.json").read_bytes()
    (folder / "results.json").unlink()
    (folder / "seeds" / "seed-1-klt.json").unlink()
    run_csi_study(small_study(), folder, workers=1)
    assert (folder / "results.json").read_bytes() == before


def test_the_codec_of_the_headline_is_kept_and_checkpoints_are_not(finished: Path) -> None:
    kept = json.loads((finished / "results.json").read_text())["kept"]
    codec = CellCodec.load(finished / kept["file"])
    assert (codec.hash, codec.version) == (kept["hash"], 2)
    assert (codec.training["matrices"], codec.training["updates"][0]["keep"]) == (60, 10)
    study = small_study()
    test = target_set(study, build_worlds(study, lambda stage, share: None), *HEADLINE_CASE, 0).test
    matrices = CellMatrices(test, (), np.zeros(len(test), dtype=bool))
    assert codec.evaluate(matrices)["nmse_db"] < 0  # it knows something of this street
    assert not (finished / "models").exists()


def test_the_demonstration_runs_the_closed_form_alone() -> None:
    study = csi_study("demo")
    assert [entry.name for entry in (KLT, ADAPTIVE, CSINET) if study.seeds_of(entry)] == [KLT.name]
    assert study.evaluation.few == 40
    assert len(study.evaluation.seeds) == 5


def _row(mean: float, **labels: object) -> dict[str, object]:
    case = {"target": "target_b", "split": "blocks", "codec": KLT.name}
    return {**case, "nmse_db": {"mean": mean, "low": mean - 1, "high": mean + 1}, **labels}


@pytest.mark.parametrize(("full", "explained"), [(-7.0, True), (-20.0, False)])
def test_the_headline_says_why_many_measurements_may_be_worse_than_none(full: float, explained: bool) -> None:
    study = csi_study("demo")
    curves = [_row(-1.0, source="target", n_train=40), _row(full, source="target", n_train=5120)]
    curves.append(_row(-6.0, source="wrong_site", n_train=5120))
    refinement = [_row(-10.0, method="none", n_real=0), _row(-13.0, method=KLT.compared, n_real=40)]
    told = headline(study, curves, refinement)
    assert bool(told["explanation"]) is explained
    assert "5.01 % (NMSE -13.0 dB, -14.0 to -12.0) with the digital twin and 40 measured channels" in told["text"]
    assert [row["lost_percent"] for row in told["compared"]][:3] == [10.0, 5.01, 79.4]


def test_without_differences_the_twin_is_the_target() -> None:
    """No tree fits and nothing is moved: paths and channels of target B are those of the twin."""
    study = small_study(
        trees=Trees(spacing=500.0, margin=0.0, scatter_centres=1),
        imperfections=Imperfections(wall_rms_m=0.0, height_rms_m=0.0, yaw_deg=0.0, other_engine_users=0),
        site=STREET.model_copy(update={"area": (-60.0, -1.0, -50.0, 1.0)}),
    )
    worlds = build_worlds(study, lambda stage, share: None)
    twin, target = worlds.worlds["twin"], worlds.worlds["target_b"]
    if target.site.vegetation.num_volumes == 0:
        assert np.array_equal(twin.paths.facets, target.paths.facets)
        np.testing.assert_array_equal(twin.paths.length, target.paths.length)


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    return build_worlds(small_study(), lambda stage, share: None)


def test_kept_energy_is_that_of_the_engine_that_traced_the_user(worlds: Worlds) -> None:
    """The kept part of a user's energy cannot depend on how the other users were traced, and follows from its G."""
    study, target = small_study(), worlds.worlds["target_b"]
    assert target.other_paths is not None
    some = target.other_users[target.other_paths.counts > 0][:5]
    ours = np.setdiff1d(np.flatnonzero(target.covered), target.other_users)[:5]
    users = np.concatenate([some, ours])
    alone = replace(target, paths=target.other_paths, other_users=np.zeros(0, dtype=np.int64), other_paths=None)
    expected = kept_energy(study, alone, np.searchsorted(target.other_users, some))
    kept = kept_energy(study, target, users)
    np.testing.assert_allclose(kept[:5], expected, rtol=1e-5)
    # With all taps kept nothing is lost: numerator and denominator are of the same paths (Parseval's theorem).
    everything = small_study(link=study.link.model_copy(update={"taps": study.link.subcarriers}))
    np.testing.assert_allclose(kept_energy(everything, target, users), 1.0, rtol=1e-4)
    kept_energies = delay_angle_matrices(study, target, users).abs().square().sum((1, 2))
    whole = delay_angle_matrices(everything, target, users).abs().square().sum((1, 2))
    np.testing.assert_allclose(kept, kept_energies / whole, rtol=1e-4)


def test_blocks_of_test_users_are_those_of_the_split(worlds: Worlds, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is not drawn does not move the grid of blocks, on which whole blocks are test."""
    study = small_study(evaluation=small_study().evaluation.model_copy(update={"sampled_users": 1200}))
    before = target_users(study, worlds, "target_a", "blocks", 0)
    splits = []

    def spy(positions: torch.Tensor, *rest: object) -> Split:
        splits.append((positions, block_split(positions, *rest)))  # type: ignore[arg-type]
        return splits[-1][1]

    monkeypatch.setattr("sitetwin.studies.csi.data.block_split", spy)
    target_users(study, worlds, "target_a", "blocks", 0)
    taken = {tuple(p) for p in splits[0][0].tolist()}
    idle = next(i for i, p in enumerate(worlds.users.tolist()) if tuple(p) not in taken)
    moved = worlds.users.copy()
    moved[idle, :2] -= 1003.3
    after = target_users(study, replace(worlds, users=moved), "target_a", "blocks", 0)
    assert torch.equal(before.test_block, after.test_block)
    split = splits[-1][1]
    assert split.block is not None
    assert set(after.test_block.tolist()) <= set(split.block[split.test].tolist())
    assert not set(after.test_block.tolist()) & set(split.block[split.train].tolist())


def test_one_seed_ends_in_results(tmp_path: Path) -> None:
    study = small_study()
    evaluation = study.evaluation.model_copy(update={"seeds": (0,), "cases": (("target_b", "blocks"),)})
    run_csi_study(small_study(evaluation=evaluation), tmp_path / "out", workers=1)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "dB, one seed)" in results["headline"]["text"]
    assert all(row["difference_db"]["kind"] == "bootstrap over blocks" for row in results["paired"])


def test_a_world_with_too_few_users_for_the_training_sets_is_refused() -> None:
    """Curves say how many matrices a codec saw: fewer are never taken in their place."""
    world = object.__new__(World)
    vars(world).update(key="wrong_site", paths=SimpleNamespace(counts=np.arange(50) % 2), other_paths=None)
    with pytest.raises(SiteTwinError, match=r"'wrong_site' has 25 users with a path .* asks for"):
        source_set(small_study(), world, 0)


def test_the_headline_must_be_among_the_cases() -> None:
    with pytest.raises(ValueError, match="headline"):
        Evaluation(cases=(("target_a", "random"),))


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path) -> None:
    claim_folder(tmp_path / "out", small_study(), ROOMS)
    claim_folder(tmp_path / "out", small_study(), ROOMS)
    with pytest.raises(SiteTwinError, match="another configuration"):
        claim_folder(tmp_path / "out", small_study(trace_seed=5), ROOMS)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SiteTwinError, match="holds no study"):
        claim_folder(tmp_path, small_study(), ROOMS)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize(
    "content",
    [b"", b'{"hash": "12', b"[1, 2]", b'{"hash": 3}', b"null", b"\xff\xfe\x00", b"[" * 100_000, b'{"seed": 1}'],
)
def test_a_damaged_configuration_is_said_to_be_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "configuration.json").write_bytes(content)
    with pytest.raises(SiteTwinError, match=r"configuration\.json is damaged.*choose another folder") as caught:
        claim_folder(tmp_path, small_study(), ROOMS)
    for word in ("JSONDecodeError", "Expecting", "attribute", "codec", "char 0"):
        assert word not in str(caught.value)
    assert (tmp_path / "configuration.json").read_bytes() == content


def test_a_configuration_that_is_a_folder_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "configuration.json").mkdir()
    with pytest.raises(SiteTwinError, match=r"configuration\.json is damaged"):
        claim_folder(tmp_path, small_study(), ROOMS)


def test_unknown_profile_is_named() -> None:
    with pytest.raises(SiteTwinError, match="'fast'"):
        csi_study("fast")


def test_profiles_share_users_physics_and_test_set() -> None:
    quick, paper = csi_study("quick"), csi_study("paper")
    assert (quick.site, quick.link, quick.max_depth, quick.trees) == (
        paper.site,
        paper.link,
        paper.max_depth,
        paper.trees,
    )
    assert quick.evaluation.test_users == paper.evaluation.test_users == 10_000
    assert quick.hash() != paper.hash()


def test_a_single_seed_has_no_interval() -> None:
    assert estimate([-3.0])["low"] is None
    two = estimate([-3.0, -5.0])
    # Student's t with one degree of freedom at 95 %: 12.706 times the standard error of 1.
    np.testing.assert_allclose([two["low"], two["high"]], [-4 - 12.706, -4 + 12.706], atol=2e-3)


def test_a_cell_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "cell.toml"
    text = 'scene = "x"\nbase_station = [1, 2, 3]\narea = [0, 0, 10, 10]\n'
    file.write_text(text)
    assert read_cell(file) == Cell(scene="x", base_station=(1, 2, 3), area=(0, 0, 10, 10))
    for wrong, words in (
        (text + "colour = 3\n", "colour"),
        (text + "spacing = 0\n", "spacing"),
        (text.replace("2, 3", "nan, 3"), "base_station"),
        (text.replace("10, 10", "10, 1e19"), "area"),
        (text + "yaw_deg = 1e10\n", "yaw_deg"),
        ("a b", "no TOML"),
    ):
        file.write_text(wrong)
        with pytest.raises(SiteTwinError, match=words):
            read_cell(file)
    with pytest.raises(SiteTwinError, match="cannot be read"):
        read_cell(tmp_path / "nowhere.toml")


def test_a_cell_names_its_wrong_site(tmp_path: Path) -> None:
    file = tmp_path / "cell.toml"
    text = 'scene = "x"\nbase_station = [1, 2, 3]\narea = [0, 0, 10, 10]\n'
    for wrong, scene in (("", "florence"), ('wrong_site = "munich"\n', "munich")):
        file.write_text(text + wrong)
        assert [cell.scene for cell in read_cells(file)] == ["x", scene]
    file.write_text(text + '[wrong_site]\nscene = "y"\nbase_station = [4, 5, 6]\narea = [0, 0, 9, 9]\n')
    assert read_cells(file)[1] == Cell(scene="y", base_station=(4, 5, 6), area=(0, 0, 9, 9))
    for wrong, words in (
        ('wrong_site = "paris"\n', "wrong_site"),
        ('[wrong_site]\nscene = "y"\n', "wrong_site"),
        ('[wrong_site]\nscene = "x"\nbase_station = [4, 5, 6]\narea = [0, 0, 9, 9]\n', "same scene"),
    ):
        file.write_text(text + wrong)
        with pytest.raises(SiteTwinError, match=words):
            read_cells(file)


@pytest.mark.parametrize("name", ["boston", "boston-roof"])
def test_the_cells_that_come_with_the_project_are_read(name: str) -> None:
    cell, wrong = read_cells(Path(__file__).parents[2] / "studies" / f"{name}.toml")
    xmin, ymin, xmax, ymax = cell.area
    assert (xmax - xmin, ymax - ymin, cell.spacing) == (200, 230, 0.37)  # the published area and grid
    assert wrong.scene == "munich"


def test_matrices_in_files_are_those_of_the_study(tmp_path: Path) -> None:
    """Also without target B, whose tracing is left out where no case asks for it."""
    study = small_study()
    files = write_csi_sets(study, tmp_path / "sets", 1, (("target_a", "random"),))
    assert [file.stem for file in files] == ["twin", "wrong_site", "target_a-random-train", "target_a-random-test"]
    worlds = build_worlds(study, lambda stage, share: None)
    with np.load(files[3]) as kept:
        assert str(kept["axes"]) == "user,delay,angle"
        expected = target_set(study, worlds, "target_a", "random", 1)
        np.testing.assert_array_equal(kept["x"], expected.test.x.numpy())
    with np.load(files[0]) as kept:
        np.testing.assert_array_equal(kept["x"], source_set(study, worlds.worlds["twin"], 1).x.numpy())
    for seed, case, words in ((7, ("target_a", "random"), "no seed 7"), (1, ("target_c", "random"), "no case")):
        with pytest.raises(SiteTwinError, match=words):
            write_csi_sets(study, tmp_path / "sets", seed, (case,))


def test_no_more_than_the_strongest_paths_of_a_user_count_except_in_reality() -> None:
    study = small_study(imperfections=Imperfections(other_engine_users=0))
    study = study.model_copy(update={"site": study.site.model_copy(update={"spacing": 2.0})})
    worlds = build_worlds(study, lambda stage, share: None)
    few = study.model_copy(update={"link": RadioLink(paths=1)})
    for key, same in (("twin", False), ("target_a", False), ("target_b", True)):
        world = worlds.worlds[key]
        users = np.flatnonzero(world.covered)[:50]
        x, one = (delay_angle_matrices(s, world, users) for s in (study, few))
        assert torch.equal(x, one) is same
        if not same:  # one plane wave: a matrix of rank one
            values = torch.linalg.svdvals(one)
            assert (values[:, 1] < 1e-5 * values[:, 0]).all()


def test_a_random_split_tests_a_fifth_and_pools_the_rest() -> None:
    evaluation = small_study().evaluation.model_copy(update={"pool": None})
    study = small_study(imperfections=Imperfections(other_engine_users=0), evaluation=evaluation)
    users = target_users(study, build_worlds(study, lambda stage, share: None), "target_a", "random", 0)
    assert len(users.train_users) == 1200  # four fifths of the 1500 that were drawn
    assert len(users.test_users) == 300


def test_a_site_keeps_its_own_trees() -> None:
    """Mapped trees are the targets' vegetation; the twin has none."""
    crown = Ellipsoid((-50.0, 0.0, 5.0), (2.0, 2.0, 2.0))
    study = small_study(imperfections=Imperfections(other_engine_users=0))
    with_tree = open_site(STREET.scene).variant(vegetation=Vegetation((crown,)))
    worlds = build_worlds_of(with_tree, study)
    assert worlds.worlds["twin"].site.vegetation.num_volumes == 0
    assert worlds.worlds["target_a"].site.vegetation.volumes == (crown,)
    assert worlds.worlds["target_b"].site.vegetation.num_volumes == 1
    assert worlds.counts["trees"] == 1


def build_worlds_of(site: Site, study: CsiStudy) -> Worlds:
    """The worlds of a study whose cell is on a site that was saved."""
    with tempfile.TemporaryDirectory() as place:
        folder = save_site(site, Path(place) / "site")
        cell = study.site.model_copy(update={"scene": str(folder), "spacing": 2.0})
        return build_worlds(study.model_copy(update={"site": cell}), lambda stage, share: None)


@pytest.mark.parametrize(
    "cell", [{"scene": "no-such-city"}, {"base_station": (0.0, 0.0, -5.0)}, {"area": (5e5, 0.0, 4e5, 1.0)}]
)
def test_a_cell_that_is_refused_claims_no_folder(tmp_path: Path, cell: dict[str, object]) -> None:
    study = small_study(site=STREET.model_copy(update=cell))
    with pytest.raises(SiteTwinError):
        run_csi_study(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()

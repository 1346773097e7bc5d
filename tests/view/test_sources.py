"""What the viewer opens: sites, stores, values; and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sitetwin.cli.app import app
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceJob, TraceSettings
from sitetwin.site import Cylinder, Site, Vegetation, load_scene, save_site, user_grid
from sitetwin.view import sources
from sitetwin.view.sources import Link, open_worlds, read_values, value_quantities


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Path]:
    """A street with a tree, saved, and the paths of two transmitters in it."""
    folder = tmp_path_factory.mktemp("traced")
    site = load_scene("simple_street_canyon").variant(vegetation=Vegetation((Cylinder((5.0, 0.0), 3.0, 3.0, 8.0),)))
    save_site(site, folder / "site")
    users, _ = user_grid((-20.0, -8.0, 20.0, 8.0), 8.0, 1.5, site)
    for name, x in (("tx000", -33.0), ("tx001", 30.0)):
        TraceJob(site, np.array([x, 0.0, 12.0]), users, TraceSettings(max_depth=1), 5).run(folder / "runs" / name)
    return site, folder


def test_a_folder_of_stores_is_one_world_with_several_transmitters(traced: tuple[Site, Path]) -> None:
    _, folder = traced
    (world,) = open_worlds([str(folder / "runs")], [], str(folder / "site"))
    assert [link.name.split()[0] for link in world.links] == ["tx000", "tx001"]
    assert world.links[0].paths.num_users == world.links[0].store.num_users
    np.testing.assert_array_equal(world.links[1].transmitter, [30.0, 0.0, 12.0])


def test_stores_find_the_site_of_their_geometry(traced: tuple[Site, Path]) -> None:
    _, folder = traced
    bare, planted = open_worlds(["simple_street_canyon", str(folder / "site")], [folder / "runs" / "tx000"], None)
    assert not bare.links
    assert len(planted.links) == 1
    with pytest.raises(SiteTwinError, match="another geometry"):
        open_worlds(["simple_street_canyon"], [folder / "runs" / "tx000"], None)
    (found,) = open_worlds([str(folder / "runs" / "tx000")], [], None)  # the site was saved before it was traced
    assert len(found.links) == 1
    assert found.site.hash == planted.site.hash
    with pytest.raises(SiteTwinError, match="no store of paths"):
        open_worlds(["simple_street_canyon"], [folder / "site"], None)


def test_equal_names_are_told_apart(traced: tuple[Site, Path]) -> None:
    worlds = open_worlds(["simple_street_canyon"] * 2, [], None)
    assert len({world.name for world in worlds}) == 2


def test_many_users_are_thinned_evenly(traced: tuple[Site, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, folder = traced
    whole = open_worlds([str(folder / "runs" / "tx000")], [], str(folder / "site"))[0].links[0].paths
    monkeypatch.setattr(sources, "MOST_USERS", whole.num_users // 2)
    with pytest.warns(UserWarning, match="every"):
        (world,) = open_worlds([str(folder / "runs" / "tx000")], [], str(folder / "site"))
    (link,) = world.links
    assert link.stride >= 2
    np.testing.assert_array_equal(link.paths.users, whole.users[:: link.stride])
    np.testing.assert_array_equal(link.paths.counts, whole.counts[:: link.stride])
    values = {"nmse": np.arange(whole.num_users, dtype=np.float64), "other": np.zeros(whole.num_users + 1)}
    assert list(value_quantities(values, link)) == ["nmse"]
    np.testing.assert_array_equal(
        value_quantities(values, link)["nmse"].values, np.arange(whole.num_users)[:: link.stride]
    )


def test_values_from_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", nmse=np.array([-3.0, -5.0]), matrix=np.zeros((2, 2)), name=np.array(["a", "b"]))
    assert {k: v.tolist() for k, v in read_values(tmp_path / "v.npz").items()} == {"nmse": [-3.0, -5.0]}
    (tmp_path / "v.csv").write_text("x,nmse (dB),word\n1,-3,a\n2,,b\n")
    found = read_values(tmp_path / "v.csv")
    assert list(found) == ["nmse (dB)"]
    np.testing.assert_array_equal(found["nmse (dB)"], [-3.0, np.nan])


def test_hostile_values_are_refused_in_one_sentence(tmp_path: Path) -> None:
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, bad=np.array([{}], dtype=object))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "ragged.csv").write_text("a,b\n1,2\n3\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    for name in ("pickled.npz", "broken.npz", "ragged.csv", "empty.csv", "binary.csv", "absent.csv"):
        with pytest.raises(SiteTwinError) as caught:
            read_values(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_an_unfinished_store_is_refused(traced: tuple[Site, Path], tmp_path: Path) -> None:
    import shutil

    _, folder = traced
    copy = tmp_path / "copy"
    shutil.copytree(folder / "runs" / "tx000", copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["tiles"][0]["sha256"] = None
    del manifest["manifest_sha256"]  # as the first stores were written
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SiteTwinError, match="resume"):
        open_worlds([str(copy)], [], str(folder / "site"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nowhere"],
        ["simple_street_canyon", "--carrier", "0"],
        ["simple_street_canyon", "--values", "absent.npz"],
        ["simple_street_canyon", "--paths", "absent"],
        ["simple_street_canyon", "--host", "999.1.1.1"],
        ["simple_street_canyon", "--pattern", "absent"],
    ],
)
def test_bad_arguments_end_in_one_sentence(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["view", *arguments])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr


def test_links_are_read_late(traced: tuple[Site, Path]) -> None:
    _, folder = traced
    (world,) = open_worlds([str(folder / "runs")], [], str(folder / "site"))
    assert all("paths" not in vars(link) for link in world.links if isinstance(link, Link))

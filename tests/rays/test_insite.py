"""Listed paths of Wireless InSite: what is written is read, facets are found, and our tracer agrees with them."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel import FieldOptions, path_gains
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.rays.referee.compare import match_paths
from sitetwin.rays.referee.facet_search import point_triangle_distance, search_facets
from sitetwin.rays.referee.insite_paths import read_insite_paths
from sitetwin.rays.referee.insite_setup import read_radios, read_setup
from sitetwin.site import load_scene
from tests.rays.shapes import ground, quad_site
from tests.site.insite_files import TRANSMITTER, radios, setup, write_project

ROOT = Path(__file__).resolve().parents[2]
HEADER = """# <Transmitter Set: Tx: 1 BS - Point 1>
# <Receiver Set: Rx: 2 users >
# <number of receiver points>
#\t\t<phase(deg)>
"""


def p2m(counts: list[int], paths: list[tuple[list[float], str, list[list[float]]]], digits: int | None = None) -> str:
    """A file: paths of each receiver, each as its seven numbers, its interactions and its points."""
    write = repr if digits is None else lambda x: f"{x:.{digits}g}"
    lines, rows = [str(len(counts))], iter(paths)
    for number, count in enumerate(counts, start=1):
        lines.append(f"{number} {count}")
        if count:
            lines.append("-80.0 1e-07 1e-09")
        for k in range(1, count + 1):
            columns, sequence, points = next(rows)
            lines.append(" ".join([str(k), str(len(points) - 2), *map(write, columns)]))
            lines.append(sequence + " ")
            lines += [" ".join(map(write, point)) for point in points]
    return HEADER + "\n".join(lines) + "\n"


def listing_of(paths: Paths, digits: int | None = None) -> str:
    """What InSite would list of our paths; power and phase are the row's number."""
    rows = []
    for row, user in enumerate(paths.user_of_path):
        depth = int(paths.depth[row])
        points = [paths.transmitter, *paths.vertices[row, :depth], paths.users[user]]
        angles: list[float] = []
        for direction in (paths.arrival[row], paths.departure[row]):
            angles += np.degrees([np.arccos(direction[2]), np.arctan2(direction[1], direction[0])]).tolist()
        columns = [-float(row), float(row % 180), float(paths.delay[row]), *angles]
        rows.append((columns, "-".join(["Tx", *["R"] * depth, "Rx"]), [list(map(float, p)) for p in points]))
    return p2m(paths.counts.tolist(), rows, digits)


@pytest.fixture(scope="module")
def project(tmp_path_factory: Any) -> Path:
    return write_project(tmp_path_factory.mktemp("insite") / "run")


@pytest.fixture(scope="module")
def traced(project: Path) -> tuple[Any, Paths]:
    site, setup = load_scene(project), read_setup(project)
    users = setup.radios[2].positions
    return site, trace(site, setup.radios[1].positions[0], users, TraceSettings(max_depth=setup.max_reflections))


def test_setup(project: Path) -> None:
    setup = read_setup(project)
    assert setup.frequency_hz == 3.5e9
    assert setup.antennas == {0: ("isotropic", "vertical")}
    assert (setup.max_reflections, setup.max_transmissions, setup.max_diffractions) == (2, 0, 0)
    transmitters, users = setup.radios[1], setup.radios[2]
    assert transmitters.positions.tolist() == [list(TRANSMITTER)]
    assert (transmitters.power_dbm, users.power_dbm, users.rotation) == (10.0, None, False)
    assert users.positions[:6].tolist() == [[x, -30, 1.5] for x in (-20, -10, 0, 10, 20)] + [[-20, -20, 1.5]]
    assert len(users.positions) == 15


def test_whether_a_run_scatters(project: Path, tmp_path: Path) -> None:
    for file in project.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    file = tmp_path / "town.setup"

    def read(text: str) -> bool:
        file.write_text(text)
        return read_setup(tmp_path).diffuse

    assert [read(setup(diffuse=word)) for word in ("yes", "no")] == [True, False]
    block = "begin_<diffuse_scattering>\nenabled {}\ndiffuse_reflections 2\nend_<diffuse_scattering>\n"
    assert read(setup().replace(block.format("no"), "")) is False
    with pytest.raises(SiteTwinError, match=r"line \d+: diffuse scattering is enabled 'maybe'; write yes or no"):
        read(setup(diffuse="maybe"))
    with pytest.raises(SiteTwinError, match="study areas differ in diffuse scattering"):
        read(setup().replace(block.format("no"), block.format("no") + block.format("yes")))
    idle = f"begin_<studyarea> old\n{block.format('yes')}end_<studyarea>\n"
    assert read(setup().replace("begin_<studyarea>", f"{idle}begin_<studyarea>", 1)) is False


@pytest.mark.parametrize("model", ["directive_with_backscatter", "lambertian"])
def test_powers_are_those_of_the_run(project: Path, tmp_path: Path, model: str) -> None:
    """Whatever the materials' coefficients: a run without diffuse scattering leaves reflections whole."""
    for file in project.iterdir():
        text = file.read_text().replace("directive_with_backscatter", model)
        (tmp_path / file.name).write_text(text.replace("scattered 0.200000", "scattered 0.900000"))
    smooth, rough = load_scene(project), load_scene(tmp_path)
    smooth = smooth.variant(materials={m.name: replace(m, scattering_coefficient=0.0) for m in smooth.materials})
    assert max(m.scattering_coefficient for m in rough.materials) == 0.9
    own = read_setup(tmp_path)
    ours = trace(rough, own.radios[1].positions[0], own.radios[2].positions, TraceSettings(max_depth=2))
    powers = [
        path_gains(ours, site, own.frequency_hz, options=FieldOptions(diffuse=own.diffuse)).power_db
        for site in (smooth, rough)
    ]
    torch.testing.assert_close(*powers)


def test_other_sets_of_radios_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.txrx").write_text(radios() + "begin_<route> r\nactive\nend_<route>\n")
    with pytest.warns(SiteTwinWarning, match="radios along a <route> are left out"):
        assert set(read_radios(tmp_path / "a.txrx")) == {1, 2}
    (tmp_path / "b.txrx").write_text(radios().replace("spacing 10.0", "spacing 1e-9"))
    with pytest.raises(SiteTwinError, match=r"line \d+: the grid is 41 m by 20 m at 1e-09 m"):
        read_radios(tmp_path / "b.txrx")


@pytest.mark.parametrize("exact", [True, False])
def test_listing_is_read_back(project: Path, traced: tuple[Any, Paths], tmp_path: Path, exact: bool) -> None:
    site, ours = traced
    assert set(ours.depth) == {0, 1, 2}
    file = tmp_path / "run.paths.t001_01.r002.p2m"
    file.write_text(listing_of(ours, None if exact else 6))
    given = (ours.transmitter, ours.users) if not exact else (None, None)
    read = read_insite_paths(file, *given)
    assert (read.transmitter_set, read.receiver_set, read.left_out) == ((1, 1), 2, {})
    has = ours.counts > 0
    np.testing.assert_array_equal(read.paths.users[has], ours.users[has])
    assert np.isnan(read.paths.users[~has]).all() == exact or has.all()
    np.testing.assert_array_equal(read.paths.offsets, ours.offsets)
    np.testing.assert_array_equal(read.paths.kinds, ours.kinds)
    tolerance = 1e-12 if exact else 1e-3
    np.testing.assert_allclose(read.paths.vertices, ours.vertices, atol=tolerance)
    np.testing.assert_allclose(read.paths.length, ours.length, atol=tolerance)
    np.testing.assert_allclose(read.delay, ours.delay, rtol=1e-5)
    np.testing.assert_array_equal(read.power_dbm, -np.arange(ours.num_paths))
    np.testing.assert_allclose(np.abs(read.gains(10.0)), 10 ** (-(np.arange(ours.num_paths) + 10) / 20))
    np.testing.assert_allclose(np.degrees(np.angle(read.gains(10.0))) % 360, np.arange(ours.num_paths) % 180, atol=1e-9)
    theta, phi = read.arrival_angles.T
    np.testing.assert_allclose(np.sin(theta) * np.cos(phi), ours.arrival[:, 0], atol=1e-5)
    np.testing.assert_allclose(np.cos(read.departure_angles[:, 0]), ours.departure[:, 2], atol=1e-5)
    search = search_facets(read.paths, site)
    np.testing.assert_array_equal(search.facets, ours.facets)
    assert search.complete.all()
    np.testing.assert_allclose(search.vertices, ours.vertices, atol=1e-9)
    assert np.nanmax(search.displacement) <= tolerance


def test_paths_with_other_interactions_are_counted(tmp_path: Path) -> None:
    columns = [-90.0, 0.0, 1e-7, 90.0, 0.0, 90.0, 180.0]
    start, end = [0.0, 0.0, 10.0], [30.0, 0.0, 1.0]
    far = [(columns, "Tx-R-D-Rx", [start, [5.0, 5.0, 5.0], [6.0, 6.0, 6.0], end])]
    direct = [(columns, "Tx-Rx", [start, end])]
    (tmp_path / "a.p2m").write_text(p2m([2, 0, 1], [*far, *direct, *direct]))
    read = read_insite_paths(tmp_path / "a.p2m", users=np.array([end, [0.0, 0, 0], end]))
    assert read.left_out == {"Tx-R-D-Rx": 1}
    assert read.paths.counts.tolist() == [1, 0, 1]
    assert read.paths.max_depth == 0
    np.testing.assert_allclose(read.paths.length, np.hypot(30, 9))


def test_positions_of_another_project_are_refused(project: Path, traced: tuple[Any, Paths], tmp_path: Path) -> None:
    _, ours = traced
    (tmp_path / "a.p2m").write_text(listing_of(ours))
    with pytest.raises(SiteTwinError, match=r"line \d+: not every path starts at the transmitter"):
        read_insite_paths(tmp_path / "a.p2m", ours.transmitter + 0.01)
    with pytest.raises(SiteTwinError, match=r"line \d+: not every path ends at its receiver"):
        read_insite_paths(tmp_path / "a.p2m", None, ours.users[::-1])
    with pytest.raises(SiteTwinError, match="has 15 receivers"):
        read_insite_paths(tmp_path / "a.p2m", None, ours.users[1:])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("#\t\t<phase(deg)>\n", ""), "header does not promise a phase"),
        (("\n15\n", "\n14 2\n"), "number of receivers"),
        (("\n2 ", "\n7 "), "receiver 2 and its number of paths|path 2"),
        (("Tx-R-Rx", "Tx-R-R-Rx"), "interactions of a path with 1"),
        (("Tx-Rx", "Tx Rx"), "interactions of a path with 0"),
        (("Tx-Rx \n0.0", "Tx-Rx \nnan"), "NaN or infinite"),
        (("Tx-Rx \n0.0", "Tx-Rx \n1e19"), "beyond 1e"),
        (("Tx-Rx \n0.0", "Tx-Rx \n0.0 1.0"), "three coordinates"),
        (("Tx-Rx \n0.0", "Tx-Rx \nzero"), "a number is expected"),
    ],
)
def test_broken_lists_name_their_line(traced: tuple[Any, Paths], tmp_path: Path, change: Any, said: str) -> None:
    good = listing_of(traced[1])
    assert change[0] in good
    (tmp_path / "a.p2m").write_text(good.replace(*change, 1))
    with pytest.raises(SiteTwinError, match=rf"a\.p2m', line \d+: .*({said})"):
        read_insite_paths(tmp_path / "a.p2m")


@given(st.data())
def test_truncated_and_damaged_lists_end_in_a_sentence(tmp_path_factory: Any, data: st.DataObject) -> None:
    columns = [-90.0, 0.0, 1e-7, 90.0, 0.0, 90.0, 180.0]
    good = bytearray(p2m([1, 0], [(columns, "Tx-R-Rx", [[0.0, 0, 9], [1.0, 1, 0], [2.0, 2, 9]])]).encode())
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=6)
    ):
        good[position] = value
    file = tmp_path_factory.mktemp("p2m") / "a.p2m"
    file.write_bytes(bytes(good[: data.draw(st.integers(0, len(good)))]))
    with contextlib.suppress(SiteTwinError):
        read_insite_paths(file)


@pytest.mark.parametrize("cut", [0, 10, 60, 150, 400, 900])
def test_a_truncated_list_is_never_read(traced: tuple[Any, Paths], tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.p2m").write_text(listing_of(traced[1])[:cut])
    with pytest.raises(SiteTwinError):
        read_insite_paths(tmp_path / "a.p2m")


def test_endless_line(tmp_path: Path) -> None:
    (tmp_path / "a.p2m").write_bytes(b"1" * (1 << 22))
    with pytest.raises(SiteTwinError, match="does not end"):
        read_insite_paths(tmp_path / "a.p2m")


@given(st.integers(0, 10_000))
def test_distance_to_triangles(seed: int) -> None:
    """Against the least distance over a fine mesh of barycentric points."""
    rng = np.random.default_rng(seed)
    corners, point = rng.normal(size=(1, 3, 3)), 2 * rng.normal(size=3)
    u, v = np.meshgrid(np.linspace(0, 1, 201), np.linspace(0, 1, 201))
    weights = np.stack([1 - u - v, u, v], axis=-1)[u + v <= 1 + 1e-12]
    brute = np.linalg.norm(weights @ corners[0] - point, axis=1).min()
    edge = np.linalg.norm(corners[0] - np.roll(corners[0], 1, axis=0), axis=1).max()
    assert brute - edge / 200 <= point_triangle_distance(point, corners)[0] <= brute + 1e-12


def test_points_far_from_every_facet_stay_without() -> None:
    site = quad_site([ground(50.0)])
    ours = trace(site, np.array([0.0, 0, 9]), np.array([[10.0, 0, 2]]), TraceSettings(max_depth=1))
    ours.vertices[1, 0, 2] += 0.2
    search = search_facets(ours, site, 0.05)
    assert search.complete.tolist() == [True, False]
    assert search.facets.tolist() == [[-1], [-1]]
    near = search_facets(ours, site, 0.5)
    assert near.facets.tolist() == [[-1], [0]]
    assert near.displacement[1, 0] == pytest.approx(0.2)


def test_at_an_edge_the_mirror_law_picks_the_facet() -> None:
    """A point 1 cm from a wall's foot lies near two facets; only one of them reflects there."""
    wall = [(-50, 20, 0), (50, 20, 0), (50, 20, 30), (-50, 20, 30)]
    site = quad_site([ground(60.0), wall])
    users = np.array([[0.0, 19.98, 1.0], [0.0, 10.0, 0.01]])
    ours = trace(site, np.array([0.0, 0.0, 2.0]), users, TraceSettings(max_depth=2))
    search = search_facets(ours, site, 0.05)
    np.testing.assert_array_equal(search.facets, ours.facets)
    assert {tuple(row) for row in ours.facets} >= {(0, -1), (1, -1), (0, 1)}


def test_overlapping_coplanar_facets_neither_lose_nor_double_paths() -> None:
    """A ground of two overlapping sheets of different objects carries each path once, as one sheet does."""
    left = [(-60, -40, 0), (30, -40, 0), (30, 40, 0), (-60, 40, 0)]
    right = [(-30, -40, 0), (60, -40, 0), (60, 40, 0), (-30, 40, 0)]
    whole = [(-60, -40, 0), (60, -40, 0), (60, 40, 0), (-60, 40, 0)]
    walls = [
        [(-60, 41, -1), (60, 41, -1), (60, 41, 25), (-60, 41, 25)],
        [(-60, -41, -1), (60, -41, -1), (60, -41, 25), (-60, -41, 25)],
    ]
    rng = np.random.default_rng(5)
    users = np.column_stack([rng.uniform(-55, 55, 400), rng.uniform(-38, 38, 400), rng.uniform(1, 3, 400)])
    transmitter = np.array([1.0, 3.0, 10.0])
    one = trace(quad_site([*walls, whole]), transmitter, users, TraceSettings(max_depth=3))
    two = trace(quad_site([*walls, left, right]), transmitter, users, TraceSettings(max_depth=3))
    match = match_paths(one, two)  # the walls have the same numbers in both, and so has one of the sheets
    assert not match.by_chain.all()
    assert (one.num_paths, len(match.a), len(match.only_b)) == (two.num_paths, one.num_paths, 0)

"""Gradients of gains with respect to all parameters, against finite differences; and the prepared evaluator."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sitetwin.channel import (
    AntennaArray,
    Evaluator,
    FieldOptions,
    OfdmGrid,
    Radio,
    Tr38901,
    band_nodes,
    delay_angle,
    frequency_response,
    impulse_response,
    path_gains,
    prepare,
)
from sitetwin.channel.fields.options import TENSORS
from sitetwin.channel.link_statistics import link_statistics
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import Interaction, trace
from sitetwin.site.materials import Material
from tests.channel.differentiable import SETTINGS, TURNED, TX, USERS, F, nominal, options, world
from tests.channel.worlds import make_paths, plane_site

DOUBLE = torch.complex128
OFFSETS = ("transmitter_offset", "user_offset")


def quietly(work: Callable[[], Any]) -> Any:
    """What offsets say of diffracted paths is tested once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "offsets are exact")
        return work()


def scaled(values: Tensor) -> Tensor:
    """Real and imaginary parts, of the order of one."""
    return torch.view_as_real(values * 1e4)


def check_gradient(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-6) -> None:
    """The gradient of a weighted sum of all values against central differences along each entry."""
    weights = torch.randn(function(at).shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    inside = at.clone().requires_grad_()
    (found,) = torch.autograd.grad((weights * function(inside)).sum(), inside)
    for entry in torch.nonzero(torch.isfinite(at)):
        place = tuple(entry.tolist())
        up, down = at.clone(), at.clone()
        up[place] += step
        down[place] -= step
        expected = ((function(up) - function(down)) * weights).sum() / (2 * step)
        assert found[place].item() == pytest.approx(expected.item(), rel=2e-5, abs=2e-5 * float(found.abs().max()))


def test_the_world_has_every_kind_of_path():
    _, paths = world()
    assert set(np.unique(paths.kinds).tolist()) == {int(kind) for kind in Interaction}
    assert len(paths.crossing_volume)


@pytest.mark.parametrize("name", TENSORS)
def test_gradients_of_every_parameter(name):
    """Of all kinds of paths at once: reflection, slabs, edges, tiles, canopies, leaves."""
    site, paths = world()
    at = nominal(site)[name]
    if name == "xpd_coefficient":
        at[2] = 0.05  # at zero the gradient has no bound
    others = {"user_offset": torch.tensor([0.02, -0.01, 0.03]).double()} if name == "transmitter_offset" else {}

    def function(value: Tensor) -> Tensor:
        with_it = options(**{name: value}, **others)
        return quietly(lambda: scaled(path_gains(paths, site, F, TURNED, None, with_it, dtype=DOUBLE).values))

    check_gradient(function, at, 1e-7 if name in OFFSETS else 1e-6)


@pytest.mark.parametrize("name", TENSORS)
def test_nominal_tensors_change_no_bit(name):
    site, paths = world()
    for dtype in (torch.complex64, DOUBLE):
        plain = path_gains(paths, site, F, TURNED, None, options(), dtype=dtype)
        tensor = nominal(site)[name].requires_grad_()
        given = quietly(
            lambda t=tensor, d=dtype: path_gains(paths, site, F, TURNED, None, options(**{name: t}), dtype=d)
        )
        assert torch.equal(plain.values, given.values)
        assert given.values.requires_grad


@pytest.mark.parametrize("dtype", [torch.complex64, DOUBLE])
def test_an_evaluator_gives_the_bits_of_path_gains(dtype):
    site, paths = world()
    evaluate = prepare(paths, site, F, TURNED, options=options(), dtype=dtype)
    rng = torch.Generator().manual_seed(1)
    start = nominal(site)
    for _ in range(3):
        changed = {
            n: v * (0.9 + 0.2 * torch.rand(v.shape, generator=rng, dtype=torch.float64)) for n, v in start.items()
        }
        changed |= {n: 0.05 * torch.randn(3, generator=rng, dtype=torch.float64) for n in OFFSETS}
        for names in ((), TENSORS[:2], TENSORS[:5], TENSORS[:6], TENSORS):
            tensors = {n: changed[n].requires_grad_() for n in names}
            ours = quietly(lambda t=tensors: evaluate(**t))
            theirs = quietly(lambda t=tensors: path_gains(paths, site, F, TURNED, options=options(**t), dtype=dtype))
            assert torch.equal(ours.values, theirs.values)
            if names:
                one, other = (torch.autograd.grad(g.power.sum(), list(tensors.values())) for g in (ours, theirs))
                for a, b in zip(one, other, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-4 if dtype == torch.complex64 else 1e-9, atol=1e-30)
    rx = Radio("single", polarisation="VH", yaw_deg=30.0)
    assert torch.equal(
        evaluate(tx=Radio(), rx=rx).values, path_gains(paths, site, F, None, rx, options(), dtype=dtype).values
    )


def test_an_evaluator_takes_turns_of_each_user():
    site, paths = world()
    turns = torch.tensor([[0.1, 0.2, 0.0], [1.0, 0.0, 0.1], [0.0, 0.1, 0.3]], dtype=torch.float64, requires_grad=True)
    rx = Radio(AntennaArray.single("tr38901"), turns)
    ours = prepare(paths, site, F, options=options())(rx=rx)
    assert torch.equal(ours.values, path_gains(paths, site, F, None, rx, options()).values)
    ours.power.sum().backward()
    assert bool((turns.grad.abs().sum(dim=1) > 0).all())
    with pytest.raises(SiteTwinError, match="2 orientations were given for 3 users"):
        prepare(paths, site, F)(rx=Radio(AntennaArray.single("tr38901"), turns[:2]))


def test_gradients_of_orientation_and_pattern():
    site, paths = world()
    evaluate = prepare(paths, site, F, options=options(), dtype=DOUBLE)

    def turned(pose: Tensor) -> Tensor:
        return scaled(evaluate(tx=Radio(AntennaArray.single("tr38901", "cross"), pose)).values)

    check_gradient(turned, torch.tensor([0.2, 0.1, -0.05], dtype=torch.float64))

    def shaped(numbers: Tensor) -> Tensor:
        array = AntennaArray.single(Tr38901(*numbers))
        return scaled(evaluate(tx=Radio(array, (0.1, 0.1, 0.0))).values)

    check_gradient(shaped, torch.tensor([8.0, 65.0, 30.0], dtype=torch.float64))
    plain = path_gains(paths, site, F, Radio("single", pattern="tr38901"), options=options())
    given = Radio(AntennaArray.single(Tr38901(*torch.tensor([8.0, 65.0, 30.0], dtype=torch.float64))))
    assert torch.equal(plain.values, path_gains(paths, site, F, given, options=options()).values)


@pytest.mark.parametrize("pattern", ["iso", "dipole", "tr38901"])
def test_a_turn_of_zero_that_asks_for_gradients_changes_no_bit(pattern):
    site, paths = world()
    still = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    for slants in ("V", "cross"):
        array = AntennaArray.single(pattern, slants)
        for dtype in (torch.complex64, DOUBLE):
            plain = path_gains(paths, site, F, Radio(array), Radio(array), dtype=dtype)
            given = path_gains(paths, site, F, Radio(array, still), Radio(array, still), dtype=dtype)
            assert torch.equal(plain.values, given.values)


def test_values_by_name_reach_their_material_alone():
    site, paths = world()
    value = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    all_of_them = nominal(site)["relative_permittivity"]
    all_of_them[1] = 5.0
    ours = path_gains(paths, site, F, options=options(relative_permittivity={"wall": value}, thickness={"roof": 0.2}))
    thick = nominal(site)["thickness"]
    thick[2] = 0.2
    theirs = path_gains(paths, site, F, options=options(relative_permittivity=all_of_them, thickness=thick))
    assert torch.equal(ours.values, theirs.values)
    ours.power.sum().backward()
    assert value.grad.item() != 0


def shifted(site, paths, delta, epsilon):
    """The same paths traced again from the moved places, in the order of the old ones."""
    again = trace(site, TX + delta, USERS + epsilon, SETTINGS)

    def keys(p):
        return {
            (user, *kinds, *facets): row
            for row, (user, kinds, facets) in enumerate(
                zip(p.user_of_path.tolist(), p.kinds.tolist(), p.facets.tolist(), strict=True)
            )
        }

    old, new = keys(paths), keys(again)
    return again, np.array([(row, new[key]) for key, row in old.items() if key in new])


@pytest.mark.parametrize("who", ["transmitter", "users", "both"])
def test_offsets_meet_a_new_trace(who):
    """Delay, direction and gain of reflected and transmitted paths, and of edges, tiles and centres that stay."""
    site, paths = world()
    bare = np.diff(paths.crossing_offsets) == 0
    diffuse = (paths.kinds == Interaction.DIFFUSE).any(axis=1)  # tiles of a new trace may be others
    delta = np.array([0.11, -0.07, 0.05]) * (who != "users")
    epsilon = np.array([-0.06, 0.09, 0.04]) * (who != "transmitter")
    again, pairs = shifted(site, paths, delta, epsilon)
    pairs = pairs[(bare & ~diffuse)[pairs[:, 0]]]
    old, new = pairs.T
    seen = {int(kind) for kind in np.unique(paths.kinds[old])}
    assert seen >= {Interaction.REFLECTION, Interaction.TRANSMISSION, Interaction.DIFFRACTION}
    moves = options(transmitter_offset=torch.from_numpy(delta), user_offset=torch.from_numpy(epsilon), diffuse=True)
    ours = quietly(lambda: path_gains(paths, site, F, TURNED, None, moves, dtype=DOUBLE))
    theirs = path_gains(again, site, F, TURNED, None, options(diffuse=True), dtype=DOUBLE)
    np.testing.assert_allclose(ours.moved.length.numpy()[old], again.length[new], rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.moved.departure.numpy()[old], again.departure[new], atol=1e-9)
    np.testing.assert_allclose(ours.moved.arrival.numpy()[old], again.arrival[new], atol=1e-9)
    ours, theirs = ours.values[old], theirs.values[new]
    assert float((ours - theirs).abs().max()) < 1e-7 * float(theirs.abs().max())  # 1e-9 m turn the phase so much
    assert float((ours.abs() - theirs.abs()).abs().max()) < 1e-9 * float(theirs.abs().max())


def test_offsets_of_tiles_and_centres_by_their_places():
    """A tile stays where it is: both parts of the way are straight lines to it."""
    site, paths = world()
    delta, epsilon = np.array([0.3, -0.2, 0.1]), np.array([0.1, 0.2, -0.1])
    moves = options(transmitter_offset=torch.from_numpy(delta), user_offset=torch.from_numpy(epsilon))
    moved = quietly(lambda: path_gains(paths, site, F, options=moves)).moved
    alone = np.isin(paths.kinds[:, 0], (Interaction.DIFFUSE, Interaction.CANOPY)) & (paths.depth == 1)
    point, user = paths.vertices[alone, 0], paths.users[paths.user_of_path[alone]]
    there, back = point - TX - delta, point - user - epsilon
    sizes = [np.linalg.norm(v, axis=1) for v in (there, back)]
    np.testing.assert_allclose(moved.length.numpy()[alone], sum(sizes), atol=1e-9)
    np.testing.assert_allclose(moved.departure.numpy()[alone], there / sizes[0][:, None], atol=1e-12)
    np.testing.assert_allclose(moved.arrival.numpy()[alone], back / sizes[1][:, None], atol=1e-12)
    assert set(np.unique(paths.kinds[alone, 0]).tolist()) == {Interaction.DIFFUSE, Interaction.CANOPY}


def test_an_offset_of_each_user():
    site, paths = world()
    offsets = torch.tensor([[0.1, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.0, 0.3]], dtype=torch.float64)
    together = quietly(lambda: path_gains(paths, site, F, options=options(user_offset=offsets), dtype=DOUBLE))
    for user, offset in enumerate(offsets):
        chosen, own = together.select_users(paths, np.array([user]))
        alone = quietly(lambda c=chosen, o=offset: path_gains(c, site, F, options=options(user_offset=o), dtype=DOUBLE))
        torch.testing.assert_close(own.values, alone.values)
        torch.testing.assert_close(own.moved.length, alone.moved.length)


def test_channels_follow_parameters_and_offsets():
    """Frequency response, impulse response and delay-angle channels: gradients through gains, delays and directions."""
    site, paths = world()
    grid = OfdmGrid(F, 16, 2e6)
    evaluate = prepare(paths, site, F, TURNED, options=options(), dtype=DOUBLE)
    for make in (
        lambda gains: frequency_response(paths, gains, grid),
        lambda gains: frequency_response(paths, gains, grid, steering="per-subcarrier"),
        lambda gains: impulse_response(paths, gains, 1e8, 24),
        lambda gains: delay_angle(paths, gains, grid, num_taps=8),
    ):
        for name, at in (
            ("transmitter_offset", torch.tensor([0.02, 0.01, -0.01], dtype=torch.float64)),
            ("thickness", nominal(site)["thickness"]),
        ):
            check_gradient(lambda v, n=name, m=make: quietly(lambda: scaled(m(evaluate(**{n: v})))), at, 1e-7)


def test_gains_over_a_band_follow_offsets():
    site, paths = world()
    offset = torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64, requires_grad=True)
    gains = quietly(lambda: band_nodes(paths, site, F, 1e8, options=options(transmitter_offset=offset), max_nodes=5))
    response = frequency_response(paths, gains, OfdmGrid(F, 8, 1e7))
    response.abs().square().sum().backward()
    assert bool(torch.isfinite(offset.grad).all())


def test_what_does_not_follow_offsets_is_refused():
    site, paths = world()
    offset = torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64)
    with pytest.warns(SiteTwinWarning, match=r"diffracted paths, whose edges .* through vegetation, whose chords stay"):
        gains = path_gains(paths, site, F, options=options(transmitter_offset=offset))
    with pytest.raises(SiteTwinError, match="trace again from the moved place"):
        link_statistics(paths, gains)
    with pytest.raises(SiteTwinError, match="spherical waves do not follow"):
        frequency_response(paths, gains, OfdmGrid(F, 8, 1e6), wavefront="spherical")


def test_a_path_straight_into_a_wall_or_up_has_a_finite_gradient():
    """Head-on incidence and the vertical are where bases are not defined."""
    wall = Material("wall", relative_permittivity=5.0, conductivity=0.05)
    site = plane_site([((1, 0, 0), 20.0), ((0, 0, 1), 40.0)], [wall])
    paths = make_paths([0, 0, 5], [[-10.0, 0, 5], [0.0, 0.0, 9.0]], site, [[[], [0]], [[], [1]]])
    offset = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    pose = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    tx = Radio(AntennaArray.single("tr38901"), pose)
    gains = path_gains(paths, site, F, tx, options=FieldOptions(transmitter_offset=offset), dtype=DOUBLE)
    gains.power.sum().backward()
    assert bool(torch.isfinite(offset.grad).all())
    assert bool(torch.isfinite(pose.grad).all())


ONES = torch.ones(3, dtype=torch.float64)


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"relative_permittivity": ONES[:2]}, r"relative_permittivity has shape \(2,\) but the site has 3 materials"),
        ({"thickness": torch.ones(3, dtype=torch.int64)}, r"thickness has the type torch.int64; give torch.float64"),
        ({"conductivity": ONES.to("meta")}, "conductivity lies on the device 'meta'; fields are computed on the CPU"),
        ({"relative_permittivity": ONES * math.nan}, "relative_permittivity of 'ground' is nan; give a finite number"),
        ({"relative_permittivity": ONES * 0}, "relative_permittivity of 'ground' is 0; give a finite number above 0"),
        ({"conductivity": -ONES}, "conductivity of 'ground' is -1; give a finite number 0 S/m or more"),
        ({"scattering_coefficient": ONES * 1.5}, "scattering_coefficient of 'ground' is 1.5; give .* from 0 to 1"),
        ({"xpd_coefficient": -ONES}, "xpd_coefficient of 'ground' is -1; give a finite number from 0 to 1"),
        ({"relative_permittivity": {"granite": 4.0}}, "names a material 'granite' .* it has ground, wall, roof"),
        ({"relative_permittivity": {"wall": "4"}}, "relative_permittivity of 'wall' is a str; give a number"),
        ({"relative_permittivity": {"wall": ONES}}, r"relative_permittivity of 'wall' has shape \(3,\); give"),
        ({"thickness": ONES}, "thickness of 'ground' was given but it is a half-space"),
        ({"thickness": {"ground": 0.1}}, "thickness of 'ground' was given but it is a half-space"),
        ({"thickness": {"wall": math.inf}}, "thickness of 'wall' is infinite but it is a slab"),
        ({"thickness": {"wall": 0.0}}, "thickness of 'wall' is 0; give a finite number above 0 m"),
        ({"foliage_factor": ONES}, r"foliage_factor has shape \(3,\); give \(1,\) with one factor per volume"),
        ({"foliage_factor": -ONES[:1]}, "foliage_factor of 'volume 0' is -1; give a finite number 0 or more"),
        ({"transmitter_offset": ONES[:2]}, r"transmitter_offset has shape \(2,\); give \(3,\) with metres"),
        ({"transmitter_offset": ONES * math.nan}, "transmitter_offset holds NaN or infinity; give finite metres"),
        (
            {"user_offset": torch.ones(2, 3)},
            r"user_offset has shape \(2, 3\); give \(3,\) with metres for all users, or",
        ),
        ({"wall": ONES}, "'wall' is no parameter of an evaluator; it takes tx, rx, relative_permittivity"),
    ],
)
def test_bad_tensors_are_refused(tensors, sentence):
    site, paths = world()
    evaluate = prepare(paths, site, F)
    with pytest.raises(SiteTwinError, match=sentence):
        evaluate(**tensors)
    if "wall" not in tensors:
        with pytest.raises(SiteTwinError, match=sentence):
            path_gains(paths, site, F, options=FieldOptions(**tensors))


def test_more_bad_input_is_refused():
    site, paths = world()
    clear = paths.take(np.diff(paths.crossing_offsets) == 0)
    with pytest.raises(SiteTwinError, match="leaves take nothing from these paths"):
        path_gains(clear, site, F, options=FieldOptions(foliage_factor=torch.ones(1)))
    from sitetwin.channel import Atmosphere

    wet = FieldOptions(atmosphere=Atmosphere(rain_mm_h=5.0), transmitter_offset=ONES)
    with pytest.raises(SiteTwinError, match="leave the rain or the offsets out"):
        path_gains(paths, site, F, options=wet)
    smooth = FieldOptions(diffuse=False, scattering_coefficient=(0.1 * ONES).requires_grad_())
    with pytest.warns(SiteTwinWarning, match="gradients are asked of scattering_coefficient"):
        path_gains(paths, site, F, options=smooth)
    for given in ({"max_gain_db": ONES}, {"beamwidth_deg": -1.0}, {"floor_db": torch.tensor(0.0)}):
        with pytest.raises(SiteTwinError, match="antenna pattern"):
            Tr38901(**given)


@pytest.mark.parametrize("what", ["relative_permittivity", "thickness", "scattering_coefficient", "xpd_coefficient"])
def test_a_tensor_in_a_material_is_refused(what):
    with pytest.raises(SiteTwinError, match=f"material 'wall': {what} is a Tensor, and a material holds plain numbers"):
        unchecked_material(**{what: torch.tensor(0.5, requires_grad=True)})


def unchecked_material(**values: Any) -> Material:
    """A material made without the tests' own check of types."""
    wall = Material("wall", relative_permittivity=5.0, conductivity=0.05)
    for name, value in values.items():
        object.__setattr__(wall, name, value)
    wall.__post_init__()
    return wall


def test_numbers_of_numpy_become_plain_ones_in_a_material():
    wall = unchecked_material(relative_permittivity=np.float32(5.0), conductivity=np.float64(0.1), alpha_r=np.int64(3))
    assert [type(v) for v in (wall.relative_permittivity, wall.conductivity, wall.alpha_r)] == [float, float, int]


def test_an_evaluator_of_no_path():
    site, paths = world()
    none = prepare(paths.take(np.zeros(0, np.int64)), site, F)
    assert isinstance(none, Evaluator)
    assert none().values.shape == (0, 1, 1)

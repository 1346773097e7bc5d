"""Values of materials that were tuned as tensors, put back into a site: the same fields, named and listed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import FieldOptions, path_gains, settled_site
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import load_scene, load_site, save_site, split_materials
from sitetwin.site.materials import ITU_TABLE
from tests.channel.differentiable import F, nominal, world

TUNED = {
    "relative_permittivity": lambda v: v + 0.5,
    "conductivity": lambda v: 1.5 * v,
    "thickness": lambda v: 1.1 * v,  # infinity stays
    "scattering_coefficient": lambda v: 0.5 * v,
    "xpd_coefficient": lambda v: 0.5 * v + 0.01,
}


@pytest.mark.parametrize("name", TUNED)
def test_fields_of_the_new_site_are_those_of_the_tensors(name, tmp_path):
    site, paths = world()
    options = FieldOptions(**{name: TUNED[name](nominal(site)[name]).requires_grad_()})
    made = settled_site(site, options, F)
    wanted = path_gains(paths, site, F, options=options).values.detach()
    assert not torch.equal(wanted, path_gains(paths, site, F).values)
    save_site(made, tmp_path / "site")
    for one in (made, load_site(tmp_path / "site")):
        assert torch.equal(path_gains(paths, one, F).values, wanted)
    assert [m.name for m in made.materials] == [m.name for m in site.materials]
    changed = {d["material"] for d in made.provenance["differences"] if d["what"] == "material values"}
    assert changed == {a.name for a, b in zip(site.materials, made.materials, strict=True) if a != b}


@pytest.mark.parametrize("by", ["material", "building", "facet"])
@pytest.mark.parametrize("named", [False, True])
def test_split_materials_of_the_tables_get_values_of_their_own(by, named):
    """Materials that are not named keep their row of the table; those that are have both constants of the carrier."""
    street = split_materials(load_scene("simple_street_canyon"), by)
    users = np.array([[10.0, 0.0, 1.5], [30.0, 2.0, 1.5]])
    paths = trace(street, np.array([-33.0, 0.0, 12.0]), users, TraceSettings(max_depth=2))
    met = int(street.facet_material[paths.facets[paths.depth == 1][0, 0]])
    if named:
        given = {street.materials[met].name: torch.tensor(7.0)}
    else:
        own = [m.evaluate(F)[0] for m in street.materials]
        given = torch.tensor([7.0 if at == met else v for at, v in enumerate(own)], dtype=torch.float64)
    options = FieldOptions(relative_permittivity=given)
    made = settled_site(street, options, F)
    assert torch.equal(path_gains(paths, made, F).values, path_gains(paths, street, F, options=options).values)
    assert [a == b for a, b in zip(street.materials, made.materials, strict=True)].count(False) == 1
    assert made.materials[met].relative_permittivity == 7.0
    assert made.materials[met].conductivity == street.materials[met].evaluate(F)[1]
    assert made.provenance["differences"][-1]["carrier_hz"] == F
    assert made.geometry_hash == street.geometry_hash


def test_the_policy_out_of_range_is_that_of_the_options():
    street = load_scene("simple_street_canyon")
    name = next(m.name for m in street.materials if m.itu == "marble")
    options = FieldOptions(relative_permittivity={name: 8.0}, out_of_range="extrapolate")
    with pytest.warns(SiteTwinWarning, match="extrapolated"):
        made = settled_site(street, options, 751e6)
    marble = ITU_TABLE["marble"][0]
    assert next(m for m in made.materials if m.name == name).conductivity == marble.at(0.751)[1]


def test_nothing_given_is_the_same_site():
    site, _ = world()
    assert settled_site(site, FieldOptions(), F) is site
    assert settled_site(site, FieldOptions(conductivity=nominal(site)["conductivity"]), F) is site


def test_what_no_material_holds_is_refused():
    site, _ = world()
    with pytest.raises(SiteTwinError, match="transmitter_offset is no value of a material"):
        settled_site(site, FieldOptions(transmitter_offset=torch.zeros(3)), F)
    with pytest.raises(SiteTwinError, match="foliage_factor is no value of a material"):
        settled_site(site, FieldOptions(foliage_factor=torch.ones(1)), F)
    with pytest.raises(SiteTwinError, match="lies outside 1 to 1000"):
        settled_site(site, FieldOptions(relative_permittivity={"wall": 0.5}), F)


def test_two_materials_of_one_name_are_not_mixed_up():
    site, _ = world()
    twins = replace(site, materials=tuple(replace(m, name="stone") for m in site.materials))
    values = nominal(twins)["relative_permittivity"]
    values[0] += 1
    with pytest.raises(SiteTwinError, match="two materials of the site have the name 'stone'"):
        settled_site(twins, FieldOptions(relative_permittivity=values), F)

"""What holds of everything that was read, whatever stood in the file."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from pydantic import BaseModel

from sitetwin.site import Site, check_site
from sitetwin.site.mesh import LARGEST_COORDINATE

_CARRIER = 3.5e9
_FARTHEST = 1e12  # no number of a site or of users: those that overflow somewhere later lie beyond


def numbers_in(value: Any) -> Iterator[np.ndarray]:
    """All numbers of a value, of arrays, records and containers."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "fiuc":
            yield value
    elif isinstance(value, (bool, str, bytes)) or value is None:
        return
    elif isinstance(value, (int, float)):
        assert not isinstance(value, int) or abs(value) < 2**64, "a whole number that no array holds"
        yield np.array(float(value))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from numbers_in(inner)
    elif isinstance(value, (list, tuple, set)):
        for inner in value:
            yield from numbers_in(inner)
    elif isinstance(value, BaseModel):
        yield from numbers_in({name: getattr(value, name) for name in type(value).model_fields})
    elif isinstance(value, (xr.Dataset, xr.DataArray)):
        yield from (v.values for v in value.variables.values()) if isinstance(value, xr.Dataset) else [value.values]
    elif is_dataclass(value):
        yield from numbers_in({f.name: getattr(value, f.name) for f in fields(value)})


def finite(value: Any) -> None:
    """All numbers are finite."""
    for array in numbers_in(value):
        assert np.isfinite(array).all(), "a number that is not finite"


def plausible(value: Any) -> None:
    """All numbers are finite and could be of this earth."""
    for array in numbers_in(value):
        assert np.isfinite(array).all(), "a number that is not finite"
        assert not array.size or np.abs(array).max() <= _FARTHEST, "a number beyond 1e12"


def sound_site(site: Site) -> None:
    """A site that can be traced: indices within their tables, finite places, materials that can be evaluated."""
    assert isinstance(site, Site)
    assert len(site.triangles), "no triangle"
    corners = site.vertices[site.triangles]
    assert np.isfinite(corners).all(), "a corner that is not finite"
    assert np.abs(corners).max() <= LARGEST_COORDINATE, "a corner far away"
    _within(site.triangles, len(site.vertices), "vertex")
    _within(site.triangle_object, len(site.objects), "object")
    _within(site.triangle_facet, len(site.facet_normal), "facet")
    _within(site.facet_material, len(site.materials), "material")
    assert np.allclose(np.linalg.norm(site.facet_normal, axis=1), 1, atol=1e-6), "a normal that is no unit vector"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for material in site.materials:
            permittivity, conductivity = material.evaluate(_CARRIER)
            assert 1 <= permittivity < 1e4, "a permittivity that is none"
            assert 0 <= conductivity < math.inf, "a conductivity that is none"
    plausible(site.vegetation.to_dict())
    if site.georeference is not None:
        assert abs(site.georeference.latitude) <= 90, "a latitude that is none"
        assert abs(site.georeference.longitude) <= 360, "a longitude that is none"


def _within(index: np.ndarray, size: int, what: str) -> None:
    assert index.min() >= 0, f"a negative {what}"
    assert index.max() < size, f"a {what} outside the table"


def checked_map(site: Site) -> None:
    """A site that this package builds itself passes its own check."""
    sound_site(site)
    errors = [finding.text for finding in check_site(site).findings if finding.severity == "error"]
    assert not errors, f"the importer's own site fails its check: {errors[0]}"

"""Parameters that are given as tensors: what may be given, for which materials, and in which range.

Values that a calibration tunes are not put into a `Material`, which holds plain numbers, but into `FieldOptions`. A
tensor has one value for each material of the site, in the order of `site.materials`. A mapping from names of materials
to values leaves all other materials as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.site.materials import Material

MATERIAL_TENSORS = (
    "relative_permittivity",
    "conductivity",
    "thickness",
    "scattering_coefficient",
    "xpd_coefficient",
)
"""Fields of `FieldOptions` with a value for each material."""

_REALS = (torch.float32, torch.float64)
_RANGES = {
    "relative_permittivity": ("above 0", lambda v: v > 0),
    "conductivity": ("0 S/m or more", lambda v: v >= 0),
    "thickness": ("above 0 m", lambda v: v > 0),
    "scattering_coefficient": ("from 0 to 1", lambda v: (v >= 0) & (v <= 1)),
    "xpd_coefficient": ("from 0 to 1", lambda v: (v >= 0) & (v <= 1)),
    "foliage_factor": ("0 or more", lambda v: v >= 0),
}


def requires_gradient(value: Any) -> bool:
    """Whether a tensor, or a tensor among the values of a mapping, asks for gradients."""
    if isinstance(value, Mapping):
        return any(requires_gradient(one) for one in value.values())
    return isinstance(value, Tensor) and value.requires_grad


def plain_values(value: Any) -> Any:
    """A tensor, or the values of a mapping, as plain numbers and lists of them."""
    if isinstance(value, Mapping):
        return {str(label): plain_values(one) for label, one in value.items()}
    return value.detach().tolist() if isinstance(value, Tensor) else value


def checked_tensor(name: str, value: Any, shapes: Mapping[tuple[int, ...], str]) -> Float[Tensor, "*shape"]:
    """Return a given tensor in double precision, if its type, device and shape are possible.

    Args:
        name: Name of the parameter, for messages.
        value: What was given.
        shapes: The possible shapes, and in words what each entry stands for.

    Raises:
        SiteTwinError: It is no tensor of single or double precision on the CPU, or has another shape.
    """
    if not isinstance(value, Tensor):
        raise SiteTwinError(f"{name} was given as a {type(value).__name__}; give a torch tensor of real numbers")
    if value.dtype not in _REALS:
        raise SiteTwinError(f"{name} has the type {value.dtype}; give torch.float64 or torch.float32")
    if value.device.type != "cpu":
        raise SiteTwinError(
            f"{name} lies on the device '{value.device}'; fields are computed on the CPU: give {name}.cpu()"
        )
    if tuple(value.shape) not in shapes:
        wanted = ", or ".join(f"{shape} with {words}" for shape, words in shapes.items())
        raise SiteTwinError(f"{name} has shape {tuple(value.shape)}; give {wanted}")
    return value.to(torch.float64)


def in_range(name: str, values: Float[Tensor, " entries"], labels: Sequence[str], *, endless: bool = False) -> None:
    """Check that values are numbers within the range of a parameter.

    Args:
        name: Name of the parameter.
        values: (N,) its values.
        labels: What each entry belongs to.
        endless: Whether infinity is allowed.

    Raises:
        SiteTwinError: A value is NaN, infinite or out of range.
    """
    words, fits = _RANGES[name]
    plain = values.detach()
    wrong = ~(fits(plain) & (plain < math.inf if not endless else ~torch.isnan(plain)))
    if bool(wrong.any()):
        at = int(torch.nonzero(wrong)[0])
        raise SiteTwinError(f"{name} of '{labels[at]}' is {float(plain[at]):g}; give a finite number {words}")


def material_values(
    name: str, given: Any, materials: Sequence[Material], nominal: Sequence[float]
) -> Float[Tensor, " materials"]:
    """Values of a parameter for each material, those that were given in the place of the materials' own.

    Args:
        name: Name of the parameter.
        given: (M,) real tensor; or a mapping from names of materials to numbers or tensors of one entry; or None.
        materials: The M materials.
        nominal: M values of the materials' own.

    Returns:
        (M,) float64; gradients flow into what was given.

    Raises:
        SiteTwinError: A tensor does not fit, a name is unknown, or a value is out of range.
    """
    own = torch.tensor(nominal, dtype=torch.float64)
    if given is None:
        return own
    labels = [m.name for m in materials]
    if isinstance(given, Mapping):
        values = _by_name(name, given, labels, own)
    elif isinstance(given, Tensor) and given.dtype in _REALS and tuple(given.shape) != (len(materials),):
        raise SiteTwinError(
            f"{name} has shape {tuple(given.shape)} but the site has {len(materials)} materials; "
            "give one value per material, in the order of site.materials"
        )
    else:
        values = checked_tensor(name, given, {(len(materials),): "one value per material"})
    if name == "thickness":
        _check_slabs(values, own, labels)
    in_range(name, values, labels, endless=name == "thickness")
    return values


def _by_name(name: str, given: Mapping[str, Any], labels: Sequence[str], own: Tensor) -> Tensor:
    """The materials' own values, with those of the mapping in their places."""
    if not given:
        return own
    places, values = [], []
    for label, value in given.items():
        found = [at for at, known in enumerate(labels) if known == label]
        if not found:
            some = ", ".join(labels[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
            raise SiteTwinError(f"{name} names a material '{label}' that the site does not have; it has {some}")
        if isinstance(value, Tensor):
            one = checked_tensor(f"{name} of '{label}'", value, {(): "one value", (1,): "one value"}).reshape(())
        elif isinstance(value, int | float) and not isinstance(value, bool):
            one = torch.tensor(float(value), dtype=torch.float64)
        else:
            raise SiteTwinError(f"{name} of '{label}' is a {type(value).__name__}; give a number or a tensor of one")
        places += found
        values += [one] * len(found)
    return own.index_put((torch.tensor(places),), torch.stack(values))


def _check_slabs(values: Tensor, own: Tensor, labels: Sequence[str]) -> None:
    """A thickness changes how thick a slab is; it makes no slab of a half-space, nor the other way round."""
    now, was = torch.isinf(values.detach()), torch.isinf(own)
    if bool((now != was).any()):
        at = int(torch.nonzero(now != was)[0])
        raise SiteTwinError(
            f"thickness of '{labels[at]}' was given but it is a half-space, which has none; leave infinity there, or "
            "trace a site in which it is a slab"
            if bool(was[at])
            else f"thickness of '{labels[at]}' is infinite but it is a slab; give a finite number above 0 m"
        )

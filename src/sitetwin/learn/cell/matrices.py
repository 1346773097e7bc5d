"""From named channels to the matrices that a codec takes, with all that is checked on the way."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Complex, Int, Shaped
from torch import Tensor

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn.cell.link import CellLink, delay_reference_of
from sitetwin.learn.csi.data import AXES, CsiSet, prepare

NAMES = {
    "user": ("user", "time", "sample", "snapshot"),
    "antenna": ("antenna", "tx_antenna", "bs_antenna"),
    "angle": ("angle", "beam"),
    "subcarrier": ("subcarrier", "frequency"),
    "delay": ("delay", "tap"),
    "rx_antenna": ("rx_antenna", "ue_antenna"),
    "re_im": ("re_im", "part"),
}
"""Names by which the axes of channels are known, by the name that is used here."""

LAYOUTS = (
    ("user", "delay", "angle"),
    ("user", "antenna", "subcarrier"),
    ("user", "delay", "antenna"),
    ("user", "angle", "subcarrier"),
)
"""What channels may be given over, in any order of the axes."""

_KNOWN = {name: axis for axis, names in NAMES.items() for name in names}
_NEAR = 0.01  # of a subcarrier spacing: frequencies that differ by less are one
_LOWEST_HZ = 1e6  # of the band of a radio
_LOST = 0.5  # share of the median user's energy outside of the taps, from which on it is said
_ALIKE = 1e-4  # distance of two matrices of unit norm that are one measurement written twice


@dataclass(frozen=True, eq=False)
class CellMatrices:
    """Matrices of a link.

    Attributes:
        csi: The normalised matrices, with norm and phase.
        assumed: What the channels did not say and was taken as the codec's, for a note.
        silent: (given users,) whether a user's channel was zero, and was left out.
    """

    csi: CsiSet
    assumed: tuple[str, ...]
    silent: Bool[np.ndarray, " users"]


def with_axes(h: xr.DataArray | Shaped[np.ndarray, "*axes"], axes: Sequence[str] | None = None) -> xr.DataArray:
    """Channels with the axis names of `NAMES`, complex; users may have several antennas.

    Args:
        h: Labelled channels, or an array with the names of its axes beside it.
        axes: Names of the axes of an array without labels, in its order.

    Raises:
        SiteTwinError: The axes have no names or unknown ones, one stands twice, or the numbers are no channels.
    """
    if not isinstance(h, xr.DataArray):
        if not isinstance(h, np.ndarray):
            raise SiteTwinError(f"channels are a labelled array or one of NumPy with axes=..., not {type(h).__name__}")
        if axes is None:
            raise SiteTwinError(
                f"an array of shape {h.shape} does not say which axis is which; name them, as "
                "axes=('user', 'antenna', 'subcarrier')"
            )
        h = _labelled(h, axes)
    elif axes is not None:
        raise SiteTwinError("these channels have names of their axes already; leave axes out")
    names = [str(dim) for dim in h.dims]
    unknown = [name for name in names if name not in _KNOWN]
    if unknown:
        raise SiteTwinError(f"the axis '{unknown[0][:40]}' is unknown; channels have axes of {_listed()}")
    found = [_KNOWN[name] for name in names]
    twice = [axis for axis in found if found.count(axis) > 1]
    if twice:
        raise SiteTwinError(f"two axes are named for the {twice[0]}; name each axis once")
    return _complex(_renamed(h, found))


def named(h: xr.DataArray | Shaped[np.ndarray, "*axes"], axes: Sequence[str] | None = None) -> xr.DataArray:
    """Channels with the axis names of `NAMES`, complex, of one antenna of the user.

    Args:
        h: Labelled channels, or an array with the names of its axes beside it.
        axes: Names of the axes of an array without labels, in its order.

    Raises:
        SiteTwinError: As for `with_axes`; an axis is missing, or users have several antennas.
    """
    h = with_axes(h, axes)
    if h.sizes.get("rx_antenna", 1) != 1:
        raise SiteTwinError(
            f"a codec is for one antenna of the user, and these channels have {h.sizes['rx_antenna']}; choose one, or "
            "take the layers that the user's antennas make (--layers, layer_channels)"
        )
    h = h.isel(rx_antenna=0) if "rx_antenna" in h.dims else h
    if not any(set(h.dims) == set(layout) for layout in LAYOUTS):
        raise SiteTwinError(
            f"these channels have the axes {', '.join(map(str, h.dims))}; a codec takes user, antenna or angle, and "
            "subcarrier or delay"
        )
    return h


def matrices_of(
    h: xr.DataArray,
    link: CellLink,
    *,
    other_world: bool = False,
    skip_silent: bool = False,
) -> CellMatrices:
    """Normalised delay-angle matrices of a link, from named channels.

    Args:
        h: Channels from `named`.
        link: The link that they must be of.
        other_world: Accept channels of another site, for instance of the same cell with trees.
        skip_silent: Leave out users whose channel is zero, in place of a refusal.

    Raises:
        SiteTwinError: There are no users; the array, the band, the delays or the site are another's; a number is not
            finite or a user's channel is zero.

    Warns:
        SiteTwinWarning: More than half of the median user's energy lies outside of the delay taps.
    """
    if h.sizes["user"] == 0:
        raise SiteTwinError("there are no users in these channels; give at least one")
    assumed = _checked_labels(h, link, other_world)
    x = torch.from_numpy(np.ascontiguousarray(h.transpose("user", ..., *_last(h)).values))
    _refuse_not_finite(x)
    if "subcarrier" in h.dims:
        order, said = _subcarriers(h, link)
        x, assumed = x if order is None else x[:, order], [*assumed, *([] if said else ["band"])]
        x = _kept_taps(x, link)
    else:
        assumed += _checked_delays(h, link)
    size = h.sizes["antenna" if "antenna" in h.dims else "angle"]
    if size != link.antennas:
        raise SiteTwinError(
            f"the codec is for {link.antennas} antennas ({link.array_name}), and these channels have {size}; give "
            "channels of the codec's array"
        )
    x = link.beams(x) if "antenna" in h.dims else x
    silent = (x.abs().amax(dim=(1, 2)) == 0).numpy()
    if silent.any() and not skip_silent:
        raise SiteTwinError(
            f"the channels of {int(silent.sum())} of {len(silent)} users are zero (first: number "
            f"{int(silent.argmax())}); leave these users out"
        )
    if silent.all():
        raise SiteTwinError("the channels of all users are zero, so that there is nothing to code; check the channels")
    csi = prepare(xr.DataArray(x[torch.from_numpy(~silent)].numpy(), dims=AXES), link.phase_reference)
    return CellMatrices(csi, tuple(assumed), silent)


def different(x: Complex[Tensor, "users taps beams"], what: str) -> Int[Tensor, " different"]:
    """Rows of matrices of which no two are the same measurement, the first of each.

    Args:
        x: Normalised matrices.
        what: What they are, for the message.

    Raises:
        SiteTwinError: There are several matrices and all are one.
    """
    flat = torch.view_as_real(x.flatten(1)).flatten(1)
    generator = torch.Generator().manual_seed(0)
    marks = flat @ torch.randn(flat.shape[1], generator=generator)  # the same matrix, the same mark
    order = marks.argsort(stable=True)
    before, after = order[:-1], order[1:]
    again = marks[after] - marks[before] < _ALIKE
    for rows in again.nonzero()[:, 0].split(512):
        again[rows] = (flat[before[rows]] - flat[after[rows]]).square().sum(dim=1) < _ALIKE**2
    group = torch.cat([torch.zeros(min(len(x), 1), dtype=torch.int64), (~again).cumsum(0)])
    first = torch.full((int(group.max()) + 1 if len(x) else 0,), len(x)).scatter_reduce(0, group, order, "amin")
    if len(x) > 1 and len(first) == 1:
        raise SiteTwinError(f"all {len(x)} {what} are one and the same matrix; give those of different users")
    return first.sort().values


def of_layout(x: Complex[Tensor, "users taps beams"], link: CellLink, axes: Sequence[str]) -> xr.DataArray:
    """Delay-angle matrices as channels over other axes, in the order of the names.

    Args:
        x: The matrices.
        link: Their link.
        axes: Names of the axes, one of `LAYOUTS` in any order.

    Raises:
        SiteTwinError: These are no axes of channels.
    """
    wanted = [_KNOWN.get(str(name), "") for name in axes]
    if not any(set(wanted) == set(layout) for layout in LAYOUTS) or len(wanted) != 3:
        raise SiteTwinError(
            f"channels over {', '.join(map(str, axes))} are none; name user, antenna or angle, and subcarrier or delay"
        )
    coordinates: dict[str, tuple[str, np.ndarray, dict[str, str]]] = {}
    dims = ["user", "delay", "angle"]
    if "antenna" in wanted:
        x, dims[2] = link.antennas_of(x), "antenna"
    if "subcarrier" in wanted:
        x, dims[1] = link.subcarriers_of(x), "subcarrier"
        coordinates["frequency"] = ("subcarrier", link.grid.frequencies_hz.numpy(), {"units": "Hz"})
    else:
        coordinates["delay"] = ("delay", link.delays_s, {"units": "s"})
    array = xr.DataArray(x.numpy(), coordinates, dims, "h", {"normalisation": "unit norm, common phase removed"})
    return array.transpose(*wanted)


def _renamed(h: xr.DataArray, axes: list[str]) -> xr.DataArray:
    """The array under the names of its axes here, with frequencies and delays as its only coordinates."""
    coordinates = {}
    for dim, axis in zip(h.dims, axes, strict=True):
        name = {"subcarrier": "frequency", "delay": "delay"}.get(axis)  # others count: "subcarrier", "tap"
        if name in h.coords and h.coords[name].dims == (dim,) and h.coords[name].dtype.kind in "fiu":
            coordinates[name] = (axis, h.coords[name].values.astype(np.float64))
    return xr.DataArray(h.data, coordinates, axes, h.name, h.attrs)


def _labelled(h: np.ndarray, axes: Sequence[str]) -> xr.DataArray:
    axes = [str(name) for name in axes]
    if len(axes) != h.ndim:
        raise SiteTwinError(f"{len(axes)} axes are named ({', '.join(axes)}) of an array with {h.ndim}; name each axis")
    if len(set(axes)) < len(axes):
        raise SiteTwinError(f"an axis is named twice in {', '.join(axes)}; name each axis once")
    return xr.DataArray(h, dims=axes)


def _listed() -> str:
    return "; ".join(" or ".join(names) for names in NAMES.values())


def _complex(h: xr.DataArray) -> xr.DataArray:
    """Complex numbers, of an axis of real and imaginary part where there is one."""
    if "re_im" in h.dims:
        if h.sizes["re_im"] != 2 or h.dtype.kind not in "fiu":
            raise SiteTwinError("the axis of real and imaginary part needs two real numbers; name the axes as they are")
        h = h.astype(np.float32) if h.dtype != np.float64 else h
        h = h.isel(re_im=0) + 1j * h.isel(re_im=1)
    if h.dtype.kind != "c":
        raise SiteTwinError(
            f"channels are complex, and this array holds {h.dtype}; give complex numbers, or name the axis of real and "
            "imaginary part re_im"
        )
    return h


def _last(h: xr.DataArray) -> tuple[str, str]:
    """The axes behind the user's: delays before antennas, as a codec wants them."""
    return ("subcarrier" if "subcarrier" in h.dims else "delay"), ("antenna" if "antenna" in h.dims else "angle")


def _refuse_not_finite(x: Tensor) -> None:
    fine = torch.isfinite(torch.view_as_real(x)).flatten(1).all(dim=1)
    if not bool(fine.all()):
        raise SiteTwinError(
            f"the channels of {int((~fine).sum())} of {len(x)} users are not finite (first: number "
            f"{int((~fine).nonzero()[0])}); leave these users out"
        )


def _checked_labels(h: xr.DataArray, link: CellLink, other_world: bool) -> list[str]:
    """Compare what the labels say; returned is what they do not say."""
    if "tx" not in h.attrs:
        said = str(h.attrs.get("delay_reference", ""))
        if said and delay_reference_of(h) != link.delay_reference:
            raise SiteTwinError(
                f"the codec's delays count from the {link.delay_reference}, and those of these channels do not; give "
                "channels with the codec's delay reference"
            )
        return [f"array ({link.array_name})", *([] if said else [f"delay reference ({link.delay_reference})"])]
    other = CellLink.of_labels(h, *((link.taps, link.first_tap) if "subcarrier" in h.dims else (None, None)))
    link.matches(other)
    if link.site_hash and other.site_hash and other.site_hash != link.site_hash and not other_world:
        raise SiteTwinError(
            f"the codec was fitted to the site '{link.site}' ({link.site_hash[:12]}), and these channels are of "
            f"'{other.site}' ({other.site_hash[:12]}); fit a codec to that site, or say that it is the same cell in "
            "another state (--other-world, other_world=True)"
        )
    return []


def _subcarriers(h: xr.DataArray, link: CellLink) -> tuple[Int[np.ndarray, " subcarriers"] | None, bool]:
    """Places of the codec's subcarriers among the measured ones, and whether their frequencies are known."""
    stated = h.coords.get("frequency")
    values = None if stated is None else stated.values
    if values is None or not len(values):
        if h.sizes["subcarrier"] != link.subcarriers:
            raise SiteTwinError(
                f"the codec is for {link.subcarriers} subcarriers, and these channels have {h.sizes['subcarrier']}; "
                "give channels of the codec's band, or their frequencies beside them"
            )
        return None, False
    if not values.min() >= _LOWEST_HZ:  # not a number, too
        raise SiteTwinError(
            f"the frequencies of these channels begin at {values.min():g}, which is none in Hz; give Hz, or none"
        )
    wanted, order = link.grid.frequencies_hz.numpy(), np.argsort(values, kind="stable")
    rising = values[order]
    places = np.clip(np.searchsorted(rising, wanted - _NEAR * link.spacing_hz), 0, len(rising) - 1)
    missing = np.abs(rising[places] - wanted) > _NEAR * link.spacing_hz
    if missing.any():
        raise SiteTwinError(
            f"{int(missing.sum())} of the codec's {len(wanted)} subcarriers, as {wanted[missing][0] / 1e6:.6g} MHz, "
            f"are not among those of these channels ({rising[0] / 1e6:.6g} to {rising[-1] / 1e6:.6g} MHz in "
            f"{len(rising)}); give channels of the codec's band"
        )
    return order[places], True


def _kept_taps(x: Complex[Tensor, "users subcarriers last"], link: CellLink) -> Tensor:
    """The delay taps that are kept; with a word where they miss most of the energy."""
    taps = link.taps_of(x)
    whole = x.abs().square().mean(dim=(1, 2))  # Parseval: the mean over subcarriers is the sum over all taps
    kept = taps.abs().square().sum(dim=1).mean(dim=1) / whole.clamp_min(1e-300)
    lost = 1 - float(kept[whole > 0].median()) if bool((whole > 0).any()) else 0.0
    if lost > _LOST:
        warnings.warn(
            f"the codec's {link.taps} delay taps miss {lost:.0%} of the energy of the median user: these delays count "
            f"from elsewhere than the codec's ({link.delay_reference}); shift them, or fit with other taps",
            SiteTwinWarning,
            stacklevel=4,
        )
    return taps


def _checked_delays(h: xr.DataArray, link: CellLink) -> list[str]:
    """Compare delay taps; returned is what is not known of them."""
    if h.sizes["delay"] != link.taps:
        raise SiteTwinError(
            f"the codec is for {link.taps} delay taps, and these channels have {h.sizes['delay']}; give its taps"
        )
    if "delay" not in h.coords:  # `get` counts along an axis without a coordinate
        return ["delays of the taps"]
    if not np.allclose(h.coords["delay"].values, link.delays_s, rtol=1e-6, atol=1e-3 / link.grid.bandwidth_hz):
        raise SiteTwinError(
            "the delay taps of these channels stand elsewhere than the codec's, as of another bandwidth or unit; "
            "give channels of the codec's band, delays in seconds"
        )
    return []

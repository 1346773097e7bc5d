"""CSI data sets: truncated delay-angle matrices made ready for a codec, and the way back.

A sample is the matrix G (taps, beams) of one user: the first delay taps of the inverse FFT over the subcarriers, and
the shifted FFT over the antennas. Before compression it is divided by its Frobenius norm (Jiang and Alkhateeb,
"Digital twin aided massive MIMO: CSI compression and feedback", arXiv 2402.19434, eq. 13) and turned by one common
phase, which the authors' code does and their text does not say. Norm and phase do not matter to the direction of a
precoder; they are kept so that the channel can be rebuilt.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray as xr
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError, SiteTwinWarning

PhaseReference = Literal["corner", "largest", "none"]
AXES = ("user", "delay", "angle")
"""Names of the axes that a codec reads, in its own order: users, delay taps, angle bins (beams)."""


Facts = dict[str, list[float]]
"""Carrier in Hz, delays of the taps in seconds and whether they count from each user's first path, direction cosines
and ports of the beams, by name."""


@dataclass(frozen=True, eq=False)
class CsiSet:
    """Normalised delay-angle matrices of N users.

    Attributes:
        x: complex64, unit Frobenius norm, common phase removed.
        norm: float32, Frobenius norm before normalisation, in the unit of the channel gain.
        phase: float32, rad, the common phase that was removed.
        reference: Which element was made real and positive.
        facts: What the labels of the channels said of carrier, delays and angles; empty if there were no labels.
    """

    x: Complex[Tensor, "users taps beams"]
    norm: Float[Tensor, " users"]
    phase: Float[Tensor, " users"]
    reference: PhaseReference
    facts: Facts = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> CsiSet:
        """The samples of an index tensor or a boolean mask."""
        return CsiSet(self.x[index], self.norm[index], self.phase[index], self.reference, self.facts)

    def restore(self, x_hat: Tensor | None = None) -> Complex[Tensor, "users taps beams"]:
        """Give the matrices their norm and common phase again.

        Args:
            x_hat: Recovered normalised matrices of the same users; the set's own matrices by default.
        """
        x = self.x if x_hat is None else x_hat
        return x * torch.polar(self.norm, self.phase)[:, None, None]


CsiData = Tensor | CsiSet | xr.DataArray
"""What a codec takes.

- A `CsiSet`, as `prepare` makes it.
- An `xarray.DataArray` of delay-angle channels, as `sitetwin.channels` gives it. Its axes are found by their names
  (``user``, ``angle``, ``delay``; ``rx_antenna`` of length one), in any order, and it is prepared on the way.
- A complex tensor of prepared matrices with the axes (users, taps, beams). A tensor has no names: swapped axes can be
  noticed only where the numbers of taps and beams differ.
"""


def prepare(matrices: Tensor | xr.DataArray, reference: PhaseReference = "corner") -> CsiSet:
    """Normalise delay-angle matrices and remove their common phase.

    Args:
        matrices: Complex, any scale: a tensor (users, taps, beams), or a labelled array with the dimensions ``user``,
            ``angle`` and ``delay`` in any order.
        reference: The element that becomes real and positive: "corner" is [0, 0], as in the authors' code (an edge bin
            of little energy); "largest" is the element of largest magnitude; "none" leaves the phase alone.

    Raises:
        SiteTwinError: A matrix is zero (a user without paths) or not finite, or the axes or the reference are wrong.

    Warns:
        SiteTwinWarning: Labels say that the delay taps miss more than half of the median user's power, so that a norm
            of 1 is given to side lobes; or the energy of a tensor lies as if its axes were (users, beams, taps).
    """
    facts = csi_facts(matrices)
    named = isinstance(matrices, xr.DataArray)
    if isinstance(matrices, xr.DataArray):
        _warn_of_missed_power(matrices)
        matrices = by_name(matrices)
    if not isinstance(matrices, Tensor) or matrices.ndim != 3 or not matrices.is_complex():
        raise SiteTwinError(_shape_refusal(matrices))
    norm = torch.linalg.vector_norm(matrices.to(torch.complex128), dim=(1, 2))
    bad = ~(torch.isfinite(norm) & (norm > 0))
    if bad.any():
        raise SiteTwinError(
            f"{int(bad.sum())} of {len(norm)} CSI matrices are zero or not finite (first: user "
            f"{int(bad.nonzero()[0])}); drop the users without any path before preparing the data set"
        )
    x = (matrices / norm[:, None, None]).to(torch.complex64)
    if not named:
        _warn_of_swapped_axes(x)
    phase = reference_phase(x, reference)
    x = x * torch.polar(torch.ones_like(phase), -phase)[:, None, None]
    return CsiSet(x, norm.to(torch.float32), phase, reference, facts)


def _shape_refusal(matrices: Any) -> str:
    """What is wrong with matrices that are no complex tensor of three axes, and how to mend it."""
    shape = tuple(np.shape(matrices))
    what = f"{getattr(matrices, 'dtype', type(matrices).__name__)} of shape {shape}"
    mend = "make it complex"
    if not isinstance(matrices, Tensor):
        mend = "give a torch tensor, or the labelled array of sitetwin.open_channels, whose axes are found by name"
    elif len(shape) == 4:
        mend = (
            "take one receive antenna and put delay before angle: of channels as a data set holds them, (users, "
            "rx_antennas, angles, taps), matrices[:, 0].transpose(1, 2)"
        )
    elif len(shape) < 3:
        mend = "add the missing axis"
    elif len(shape) > 4:
        mend = "leave out the other axes"
    return f"CSI must be complex with shape (users, taps, beams), not {what}; {mend}"


def _warn_of_missed_power(array: xr.DataArray) -> None:
    missed = float(np.max(array.attrs.get("median_power_outside_taps", 0.0)))
    if missed > 0.5:
        warnings.warn(
            f"the delay taps miss {missed:.2%} of the median user's power, and what is left gets the norm 1; make the "
            "channels with more taps, or with delay_reference='first-path'",
            SiteTwinWarning,
            stacklevel=3,
        )


_EARLY = 4  # delay spreads take the first quarter of taps that are chosen well; directions any quarter of the beams
_FEWEST_BINS = 16  # along both axes, so that a quarter says something


def _warn_of_swapped_axes(x: Tensor) -> None:
    """Warn where the last axis looks like delays, with the energy at its beginning, and that of the taps does not."""
    taps, beams = x.shape[1:]
    if min(taps, beams) < _FEWEST_BINS:
        return
    power = x.abs().square().mean(dim=0)
    early_taps = float(power[: taps // _EARLY].sum() / power.sum())
    early_beams = float(power[:, : beams // _EARLY].sum() / power.sum())
    if early_beams > 0.9 and early_taps < 0.6:
        warnings.warn(
            f"{early_beams:.0%} of the energy lies in the first quarter of the last axis, where delays usually have "
            f"it, and {early_taps:.0%} in that of the taps: give (users, taps, beams); if these are (users, beams, "
            "taps), as in a data set, do .transpose(1, 2)",
            SiteTwinWarning,
            stacklevel=3,
        )


def by_name(array: xr.DataArray) -> Complex[Tensor, "users taps beams"]:
    """Read labelled delay-angle channels, whatever the order of their axes.

    Args:
        array: Complex, with the dimensions ``user``, ``angle`` and ``delay``; a further ``rx_antenna`` of length one is
            left out.

    Raises:
        SiteTwinError: A dimension is missing or one too many, or the numbers are not complex.
    """
    if array.sizes.get("rx_antenna") == 1:
        array = array.isel(rx_antenna=0)
    if array.sizes.get("rx_antenna", 0) > 1:
        raise SiteTwinError(
            f"CSI feedback is for one antenna of the user and this array has {array.sizes['rx_antenna']}; choose one "
            "with .isel(rx_antenna=...)"
        )
    if set(array.dims) != set(AXES):
        raise SiteTwinError(
            f"CSI needs the dimensions {', '.join(AXES)}, and this array has {', '.join(map(str, array.dims))}; make "
            "delay-angle channels, or select along the other dimensions"
        )
    for name in ("delay", "angle"):
        if name in array.coords and not (np.diff(array[name].values) > 0).all():
            raise SiteTwinError(f"the {name} bins stand in another order than that of the channels; sort by {name}")
    values = np.asarray(array.transpose(*AXES).values)
    if values.dtype.kind != "c":
        raise SiteTwinError(f"CSI must be complex, and this array holds {values.dtype}; give the channels themselves")
    return torch.from_numpy(np.ascontiguousarray(values))


_RELATIVE = "delay_from_first_path"
_FACTS = ("delay", "angle_cosine_y", "angle_cosine_z", "angle_port")


def csi_facts(data: Any) -> Facts:
    """What the labels of channels say of carrier, delays and angles; empty for data without labels."""
    if isinstance(data, CsiSet):
        return data.facts
    if not isinstance(data, xr.DataArray):
        return {}
    facts = {name: [float(x) for x in data[name].values] for name in _FACTS if name in data.coords}
    if str(data.attrs.get("delay_reference", "")).startswith("first-path"):
        facts[_RELATIVE] = [1.0]
    return facts | ({"carrier_hz": [float(data.attrs["carrier_hz"])]} if "carrier_hz" in data.attrs else {})


def check_facts(made_for: Facts, data: Any) -> None:
    """Refuse channels whose labels contradict those that a codec was fitted to; what is not known is not compared.

    Raises:
        SiteTwinError: Carrier, delays or where they count from, direction cosines or ports differ.
    """
    found = csi_facts(data)
    if "delay" in made_for and "delay" in found and made_for.get(_RELATIVE) != found.get(_RELATIVE):
        counted = ("the transmission", "the first path of each user")
        before, now = counted[_RELATIVE in made_for], counted[_RELATIVE in found]
        raise SiteTwinError(
            f"the codec was fitted to channels whose delays count from {before}, and these count from {now}; make "
            "channels with the same delay_reference, or fit a new codec"
        )
    for name in sorted(set(made_for) & set(found)):
        own, given = np.array(made_for[name]), np.array(found[name])
        if own.shape != given.shape or not np.allclose(own, given, rtol=1e-6, atol=1e-9 * np.abs(own).max(initial=0.0)):
            shown = f" ({own[0]:g} Hz against {given[0]:g} Hz)" if name == "carrier_hz" else ""
            raise SiteTwinError(
                f"the codec was fitted to channels of another {name}{shown}; make channels of the same carrier, band "
                "and array, or fit a new codec"
            )


def csi_matrices(data: CsiData, shape: tuple[int, int] | None = None) -> Complex[Tensor, "users taps beams"]:
    """Prepared matrices, complex64, of whatever a codec was given.

    Args:
        data: Matrices in any form of `CsiData`.
        shape: Delay taps and beams that the codec was made for; None accepts any.

    Raises:
        SiteTwinError: The axes, the type or the size are wrong, or a number is not finite.
    """
    if isinstance(data, CsiSet):
        x = _checked(data.x)
    elif isinstance(data, xr.DataArray):
        x = prepare(data).x
    else:
        x = _checked(data)
    if shape is not None and tuple(x.shape[1:]) != shape:
        swapped = "; the axes are swapped: give (users, taps, beams)" if tuple(x.shape[:0:-1]) == shape else ""
        raise SiteTwinError(
            f"the codec was made for {shape[0]} delay taps and {shape[1]} beams, and these matrices have "
            f"{x.shape[1]} and {x.shape[2]}{swapped or '; prepare them as the training matrices were'}"
        )
    return x


def _checked(x: Any) -> Tensor:
    if not isinstance(x, Tensor) or x.ndim != 3 or not x.is_complex():
        what = f"{x.dtype} of shape {tuple(x.shape)}" if hasattr(x, "dtype") else type(x).__name__
        raise SiteTwinError(
            f"a codec takes a CsiSet, a labelled array or a complex tensor (users, taps, beams), not {what}; prepare "
            "the channels first"
        )
    if not bool(torch.isfinite(torch.view_as_real(x.resolve_conj())).all()):
        bad = (~torch.isfinite(x.abs()).flatten(1).all(dim=1)).nonzero()[0]
        raise SiteTwinError(f"the CSI matrix of user {int(bad)} is not finite; drop this user before the codec sees it")
    return x.to(torch.complex64)


def reference_phase(x: Complex[Tensor, "users taps beams"], reference: PhaseReference) -> Float[Tensor, " users"]:
    """Phase of the reference element of each matrix, rad; 0 where that element is 0.

    Raises:
        SiteTwinError: The reference has an unknown name.
    """
    flat = x.flatten(1)
    if reference == "corner":
        return torch.angle(flat[:, 0])
    if reference == "largest":
        return torch.angle(flat.gather(1, flat.abs().argmax(dim=1, keepdim=True)))[:, 0]
    if reference == "none":
        return torch.zeros(len(x), dtype=x.real.dtype)
    raise SiteTwinError(f"unknown phase reference '{reference}'; choose one of {', '.join(get_args(PhaseReference))}")


def to_real(x: Complex[Tensor, "users taps beams"]) -> Float[Tensor, "users 2 taps beams"]:
    """Real and imaginary parts as two channels."""
    return torch.view_as_real(x).permute(0, 3, 1, 2).contiguous()


def to_complex(real: Float[Tensor, "users 2 taps beams"]) -> Complex[Tensor, "users taps beams"]:
    """The complex matrices of their real and imaginary parts."""
    return torch.complex(real[:, 0].contiguous(), real[:, 1].contiguous())


def data_hash(*tensors: Tensor) -> str:
    """SHA-256 of the shapes, types and bytes of some tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().resolve_conj().numpy()
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

"""Users with several antennas: one codec for all layers, one report a layer.

A user combines its antennas in the same way over the whole band. The combiner of layer l is the l-th left singular
vector of its channel, receive antennas by all antennas and subcarriers of the station. What it sees is a channel of one
antenna: a sum of the same paths, smooth over the band, so that one codec of the cell serves all layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.cell.matrices import CellMatrices, different, with_axes
from sitetwin.learn.csi.metrics import nmse, sgcs, to_db

_EMPTY = 1e-8  # share of the first layer's energy, below which a layer is but the rounding of numbers
USER_ANTENNA = "rx_antenna"


def layer_channels(
    h: xr.DataArray | Shaped[np.ndarray, "*axes"], layers: int, *, axes: Sequence[str] | None = None
) -> xr.DataArray:
    """Channels of the strongest layers of users with several antennas, each as that of a user with one.

    Args:
        h: Channels with an axis of the users' antennas, as `sitetwin.channels` gives them.
        layers: Layers of each user, at most its antennas.
        axes: Names of the axes of an array without labels.

    Returns:
        The channels with the axes user, then the others in their order, without that of the users' antennas. Row
        ``u * layers + l`` is layer l of user u; layers are in order of energy. A layer that a channel does not have is
        zero. Labels stay, but those of the users.

    Raises:
        SiteTwinError: The axes are not named, or users have fewer antennas than there are layers.
    """
    named = with_axes(h, axes)
    if "user" not in named.dims:
        raise SiteTwinError("layers are those of users, and these channels have no axis of users; name it")
    antennas = named.sizes.get(USER_ANTENNA, 1)
    if not 1 <= layers <= antennas:
        raise SiteTwinError(
            f"{layers} layers are asked for, and these users have {antennas} antenna{'s' if antennas > 1 else ''}; ask "
            f"for 1 to {antennas}"
        )
    rest = [dim for dim in named.dims if dim not in ("user", USER_ANTENNA)]
    if USER_ANTENNA not in named.dims:
        return named.transpose("user", *rest)
    ordered = named.transpose("user", USER_ANTENNA, *rest)
    whole = torch.from_numpy(np.ascontiguousarray(ordered.values)).flatten(2)
    if not bool(torch.isfinite(torch.view_as_real(whole)).all()):
        raise SiteTwinError("the channels of some users are not finite; leave these users out")
    _, vectors = torch.linalg.eigh(whole @ whole.mH)  # ascending
    combiners = vectors.flip(-1)[..., :layers]
    seen = combiners.mH @ whole
    energy = seen.abs().square().sum(dim=2, keepdim=True)
    seen = torch.where(energy > _EMPTY * energy[:, :1], seen, torch.zeros_like(seen))
    seen = seen.reshape(-1, *(ordered.sizes[dim] for dim in rest))
    coordinates = {
        name: (one.dims, one.values, one.attrs) for name, one in ordered.coords.items() if set(one.dims) <= set(rest)
    }
    return xr.DataArray(seen.numpy(), coordinates, ["user", *rest], named.name, named.attrs)


def evaluate_layers(codec: CellCodec, given: CellMatrices, layers: int) -> list[dict[str, float | int]]:
    """How well a codec serves each layer, from the matrices of `layer_channels`.

    Args:
        codec: The codec, the same for all layers.
        given: The matrices of all layers; rows of silent ones were left out.
        layers: Layers of each user.

    Returns:
        For each layer its users, NMSE in dB and squared cosine similarity over the subcarriers.

    Raises:
        SiteTwinError: The rows are not those of so many layers; or a layer is that of no user, or of one user again and
            again.
    """
    if layers < 1 or len(given.silent) % layers:
        raise SiteTwinError(
            f"{len(given.silent)} channels are not those of users with {layers} layers each; give all that "
            "layer_channels made, and its number of layers"
        )
    layer = torch.arange(len(given.silent))[torch.from_numpy(~given.silent)] % layers
    told: list[dict[str, float | int]] = []
    for number in range(layers):
        x = given.csi.x[layer == number]
        if not len(x):
            raise SiteTwinError(f"layer {number + 1} of all users is zero; ask for fewer layers")
        x = x[different(x, f"channels of layer {number + 1}")]
        found = codec.coder.recovered(x)
        told.append(
            {
                "layer": number + 1,
                "users": len(x),
                "nmse_db": to_db(float(nmse(x, found).mean())),
                "sgcs": float(sgcs(x, found, codec.link.subcarriers).mean()),
            }
        )
    return told

"""The accessor `.sitetwin` of a labelled array of channels: from named axes to tensors."""

from __future__ import annotations

import numpy as np
import xarray as xr
from torch import Tensor, from_numpy

from sitetwin.errors import SiteTwinError


@xr.register_dataarray_accessor("sitetwin")
class ChannelAccessor:
    """Methods of channels that other labelled arrays do not have.

    Args:
        array: An array from `sitetwin.channels` or `sitetwin.open_channels`.
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def torch(self, *dims: str) -> Tensor:
        """Return the values as a tensor; lazy values are computed now.

        Args:
            *dims: Names of the axes in the wanted order; by default the order stays.

        Raises:
            SiteTwinError: The names differ from those of the axes.
        """
        array = self._array
        if dims:
            if sorted(dims) != sorted(str(dim) for dim in array.dims):
                raise SiteTwinError(f"the axes are {', '.join(map(str, array.dims))}; name each of them once")
            array = array.transpose(*dims)
        return from_numpy(np.ascontiguousarray(array.values))

    def power_db(self) -> xr.DataArray:
        """Received over transmitted power of each user in dB, the mean over antennas and frequency; NaN without a path.

        The paths of a user interfere here. `Paths.power_db` gives the powers of single paths, whose sum is the mean
        over small-scale fading.

        Raises:
            SiteTwinError: The array is no frequency response, or its numbers are not complex.
        """
        array = self._array
        if "frequency" not in array.dims:
            raise SiteTwinError("the power is the mean over frequency; give channels of the quantity cfr")
        if array.dtype.kind != "c":
            raise SiteTwinError(f"this array holds {array.dtype}, not complex channels; give the channels themselves")
        rest = [dim for dim in ("rx_antenna", "tx_antenna", "frequency") if dim in array.dims]
        power = (array.real.astype(np.float64) ** 2 + array.imag.astype(np.float64) ** 2).mean(rest)
        found = xr.apply_ufunc(np.log10, power.where(power > 0), dask="allowed")
        return (10 * found).rename("power_db").assign_attrs(units="dB")

"""Channels of a file whose axes are named: beside it, in it, or by what their sizes leave no doubt about.

A file holds ``h``, or its real and imaginary parts ``h_re`` and ``h_im``; ``frequency`` in Hz if known; ``axes``, a
text with the names of h's axes, where the format holds texts (``.npz``). Files of `sitetwin export` are read, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import xarray as xr
from jaxtyping import Shaped

from sitetwin.channel.stored import VALUES
from sitetwin.errors import SiteTwinError
from sitetwin.measured.named_arrays import MEND, named_arrays
from sitetwin.measured.plausible import check_parts
from sitetwin.store.outputs import ATTRIBUTES, new_file
from sitetwin.untrusted import parse_json
from sitetwin.untrusted.arrays import as_float64

PUBLISHED_ORDER = ("user", "antenna", "subcarrier")
"""Axes of ``h`` in the reference of measured channels; they count where frequencies tell the last one apart."""

_EXPORTED = {VALUES[quantity][0]: VALUES[quantity][1] for quantity in ("cfr", "delay-angle")}
_VECTORS = ("frequency", "delay", "axis_frequency", "axis_delay")
_NAMES = ("h", "h_re", "h_im", *_VECTORS, *_EXPORTED)
_OVER = {"frequency": ("frequency", "subcarrier"), "delay": ("delay", "tap")}
_LONGEST_TEXT = 1 << 20
_SAY = "name its axes in their order (--axes, axes=), as user,antenna,subcarrier"


def read_named_csi(path: Path | str, axes: Sequence[str] | None = None) -> xr.DataArray:
    """Read channels from a NumPy archive (``.npz``), HDF5 (``.h5``, ``.hdf5``) or a MATLAB file (``.mat``).

    Args:
        path: The file.
        axes: Names of the axes of ``h`` in their order; where the file names them itself, they must be the same.

    Returns:
        The channels, with named axes, the coordinate ``frequency`` (Hz) or ``delay`` (s) where the file has it, and
        the attributes of a file of `sitetwin export`. Numbers are complex, or have an axis of real and imaginary part.

    Raises:
        SiteTwinError: The file is missing, damaged or has no channels, or its axes are not told: an array of square
            shape is never guessed. Magnitudes and phases stand in the place of real and imaginary parts.
    """
    where, what = Path(path), f"the file of channels '{path}'"
    arrays = named_arrays(where, what, _NAMES, _VECTORS)
    exported = [name for name in _EXPORTED if name in arrays]
    if exported and not {"h", "h_re", "h_im"} & set(arrays):
        return _of_export(arrays, exported[0], axes, what)
    h = _channels(arrays, what)
    names = _axes(arrays, h, axes, what)
    parts = next((names.index(name) for name in ("re_im", "part") if name in names), None)
    if parts is not None and h.shape[parts] == 2 and h.dtype.kind in "fiu":
        real, imaginary = np.moveaxis(h, parts, 0)
        check_parts(real, imaginary, what)
    coordinates = {}
    for name, over in _OVER.items():
        if name in arrays:
            dim = next((axis for axis in names if axis in over), None)
            if (
                dim is None
                or arrays[name].shape != (h.shape[names.index(dim)],)
                or arrays[name].dtype.kind not in "fiu"
            ):
                raise SiteTwinError(f"{what}: {name} has not one number for each {over[-1]} of h; {MEND}")
            coordinates[name] = (dim, as_float64(arrays[name]))
    return xr.DataArray(h, coordinates, names)


def _channels(arrays: dict[str, np.ndarray], what: str) -> Shaped[np.ndarray, "*axes"]:
    """The array h, of its parts where these stand alone."""
    if "h" in arrays:
        h = arrays["h"]
    elif "h_re" in arrays and "h_im" in arrays:
        real, imaginary = arrays["h_re"], arrays["h_im"]
        if real.shape != imaginary.shape or real.dtype.kind not in "fiu" or imaginary.dtype.kind not in "fiu":
            raise SiteTwinError(f"{what}: h_re and h_im are not the two parts of one array; {MEND}")
        check_parts(real, imaginary, what)
        h = real + 1j * imaginary
    else:
        raise SiteTwinError(f"{what} lacks the array 'h' (or 'h_re' and 'h_im'); {MEND}")
    if h.dtype.kind not in "fiuc":
        raise SiteTwinError(f"{what}: h holds other than numbers; {MEND}")
    return h


def _axes(arrays: dict[str, np.ndarray], h: np.ndarray, axes: Sequence[str] | None, what: str) -> list[str]:
    """Names of the axes of h."""
    told = [str(name).strip() for name in axes] if axes is not None else None
    written = _written_axes(arrays, what)
    if told is not None and written is not None and told != written:
        raise SiteTwinError(
            f"{what}: the file names its axes {','.join(written)[:80]}, and {','.join(told)[:80]} are given; leave "
            "them out, or correct the file"
        )
    names = told or written or _by_sizes(arrays, h, what)
    if len(names) != h.ndim or len(set(names)) < len(names):
        raise SiteTwinError(f"{what}: {len(names)} axes are named ({','.join(names)[:80]}), and h has {h.ndim}; {_SAY}")
    return names


def _written_axes(arrays: dict[str, np.ndarray], what: str) -> list[str] | None:
    """Names that the file itself holds: one text with commas, or a row of texts."""
    found = arrays.get("axes")
    if found is None:
        return None
    if found.dtype.kind != "U" or found.size > 8 or found.nbytes > _LONGEST_TEXT:
        raise SiteTwinError(f"{what}: axes is no text with the names of the axes; {_SAY}")
    return [name.strip() for text in found.ravel().tolist() for name in text.split(",")]


def _by_sizes(arrays: dict[str, np.ndarray], h: np.ndarray, what: str) -> list[str]:
    """The published order, where the frequencies leave no doubt about it."""
    frequency = arrays.get("frequency")
    doubt = "the file does not name them, and has no frequencies"
    if frequency is not None and h.ndim in (3, 4):
        names = [*PUBLISHED_ORDER, *(["re_im"] if h.ndim == 4 and h.dtype.kind != "c" else [])]
        places = [place for place, size in enumerate(h.shape) if size == frequency.size]
        if len(names) == h.ndim and places == [2] and h.shape[0] != h.shape[1]:
            return names
        doubt = (
            f"there are as many users as antennas in {h.shape}"
            if places == [2]
            else f"{frequency.size} frequencies may be axis {' or '.join(map(str, places)) or 'none'} of {h.shape}"
        )
    raise SiteTwinError(f"{what}: the axes of h are not told: {doubt}; {_SAY}")


def _of_export(arrays: dict[str, np.ndarray], name: str, axes: Sequence[str] | None, what: str) -> xr.DataArray:
    """Channels of a file that `sitetwin export` wrote: its axes are fixed."""
    if axes is not None:
        raise SiteTwinError(f"{what} is of sitetwin's own export, whose axes are known; leave the names out")
    values, dims = arrays[name], _EXPORTED[name]
    if values.ndim != len(dims) or values.dtype.kind != "c":
        raise SiteTwinError(f"{what}: the array {name} has not the axes {', '.join(dims)}; export it again")
    coordinates = {}
    for axis, over in _OVER.items():
        found = arrays.get(f"axis_{axis}")
        dim = next((one for one in dims if one in over), None)
        if found is not None and dim is not None:
            if found.shape != (values.shape[dims.index(dim)],) or found.dtype.kind != "f":
                raise SiteTwinError(f"{what}: axis_{axis} has not one number for each {dim}; export it again")
            coordinates[axis] = (dim, found)
    attributes = {}
    text = arrays.get(ATTRIBUTES)
    if text is not None and text.dtype.kind == "U" and text.size == 1 and text.nbytes <= _LONGEST_TEXT:
        facts = parse_json(str(text.item()).encode(), what, "export it again")
        attributes = _attributes(facts, name)
    return xr.DataArray(values, coordinates, dims, name, attributes)


def _attributes(facts: Any, name: str) -> dict[str, Any]:
    """What the text of an export says of the file and of one of its arrays."""
    if not isinstance(facts, dict):
        return {}
    arrays = facts.get("arrays")
    own = arrays.get(name) if isinstance(arrays, dict) else None
    rest = {key: value for key, value in facts.items() if key not in ("axes", "arrays")}
    return {**(own if isinstance(own, dict) else {}), **rest}


def write_named_csi(h: xr.DataArray, path: Path | str) -> None:
    """Write channels into a new file that `read_named_csi` reads, ending in ``.npz`` or ``.mat``.

    Args:
        h: Channels with named axes, complex; of coordinates ``frequency`` and ``delay`` are kept. MATLAB is told the
            names of the axes in the text ``axes``.
        path: The file, which is not there yet.

    Raises:
        SiteTwinError: Something is there, the name ends otherwise, or the disk cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".npz", ".mat"):
        raise SiteTwinError(f"{path} ends neither in .npz nor in .mat; name the file so")
    arrays = {"h": np.ascontiguousarray(h.values), "axes": np.array(",".join(map(str, h.dims)))}
    arrays |= {name: h.coords[name].values for name in _OVER if name in h.coords}
    with new_file(path, "write it again") as (file, _):
        if path.suffix == ".npz":
            np.savez(file, **arrays)  # type: ignore[arg-type]  # names of arrays
            return
        scipy.io.savemat(file, {**arrays, "axes": str(arrays["axes"])}, format="5", oned_as="column")
        with file.open("r+b") as stream:  # its first bytes say when it was made; equal content makes equal bytes
            stream.write(b"MATLAB 5.0 MAT-file, channels with named axes".ljust(116))

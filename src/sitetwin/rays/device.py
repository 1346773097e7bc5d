"""Arrays on the ray caster's device: from NumPy and back, gathered, and the vector algebra that kernels share."""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.backend import mitsuba

SLACK = 1024
"""Bytes behind an array that the device may read. Dr.Jit 1.5 does not copy a NumPy array but reads it where it lies, in
whole packets of up to 16 lanes: past the end of an array whose size is no multiple of that, into whatever lies there.
Where that is the end of a memory mapping, the process dies."""


def to_device(kind: Any, values: np.ndarray) -> Any:
    """A Dr.Jit array of NumPy values, in memory that may be read a little past its end.

    Args:
        kind: Dr.Jit type, such as ``mi.UInt32``.
        values: Any shape; flattened, the last axis fastest.
    """
    roomy = np.empty(values.size + SLACK // values.itemsize, values.dtype)
    roomy[: values.size] = values.ravel()
    roomy[values.size :] = 0
    return kind(roomy[: values.size])


def array3_type() -> Any:
    """Dr.Jit's array of double-precision vectors for the backend in use."""
    import drjit as dr

    return dr.cuda.ad.Array3f64 if mitsuba().variant().startswith("cuda") else dr.llvm.ad.Array3f64


def array3(points: np.ndarray) -> Any:
    """(N, 3) float64 points as a Dr.Jit Array3f64; they are data to the kernels, so new ones compile nothing anew."""
    import drjit as dr

    mi = mitsuba()
    if len(points) == 1:
        return array3_type()(*(dr.opaque(mi.Float64, float(x)) for x in points[0]))
    return array3_type()(*(to_device(mi.Float64, points[:, axis]) for axis in range(3)))


def rows_of(vectors: Any) -> np.ndarray:
    """(N, 3) float64 of an Array3f64."""
    import drjit as dr

    return np.asarray(dr.ravel(vectors).numpy()).reshape(-1, 3)


def gather3(buffer: Any, index: Any) -> Any:
    """Three consecutive doubles from `buffer` at `index`, as a vector."""
    import drjit as dr

    mi = mitsuba()
    return array3_type()(*(dr.gather(mi.Float64, buffer, index + axis) for axis in range(3)))


def gather_points(points: Any, index: Any) -> Any:
    """The points at `index` of an Array3f64."""
    import drjit as dr

    return array3_type()(*(dr.gather(mitsuba().Float64, component, index) for component in points))


def surviving(good: Any, *arrays: Any) -> list[Any]:
    """The entries of evaluated arrays where `good` holds."""
    import drjit as dr

    dr.eval(good, *arrays)
    index = dr.compress(good)
    return [dr.gather(type(array), array, index) for array in arrays]


def split(vector: Any, direction: Any) -> tuple[Any, Any]:
    """Component along a unit direction, and the vector across it (Dr.Jit)."""
    import drjit as dr

    along = dr.dot(vector, direction)
    return along, vector - direction * along


def norm(vector: Any) -> Any:
    """Length, with the same operations in every kernel."""
    import drjit as dr

    return dr.sqrt(vector.x * vector.x + vector.y * vector.y + vector.z * vector.z)

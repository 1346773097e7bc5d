"""CSI data sets: truncated delay-angle matrices made ready for a codec, and the way back.

A sample is the matrix G (taps, beams) of one user: the first delay taps of the inverse FFT over the subcarriers, and
the shifted FFT over the antennas. Before compression it is divided by its Frobenius norm (Jiang and Alkhateeb,
"Digital twin aided massive MIMO: CSI compression and feedback", arXiv 2402.19434, eq. 13) and turned by one common
phase, which the authors' code does and their text does not say. Norm and phase do not matter to the direction of a
precoder; they are kept so that the channel can be rebuilt.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError

PhaseReference = Literal["corner", "largest", "none"]


@dataclass(frozen=True, eq=False)
class CsiSet:
    """Normalised delay-angle matrices of N users.

    Attributes:
        x: (N, T, B) complex64, unit Frobenius norm, common phase removed.
        norm: (N,) float32, Frobenius norm before normalisation, in the unit of the channel gain.
        phase: (N,) float32, rad, the common phase that was removed.
        reference: Which element was made real and positive.
    """

    x: Tensor
    norm: Tensor
    phase: Tensor
    reference: PhaseReference

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Tensor) -> CsiSet:
        """The samples of an index tensor or a boolean mask."""
        return CsiSet(self.x[index], self.norm[index], self.phase[index], self.reference)

    def restore(self, x_hat: Tensor | None = None) -> Tensor:
        """(N, T, B) complex64: the matrices with their norm and common phase again.

        Args:
            x_hat: Recovered normalised matrices of the same users; the set's own matrices by default.
        """
        x = self.x if x_hat is None else x_hat
        return x * torch.polar(self.norm, self.phase)[:, None, None]


def prepare(matrices: Tensor, reference: PhaseReference = "corner") -> CsiSet:
    """Normalise delay-angle matrices and remove their common phase.

    Args:
        matrices: (N, T, B) complex, any scale.
        reference: The element that becomes real and positive: "corner" is [0, 0], as in the authors' code (an edge bin
            of little energy); "largest" is the element of largest magnitude; "none" leaves the phase alone.

    Raises:
        SiteTwinError: A matrix is zero (a user without paths) or not finite, or the shape or reference is wrong.
    """
    if matrices.ndim != 3 or not matrices.is_complex():
        raise SiteTwinError(
            f"CSI must be complex with shape (users, taps, beams), not {matrices.dtype} of shape "
            f"{tuple(matrices.shape)}; add the missing axis or convert it"
        )
    norm = torch.linalg.vector_norm(matrices.to(torch.complex128), dim=(1, 2))
    bad = ~(torch.isfinite(norm) & (norm > 0))
    if bad.any():
        raise SiteTwinError(
            f"{int(bad.sum())} of {len(norm)} CSI matrices are zero or not finite (first: user "
            f"{int(bad.nonzero()[0])}); drop the users without any path before preparing the data set"
        )
    x = (matrices / norm[:, None, None]).to(torch.complex64)
    phase = reference_phase(x, reference)
    x = x * torch.polar(torch.ones_like(phase), -phase)[:, None, None]
    return CsiSet(x, norm.to(torch.float32), phase, reference)


def reference_phase(x: Tensor, reference: PhaseReference) -> Tensor:
    """(N,) rad: phase of the reference element of each (N, T, B) complex matrix; 0 where that element is 0.

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


def to_real(x: Tensor) -> Tensor:
    """(N, T, B) complex -> (N, 2, T, B) real and imaginary parts as channels."""
    return torch.view_as_real(x).permute(0, 3, 1, 2).contiguous()


def to_complex(real: Tensor) -> Tensor:
    """(N, 2, T, B) real -> (N, T, B) complex."""
    return torch.complex(real[:, 0].contiguous(), real[:, 1].contiguous())


def data_hash(*tensors: Tensor) -> str:
    """SHA-256 of the shapes, types and bytes of some tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().resolve_conj().numpy()
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

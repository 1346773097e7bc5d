"""The transition function of the uniform theory of diffraction.

R. G. Kouyoumjian, P. H. Pathak, "A uniform geometrical theory of diffraction for an edge in a perfectly conducting
surface", Proc. IEEE 62(11), 1974, eq. 29:

    F(x) = 2 j sqrt(x) e^{jx} integral from sqrt(x) to infinity of e^{-j u^2} du
         = sqrt(pi x) e^{j pi/4} w(e^{j 3 pi/4} sqrt(x)),    w the Faddeeva function.

With r = sqrt(x), the quotient F(x) (1 + r) / r is smooth from its value sqrt(pi) e^{j pi/4} at r = 0 to its value 1 at
infinity. Here it is one rational function of r, fitted to the Faddeeva function for the least maximum of the relative
error, 1.0e-9 over all r >= 0. All of its coefficients are positive, so that no evaluation loses digits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor

# Coefficients of r^0, r^1, ...; the leading ones of _REAL and _BELOW are equal, so that F -> 1 + j / (2 x).
_REAL = (
    1.2533141380823638,
    4.2720522107691883,
    5.8164795973819636,
    4.8283584469814365,
    3.1361730917079358,
    1.6029707397933766,
    0.66661375912836218,
    0.22628571305325013,
    0.057485446271913342,
    0.013550819670878502,
    0.0011941090672589194,
)
_IMAGINARY = (
    1.2533141388997737,
    2.2720520210612283,
    1.5059057518510632,
    0.75727529717094388,
    0.3371742396354328,
    0.1124638502931771,
    0.028786518891861849,
    0.0067740163687284435,
    0.000597070839060693,
)
_BELOW = (
    1.0,
    2.4086045857909313,
    3.2322733460133355,
    2.964956685376702,
    2.0521156790559614,
    1.1265017138192575,
    0.48639291553373776,
    0.18115458124737385,
    0.045128796564649826,
    0.012356710113556362,
    0.0011941090672589194,
)
_FARTHEST = 1e4  # r from which on F is 1 within 5e-9, and below which no power of r overflows single precision


def _polynomial(coefficients: Sequence[float], r: Tensor) -> Tensor:
    value = r * coefficients[-1] + coefficients[-2]
    for coefficient in reversed(coefficients[:-2]):
        value = value * r + coefficient
    return value


def transition_slope(root: Float[Tensor, "*shape"]) -> Complex[Tensor, "*shape"]:
    """``F(r^2) / r``, finite at r = 0, where it is ``sqrt(pi) e^{j pi/4}``.

    Args:
        root: (...) real, r >= 0.

    Returns:
        (...) complex, within 1.1e-9 (relative) in double precision, 1e-6 in single precision, for r <= 1e4; beyond,
        F is taken as 1.
    """
    r = root.clamp_max(_FARTHEST)
    below = 1 / _polynomial(_BELOW, r)
    scale = 1 / (root + (root / _FARTHEST).clamp_min(1))
    return torch.complex(_polynomial(_REAL, r) * below * scale, _polynomial(_IMAGINARY, r) * below * scale)


def transition(x: Float[Tensor, "*shape"]) -> Complex[Tensor, "*shape"]:
    """Transition function F(x) of Kouyoumjian and Pathak under the time factor e^{+j omega t}.

    Args:
        x: (...) real, at least 0.

    Returns:
        (...) complex, within 6e-9 (relative) in double precision.
    """
    zero = x == 0  # the root has no finite derivative there
    root = torch.sqrt(torch.where(zero, torch.ones_like(x), x))
    root = torch.where(zero, torch.zeros_like(x), root)
    return transition_slope(root) * root

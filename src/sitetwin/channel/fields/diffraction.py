"""Diffraction at wedges and half planes by the uniform theory of diffraction (UTD).

R. G. Kouyoumjian, P. H. Pathak, Proc. IEEE 62(11), 1974 ("KP"), for the perfectly conducting wedge of exterior angle
n pi, time factor e^{+j omega t}. A ray that comes from the azimuth phi' and leaves to the azimuth phi about the edge,
both counted from face 0, has

    D_1 = q cot((pi + (phi - phi')) / 2n) F(k L a+(phi - phi')),   D_2 = q cot((pi - (phi - phi')) / 2n) F(k L a-(...)),
    D_3 = q cot((pi + (phi + phi')) / 2n) F(k L a+(phi + phi')),   D_4 = q cot((pi - (phi + phi')) / 2n) F(k L a-(...)),
    q = -e^{-j pi/4} / (2 n sqrt(2 pi k) sin beta_0),   L = s s' sin^2 beta_0 / (s + s'),
    a+-(beta) = 2 cos^2((2 n pi N+- - beta) / 2),

N+- being the integer that brings 2 n pi N - beta nearest to +-pi. The field of a spherical wave after the edge is
``E^i D sqrt(s' / (s (s + s'))) e^{-jks}``. D_1 and D_2 mend the shadow boundaries of the incident field; D_3 and D_4
those of the fields reflected at face n and face 0, whose reflection coefficients they carry.

Two products cancel in closed form, and are never formed here. At a boundary the cotangent's pole meets the zero of F;
and with the total length as reference, sqrt(s' / (s (s + s'))) / s' times s + s' meets the sqrt(L) of F. What is left,
``d = D sqrt((s + s') / (s s'))``, is the field relative to that of a free ray of length s + s'. It is +-1/2 at a shadow
boundary, at any distance.

The components are those of the ray-fixed basis of KP: ``phi'_hat = k' x e``, ``phi_hat = -k x e`` (each normalised) and
``beta_hat = k x phi_hat`` on either side, e = tangent 0 x normal 0 being the direction of the edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Complex, Float, Inexact, Integer
from torch import Tensor

from sitetwin.channel.fields.transition import transition_slope
from sitetwin.errors import SiteTwinError

DiffractionModel = Literal["luebbers", "sionna"]

Reflect = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(N,) cosine of incidence and (N,) face (what `EdgeRays.faces` holds) to r_te and r_tm; a perfect conductor is
``lambda cosine, face: (-torch.ones_like(cosine), torch.ones_like(cosine))``."""

_NEAREST = 1e-12  # radians: closer to a boundary than this counts as this far inside the lit side
_HEAD_ON = 1e-12  # squared sine of incidence below which any direction across the ray serves as the TE direction


@dataclass(frozen=True)
class EdgeRays:
    """N diffracted rays as their edges see them.

    Attributes:
        phi_in: (N,) float64, azimuth phi' of the source, 0 to `exterior`, rad.
        phi_out: (N,) float64, azimuth phi of the observer, 0 to `exterior`, rad.
        exterior: (N,) float64, exterior angle n pi of the wedge, rad.
        cos_beta: (N,) cosine of the angle beta_0 between the direction of travel and the edge.
        distance: (N,) ``k L = k s s' sin^2 beta_0 / (s + s')``.
        faces: (2, N) integer: face 0 and face n, as indices for the reflection coefficients.
    """

    phi_in: Float[Tensor, " rays"]
    phi_out: Float[Tensor, " rays"]
    exterior: Float[Tensor, " rays"]
    cos_beta: Float[Tensor, " rays"]
    distance: Float[Tensor, " rays"]
    faces: Integer[Tensor, "2 rays"]

    def facing(self, model: str) -> EdgeRays:
        """Return the rays with the faces exchanged where the model needs the other face as face 0.

        "luebbers" takes the face nearer to the source in angle, "sionna" the one that the source lights (if it
        lights both, its formula does not depend on their order). So the wedge's own choice of face 0 does not matter.
        """
        limit = 0.5 * self.exterior if model == "luebbers" else torch.full_like(self.exterior, math.pi)
        turn = self.phi_in > limit
        return EdgeRays(
            torch.where(turn, self.exterior - self.phi_in, self.phi_in),
            torch.where(turn, self.exterior - self.phi_out, self.phi_out),
            self.exterior,
            torch.where(turn, -self.cos_beta, self.cos_beta),
            self.distance,
            torch.where(turn, self.faces.flip(0), self.faces),
        )


@dataclass(frozen=True)
class EdgeMatrix:
    """``E_beta = soft E_beta' + cross E_phi'`` and ``E_phi = hard E_phi' - cross E_beta'``; each (N,) complex."""

    soft: Inexact[Tensor, " rays"]
    hard: Inexact[Tensor, " rays"]
    cross: Inexact[Tensor, " rays"]


@dataclass(frozen=True)
class FacePart:
    """Reflection at a face between ray-fixed bases: KP's R, -1 soft and +1 hard for a perfect conductor.

    With c = cos psi / q, d = cos beta_0 sin psi / q, q the sine of incidence and psi the azimuth of the source from
    the face, the TE direction is ``c beta'_hat + d phi'_hat`` before and ``-c beta_hat + d phi_hat`` after.

    Attributes:
        weight: (N,) complex, the terms of KP that this face's reflection multiplies.
        cos_incidence: (N,) cosine of the angle of incidence on the face.
        face: (N,) integer.
        c2: (N,) c^2.
        d2: (N,) d^2.
        cd: (N,) c d.
    """

    weight: Complex[Tensor, " rays"]
    cos_incidence: Float[Tensor, " rays"]
    face: Integer[Tensor, " rays"]
    c2: Float[Tensor, " rays"]
    d2: Float[Tensor, " rays"]
    cd: Float[Tensor, " rays"]

    @classmethod
    def of(cls, azimuth: Tensor, cos_beta: Tensor, face: Tensor, weight: Tensor) -> FacePart:
        """Prepare a face.

        Args:
            azimuth: (N,) psi, rad.
            cos_beta: (N,) cosine between the direction of travel and the edge, which with the face's tangent and
                normal is right-handed: of opposite sign for face n.
            face: (N,) integer.
            weight: (N,) complex.
        """
        cosine, sine = torch.cos(azimuth), torch.sin(azimuth)
        slant = cos_beta * sine
        square = cosine * cosine + slant * slant
        head_on = square < _HEAD_ON
        inverse = 1 / torch.where(head_on, torch.ones_like(square), square)
        d2 = slant * slant * inverse
        incidence = torch.sqrt((1 - cos_beta * cos_beta).clamp_min(0)) * sine.abs()
        return cls(weight, incidence, face, 1 - d2, d2, cosine * slant * inverse)

    def matrix(self, reflect: Reflect) -> EdgeMatrix:
        """What the face reflects, without the weight."""
        te, tm = reflect(self.cos_incidence, self.face)
        return EdgeMatrix(te * self.c2 - tm * self.d2, tm * self.c2 - te * self.d2, (te + tm) * self.cd)


@dataclass(frozen=True)
class EdgeParts:
    """What an edge does to a field, but for what its faces reflect.

    Attributes:
        same: (N,) complex, the terms of KP that no reflection multiplies.
        face_0: Face 0.
        face_n: Face n.
    """

    same: Complex[Tensor, " rays"]
    face_0: FacePart
    face_n: FacePart

    def matrix(self, reflect: Reflect) -> EdgeMatrix:
        """The whole effect, with the Fresnel coefficients of the faces."""
        soft, hard, cross = self.same, self.same, torch.zeros_like(self.same)
        for part in (self.face_0, self.face_n):
            r = part.matrix(reflect)
            soft, hard, cross = soft + part.weight * r.soft, hard + part.weight * r.hard, cross + part.weight * r.cross
        return EdgeMatrix(-soft, -hard, -cross)


def edge_terms(
    rays: EdgeRays, dtype: torch.dtype = torch.complex128
) -> tuple[Complex[Tensor, " rays"], Complex[Tensor, " rays"], Complex[Tensor, " rays"], Complex[Tensor, " rays"]]:
    """``d_i = D_i sqrt((s + s') / (s s'))``, i = 1 to 4: the four terms of KP relative to a free ray of length s + s'.

    With ``delta = 2 n pi N+- - beta -+ pi``, the angle from the boundary, and ``x = 2 k L sin^2(delta / 2)``, a term is
    ``+-sign(delta) e^{-j pi/4} / (2 n sqrt(pi)) sin(delta / 2) / tan(delta / 2n) F(x) / sqrt(x)``. Delta is taken in
    float64, whatever the type of the result: its sign says on which side of the boundary the observer is.

    Args:
        rays: N rays.
        dtype: Complex type of the result.

    Returns:
        Four (N,) complex, finite everywhere.
    """
    real = _real(dtype)
    difference, total = rays.phi_out - rays.phi_in, rays.phi_out + rays.phi_in
    beta = torch.stack([difference, difference, total, total])
    side = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=torch.float64)
    period = 2 * rays.exterior
    delta = period * torch.round((beta + math.pi * side) / period) - beta - math.pi * side
    delta = torch.where(delta.abs() < _NEAREST, -_NEAREST * side, delta).to(real)
    inverse_n = (math.pi / rays.exterior).to(real)
    half_sine = torch.sin(0.5 * delta)
    slope = transition_slope(torch.sqrt(2 * rays.distance).to(real) * half_sine.abs())
    size = half_sine / torch.tan(0.5 * delta * inverse_n) * (inverse_n / math.sqrt(8 * math.pi))
    size = size * torch.sign(delta) * side.to(real)
    one, two, three, four = torch.complex(size * (slope.real + slope.imag), size * (slope.imag - slope.real))
    return one, two, three, four


def diffraction_matrix(
    rays: EdgeRays, reflect: Reflect, model: str = "luebbers", dtype: torch.dtype = torch.complex128
) -> EdgeMatrix:
    """Compute the effect of an edge on a field, relative to a free ray of length s + s', in the ray-fixed basis.

    Both models have the form ``-(I w + R_0 w_0 + R_n w_n)`` with R the faces' reflection in the ray-fixed basis
    (`FacePart`) and w sums of the four terms of KP:

    - "luebbers" (R. J. Luebbers, IEEE Trans. Antennas Propag. 32(1), 1984): ``w = d_1 + d_2``, ``w_0 = d_4``,
      ``w_n = d_3``, face 0 (the one nearer to the source) hit at the azimuth phi', face n left at n pi - phi. The total
      field is continuous at all shadow boundaries, for any material; it is KP for perfect conductors. For rays
      perpendicular to the edge the soft and the hard component take r_te and r_tm as in the paper; for oblique
      ones R turns into the plane of incidence and back, as continuity with the reflected ray asks.
    - "sionna" (as computed by Sionna RT 2.2): ``w_0 = d_1 - d_4`` and ``w_n = d_2 - d_3``, both faces hit from the
      source; where face n is dark (n pi > pi + phi'), ``w = d_2 - d_3`` and ``w_n = 0``. At the boundary of the
      reflected field its sign is opposite to the others': there the total field jumps by twice the reflected one.

    Args:
        rays: N rays.
        reflect: Fresnel coefficients of the faces.
        model: "luebbers" or "sionna".
        dtype: Complex type of the result.

    Raises:
        SiteTwinError: The model is unknown.
    """
    return edge_parts(rays, model, dtype).matrix(reflect)


def edge_parts(rays: EdgeRays, model: str, dtype: torch.dtype) -> EdgeParts:
    """All that goes into `diffraction_matrix` and does not depend on what the faces reflect.

    Raises:
        SiteTwinError: The model is unknown.
    """
    check_model(model)
    rays = rays.facing(model)
    d1, d2, d3, d4 = edge_terms(rays, dtype)
    at_0 = rays.phi_in
    if model == "luebbers":
        at_n = math.pi - (rays.exterior - rays.phi_out)
        same, by_0, by_n = d1 + d2, d4, d3
    else:
        at_n = rays.exterior - rays.phi_in
        dark = rays.exterior > math.pi + rays.phi_in
        none = torch.zeros_like(d1)
        same, by_0, by_n = torch.where(dark, d2 - d3, none), d1 - d4, torch.where(dark, none, d2 - d3)
    real = _real(dtype)
    return EdgeParts(
        same,
        FacePart.of(at_0.to(real), rays.cos_beta.to(real), rays.faces[0], by_0),
        FacePart.of(at_n.to(real), (-rays.cos_beta).to(real), rays.faces[1], by_n),
    )


def check_model(model: str) -> None:
    """Raise `SiteTwinError` for an unknown diffraction model."""
    if model not in get_args(DiffractionModel):
        raise SiteTwinError(
            f"diffraction model '{model}' is unknown; choose one of {', '.join(get_args(DiffractionModel))}"
        )


def _real(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype == torch.complex64 else torch.float64

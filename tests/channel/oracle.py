"""Oracles: plain NumPy complex128 and explicit 3-vectors, sharing no formula in code with the package."""

from __future__ import annotations

import numpy as np

C = 299_792_458.0
EPS0 = 8.8541878188e-12
MU0 = 1 / (EPS0 * C**2)


def transfer_matrix(theta, eta, thickness, frequency):
    """Reflection and transmission of a layer in air from characteristic (ABCD) matrices, for TE and TM.

    The layer's matrix relates tangential E and H at its two faces; the waves outside have impedances
    Z / cos (TE) and Z cos (TM). TM coefficients are of E along the direction e_perp x k on each side.
    """
    k0 = 2 * np.pi * frequency / C
    z0 = np.sqrt(MU0 / EPS0)
    cos_out = np.cos(theta)
    kz = np.sqrt(eta - np.sin(theta) ** 2 + 0j)  # fourth quadrant for Im(eta) <= 0
    n = np.sqrt(eta + 0j)
    cos_in = kz / n
    result = {}
    for mode, outside, inside in (
        ("te", z0 / cos_out, (z0 / n) / cos_in),
        ("tm", z0 * cos_out, (z0 / n) * cos_in),
    ):
        delta = k0 * thickness * kz
        m = np.array([[np.cos(delta), 1j * inside * np.sin(delta)], [1j * np.sin(delta) / inside, np.cos(delta)]])
        e, h = m @ np.array([1.0, 1 / outside])
        incident, reflected = (e + outside * h) / 2, (e - outside * h) / 2
        r = reflected / incident
        result[mode] = (-r if mode == "tm" else r, 1 / incident)
    return result


def fresnel(cos, eta):
    """Half-space coefficients from Snell's law and impedances."""
    n = np.sqrt(eta + 0j)
    cos_t = np.sqrt(1 - (1 - cos**2) / eta + 0j)
    return (cos - n * cos_t) / (cos + n * cos_t), (n * cos - cos_t) / (n * cos + cos_t)


def rotation(yaw, pitch, roll):
    """R_z(yaw) R_y(pitch) R_x(roll)."""
    c, s = np.cos, np.sin
    rz = np.array([[c(yaw), -s(yaw), 0], [s(yaw), c(yaw), 0], [0, 0, 1]])
    ry = np.array([[c(pitch), 0, s(pitch)], [0, 1, 0], [-s(pitch), 0, c(pitch)]])
    rx = np.array([[1, 0, 0], [0, c(roll), -s(roll)], [0, s(roll), c(roll)]])
    return rz @ ry @ rx


def hats(k):
    """theta-hat and phi-hat at a direction."""
    theta, phi = np.arccos(np.clip(k[2], -1, 1)), np.arctan2(k[1], k[0])
    return (
        np.array([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), -np.sin(theta)]),
        np.array([-np.sin(phi), np.cos(phi), 0.0]),
    )


def tr38901_amplitude(theta, phi):
    """Square root of the element gain of TR 38.901, Table 7.3-1."""
    vertical = -min(12 * ((np.degrees(theta) - 90) / 65) ** 2, 30)
    horizontal = -min(12 * (np.degrees(phi) / 65) ** 2, 30)
    return 10 ** ((8 - min(-(vertical + horizontal), 30)) / 20)


def element_field(k, orientation, slant=0.0, pattern="iso"):
    """Global 3-vector of the far field of an element at direction k."""
    turn = rotation(*orientation)
    local = turn.T @ k
    theta_hat, phi_hat = hats(local)
    theta, phi = np.arccos(np.clip(local[2], -1, 1)), np.arctan2(local[1], local[0])
    size = {
        "iso": lambda: 1.0,
        "dipole": lambda: np.sqrt(1.5) * np.sin(theta),
        "tr38901": lambda: tr38901_amplitude(theta, phi),
    }[pattern]()
    return size * (np.cos(slant) * turn @ theta_hat + np.sin(slant) * turn @ phi_hat)


def path_gain(points, normals, coefficients, frequency, tx_field, rx_field):
    """Gain of a specular path by carrying the electric 3-vector over its mirrors.

    Args:
        points: (n + 2, 3) from transmitter to user.
        normals: n normals.
        coefficients: n functions from the cosine of incidence to (r_te, r_tm).
        frequency: Hz.
        tx_field: Function from a direction to the field 3-vector of the transmitting element.
        rx_field: The same of the receiving element.
    """
    steps = np.diff(points, axis=0)
    length = np.linalg.norm(steps, axis=1).sum()
    directions = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    field = tx_field(directions[0]).astype(complex)
    for k, after, normal, coefficient in zip(directions, directions[1:], normals, coefficients, strict=False):
        te = np.cross(k, normal)
        te = te / np.linalg.norm(te)
        r_te, r_tm = coefficient(abs(k @ normal))
        field = r_te * (field @ te) * te + r_tm * (field @ np.cross(te, k)) * np.cross(te, after)
    received = rx_field(-directions[-1]) @ field
    return C / frequency / (4 * np.pi * length) * np.exp(-2j * np.pi * frequency * length / C) * received

"""How vehicles look: paint, panes, wheels and lamps on the bodies that the tracer meets.

Wheels stand in the gap below the body; all else lies within 2 cm of it.
"""

from __future__ import annotations

import math

import numpy as np

from sitetwin.site.vehicle_shapes import CORNERS, SHAPES, Shape, sections, shell
from sitetwin.vision.render.surfaces import Builder, Look, Surfaces
from sitetwin.vision.street.bodies import Vehicle

PAINTS = (
    (0.78, 0.78, 0.77),
    (0.045, 0.045, 0.05),
    (0.42, 0.43, 0.45),
    (0.20, 0.21, 0.23),
    (0.06, 0.11, 0.30),
    (0.45, 0.03, 0.03),
    (0.62, 0.62, 0.60),
    (0.05, 0.16, 0.10),
    (0.50, 0.30, 0.06),
)
_BUS_PAINTS = ((0.62, 0.05, 0.05), (0.75, 0.75, 0.72), (0.07, 0.20, 0.42), (0.72, 0.50, 0.05))
_VAN_PAINTS = ((0.80, 0.80, 0.78), (0.75, 0.75, 0.75), (0.30, 0.32, 0.35), (0.10, 0.20, 0.42), (0.70, 0.45, 0.04))

GLASS = Look((0.018, 0.022, 0.025), mirror=0.09)
TYRE = Look((0.022, 0.022, 0.024))
RIM = Look((0.42, 0.42, 0.43), mirror=0.10)
DARK = Look((0.02, 0.02, 0.02))
TRIM = Look((0.035, 0.035, 0.037), mirror=0.03)
HEADLAMP = Look((0.85, 0.85, 0.82), mirror=0.10)
TAIL = Look((0.55, 0.02, 0.02), mirror=0.05)
PLATE = Look((0.75, 0.75, 0.70))

HEADLAMP_CD_M2, TAIL_CD_M2, BUS_LIGHT_CD_M2 = 2.0e4, 800.0, 60.0
"""Luminance of a dipped headlamp seen from the side of its beam, a tail lamp and a bus's inside, by judgement."""

_STANDS_OUT = 0.012  # m of what is painted on a body
_AROUND = 16  # corners of a wheel


def vehicle_surfaces(vehicle: Vehicle, identity: int, *, lamps_on: bool = False) -> Surfaces:
    """Return all that is seen of a vehicle.

    Args:
        vehicle: The vehicle.
        identity: Its number in the picture.
        lamps_on: Whether its lamps glow.
    """
    form, made = SHAPES[vehicle.shape], Builder()
    _body(form, vehicle, made, identity)
    _wheels(form, made, identity)
    _pillars(form, vehicle, made, identity)
    if form.kind == "bus":
        _bus_sides(form, made, identity, lamps_on)
    _ends(form, made, identity, lamps_on)
    local = made.done()
    return Surfaces(
        vehicle.placed(local.vertices * vehicle.scale),
        local.triangles,
        local.colour,
        local.mirror,
        local.glow,
        local.grain,
        local.identity,
    )


def paint_of(vehicle: Vehicle) -> Look:
    """Return the lacquer of a vehicle."""
    paints = {"bus": _BUS_PAINTS, "van": _VAN_PAINTS}.get(vehicle.kind, PAINTS)
    return Look(paints[vehicle.paint % len(paints)], mirror=0.05)


def _body(form: Shape, vehicle: Vehicle, made: Builder, identity: int) -> None:
    triangles, owner = shell(vehicle.shape)
    strip, side = owner.T
    glass = (np.isin(strip, form.panes) & np.isin(side, (2, 4))) | (np.isin(strip, form.screens) & (side == 3))
    below = (side == CORNERS - 1) & (strip >= 0) & (strip < len(form.along) - 1)
    points = sections(vehicle.shape).reshape(-1, 3)
    for chosen, look in ((glass, GLASS), (below, DARK), (~(glass | below), paint_of(vehicle))):
        if chosen.any():
            made.add(points, triangles[chosen], look, identity)


def _wheels(form: Shape, made: Builder, identity: int) -> None:
    length, width, _ = form.size
    turn = 2 * math.pi * np.arange(_AROUND) / _AROUND
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    for share in form.wheels:
        for side in (1.0, -1.0):
            hub = np.array([share * length, side * (0.5 * width), form.wheel])
            for radius, out, look in (
                (form.wheel + 0.06, 0.006, DARK),
                (form.wheel, 0.012, TYRE),
                (0.62 * form.wheel, 0.018, RIM),
                (0.18 * form.wheel, 0.020, DARK),
            ):
                rim = np.column_stack([radius * circle[:, 0], np.full(_AROUND, side * out), radius * circle[:, 1]])
                if radius > form.wheel:
                    rim[:, 2] = np.maximum(rim[:, 2], -0.5 * form.wheel)  # the arch ends above the ground
                fan = np.array([(0, k, k + 1) for k in range(1, _AROUND - 1)])
                made.add(hub + rim, fan, look, identity)
            tread = np.stack([hub + form.wheel * _lifted(circle, y) for y in (0.0, -0.22 * side)])
            following = np.roll(tread, -1, axis=1)
            quads = np.stack([tread[0], following[0], following[1], tread[1]], axis=1)
            made.add_quads(quads, TYRE, identity)


def _lifted(circle: np.ndarray, y: float) -> np.ndarray:
    return np.column_stack([circle[:, 0], np.full(len(circle), y / 0.33), circle[:, 1]])


def _ring_at(form: Shape, shape: str, x: float) -> np.ndarray:
    """(8, 3) section at a place along the vehicle, metres."""
    ring = sections(shape)
    row = int(np.clip(np.searchsorted(ring[:, 0, 0], x) - 1, 0, len(ring) - 2))
    share = (x - ring[row, 0, 0]) / (ring[row + 1, 0, 0] - ring[row, 0, 0])
    return (1 - share) * ring[row] + share * ring[row + 1]


def _patch(form: Shape, shape: str, x: tuple[float, float], low: float, high: float, corner: int) -> np.ndarray:
    """(2, 4, 3) patches left and right between two places along the body and two shares of a side of its section."""
    one, two = _ring_at(form, shape, x[0]), _ring_at(form, shape, x[1])
    a, b = corner, corner + 1
    corners = [(one, low), (two, low), (two, high), (one, high)]
    quad = np.array([ring[a] + share * (ring[b] - ring[a]) for ring, share in corners])
    quad[:, 1] += _STANDS_OUT
    return np.stack([quad, quad * (1.0, -1.0, 1.0)])


def _pillars(form: Shape, vehicle: Vehicle, made: Builder, identity: int) -> None:
    """Posts between the panes, door handles and seams."""
    length = form.size[0]
    if form.kind == "car":
        look = paint_of(vehicle)
        for at in (-0.095, -0.30 if vehicle.shape != "sedan" else -0.235):
            x = (at * length - 0.05, at * length + 0.05)
            made.add_quads(_patch(form, vehicle.shape, x, 0.0, 1.0, 2), look, identity)
        for at in (-0.02, -0.22):
            x = (at * length, at * length + 0.16)
            made.add_quads(_patch(form, vehicle.shape, x, 0.66, 0.76, 1), TRIM, identity)
        sill = (form.along[1] * length, form.along[-2] * length)
        made.add_quads(_patch(form, vehicle.shape, sill, 0.0, 0.22, 0), TRIM, identity)
    elif form.kind == "van":
        x = (0.40 * length, 0.335 * length)
        made.add_quads(_patch(form, vehicle.shape, (0.0, 0.02), 0.0, 1.0, 2), TRIM, identity)
        made.add_quads(_patch(form, vehicle.shape, (0.20 * length, x[1]), 0.04, 0.52, 2), GLASS, identity)
        made.add_quads(_patch(form, vehicle.shape, (-0.48 * length, 0.4 * length), 0.0, 0.3, 0), TRIM, identity)


def _bus_sides(form: Shape, made: Builder, identity: int, lamps_on: bool) -> None:
    """Windows and doors along both sides of a bus."""
    length, width, height = form.size
    look = Look(GLASS.colour, GLASS.mirror, (BUS_LIGHT_CD_M2, 0.92 * BUS_LIGHT_CD_M2, 0.75 * BUS_LIGHT_CD_M2))
    look = look if lamps_on else GLASS
    quads, doors = [], []
    for left in np.arange(-0.475 * length, 0.46 * length, 1.5):
        for side in (1.0, -1.0):
            y = side * (0.5 * width + _STANDS_OUT)
            y_up = side * (0.492 * width + _STANDS_OUT)
            high = np.array([(left, y, 0.45), (left + 1.38, y, 0.45), (left + 1.38, y_up, 0.83), (left, y_up, 0.83)])
            quads.append(high * (1.0, 1.0, height))
    for at in (0.40, 0.02, -0.36):
        x = at * length
        y = -(0.5 * width + 1.6 * _STANDS_OUT)
        doors.append(
            [(x, y, 0.13 * height), (x + 1.0, y, 0.13 * height), (x + 1.0, y, 0.8 * height), (x, y, 0.8 * height)]
        )
    made.add_quads(np.array(quads), look, identity)
    made.add_quads(np.array(doors), TRIM, identity)


def _ends(form: Shape, made: Builder, identity: int, lamps_on: bool) -> None:
    """Lamps, grille, number plates, and the windscreens of a bus."""
    length, width, height = form.size
    front, rear = 0.5 * length + _STANDS_OUT, -0.5 * length - _STANDS_OUT
    if form.kind == "bus":
        levels = {"lamp": (0.17, 0.24), "tail": (0.16, 0.30), "grille": (0.12, 0.16), "plate": (0.13, 0.165)}
        screen = _across(front, 0.90 * width, 0.40 * height, 0.86 * height)
        made.add_quads(np.array([screen, _across(rear, 0.8 * width, 0.55 * height, 0.83 * height)]), GLASS, identity)
        sign = Look((0.03, 0.03, 0.02), 0.0, (60.0, 35.0, 0.0) if lamps_on else (0.0, 0.0, 0.0))
        made.add_quads(np.array([_across(front + 0.01, 0.7 * width, 0.87 * height, 0.94 * height)]), sign, identity)
        reach = 0.48
    elif form.kind == "van":
        levels = {"lamp": (0.30, 0.365), "tail": (0.30, 0.52), "grille": (0.20, 0.29), "plate": (0.21, 0.25)}
        made.add_quads(np.array([_across(rear, 0.72 * width, 0.60 * height, 0.88 * height)]), GLASS, identity)
        reach = 0.43
    else:
        levels = {"lamp": (0.37, 0.43), "tail": (0.46, 0.56), "grille": (0.24, 0.35), "plate": (0.29, 0.36)}
        reach = 0.42
    low, high = (height * level for level in levels["lamp"])
    lamps = [_across(front, 0.3, low, high, side * (reach * width - 0.15)) for side in (1.0, -1.0)]
    made.add_quads(np.array(lamps), HEADLAMP.lit(HEADLAMP_CD_M2) if lamps_on else HEADLAMP, identity)
    low, high = (height * level for level in levels["tail"])
    tails = [_across(rear, 0.26, low, high, side * (reach * width - 0.13)) for side in (1.0, -1.0)]
    made.add_quads(np.array(tails), TAIL.lit(TAIL_CD_M2) if lamps_on else TAIL, identity)
    made.add_quads(np.array([_across(front, 0.55 * width, *(height * v for v in levels["grille"]))]), TRIM, identity)
    plates = [_across(x, 0.5, *(height * v for v in levels["plate"])) for x in (front + 0.006, rear)]
    made.add_quads(np.array(plates), PLATE, identity)


def _across(x: float, width: float, low: float, high: float, y: float = 0.0) -> np.ndarray:
    """(4, 3) an upright rectangle across the vehicle, its middle at y."""
    left, right = y + 0.5 * width, y - 0.5 * width
    return np.array([(x, left, low), (x, right, low), (x, right, high), (x, left, high)])

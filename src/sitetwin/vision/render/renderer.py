"""Render a street as a camera sees it, with everything that is true of each pixel."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import find_objects

from sitetwin.backend import find_llvm
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import NOTHING, Frame, Truth, visible_share
from sitetwin.vision.render.develop import exposed, joined_ambient
from sitetwin.vision.render.light import DAY, Lamp, Light
from sitetwin.vision.render.street_looks import site_surfaces
from sitetwin.vision.render.surfaces import Surfaces
from sitetwin.vision.render.vehicle_looks import vehicle_surfaces
from sitetwin.vision.render.worker import SAMPLES, Answer, Request
from sitetwin.vision.street.bodies import Vehicle

_HEADLAMP = (6000.0, 14.0)  # candela on the axis, and the exponent of its cone
_LAMPS_MOST = 16
_PATIENCE_S = 300.0
_PROCESS = "sitetwin.vision.render.process"


@dataclass(frozen=True)
class Seen:
    """What is true of a vehicle in a picture.

    Attributes:
        vehicle: The vehicle.
        identity: Its number in `Truth.identities`.
        box: Left, upper, right and lower edge of its visible pixels; None where none is visible.
        pixels: Visible pixels.
        whole: Pixels that it would cover in the image if nothing stood before it.
        cut: Whether the visible part touches the edge of the image.
    """

    vehicle: Vehicle
    identity: int
    box: tuple[float, float, float, float] | None
    pixels: int
    whole: int
    cut: bool

    @property
    def share(self) -> float:
        """Visible share of its pixels; 0 where it lies outside of the image."""
        return visible_share(self.pixels, self.whole)


@dataclass(frozen=True)
class Picture:
    """A rendered frame.

    Attributes:
        frame: The image with its truth.
        seen: One entry for each vehicle, in the order given.
        luminance: (height, width, 3) before exposure, cd/m2.
    """

    frame: Frame
    seen: tuple[Seen, ...]
    luminance: Float[np.ndarray, "height width 3"] = field(repr=False)


class Renderer:
    """A camera before a site at rest; its process starts with the first picture and ends with `close`.

    Args:
        site: The site without vehicles: houses, ground, poles and trees.
        camera: The camera.
        light: Sun and sky.
        lamps: Street lamps, which shine where the light has lamps on.
        painted: More surfaces, such as markings of the road.
    """

    def __init__(
        self,
        site: Site,
        camera: Camera,
        light: Light = DAY,
        *,
        lamps: Sequence[Lamp] = (),
        painted: Sequence[Surfaces] = (),
    ) -> None:
        self.camera, self.light = camera, light
        self._lamps = tuple(lamps) if light.lamps else ()
        self._rest = Surfaces.joined([site_surfaces(site, camera.position, lit=light.lamps), *painted])
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._pipe.close()  # which ends it
            try:
                self._process.wait(10.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def picture(
        self, vehicles: Sequence[Vehicle] = (), *, time: float | None = None, rng: np.random.Generator | None = None
    ) -> Picture:
        """Render one moment.

        Args:
            vehicles: The vehicles at that moment.
            time: Seconds, kept in the frame.
            rng: Source of the sensor's noise; by default always the same.

        Raises:
            SiteTwinError: The process ended or could not render.
        """
        moving = [vehicle_surfaces(v, k, lamps_on=self.light.lamps) for k, v in enumerate(vehicles)]
        surfaces = Surfaces.joined([self._rest, *moving])
        answer = self._ask(Request(surfaces, self.light, self._lamps_of(vehicles), self.camera.position))
        shape = (self.camera.height, self.camera.width)
        identity = np.where(answer.triangle < 0, NOTHING, surfaces.identity[answer.triangle]).reshape(shape)
        distance = answer.distance.reshape(shape)
        depth = distance * (self.camera.rays(self.camera.pixel_centres()) @ self.camera.axes[2])
        ambient = joined_ambient(answer.ambient.reshape(*shape, 3), answer.normal.reshape(*shape, 3), distance)
        luminance = answer.direct.reshape(*shape, 3) + answer.colour.reshape(*shape, 3) * ambient / math.pi
        image = exposed(luminance, rng if rng is not None else np.random.default_rng(0))
        truth = Truth(depth, identity.astype(np.int32), tuple(v.kind for v in vehicles))
        return Picture(Frame(image, time, truth=truth), _seen(vehicles, identity, answer.whole), luminance)

    def _lamps_of(self, vehicles: Sequence[Vehicle]) -> tuple[Lamp, ...]:
        """Street lamps and the headlamps of vehicles, the nearest to the camera."""
        if not self.light.lamps:
            return ()
        lamps = list(self._lamps)
        candela, focus = _HEADLAMP
        for vehicle in vehicles:
            length, _, _ = vehicle.size
            place = vehicle.placed(np.array([0.5 * length + 0.2, 0.0, 0.65]))
            axis = vehicle.placed(np.array([0.995, 0.0, -0.1])) - vehicle.position
            lamps.append(Lamp(tuple(place.tolist()), candela, tuple(axis.tolist()), focus))
        away = [float(np.linalg.norm(np.array(lamp.position) - self.camera.position)) for lamp in lamps]
        return tuple(lamps[k] for k in np.argsort(away, kind="stable")[:_LAMPS_MOST])

    def _ask(self, request: Request) -> Answer:
        if self._process is None:
            self._start()
        try:
            self._pipe.send(request)
            if not self._pipe.poll(_PATIENCE_S):
                raise SiteTwinError(f"the renderer gave no picture within {_PATIENCE_S:g} s; render fewer surfaces")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise SiteTwinError(
                "the process of the renderer ended; it may lack memory, or Mitsuba cannot run here (`sitetwin doctor`)"
            ) from error
        if isinstance(answer, str):
            raise SiteTwinError(f"the renderer failed: {answer}")
        assert isinstance(answer, Answer)
        return answer

    def _start(self) -> None:
        corner = self.camera.pixel_centres() - 0.5
        rays = [self.camera.rays(corner + offset).reshape(-1, 3).astype(np.float32) for offset in SAMPLES]
        centre = self.camera.rays(corner + 0.5).reshape(-1, 3).astype(np.float32)
        if np.isnan(centre).any() or np.isnan(rays).any():
            raise SiteTwinError("the lens shows nothing at a pixel of the image; use a camera whose lens fills it")
        # No process of `multiprocessing`: those import the script that started them again, guarded or not.
        own, other = socket.socketpair()
        llvm = find_llvm()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        if llvm is not None:
            environment["DRJIT_LIBLLVM_PATH"] = llvm.path
        command = [sys.executable, "-m", _PROCESS, str(other.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[other.fileno()], env=environment, stdin=subprocess.DEVNULL)
        other.close()
        self._pipe = Connection(own.detach())
        with suppress(OSError):  # the first question meets the same end, and says so
            self._pipe.send((centre, np.stack(rays), self.camera.width))


def _seen(
    vehicles: Sequence[Vehicle], identities: Int[np.ndarray, "height width"], whole: Int[np.ndarray, " vehicles"]
) -> tuple[Seen, ...]:
    """What is true of all vehicles, in one pass over the image."""
    height, width = identities.shape
    counts = np.bincount(identities[identities >= 0], minlength=len(vehicles))
    spans = find_objects(identities.astype(np.int64) - NOTHING, max_label=len(vehicles))
    found = []
    for number, (vehicle, span) in enumerate(zip(vehicles, spans, strict=True)):
        if span is None:
            found.append(Seen(vehicle, number, None, 0, int(whole[number]), False))
            continue
        rows, columns = span
        cut = bool(columns.start == 0 or rows.start == 0 or columns.stop == width or rows.stop == height)
        box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        found.append(Seen(vehicle, number, box, int(counts[number]), int(whole[number]), cut))
    return tuple(found)

"""The process in which pictures are computed: Mitsuba in its RGB variant casts the rays and models the sky.

The tracer of this program needs another variant of Mitsuba (mono), and a process has one. Light is summed in closed
form, so that pictures have no noise of sampling: sun and lamps with shadow rays, the sky through one ray for each
sample (stratified over blocks of 4 x 4 pixels, which a filter joins), one mirrored ray on glossy surfaces.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from sitetwin.vision.render.light import Lamp, Light
from sitetwin.vision.render.surfaces import Surfaces

BLOCK = 4
"""Pixels across a block over which rays to the sky are stratified."""

CD_PER_UNIT = 683.0 * 106.7502594
"""cd/m2 of a radiance of one in Mitsuba's sky: 683 lm/W times the integral of the CIE's y over wavelength in nm."""

SUN_SR = np.pi * np.radians(0.5358 / 2) ** 2
"""Solid angle of the sun's disc in Mitsuba's model."""

SAMPLES = ((0.375, 0.125), (0.875, 0.375), (0.125, 0.625), (0.625, 0.875))
"""Places within a pixel at which light is gathered: a rotated grid."""

_SKY_ROWS, _SKY_COLUMNS = 128, 256
_SKY_BOUNCE = 0.25  # share of the light on open ground that lies on a surface elsewhere in the street
_LAMP_BOUNCE = 4.0  # lux on a surface elsewhere in a lit street
_LAMP_REACH = 70.0  # metres
_LIFT = 2e-3  # metres above a surface, where rays start


@dataclass(frozen=True)
class Request:
    """What one picture needs.

    Attributes:
        surfaces: All that is seen.
        light: Sun and sky.
        lamps: Small sources.
        origin: (3,) place of the camera, metres.
    """

    surfaces: Surfaces
    light: Light
    lamps: tuple[Lamp, ...]
    origin: np.ndarray


@dataclass(frozen=True)
class Answer:
    """What was gathered.

    Attributes:
        direct: (N, 3) luminance without the sky's diffuse part, cd/m2, mean over the samples of each pixel.
        colour: (N, 3) mean colour.
        ambient: (N, 3) illuminance by the sky and by other surfaces, lux, from few rays.
        normal: (N, 3) of the surface at the pixel's centre; zero where the sky is seen.
        distance: (N,) to the surface at the pixel's centre, metres; infinite where the sky is seen.
        triangle: (N,) of the surface at the pixel's centre, -1 where the sky is seen.
        whole: For each object the pixels whose centres it would cover if nothing stood before it.
    """

    direct: np.ndarray
    colour: np.ndarray
    ambient: np.ndarray
    normal: np.ndarray
    distance: np.ndarray
    triangle: np.ndarray
    whole: np.ndarray


def serve(connection: Connection) -> None:
    """Answer requests until the other side closes; the first message holds the rays of the camera.

    An error is answered with its words.
    """
    import drjit as dr
    import mitsuba as mi

    mi.set_variant("llvm_ad_rgb")
    dr.set_thread_count(max(1, int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1))
    mi.set_log_level(mi.LogLevel.Error)
    studio: _Studio | None = None
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        try:
            if isinstance(message, Request):
                assert studio is not None
                connection.send(studio.answer(message))
            else:
                studio = _Studio(*message)
        except Exception as error:  # the other side says it in its own words
            connection.send(f"{type(error).__name__}: {error}")


class _Studio:
    """Rays of one camera, kept for all of its pictures."""

    def __init__(self, centres: np.ndarray, samples: np.ndarray, columns: int) -> None:
        import mitsuba as mi

        self._centre = _vectors(centres)
        self._samples = [_vectors(one) for one in samples]
        self._count = len(centres)
        pixel = np.arange(self._count)
        self._cell = (pixel // columns % BLOCK) * BLOCK + pixel % columns % BLOCK
        self._mi = mi
        self._skies: dict[Light, _Sky] = {}

    def answer(self, request: Request) -> Answer:
        import drjit as dr

        mi, surfaces = self._mi, request.surfaces
        scene = _scene(surfaces.vertices, surfaces.triangles)
        stage = _Stage(scene, surfaces, self._sky(request.light))
        origin = mi.Point3f(*(float(v) for v in request.origin))
        total = [np.zeros((self._count, 3), dtype=np.float32) for _ in range(3)]
        for number, directions in enumerate(self._samples):
            turn = self._turns(number)
            lamps = request.lamps[number :: len(self._samples)]
            for whole, part in zip(total, stage.gather(origin, directions, turn, lamps, len(SAMPLES)), strict=True):
                whole += np.array(part).T / len(self._samples)
        hit = scene.ray_intersect_preliminary(mi.Ray3f(origin, self._centre), coherent=True)
        valid = np.array(hit.is_valid())
        triangle = np.where(valid, np.array(hit.prim_index).astype(np.int64), -1)
        distance = np.where(valid, np.array(hit.t, dtype=np.float64), np.inf)
        normal = stage.facing[np.maximum(triangle, 0)] * valid[:, None]
        dr.flush_malloc_cache()
        direct, colour, ambient = total
        return Answer(direct, colour, ambient, normal, distance, triangle, self._whole(request, origin))

    def _whole(self, request: Request, origin: Any) -> np.ndarray:
        """Pixels that each object covers by itself."""
        surfaces = request.surfaces
        counts = np.zeros(int(surfaces.identity.max(initial=-1)) + 1, dtype=np.int64)
        for identity in range(len(counts)):
            own = surfaces.triangles[surfaces.identity == identity]
            used, index = np.unique(own, return_inverse=True)
            alone = _scene(surfaces.vertices[used], index.reshape(-1, 3))
            hit = alone.ray_test(self._mi.Ray3f(origin, self._centre), coherent=True)
            counts[identity] = int(np.count_nonzero(np.array(hit)))
        return counts

    def _turns(self, sample: int) -> tuple[Any, Any]:
        """Two numbers in [0, 1) for each pixel: all cells of a block and all samples fill the square evenly."""
        order = np.arange(BLOCK * BLOCK * len(SAMPLES))
        first = (order * 0.7548776662466927) % 1.0  # the R2 sequence
        second = (order * 0.5698402909980532) % 1.0
        index = self._cell * len(SAMPLES) + sample
        return self._mi.Float(first[index]), self._mi.Float(second[index])

    def _sky(self, light: Light) -> _Sky:
        if light not in self._skies:
            self._skies[light] = _Sky.of(light)
        return self._skies[light]


@dataclass(frozen=True)
class _Sky:
    """Luminance over the upper half space as a texture, and the sun."""

    texture: Any
    sun: np.ndarray  # lux of red, green and blue on a surface across the rays
    towards: tuple[float, float, float]
    bounce: np.ndarray  # lux on other surfaces

    @classmethod
    def of(cls, light: Light) -> _Sky:
        import mitsuba as mi

        rise = (np.arange(_SKY_ROWS) + 0.5) / _SKY_ROWS * np.pi / 2
        turn = (np.arange(_SKY_COLUMNS) + 0.5) / _SKY_COLUMNS * 2 * np.pi
        rise_at, turn_at = np.meshgrid(rise, turn, indexing="ij")
        if not light.sun_up:
            values = np.full((_SKY_ROWS, _SKY_COLUMNS, 3), light.sky_glow) * (1.0, 0.9, 0.85)
            lamps = np.array([1.0, 0.85, 0.6]) * _LAMP_BOUNCE * light.lamps
            return cls(_texture(values), np.zeros(3), light.towards_sun, lamps)
        model = {"type": "sunsky", "sun_direction": list(light.towards_sun), "turbidity": light.turbidity}
        directions = np.stack(
            [np.cos(rise_at) * np.cos(turn_at), np.cos(rise_at) * np.sin(turn_at), np.sin(rise_at)], axis=-1
        ).reshape(-1, 3)
        values = CD_PER_UNIT * _radiance(mi, {**model, "sun_scale": 0.0}, directions)
        sun = CD_PER_UNIT * SUN_SR * _radiance(mi, {**model, "sky_scale": 0.0}, np.array([light.towards_sun]))[0]
        weight = (
            (np.sin(rise_at) * np.cos(rise_at)).reshape(-1, 1) * (np.pi / 2 / _SKY_ROWS) * (2 * np.pi / _SKY_COLUMNS)
        )
        level = (values * weight).sum(axis=0) + sun * light.towards_sun[2]
        bounce = _SKY_BOUNCE * level + np.array([1.0, 0.85, 0.6]) * _LAMP_BOUNCE * light.lamps
        return cls(_texture(values.reshape(_SKY_ROWS, _SKY_COLUMNS, 3)), sun, light.towards_sun, bounce)

    def luminance(self, direction: Any) -> Any:
        """cd/m2 of the sky in some directions; below the horizon that of the horizon."""
        import drjit as dr
        import mitsuba as mi

        rise = dr.asin(dr.clip(direction.z, 0.0, 1.0)) / (0.5 * dr.pi)
        turn = dr.atan2(direction.y, direction.x) / (2 * dr.pi)
        return mi.Color3f(self.texture.eval(mi.Point2f(turn - dr.floor(turn), rise)))


def _texture(values: np.ndarray) -> Any:
    import drjit as dr
    import mitsuba as mi

    return mi.Texture2f(mi.TensorXf(values.astype(np.float32)), wrap_mode=dr.WrapMode.Clamp)


def _radiance(mi: Any, model: dict[str, Any], directions: np.ndarray) -> np.ndarray:
    """(N, 3) what the model's sky sends from each direction."""
    emitter = mi.load_dict({"type": "scene", "sky": model}).environment()
    asked = mi.SurfaceInteraction3f()
    asked.wi = -_vectors(directions)
    asked.wavelengths = []
    return np.array(emitter.eval(asked)).reshape(3, -1).T


def _vectors(values: np.ndarray) -> Any:
    import mitsuba as mi

    return mi.Vector3f(*(mi.Float(np.ascontiguousarray(column, np.float32)) for column in values.T))


def _scene(vertices: np.ndarray, triangles: np.ndarray) -> Any:
    import mitsuba as mi

    mesh = mi.Mesh("street", len(vertices), len(triangles))
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = mi.Float(np.ascontiguousarray(vertices, np.float32).ravel())
    parameters["faces"] = mi.UInt32(np.ascontiguousarray(triangles, np.uint32).ravel())
    parameters.update()
    return mi.load_dict({"type": "scene", "mesh": mesh})


class _Stage:
    """A street that rays are cast in, with the looks of its triangles."""

    def __init__(self, scene: Any, surfaces: Surfaces, sky: _Sky) -> None:
        import mitsuba as mi

        self._scene, self._sky = scene, sky
        a, b, c = (surfaces.vertices[surfaces.triangles[:, k]] for k in range(3))
        across = np.cross(b - a, c - a)
        self.facing = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
        self._normal, self._colour, self._glow = (
            [mi.Float(np.ascontiguousarray(column, np.float32)) for column in table.T]
            for table in (self.facing, surfaces.colour, surfaces.glow)
        )
        self._mirror, self._grain = (mi.Float(v.astype(np.float32)) for v in (surfaces.mirror, surfaces.grain))

    def _at(self, table: list[Any], index: Any, valid: Any) -> Any:
        import drjit as dr
        import mitsuba as mi

        return mi.Color3f(*(dr.gather(mi.Float, column, index, valid) for column in table))

    def gather(self, origin: Any, direction: Any, turn: tuple[Any, Any], lamps: Any, weight: int) -> tuple[Any, ...]:
        """Light that arrives along rays: direct luminance, colour, and ambient illuminance, each of three colours."""
        import drjit as dr
        import mitsuba as mi

        hit = self._scene.ray_intersect_preliminary(mi.Ray3f(origin, direction), coherent=True)
        seen, index = hit.is_valid(), hit.prim_index
        point = origin + direction * hit.t
        normal = mi.Vector3f(self._at(self._normal, index, seen))
        normal = dr.select(dr.dot(normal, direction) > 0, -normal, normal)
        start = point + _LIFT * normal
        colour = self._grained(
            self._at(self._colour, index, seen), point, dr.gather(mi.Float, self._grain, index, seen)
        )
        illuminance = self._sun(start, normal, seen)
        for lamp in lamps:
            illuminance += weight * self._lamp(lamp, start, normal, seen)
        direct = colour * illuminance / dr.pi + self._at(self._glow, index, seen)
        mirror = dr.gather(mi.Float, self._mirror, index, seen)
        direct += self._mirrored(start, direction, normal, mirror, seen & (mirror > 0))
        ambient = self._ambient(start, normal, turn, seen)
        direct = dr.select(seen, direct, self._sky.luminance(direction))
        zero = mi.Color3f(0.0)
        result = direct, dr.select(seen, colour, zero), dr.select(seen, ambient, zero)
        dr.eval(*result)
        return result

    def _grained(self, colour: Any, point: Any, grain: Any) -> Any:
        """Colour that changes from patch to patch, and more finely within the patches."""
        import drjit as dr

        value = 0.0
        for size, share in ((0.23, 0.6), (0.05, 0.4)):
            cell = dr.floor(point / size)
            mixed = dr.sin(cell.x * 12.9898 + cell.y * 78.233 + cell.z * 37.719) * 43758.5453
            value += share * (2 * (mixed - dr.floor(mixed)) - 1)
        return colour * (1 + grain * value)

    def _sun(self, start: Any, normal: Any, seen: Any) -> Any:
        import drjit as dr
        import mitsuba as mi

        towards = mi.Vector3f(*self._sky.towards)
        cosine = dr.maximum(dr.dot(normal, towards), 0.0)
        if not self._sky.sun.any():
            return mi.Color3f(0.0) * cosine
        active = seen & (cosine > 0)
        shaded = self._scene.ray_test(mi.Ray3f(start, towards), active=active)
        return mi.Color3f(*(float(v) for v in self._sky.sun)) * dr.select(active & ~shaded, cosine, 0.0)

    def _lamp(self, lamp: Lamp, start: Any, normal: Any, seen: Any) -> Any:
        import drjit as dr
        import mitsuba as mi

        # Opaque numbers, not literal ones: one compiled kernel serves all lamps.
        place = mi.Point3f(*(dr.opaque(mi.Float, v) for v in lamp.position))
        step = place - start
        distance = dr.norm(step)
        towards = step / distance
        cosine = dr.dot(normal, towards)
        power = dr.opaque(mi.Float, lamp.candela) / dr.square(distance)
        if lamp.axis is not None:
            axis = mi.Vector3f(*(dr.opaque(mi.Float, v) for v in lamp.axis))
            power *= dr.power(dr.maximum(-dr.dot(towards, axis), 0.0), dr.opaque(mi.Float, lamp.focus))
        active = seen & (cosine > 0) & (distance < _LAMP_REACH)
        ray = mi.Ray3f(start, towards)
        ray.maxt = distance - 0.15  # a lamp is no obstacle to itself
        shaded = self._scene.ray_test(ray, active=active)
        return mi.Color3f(1.0, 0.85, 0.62) * dr.select(active & ~shaded, power * cosine, 0.0)

    def _mirrored(self, start: Any, direction: Any, normal: Any, mirror: Any, active: Any) -> Any:
        """Light from the mirrored direction, after Schlick's approximation of Fresnel's formula."""
        import drjit as dr

        away = direction - 2 * dr.dot(direction, normal) * normal
        share = mirror + (1 - mirror) * dr.power(dr.clip(1 + dr.dot(direction, normal), 0.0, 1.0), 5)
        return dr.select(active, share * self._arriving(start, away, active), 0.0)

    def _ambient(self, start: Any, normal: Any, turn: tuple[Any, Any], seen: Any) -> Any:
        """Illuminance from one direction, drawn with the cosine's density."""
        import drjit as dr
        import mitsuba as mi

        frame = mi.Frame3f(normal)
        local = mi.warp.square_to_cosine_hemisphere(mi.Point2f(*turn))
        return dr.pi * self._arriving(start, frame.to_world(local), seen)

    def _arriving(self, start: Any, direction: Any, active: Any) -> Any:
        """Luminance from a direction: the sky's, or that of a surface there in mean light."""
        import drjit as dr
        import mitsuba as mi

        hit = self._scene.ray_intersect_preliminary(mi.Ray3f(start, direction), active=active)
        stopped = hit.is_valid()
        surface = self._at(self._colour, hit.prim_index, active & stopped)
        bounced = surface * mi.Color3f(*(float(v) for v in self._sky.bounce)) / dr.pi
        return dr.select(stopped, bounced, self._sky.luminance(direction))

"""Rendered pictures: geometry against projections and ray casts of our own, light against physics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import shapely

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinError
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.device import to_device
from sitetwin.site import ParkedVehicles, build_site, itu_material, place_objects
from sitetwin.site.places.pose import Pose
from sitetwin.site.plan import PARKED
from sitetwin.vision.camera import Camera
from sitetwin.vision.frames import NOTHING
from sitetwin.vision.render import DAY, NIGHT, Lamp, Light, Renderer
from sitetwin.vision.render.develop import LUMINANCE, joined_ambient
from sitetwin.vision.render.street_looks import PARKED_METAL, site_surfaces
from sitetwin.vision.street import SHAPES, CanyonPlan, Vehicle, make_canyon, pole_body, vehicle_body
from sitetwin.vision.street.bodies import vehicle_of_body

STREET = make_canyon(CanyonPlan(trees=0.0, half_length=40.0, seed=3))
LENS = (-0.08, 0.01, 0.001, -0.001, 0.0)
CAMERA = replace(
    Camera.from_view(Pose((0.0, -4.2, 6.0), math.pi / 2 - 0.5, 0.3), 240, 135, math.radians(100)), distortion=LENS
)
VEHICLES = (
    Vehicle("near", "van", (3.0, 1.6, 0.0), math.pi),
    Vehicle("behind", "sedan", (4.0, 5.5, 0.0), math.pi, paint=4),
    Vehicle("far", "bus", (22.0, 1.7, 0.0), math.pi + 0.05),
    Vehicle("outside", "suv", (-30.0, -1.6, 0.0), 0.0),
)


@pytest.fixture(scope="module")
def picture():
    with Renderer(STREET.site, CAMERA) as renderer:
        yield renderer.picture(VEHICLES)


def ranges(site, camera):
    """(height, width) range to the first surface by the tracer's own caster and planes; infinite for the sky."""
    mi = mitsuba()
    rays = camera.rays(camera.pixel_centres()).reshape(-1, 3)
    vector = lambda v: mi.Point3d(*(to_device(mi.Float64, np.ascontiguousarray(c)) for c in v.T))  # noqa: E731
    origin = np.tile(camera.position, (len(rays), 1))
    facet = np.array(RayCaster(site).first_facet(vector(origin), vector(origin + rays), mi.Bool(True)))
    normal, offset = site.facet_normal[facet], site.facet_offset[facet]
    with np.errstate(divide="ignore"):
        distance = (offset - normal @ camera.position) / np.einsum("ij,ij->i", normal, rays)
    return np.where(facet < 0, np.inf, distance).reshape(camera.height, camera.width)


def test_parked_bodies_are_seen_as_the_vehicles_that_they_are():
    rng = np.random.default_rng(2)
    lines = (((-30.0, 0.0), (30.0, 0.0)),)
    kinds = [ParkedVehicles(count=6, streets=lines, bodies=bodies) for bodies in ("vehicles", "boxes")]
    bodies, boxes = (STREET.ground.variant(vehicles=one, rng=rng) for one in kinds)
    numbers = [k for k, name in enumerate(bodies.objects) if name.startswith(PARKED)]
    assert len(numbers) == 6
    for number in numbers:
        vehicle = vehicle_of_body(bodies, number)
        body, own = (
            vehicle_body(vehicle),
            bodies.vertices[np.unique(bodies.triangles[bodies.triangle_object == number])],
        )
        assert np.abs(body.vertices - own).max() < 1e-6
    for number in range(len(boxes.objects)):
        assert vehicle_of_body(boxes, number) is None
    seen = site_surfaces(bodies, CAMERA.position)
    assert set(seen.identity.tolist()) == {NOTHING}
    assert len(seen.triangles) > len(site_surfaces(boxes, CAMERA.position).triangles) + 6 * 200  # wheels, lamps, panes
    paints = {tuple(colour) for colour in seen.colour.tolist()}
    assert tuple(PARKED_METAL.colour) not in paints


def test_depth_is_that_of_the_tracers_geometry(picture):
    site = place_objects(STREET.site, [vehicle_body(v) for v in VEHICLES])
    along = CAMERA.rays(CAMERA.pixel_centres()) @ CAMERA.axes[2]
    true, depth = ranges(site, CAMERA) * along, picture.frame.truth.depth
    assert (np.isinf(true) == np.isinf(depth)).mean() > 0.999
    both = np.isfinite(true) & np.isfinite(depth)
    off = np.abs(true[both] - depth[both])
    # Wheels fill the gap below a body and lamps lie before it: all else agrees to the thickness of a pane.
    assert (off < 0.08).mean() > 0.985
    assert (off[picture.frame.truth.identities[both] == NOTHING] < 0.08).mean() > 0.99


def outline(vehicle):
    """(height, width) bool: pixel centres that the projected triangles of the body cover."""
    body = vehicle_body(vehicle)
    pixels, depth = CAMERA.project(body.vertices)
    if not (depth > 0.1).all():
        return np.zeros((CAMERA.height, CAMERA.width), bool)
    shape = shapely.union_all([shapely.Polygon(pixels[t]).buffer(1e-9) for t in body.triangles])
    centres = CAMERA.pixel_centres()
    return shapely.contains_xy(shape, centres[..., 0], centres[..., 1])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_silhouettes_are_the_projected_bodies(picture, number):
    seen, body = picture.seen[number], outline(VEHICLES[number])
    own = picture.frame.truth.identities == number
    stray = own & ~body
    assert stray.sum() <= 0.12 * own.sum()  # wheels stand below the body
    if number == 0:  # nothing stands before it
        assert (own & body).sum() >= 0.985 * body.sum()
        assert seen.share == 1.0
    assert abs(seen.whole - body.sum()) <= 0.12 * body.sum() + 6


def test_shares_and_boxes_are_those_of_the_mask(picture):
    identities = picture.frame.truth.identities
    for seen in picture.seen:
        own = identities == seen.identity
        assert seen.pixels == own.sum() <= seen.whole
        if seen.pixels:
            rows, columns = np.nonzero(own)
            assert seen.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    behind, outside = picture.seen[1], picture.seen[3]
    assert 0 < behind.share < 0.8  # the van stands before it
    assert outside.box is None
    assert outside.share == 0.0
    assert not outside.cut
    assert picture.frame.truth.names == ("van", "car", "bus", "car")


def open_ground():
    """Level ground of 60 m, and a house of 10 m x 10 m x 8 m in its middle."""
    x, y, z = np.meshgrid([-5.0, 5.0], [-5.0, 5.0], [0.01, 8.0], indexing="ij")
    box = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    faces = np.array([(0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6)])[:, ::-1]
    triangles = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    ground = np.array([(-60, -60, 0), (60, -60, 0), (60, 60, 0), (-60, 60, 0)], float)
    vertices = np.concatenate([box, ground])
    every = np.concatenate([triangles, np.array([(8, 9, 10), (8, 10, 11)])])
    owner = np.concatenate([np.zeros(12, int), np.ones(2, int)])
    return build_site("open", vertices, every, owner, ["house", "ground"], [0, 0], [itu_material("concrete")])


def test_light_of_day_and_night_is_physical():
    """Sun and sky give some 80,000 lux on open ground, the shadow lies where it must, the night is far darker."""
    above = Camera.from_view(Pose((0.0, 0.0, 60.0), 0.0, math.pi / 2), 96, 54, math.radians(60))
    sun = Light("test", math.radians(45), sun_azimuth=0.0)
    with Renderer(open_ground(), above, sun) as renderer:
        day = renderer.picture().luminance @ LUMINANCE
    with Renderer(open_ground(), above, NIGHT, lamps=[Lamp((20.0, 10.0, 7.0), 800.0)]) as renderer:
        night = renderer.picture().luminance @ LUMINANCE
    points = above.points(above.pixel_centres(), np.full((54, 96), 60.0))
    x, y = points[..., 0], points[..., 1]
    beside = np.maximum(np.abs(x), np.abs(y)) > 8
    # The sun stands in the east at 45 degrees: the shadow of 8 m reaches from x = -5 to -13.
    shadow = (x > -12.0) & (x < -8.0) & (np.abs(y) < 4.0)
    lit = beside & ~((x > -14.5) & (x < 6) & (np.abs(y) < 6.5))
    illuminance = math.pi * day[lit].mean() / 0.115
    assert 50e3 < illuminance < 120e3
    assert day[shadow].max() < 0.5 * day[lit].min()
    assert 1e2 < np.median(day[lit]) / np.median(night[lit]) < 1e7
    below = np.unravel_index(np.argmin(np.hypot(x - 20, y - 10)), x.shape)
    assert night[below] == pytest.approx(0.115 * 800.0 / 49.0 / math.pi, rel=0.35)  # a lamp's E = I / h2


def test_ambient_light_is_kept_where_it_is_even():
    even = np.full((12, 16, 3), 7.0)
    normal = np.zeros((12, 16, 3))
    normal[..., 2] = 1.0
    normal[:, 8:] = (1.0, 0.0, 0.0)
    even[:, 8:] = 2.0
    assert joined_ambient(even, normal, np.full((12, 16), 9.0)) == pytest.approx(even, rel=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_bodies_are_closed_and_of_their_size(shape):
    import trimesh

    vehicle = Vehicle("v", shape, (3.0, -2.0, 0.5), 0.7, scale=1.1)
    body = vehicle_body(vehicle)
    mesh = trimesh.Trimesh(body.vertices, body.triangles, process=False)
    length, width, height = vehicle.size
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert 0.45 * length * width * height < mesh.volume < length * width * height
    back = (body.vertices - vehicle.position) @ np.array(
        [[math.cos(0.7), -math.sin(0.7), 0], [math.sin(0.7), math.cos(0.7), 0], [0, 0, 1]]
    )
    assert np.ptp(back[:, 0]) == pytest.approx(length)
    assert np.ptp(back[:, 1]) == pytest.approx(width)
    assert back[:, 2].max() == pytest.approx(height)
    assert back[:, 2].min() > 0


def test_vehicles_drive_along_their_heading():
    moved = Vehicle("v", "bus", (0, 0, 0), math.pi / 3, speed=10.0).moved(2.0)
    assert moved.position == pytest.approx((10.0, 10 * math.sqrt(3), 0.0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Vehicle("v", "tank", (0, 0, 0)), "no vehicle of type 'tank'"),
        (lambda: Vehicle("v", "bus", (0, math.nan, 0)), "give x, y, z"),
        (lambda: Vehicle("v", "bus", (0, 0, 0), scale=0.0), "positive scale"),
        (lambda: pole_body("p", (0, 0, 0), -1.0), "positive metres"),
        (lambda: CanyonPlan(lanes=0), "lanes"),
        (lambda: CanyonPlan(half_length=1.0), "20 to 500 m"),
        (lambda: Light("l", 2.0), "radians"),
        (lambda: Light("l", 0.5, turbidity=0.0), "1 to 10"),
    ],
)
def test_impossible_streets_are_refused(make, words):
    with pytest.raises(SiteTwinError, match=words):
        make()


def test_a_renderer_whose_process_ended_says_so():
    renderer = Renderer(STREET.site, CAMERA, DAY)
    renderer._start()
    renderer._process.kill()
    renderer._process.wait()
    with pytest.raises(SiteTwinError, match="process of the renderer ended"):
        renderer.picture()
    renderer.close()

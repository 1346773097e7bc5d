"""Things that stand and drive in a street: bodies for the tracer, and how they look."""

from sitetwin.vision.street.bodies import SHAPES, Vehicle, vehicle_body
from sitetwin.vision.street.canyon import Canyon, CanyonPlan, make_canyon
from sitetwin.vision.street.posts import POLE, pole_body

__all__ = ["POLE", "SHAPES", "Canyon", "CanyonPlan", "Vehicle", "make_canyon", "pole_body", "vehicle_body"]

"""A street as a camera sees it: rendered images whose truth is known."""

from sitetwin.vision.render.light import DAY, DUSK, LIGHTS, NIGHT, Lamp, Light
from sitetwin.vision.render.renderer import Picture, Renderer, Seen
from sitetwin.vision.render.street_looks import MARKING, PAVEMENT, painted_ground
from sitetwin.vision.render.surfaces import Builder, Look, Surfaces

__all__ = [
    "DAY",
    "DUSK",
    "LIGHTS",
    "MARKING",
    "NIGHT",
    "PAVEMENT",
    "Builder",
    "Lamp",
    "Light",
    "Look",
    "Picture",
    "Renderer",
    "Seen",
    "Surfaces",
    "painted_ground",
]

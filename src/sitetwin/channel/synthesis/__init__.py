"""From gains to channels: frequency response, impulse response, delay-angle matrix."""

from sitetwin.channel.synthesis.cfr import frequency_response
from sitetwin.channel.synthesis.cir import ideal_response, impulse_response, pulse_shape
from sitetwin.channel.synthesis.delay_angle import angle_transform, delay_angle, delay_angle_from_response

__all__ = [
    "angle_transform",
    "delay_angle",
    "delay_angle_from_response",
    "frequency_response",
    "ideal_response",
    "impulse_response",
    "pulse_shape",
]

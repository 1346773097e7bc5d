"""From gains to channels: frequency response, impulse response, delay-angle matrix."""

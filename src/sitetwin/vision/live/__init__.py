"""Follow a drive of a real camera: images, GPS and a site become ranked beams, frame by frame."""

from sitetwin.vision.live.reading import Shot, read_shots
from sitetwin.vision.live.watching import Watched, Watching, latency, line_of, watch, write_lines

__all__ = ["Shot", "Watched", "Watching", "latency", "line_of", "read_shots", "watch", "write_lines"]

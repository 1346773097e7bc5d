"""Numerics below the channels: rotations, phasors, and sums over each user's paths.

What stands here is public. The sums (`ragged`) with their compiled loops (`kernels`, `products`), phasors and threads
serve `fields` and `synthesis` alone.
"""

from sitetwin.channel.numerics.rotation import rotation_matrix
from sitetwin.channel.numerics.selection import chosen_users

__all__ = ["chosen_users", "rotation_matrix"]

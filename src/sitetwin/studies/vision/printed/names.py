"""Names of the methods, for those that write results and those that show them."""

from __future__ import annotations

SIGHT = "GPS line of sight"
SIGHT_CONE = "GPS line of sight, angle of the linear array"
PRINTED = "Algorithm 1 (DT)"
RIDGE = "Algorithm 1 and M, ridge (DT-Adapt)"
DESCENT = "Algorithm 1 and M, descent as printed (DT-Adapt)"
END_TO_END = "end-to-end network, from random weights"
TRACED = "traced twin"
MEASURED = "measured powers"
"""Of a profile: that of equation 1."""

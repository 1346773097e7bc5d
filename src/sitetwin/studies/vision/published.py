"""Tables I to III as printed by M. Arnold and others, whom `sitetwin.vision.profiles` names."""

from __future__ import annotations

SCENARIOS = ("31", "32", "33", "34")

TABLE_1 = {
    "Avatar": {"31": 0.65, "32": 0.70, "33": 0.85, "34": 0.71, "overall": 0.72},
    "end-to-end": {"31": 0.80, "32": 0.95, "33": 0.94, "34": 0.90, "overall": 0.87},
    "DT": {"31": 0.90, "32": 0.95, "33": 0.93, "34": 0.81, "overall": 0.90},
    "DT-Adapt": {"31": 0.93, "32": 0.95, "33": 0.930, "34": 0.833, "overall": 0.92},
}
"""Distance-based accuracy on the challenge's test rows."""

TABLE_2 = {"GPS-LoS": (77.1, 98.8), "end-to-end": (86.3, 99.9), "DT": (85.8, 99.1)}
"""Accuracy of the layer-1 beam in per cent, first pick and first two; no scenario and no number of seeds is stated."""

TABLE_3 = {
    ("GPS-LoS", "31"): (0.40, 0.35, 0.26, 3.03, 2.78, 2.74),
    ("end-to-end", "31"): (0.34, 0.0, 0.0, 9.68, 7.15, 6.41),
    ("DT", "31"): (0.42, 0.0, 0.0, 6.10, 4.76, 4.11),
    ("DT-Adapt", "31"): (0.00, 0.0, 0.0, 0.96, 0.63, 0.41),
    ("GPS-LoS", "32"): (0.35, 0.34, 0.33, 3.16, 2.92, 2.90),
    ("end-to-end", "32"): (0.19, 0.0, 0.0, 2.27, 0.86, 0.63),
    ("DT", "32"): (0.0, 0.0, 0.0, 3.11, 2.41, 1.62),
    ("DT-Adapt", "32"): (0.00, 0.0, 0.0, 1.15, 0.75, 0.55),
    ("GPS-LoS", "33"): (0.52, 0.51, 0.50, 3.70, 3.62, 3.60),
    ("end-to-end", "33"): (0.0, 0.0, 0.0, 2.21, 1.15, 0.82),
    ("DT", "33"): (0.40, 0.07, 0.0, 3.95, 1.18, 0.93),
    ("DT-Adapt", "33"): (0.00, 0.0, 0.0, 1.25, 0.63, 0.43),
    ("GPS-LoS", "34"): (1.82, 1.24, 1.21, 7.18, 5.96, 5.76),
    ("end-to-end", "34"): (0.0, 0.0, 0.0, 1.21, 1.01, 0.50),
    ("DT", "34"): (0.77, 0.46, 0.12, 7.87, 6.79, 5.94),
    ("DT-Adapt", "34"): (0.20, 0.0, 0.0, 3.31, 2.78, 2.2),
}
"""Lost power in dB with factor 20: 50th percentile of one, two and three picks, then the 95th."""

"""Angular power profiles: Algorithm 1 and equations 1 to 6 of the published vision twin, as printed and otherwise.

After M. Arnold and others (Qualcomm), "Vision-assisted digital twin creation for mmWave beam management". Where the
text leaves something open, each reading is an option; the docstring of the option says why the default is what it is.
"""

from sitetwin.vision.profiles.adaptation import POOLED, AngleMap, Descent, ScenarioMaps, fit_map, peak_one
from sitetwin.vision.profiles.codebook import ANGLES, AZIMUTH_DEG, ProfileCodebook, linear_array_book
from sitetwin.vision.profiles.line_of_sight import Pointing, fit_pointing, last_position, sight_scores
from sitetwin.vision.profiles.reconstruction import Reconstruction, interpolated_scores
from sitetwin.vision.profiles.reflectors import REFLECTANCES, PointReflectors, azimuth_deg, in_array_frame
from sitetwin.vision.profiles.scores import (
    CHALLENGE_ROWS,
    accuracy_of_picks,
    lost_db,
    mean_loss_db,
    overall_accuracy,
    table_row,
    wide_accuracy,
    wide_agreement,
)

__all__ = [
    "ANGLES",
    "AZIMUTH_DEG",
    "CHALLENGE_ROWS",
    "POOLED",
    "REFLECTANCES",
    "AngleMap",
    "Descent",
    "PointReflectors",
    "Pointing",
    "ProfileCodebook",
    "Reconstruction",
    "ScenarioMaps",
    "accuracy_of_picks",
    "azimuth_deg",
    "fit_map",
    "fit_pointing",
    "in_array_frame",
    "interpolated_scores",
    "last_position",
    "linear_array_book",
    "lost_db",
    "mean_loss_db",
    "overall_accuracy",
    "peak_one",
    "sight_scores",
    "table_row",
    "wide_accuracy",
    "wide_agreement",
]

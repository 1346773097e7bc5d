"""Sizes of a precoding study that takes seconds."""

from sitetwin.learn import CorrectorSchedule, MlpSize, UNetSize
from sitetwin.studies.precoding.config import Evaluation

SMALL = Evaluation(
    seeds=(0, 1),
    users=60,
    splits=("random", "drives"),
    ray_users=10,
    rays=(1000,),
    calibration_users=0,
    tap_samples=False,
    unet=CorrectorSchedule(epochs=2),
    mlp=CorrectorSchedule(epochs=2),
    unet_sizes=(UNetSize((8, 8, 8, 8)), UNetSize((8, 8, 8, 8), 5)),
    mlp_sizes=(MlpSize((16, 16, 16)),),
)

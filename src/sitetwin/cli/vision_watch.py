"""The command `sitetwin vision watch`: follow a drive with a camera, frame by frame."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import print_facts, say
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.single import SITE_HELP, Carrier, check_range, choice, number
from sitetwin.cli.study_vision import DETECTORS


@option_group("Images")
class _Images:
    """What the camera saw."""

    frames: Annotated[Path, typer.Option(help="Folder of the camera's images (JPEG or PNG), or a video.")]
    fps: Annotated[
        float | None,
        number(0.01, 1000, "frames", "Frames per second of a video whose container tells wrong times."),
    ] = None


@takes_groups
def watch(
    images: _Images,
    gps: Annotated[
        Path,
        typer.Option(
            help="Table of the user's fixes: time_s, frame, and east_m and north_m or latitude and longitude; a row "
            "for each frame."
        ),
    ],
    site: Annotated[str, typer.Option(help=SITE_HELP)],
    camera: Annotated[Path, typer.Option(help="The camera and its place in the site, as TOML.")],
    to: Annotated[Path, typer.Option("--out", help="File for one line of JSON for each frame.")],
    detector: Annotated[
        str, choice(*DETECTORS, help="Network that finds objects; `sitetwin vision models fetch` brings it.")
    ] = "both",
    array_yaw: Annotated[
        float | None,
        number(-360, 360, "degrees", "Boresight of the array in degrees, from east, counter-clockwise."),
    ] = None,
    street_yaw: Annotated[
        list[float] | None,
        typer.Option(
            help="Direction in which vehicles drive, in degrees from east, counter-clockwise; may be given several "
            "times. Without any, six directions are tried."
        ),
    ] = None,
    carrier: Carrier = 60e9,
    gps_sigma: Annotated[float, number(0.01, 100, "metres", "Standard deviation of a fix in metres.")] = 0.5,
) -> None:
    """Follow a drive: boxes, scene, ranked beams and blockage of each frame, and how long each stage took."""
    for one in street_yaw or ():
        check_range("--street-yaw", one, (-360.0, 360.0), "degrees")

    from sitetwin.channel import AntennaArray
    from sitetwin.site import Pose, open_site
    from sitetwin.vision import load_detector, read_camera
    from sitetwin.vision.live import Watching, latency, read_shots, watch, write_lines
    from sitetwin.vision.scene import Station, TwinOptions, UserOptions
    from sitetwin.vision.scene.placing import Placing

    seen_by, scene = read_camera(camera), open_site(site)
    shots, pose = read_shots(images.frames, gps, scene, fps=images.fps), seen_by.camera.pose
    yaw = pose.yaw if array_yaw is None else math.radians(array_yaw)
    how = Watching(
        station=Station(Pose(pose.position, yaw), AntennaArray.ula(16)),
        placing=Placing(headings=tuple(math.radians(one) for one in street_yaw or ())),
        options=TwinOptions(carrier_hz=carrier, user=UserOptions(gps_sigma=gps_sigma)),
    )
    seconds = write_lines(watch(scene, seen_by, shots, load_detector(detector), how), to)
    print_facts([(stage, f"{half:.2f} s, 95 % {most:.2f} s") for stage, (half, most) in latency(seconds).items()])
    say(str(to))

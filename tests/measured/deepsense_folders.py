"""Small scenarios in the three layouts of DeepSense 6G, made by hand: a car on a straight street, drawn powers."""

from pathlib import Path

import numpy as np
import scipy.io
from pyproj import Transformer

STATION = (33.42, -111.93)
BEAMS = 64


def made_up(rows: int = 24, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Powers (N, 64) in the official order, latitude and longitude (N, 2), drive numbers: two lanes, to and fro."""
    rng = np.random.default_rng(seed)
    half = rows // 2
    north = np.concatenate([np.linspace(-20, 20, half), np.linspace(20, -20, rows - half)])
    east = np.concatenate([np.full(half, 21.0), np.full(rows - half, 15.0)])
    frame = f"+proj=tmerc +lat_0={STATION[0]} +lon_0={STATION[1]} +k=1 +datum=WGS84 +units=m"
    lon, lat = Transformer.from_crs("EPSG:4326", frame, always_xy=True).transform(east, north, direction="INVERSE")
    peak = 32 - 0.65 * np.degrees(np.arctan2(north, east))
    power = 0.02 + 0.4 * np.exp(-(((np.arange(BEAMS) - peak[:, None]) / 4) ** 2)) + 0.005 * rng.random((rows, BEAMS))
    return power, np.stack([lat, lon], axis=1), np.repeat([1, 2], [half, rows - half])


def write_official(folder: Path, rows: int = 24) -> Path:
    power, place, drive = made_up(rows)
    for name in ("unit1/mmWave_data", "unit1/GPS_data", "unit2/GPS_data"):
        (folder / name).mkdir(parents=True)
    (folder / "unit1/GPS_data/gps_location.txt").write_text(f"{STATION[0]}\n{STATION[1]}\n")
    lines = ["index,unit1_rgb,Unit1_PWR_60ghz,unit1_loc,unit2_loc,seq_index"]
    for n in range(rows):
        (folder / f"unit1/mmWave_data/mmWave_power_{n}.txt").write_text("\n".join(map(repr, power[n].tolist())))
        (folder / f"unit2/GPS_data/GPS_location_{n}.txt").write_text("\n".join(map(repr, place[n].tolist())))
        lines.append(
            f"{n + 1},./unit1/camera_data/image_{n}.jpg,./unit1/mmWave_data/mmWave_power_{n}.txt,"
            f"./unit1/GPS_data/gps_location.txt,/unit2/GPS_data/GPS_location_{n}.txt,{drive[n]}"
        )
    (folder / "scenario1.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_camera_scenario(folder: Path, rows: int = 24, number: int = 33) -> Path:
    """The layout of scenarios 31 to 34: camera, laser scanner, radar, labels from 1, time stamps; one NaN power."""
    power, place, drive = made_up(rows)
    for name in ("unit1/mmWave_data", "unit1/GPS_data", "unit2/GPS_data", "unit1/camera_data"):
        (folder / name).mkdir(parents=True)
    (folder / "unit1/GPS_data/gps_location.txt").write_text(f"{STATION[0]}\n{STATION[1]}\n")
    lines = [
        "index,unit1_rgb,unit1_pwr_60ghz,unit1_lidar,unit1_radar,unit1_loc,unit2_loc,unit1_beam,unit1_max_pwr,"
        "time_stamp,seq_index,unit2_num_sats,unit2_interpolated_position"
    ]
    for n in range(rows):
        beam, cells = power[n].argmax() + 1, [repr(value) for value in power[n].tolist()]
        if n == 2:  # as published: the label of a row with a NaN is the number of the NaN
            cells[40], beam = "nan", 41
        (folder / f"unit1/mmWave_data/mmWave_power_{n}.txt").write_text("\n".join(cells))
        (folder / f"unit2/GPS_data/GPS_location_{n}.txt").write_text("\n".join(map(repr, place[n].tolist())))
        lines.append(
            f"{n + 1},./unit1/camera_data/image_{n}.jpg,./unit1/mmWave_data/mmWave_power_{n}.txt,"
            f"./unit1/lidar_data/lidar_data_{n}.ply,./unit1/radar_data/radar_data_{n}.npy,"
            f"./unit1/GPS_data/gps_location.txt,./unit2/GPS_data/GPS_location_{n}.txt,{beam},{power[n].max()},"
            f"'01-02-{n % 60:02d}-{90000 * (n % 10):06d}',{drive[n]},9,0"
        )
    (folder / f"scenario{number}_dev.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_challenge(folder: Path, rows: int = 12, labelled: bool = True, numbers: tuple[int, ...] = (32, 33)) -> Path:
    """A package of the challenge: sequences of five steps, two fixes each, scenarios one after the other."""
    seen = [f"unit1_{kind}_{step}" for kind in ("rgb", "lidar", "radar") for step in range(1, 6)]
    tail = ["unit1_beam", "unit1_pwr_60ghz"] if labelled else []
    lines = [",".join(["index", *seen, "unit1_loc", "unit2_loc_1", "unit2_loc_2", *tail])]
    for number in numbers:
        power, place, _ = made_up(rows + 4, seed=number)
        home = f"scenario{number}"
        for name in ("unit1/mmWave_data", "unit1/GPS_data", "unit2/GPS_data"):
            (folder / home / name).mkdir(parents=True)
        (folder / home / "unit1/GPS_data/gps_location.txt").write_text(f"{STATION[0]}\n{STATION[1]}\n")
        for n in range(rows + 4):
            (folder / home / f"unit2/GPS_data/GPS_location_{n}.txt").write_text("\n".join(map(repr, place[n].tolist())))
        for n in range(rows):
            paths = [f"./{home}/unit1/{k}_data/{k}_{n + step}" for k in ("rgb", "lidar", "radar") for step in range(5)]
            fixes = [f"./{home}/unit2/GPS_data/GPS_location_{n + step}.txt" for step in (0, 1)]
            cells = [str(len(lines)), *paths, f"/{home}/unit1/GPS_data/gps_location.txt", *fixes]
            if labelled:
                (folder / home / f"unit1/mmWave_data/mmWave_power_{n + 4}.txt").write_text(
                    "\n".join(map(repr, power[n + 4].tolist()))
                )
                cells += [str(power[n + 4].argmax() + 1), f"./{home}/unit1/mmWave_data/mmWave_power_{n + 4}.txt"]
            lines.append(",".join(cells))
    (folder / "ml_challenge_dev_multi_modal.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_gathered(folder: Path, rows: int = 24, scenario: int = 1) -> Path:
    power, place, drive = made_up(rows)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (
        ("unit1_pwr_60ghz", power[:, ::-1]),
        ("unit2_loc", place),
        ("unit1_loc", np.tile(STATION, (rows, 1))),
        ("seq_index", drive),
    ):
        np.save(folder / f"scenario{scenario}_{name}_1-{rows}.npy", array)
    return folder


def write_paper(folder: Path, rows: int = 24) -> Path:
    power, place, _ = made_up(rows)
    utm = Transformer.from_crs("EPSG:4326", "EPSG:32612", always_xy=True)
    relative = np.stack(utm.transform(place[:, 1], place[:, 0]), axis=1) - utm.transform(STATION[1], STATION[0])
    (folder / "data").mkdir(parents=True)
    scipy.io.savemat(folder / "data/real_beam_pwr.mat", {"real_beam_pwr": power})
    scipy.io.savemat(folder / "data/ue_gps_pos.mat", {"ue_gps_pos": place})
    scipy.io.savemat(folder / "data/ue_relative_pos.mat", {"ue_relative_pos": relative})
    return folder


def write_codebook(folder: Path, beams: int = BEAMS) -> Path:
    """Gaussian beams from 45 degrees to the left to 45 degrees to the right, in files of reversed order."""
    folder.mkdir(parents=True, exist_ok=True)
    axis = np.linspace(176, -4, 211) - 90
    for beam in range(beams):
        peak = 45 - 90 * beam / (beams - 1)
        pattern = (0.1 + np.exp(-0.5 * ((axis - peak) / 4) ** 2)).astype(np.float32)
        scipy.io.savemat(folder / f"built_in_beam_pattern_{beams - 1 - beam}.mat", {"beam_pattern": pattern[None, :]})
    return folder

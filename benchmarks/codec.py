"""A codec of a cell: processor time of `encode`, its ONNX encoder beside torch, and what eight bits cost the encoder.

    pip install -e '.[onnx]'
    OMP_NUM_THREADS=1 python benchmarks/codec.py [--json] [--method klt] [--spacing 2.5]

Munich with a station of 32 antennas at 15 m, 256 subcarriers of 30 kHz, 32 delay taps, 128 bits. The codec is fitted to
half of the users; the others, written down again and again up to 10,000, are encoded on one core, from delay-angle
matrices and from channels over antennas and subcarriers. The encoder in int8 has weights of eight bits and finds the
scale of its inputs as it runs (onnxruntime's dynamic quantisation). Its loss is the NMSE of the other users with 128
bits, decoded by the codec's own decoder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sitetwin as st
from sitetwin.errors import SiteTwinWarning
from sitetwin.learn import CellCodec, export_onnx, nmse, to_db
from sitetwin.learn.cell.onnx_export import ENCODER
from sitetwin.learn.csi.codec import Code
from sitetwin.learn.csi.data import to_real

COUNT, MOST_SECONDS = 10_000, 10.0
STATION, AREA = (-30.0, 60.0, 15.0), (-145, -40, 85, 160)
BAND = {"carrier_hz": 3.5e9, "subcarriers": 256, "spacing_hz": 30e3}
RADIO = st.Radio("ula:32", yaw_deg=-90.0)


def users_of(spacing: float, depth: int) -> tuple[Any, Any]:
    """Delay-angle channels and responses of the users that a path reaches."""
    site = st.open_site("munich")
    paths = st.trace(site, STATION, st.grid(site, area=AREA, spacing=spacing), max_depth=depth)
    paths = paths.select_users(np.flatnonzero(paths.counts > 0))
    made = [
        st.channels(paths, site, radio=RADIO, lazy=False, **BAND, **more)
        for more in ({"quantity": "delay-angle", "num_taps": 32}, {})
    ]
    return made[0], made[1]


def encode_seconds(codec: CellCodec, h: Any) -> float:
    """Processor time of the reports of 10,000 channels."""
    many = h.isel(user=np.resize(np.arange(h.sizes["user"]), COUNT))
    codec.encode(many.isel(user=slice(0, 100)))
    begun = time.process_time()
    codec.encode(many)
    return time.process_time() - begun


def encoder_figures(codec: CellCodec, file: Path, x: torch.Tensor) -> dict[str, float]:
    """Size, latency of one matrix, share of the same indices and NMSE of an encoder in onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    real = to_real(x).numpy()
    seconds = []
    for row in range(200):
        begun = time.perf_counter()
        session.run(None, {"csi": real[row % len(real)][None]})
        seconds.append(time.perf_counter() - begun)
    found = session.run(None, {"csi": real})
    values, index = torch.from_numpy(found[0]), torch.from_numpy(found[1]) if len(found) > 1 else None
    inner = codec.coder.codec  # type: ignore[attr-defined]
    own = inner.encode(x)
    recovered = inner.decode(codec.coder.quantiser(Code(values, index)))  # type: ignore[attr-defined]
    return {
        "megabytes": file.stat().st_size / 1e6,
        "milliseconds_a_matrix": 1e3 * float(np.median(seconds)),
        "same_index": 1.0 if index is None else float((own.index == index).float().mean()),
        "nmse_db": to_db(nmse(x, recovered).mean()),
    }


def measure(method: str, spacing: float, depth: int) -> dict[str, Any]:
    """All figures."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    torch.set_num_threads(1)
    warnings.simplefilter("ignore", SiteTwinWarning)
    h, response = users_of(spacing, depth)
    begun = time.process_time()
    codec = CellCodec(method).fit(h[::2])
    figures: dict[str, Any] = {
        "fitted_to": int(h[::2].sizes["user"]),
        "fit_seconds": time.process_time() - begun,
        "encode_seconds": encode_seconds(codec, h[1::2]),
        "encode_seconds_from_subcarriers": encode_seconds(codec, response[1::2]),
        "bound_seconds": MOST_SECONDS,
    }
    x = codec.matrices(h[1::2]).csi.x[:2000]
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(codec, Path(folder) / "onnx")
        file, small = Path(folder) / "onnx" / ENCODER, Path(folder) / "int8.onnx"
        quantize_dynamic(file, small, weight_type=QuantType.QInt8)
        figures["float32"], figures["int8"] = encoder_figures(codec, file, x), encoder_figures(codec, small, x)
    figures["int8_loss_db"] = figures["int8"]["nmse_db"] - figures["float32"]["nmse_db"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--method", default="klt", help="method of the codec")
    parser.add_argument("--spacing", type=float, default=2.5, help="metres between users")
    parser.add_argument("--depth", type=int, default=2, help="most reflections of a path")
    options = parser.parse_args()
    figures = measure(options.method, options.spacing, options.depth)
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:34} {value if not isinstance(value, float) else f'{value:.4g}'}")


if __name__ == "__main__":
    main()

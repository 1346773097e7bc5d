"""Run networks of ONNX and LiteRT, and say what is missing where they cannot be run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from sitetwin.errors import SiteTwinError


def onnx_session(model: bytes, threads: int = 1) -> Any:
    """Return a session of onnxruntime on the CPU.

    Args:
        model: The ONNX model.
        threads: Threads of one run.

    Raises:
        SiteTwinError: onnxruntime is not installed, or cannot load the model.
    """
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception for each of its states
        raise SiteTwinError(
            f"the network cannot be loaded ({' '.join(str(error).split())[:120]}); fetch it again"
        ) from error


def lite_interpreter(model: bytes, threads: int = 1) -> Any:
    """Return an interpreter of LiteRT with its memory laid out.

    Args:
        model: The `.tflite` model.
        threads: Threads of one run.

    Raises:
        SiteTwinError: LiteRT is not installed, or cannot load the model.
    """
    need("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise SiteTwinError(
            f"the network cannot be loaded ({' '.join(str(error).split())[:120]}); fetch it again"
        ) from error
    return interpreter


def need(*modules: str) -> None:
    """Check that packages of the extra `vision` are there.

    Raises:
        SiteTwinError: One is missing.
    """
    for module in modules:
        if find_spec(module) is None:
            raise SiteTwinError(f"this needs the package {module}; install it with `pip install 'sitetwin[vision]'`")

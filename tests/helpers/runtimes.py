"""Which packages the formats take; tests skip what is not installed."""

import importlib.util

import pytest

RUNTIMES = {
    "savedmodel": (),
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "litert": ("ai_edge_litert",),
    "openvino": ("openvino", "nncf"),
}


def need_runtime(file_format):
    """Skips the test if a package of the extra `export` is missing.

    It looks and does not import: the way OpenVINO is imported is under test.
    """
    for package in RUNTIMES[file_format]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (extra 'export')")

"""Export a model and print the path; started by keras_worker.py.

The memory of an export is then not part of that of the runtime.
"""

import sys

import protocol

import keras_tnt
from keras_tnt.export import export_model

builder, file_format, precision, devices, path, size = sys.argv[1:]
# Exports scale pixels themselves; weights do not affect their speed.
model = getattr(keras_tnt, builder)(weights=None, input_shape=(int(size), int(size), 3))
pixels = 127.5 * (1 + protocol.images(4, int(size)).transpose(0, 2, 3, 1))
result = export_model(
    model,
    path,
    file_format,
    precision,
    calibration=pixels,
    for_cpus=devices == "cpus",
)
protocol.say(path=str(result.path), export_mib=protocol.peak_mib())

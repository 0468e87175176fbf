"""Runs a SavedModel where Keras and keras_tnt cannot be imported.

Usage: python reload_saved_model.py SAVED_MODEL INPUTS.npy OUTPUTS.npy
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# An import of a module that is None fails: whoever needs Keras here is found out.
for blocked in ("keras", "tf_keras", "keras_tnt"):
    sys.modules[blocked] = None

import numpy as np
import tensorflow as tf


def main(saved_model, inputs, outputs):
    """Feeds the images of a file to ``predict_images`` and writes what comes back."""
    signature = tf.saved_model.load(saved_model).signatures["predict_images"]
    images = tf.constant(np.load(inputs), tf.float32)
    np.save(outputs, signature(images=images)["probabilities"].numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])

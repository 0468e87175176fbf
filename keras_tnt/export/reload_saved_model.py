"""A script that runs a SavedModel where Keras and keras_tnt cannot be imported.

Usage: python reload_saved_model.py SAVED_MODEL INPUTS.npy OUTPUTS.npy
"""

import os
import sys


def main(saved_model: str, inputs: str, outputs: str) -> None:
    """Feed the images of a file to ``predict_images`` and write the probabilities."""
    import numpy as np
    import tensorflow as tf

    signature = tf.saved_model.load(saved_model).signatures["predict_images"]
    images = tf.constant(np.load(inputs), tf.float32)
    np.save(outputs, signature(images=images)["probabilities"].numpy())


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Importing a module that is None fails, so whatever needs Keras here is found.
    sys.modules |= dict.fromkeys(("keras", "tf_keras", "keras_tnt"))  # type: ignore
    main(*sys.argv[1:])

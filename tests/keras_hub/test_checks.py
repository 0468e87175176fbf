"""KerasHub's own checks of models, on each class of `keras_tnt.keras_hub`.

Left out, because they do not apply or need what CI does not have:

- `run_vision_backbone_test` with ``data_format="channels_first"``: TensorFlow has no
  such convolutions on a CPU, and KerasHub skips it there. `TNTBackbone` refuses it.
- `run_precision_test` of a classifier with a preprocessor: KerasHub gives its converter
  no policy, and fails the check for its own classifiers.
- `run_litert_export_test`: KerasHub runs it with PyTorch only.
- `run_grain_preprocessing_test`, where Grain is not installed.
- `run_preprocessor_test`, `run_preprocessing_layer_test` of tokens: for texts.
- `run_preset_test` of presets from a hub: there are none; local ones are tested.
"""

import numpy as np
import pytest
import tensorflow as tf

pytest.importorskip("keras_hub", reason="KerasHub is not installed (the extra hub)")
from keras_tnt import keras_hub as tnt_hub
from tests.helpers.hub_case import HubTestCase

ARGUMENTS = {
    "image_shape": (32, 32, 3),
    "outer_dim": 48,
    "inner_dim": 12,
    "depth": 1,
    "outer_num_heads": 3,
}
PYRAMID = {
    "image_shape": (64, 64, 3),
    "outer_dim": 16,
    "inner_dim": 4,
    "depths": (1, 1, 1, 1),
    "outer_num_heads": 2,
    "inner_num_heads": 1,
}
LARGE_IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3))
LARGE_IMAGES = LARGE_IMAGES.astype("float32")
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")


def task_arguments():
    converter = tnt_hub.TNTImageConverter(image_size=(32, 32))
    return {
        "backbone": tnt_hub.TNTBackbone(**ARGUMENTS),
        "num_classes": 3,
        "preprocessor": tnt_hub.TNTImageClassifierPreprocessor(converter),
    }


# KerasHub calls a model of a list of one input with an array.
LIST_OF_INPUTS = pytest.mark.filterwarnings(
    "ignore:(?s).*The structure of `inputs` doesn't match:UserWarning"
)


class TestTNTBackbone(HubTestCase):
    cls = tnt_hub.TNTBackbone

    @LIST_OF_INPUTS
    def test_backbone(self):
        self.run_vision_backbone_test(
            self.cls,
            dict(ARGUMENTS),
            IMAGES,
            expected_output_shape=(2, 5, 48),
            expected_pyramid_output_keys=["P2", "P3", "P4", "P5"],
            expected_pyramid_image_sizes=[(8, 8), (4, 4), (2, 2), (1, 1)],
        )

    def test_precision__of_tensors_and_integers(self):
        for images in (tf.constant(IMAGES), IMAGES.astype("uint8")):
            self.run_precision_test(self.cls, dict(ARGUMENTS), images)

    def test_precision__without_preprocessing(self):
        arguments = ARGUMENTS | {"include_preprocessing": False}
        self.run_precision_test(self.cls, arguments, IMAGES / 255)

    def test_saving(self):
        self.run_model_saving_test(self.cls, dict(ARGUMENTS), IMAGES)

    def test_preset(self):
        self.run_local_preset_test(self.cls(**ARGUMENTS), IMAGES)


class TestPyramidTNTBackbone(HubTestCase):
    cls = tnt_hub.PyramidTNTBackbone

    @pytest.mark.slow
    @LIST_OF_INPUTS
    def test_backbone(self):
        self.run_vision_backbone_test(
            self.cls,
            dict(PYRAMID),
            LARGE_IMAGES,
            expected_output_shape=(2, 1, 1, 64),
            expected_pyramid_output_keys=["P3", "P4", "P5", "P6"],
            expected_pyramid_image_sizes=[(8, 8), (4, 4), (2, 2), (1, 1)],
        )

    def test_saving(self):
        self.run_model_saving_test(self.cls, dict(PYRAMID), LARGE_IMAGES)

    def test_preset(self):
        self.run_local_preset_test(self.cls(**PYRAMID), LARGE_IMAGES)


class TestPyramidTNTImageClassifier(HubTestCase):
    cls = tnt_hub.PyramidTNTImageClassifier

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
    @pytest.mark.filterwarnings("ignore:The `check_types`:DeprecationWarning")
    def test_task(self):
        preprocessor = self.cls.preprocessor_cls.for_size((64, 64))
        arguments = {
            "backbone": tnt_hub.PyramidTNTBackbone(**PYRAMID),
            "num_classes": 3,
            "preprocessor": preprocessor,
        }
        data = (LARGE_IMAGES, np.array([0, 2]))
        self.run_task_test(self.cls, arguments, data, (2, 3))
        self.run_local_preset_test(self.cls(**arguments), LARGE_IMAGES)


class TestTNTImageClassifier(HubTestCase):
    cls = tnt_hub.TNTImageClassifier

    @pytest.mark.slow
    # KerasHub shuffles a data set that Keras does not, and uses an old argument.
    @pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")
    @pytest.mark.filterwarnings("ignore:The `check_types`:DeprecationWarning")
    def test_task(self):
        self.run_task_test(
            self.cls, task_arguments(), (IMAGES, np.array([0, 2])), (2, 3)
        )

    def test_saving(self):
        self.run_model_saving_test(self.cls, task_arguments(), IMAGES)

    def test_precision(self):
        arguments = task_arguments() | {"preprocessor": None}
        self.run_precision_test(self.cls, arguments, IMAGES)

    def test_quantization(self):
        task = self.cls(**task_arguments())
        self.run_quantization_test(task, self.cls, task_arguments(), IMAGES)

    def test_preset(self):
        self.run_local_preset_test(self.cls(**task_arguments()), IMAGES)


class TestTNTImageConverter(HubTestCase):
    cls = tnt_hub.TNTImageConverter

    def test_preprocessing_layer(self):
        arguments = {"image_size": (16, 24)}
        outputs = self.run_preprocessing_layer_test(
            self.cls, arguments, IMAGES, return_output=True
        )
        assert tuple(outputs.shape) == (2, 16, 24, 3)


class TestTNTImageClassifierPreprocessor(HubTestCase):
    def test_preprocessing_layer(self):
        converter = tnt_hub.TNTImageConverter(image_size=(16, 24))
        images, labels = self.run_preprocessing_layer_test(
            tnt_hub.TNTImageClassifierPreprocessor,
            {"image_converter": converter},
            (IMAGES, np.array([0, 2])),
            return_output=True,
        )
        self.assertAllClose(images, converter(IMAGES))
        self.assertAllEqual(labels, [0, 2])

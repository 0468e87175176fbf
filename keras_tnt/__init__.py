"""Transformer in Transformer (TNT) for Keras 3 on TensorFlow.

TNT (arXiv 2103.00112) runs a small transformer over the pixels inside every patch of an
image and a large one over the patches. The models here compute what the published
checkpoints compute, and load them.
"""

from keras_tnt.compat.onednn import use_onednn

use_onednn()  # before TensorFlow is imported

# isort: split
import keras

from keras_tnt import layers, tasks, training
from keras_tnt._version import __version__
from keras_tnt.export import export_saved_model
from keras_tnt.images import decode_predictions, load_image, preprocess_input
from keras_tnt.models import (
    TNT,
    ModelInfo,
    PyramidTNT,
    PyramidTNTBase,
    PyramidTNTMedium,
    PyramidTNTSmall,
    PyramidTNTTiny,
    TNTBase,
    TNTSmall,
    TNTTiny,
    create_model,
    list_models,
    model_info,
    reset_classifier,
)
from keras_tnt.models.features import feature_extractor
from keras_tnt.structure import complexity
from keras_tnt.utils.lazy import LazyClass
from keras_tnt.utils.memory import keep_freed_memory
from keras_tnt.visualization import attention_maps
from keras_tnt.weights import (
    enable_lora,
    load_weights,
    merge_lora,
    save_upstream_weights,
)

# Registered so that saved models load after `import keras_tnt`, and lazily, because
# KerasHub takes seconds to import. The module registers the classes themselves.
_LAZY = {"ImageRescaling": "keras_tnt.layers.image_rescaling"}
_LAZY |= dict.fromkeys(
    (
        "PyramidTNTBackbone",
        "PyramidTNTImageClassifier",
        "PyramidTNTImageClassifierPreprocessor",
        "PyramidTNTImageConverter",
        "TNTBackbone",
        "TNTImageClassifier",
        "TNTImageClassifierPreprocessor",
        "TNTImageConverter",
    ),
    "keras_tnt.keras_hub",
)
_LAZY["TNTObjectDetector"] = "keras_tnt.tasks.retinanet"
for _name, _module in _LAZY.items():
    keras.saving.get_custom_objects().setdefault(
        f"keras_tnt>{_name}", LazyClass(_module, _name)
    )

__all__ = [
    "TNT",
    "ModelInfo",
    "PyramidTNT",
    "PyramidTNTBase",
    "PyramidTNTMedium",
    "PyramidTNTSmall",
    "PyramidTNTTiny",
    "TNTBase",
    "TNTSmall",
    "TNTTiny",
    "__version__",
    "attention_maps",
    "complexity",
    "create_model",
    "decode_predictions",
    "enable_lora",
    "export_saved_model",
    "feature_extractor",
    "keep_freed_memory",
    "layers",
    "list_models",
    "load_image",
    "load_weights",
    "merge_lora",
    "model_info",
    "preprocess_input",
    "reset_classifier",
    "save_upstream_weights",
    "tasks",
    "training",
]

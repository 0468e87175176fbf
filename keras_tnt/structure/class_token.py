"""The class token alone: a TNT without the tokens that its outputs do not depend on."""

from typing import Any

import keras

from keras_tnt.layers import LayerNorm
from keras_tnt.structure.architecture import architecture, blocks
from keras_tnt.structure.graph import rebuild_graph
from keras_tnt.utils.typing import Tensor


def class_token_alone(model: keras.Model) -> keras.Model:
    """Return a model whose last block computes only the class token where it can.

    The head of a TNT reads the class token alone. Keys and values of the last block's
    attention are those of all tokens; everything after the scores is then needed for
    one token only. TNT-S saves 5.6 % of its multiply-adds. Outputs and gradients are
    the same. Outputs that depend on other tokens get those of a second, whole call.

    Args:
        model: a functional model.

    Returns:
        A functional `keras.Model` of the same layers, inputs and outputs; several
        outputs are a list. It is ``model`` itself if that is no TNT, does not read the
        class token after its last block or final norm, or has squeeze-and-excitation,
        which takes the mean over all tokens.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.structure import class_token_alone
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3,
        ...                       input_shape=(32, 64, 3))
        >>> class_token_alone(model).output_shape
        (None, 1000)
    """
    if architecture(model) != "tnt":
        return model
    last: Any = blocks(model)[-1]
    if last.se_ratio:
        return model
    class_tokens: dict[int, Tensor] = {}  # by the ids of tensors of all tokens
    readers = []

    def call(layer, *args, **kwargs):
        class_token = class_tokens.get(id(args[0])) if args else None
        if class_token is not None and _reads_class_token(layer, *args):
            readers.append(layer)
            is_layer = isinstance(layer, keras.layers.Layer)
            return class_token if is_layer else layer(class_token, *args[1:])
        outputs = layer(*args, **kwargs)
        if layer is last:
            alone = layer(*args, num_queries=1, **kwargs)
            class_tokens[id(_patches(outputs))] = _patches(alone)
        elif class_token is not None and _is_norm_of_each_token(layer):
            class_tokens[id(outputs)] = layer(class_token)
        return outputs

    reduced = rebuild_graph(model, call)
    return reduced if readers else model


def _patches(outputs):
    """The patch tokens of a block's outputs."""
    return keras.tree.flatten(outputs)[-1]


def _is_norm_of_each_token(layer):
    return isinstance(layer, LayerNorm) and layer.get_config()["axis"] == -1


def _reads_class_token(layer, tokens, *rest):
    """Whether a layer, or an operation of `keras.ops`, keeps the first token only."""
    if isinstance(layer, keras.layers.Cropping1D):
        count = tokens.shape[1]
        return count is not None and layer.cropping == (0, count - 1)
    match rest:
        case [[slice() as images, int() as index]]:  # tokens[:, 0]
            return images == slice(None) and index == 0
    return False

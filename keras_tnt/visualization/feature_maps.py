"""Channels of patches and pixels as maps over the image (paper, section 3.4)."""

import numpy as np

from keras_tnt.visualization.attention_maps import select_block
from keras_tnt.visualization.block_features import BlockFeatures, pixel_map, tsne


def feature_maps(features: BlockFeatures, block: int) -> np.ndarray:
    """Return the channels of the patches after a block as maps (paper, Figure 3a).

    Args:
        features: `BlockFeatures`.
        block: a block, counted from 1.

    Returns:
        A float32 array ``(batch, outer_dim, rows, columns)``.

    Raises:
        ValueError: if there is no such block.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, feature_maps
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> features = block_features(model, numpy.zeros((1, 32, 64, 3)))
        >>> feature_maps(features, block=2).shape
        (1, 48, 2, 4)
    """
    patches = select_block(features.patches, block, "no features")
    return np.moveaxis(patches, -1, 1)


def feature_map_tsne(
    features: BlockFeatures, block: int, image: int = 0, seed: int = 0
) -> np.ndarray:
    """Compute a t-SNE layout of the feature maps of a block (paper, Figure 3b).

    Each sample is a channel of the patches: its values over the patches of one image.

    Args:
        features: `BlockFeatures`.
        block: a block of at least two patches, counted from 1.
        image: index of the image in the batch.
        seed: seed of the initial layout.

    Returns:
        A float32 array ``(outer_dim, 2)``.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if there is no such block or image, or the block has a single patch.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, feature_map_tsne
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> features = block_features(model, numpy.zeros((1, 32, 64, 3)))
        >>> feature_map_tsne(features, block=2).shape
        (48, 2)
    """
    maps = feature_maps(features, block)
    if not 0 <= image < len(maps):
        raise ValueError(
            f"There is no image {image}: expected one of the {len(maps)} images of the "
            "features, counted from 0."
        )
    return tsne(maps[image].reshape(maps.shape[1], -1), seed)


def mean_pixel_map(features: BlockFeatures, block: int) -> np.ndarray:
    """Return the pixels after a block, averaged over their channels (paper, Figure 4).

    Args:
        features: `BlockFeatures`.
        block: a block with an inner transformer, counted from 1.

    Returns:
        A float32 array ``(batch, rows · side, columns · side)``, a patch having
        ``side · side`` pixels.

    Raises:
        ValueError: if there is no such block, or it has no inner transformer.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features, mean_pixel_map
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> features = block_features(model, numpy.zeros((1, 32, 64, 3)))
        >>> mean_pixel_map(features, block=2).shape
        (1, 8, 16)
    """
    pixels = select_block(features.pixels, block, "no inner transformer")
    return pixel_map(pixels, features.patches[block].shape[1:3]).mean(axis=-1)

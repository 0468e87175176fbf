"""Patches and pixels after every block, and their projections to colors."""

import math
from typing import NamedTuple

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_tnt.compat.libraries import one_openmp_thread
from keras_tnt.utils.counts import check_count
from keras_tnt.visualization.block_outputs import as_float32, iterate_blocks


class BlockFeatures(NamedTuple):
    """The outputs of every block, counted from 1; float32 arrays.

    Attributes:
        patches: block → ``(batch, rows, columns, outer_dim)``, without class token.
        pixels: block → ``(batch, patches, pixels, inner_dim)``, for blocks with an
            inner transformer; `pixel_map` arranges them as an image.
    """

    patches: dict
    pixels: dict


def block_features(model: keras.Model, images: ArrayLike) -> BlockFeatures:
    """Compute the patches and pixels after every block.

    Args:
        model: a TNT or PyramidTNT, a model extended from one, or one with it as a
            layer, at any depth.
        images: a batch of images for ``model``, ``(batch, height, width, channels)``;
            of a model of several inputs also a list or dict of all of them.

    Returns:
        `BlockFeatures`.

    Raises:
        ValueError: if ``model`` has no TNT or more than one, or no graph from its input
            to the TNT; or if it scales images itself and these look scaled to 0-1.

    Example:
        >>> import keras_tnt, numpy
        >>> from keras_tnt.visualization import block_features
        >>> model = keras_tnt.TNT(48, 12, depth=2, outer_num_heads=3, classes=7,
        ...                       input_shape=(32, 64, 3))
        >>> features = block_features(model, numpy.zeros((1, 32, 64, 3)))
        >>> features.patches[1].shape, features.pixels[2].shape
        ((1, 2, 4, 48), (1, 8, 16, 12))
    """
    features = BlockFeatures({}, {})
    for block, step in enumerate(iterate_blocks(model, images), start=1):
        patches = as_float32(step.patches)
        patches = patches[:, patches.shape[1] - math.prod(step.grid) :]
        shape = (len(patches), *step.grid, -1)
        features.patches[block] = patches.reshape(shape)
        if step.pixels is not None:
            features.pixels[block] = as_float32(step.pixels)
    return features


def pixel_map(pixels: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Arrange the pixels of all patches as one map.

    Args:
        pixels: an array ``(batch, patches, pixels, dim)``, as in `BlockFeatures`.
        grid: ``(rows, columns)`` of patches.

    Returns:
        An array ``(batch, rows · side, columns · side, dim)``, a patch having
        ``side · side`` pixels.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import pixel_map
        >>> pixel_map(numpy.zeros((2, 6, 16, 12)), (2, 3)).shape
        (2, 8, 12, 12)
    """
    batch, _, count, dim = pixels.shape
    rows, columns = grid
    side = math.isqrt(count)
    pixels = pixels.reshape(batch, rows, columns, side, side, dim)
    return pixels.swapaxes(2, 3).reshape(batch, rows * side, columns * side, dim)


def principal_components(features: np.ndarray, count: int) -> np.ndarray:
    """Project features on their directions of largest variance (PCA).

    Args:
        features: an array ``(…, dim)``; all but the last axis counts samples.
        count: number of components, at most ``dim``.

    Returns:
        A float32 array ``(…, count)``, the largest variance first. The sign of a
        component makes the largest weight of its direction positive.

    Raises:
        ValueError: if ``count`` is not a whole number from 1 to ``dim``.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import principal_components
        >>> principal_components(numpy.array([[1.0, 2], [3, 4], [5, 6]]), 1).round(2)
        array([[-2.83],
               [ 0.  ],
               [ 2.83]], dtype=float32)
    """
    dim = features.shape[-1]
    if check_count("count", count) > dim:
        raise ValueError(f"Features of width {dim} have no {count} components.")
    samples = features.reshape(-1, dim).astype("float64")
    samples = samples - samples.mean(axis=0)
    _, directions = np.linalg.eigh(samples.T @ samples)
    directions = directions[:, ::-1][:, :count]
    largest = np.abs(directions).argmax(axis=0)
    directions = directions * np.sign(directions[largest, range(count)])
    projected = samples @ directions
    return projected.reshape(*features.shape[:-1], count).astype("float32")


def features_to_rgb(features: np.ndarray) -> np.ndarray:
    """Map the first three principal components of features to red, green and blue.

    Similar colors mean similar features, across the images of the batch. The colors
    themselves have no meaning. The middle 98 % of each component fill its range.

    Args:
        features: an array ``(batch, rows, columns, dim)``, at least three wide.

    Returns:
        A uint8 array ``(batch, rows, columns, 3)``.

    Raises:
        ValueError: if they are narrower.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import features_to_rgb
        >>> features = numpy.random.default_rng(0).normal(size=(2, 14, 14, 48))
        >>> features_to_rgb(features).shape
        (2, 14, 14, 3)
    """
    components = principal_components(features, 3)
    low, high = np.percentile(components, (1, 99), axis=(0, 1, 2))
    scaled = (components - low) / np.maximum(high - low, 1e-12)
    return (scaled.clip(0, 1) * 255).round().astype("uint8")


def tsne(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Compute a t-SNE layout of features in a plane.

    Args:
        features: an array ``(samples, dim)``, some hundred to some thousand samples.
        seed: seed of the initial layout.

    Returns:
        A float32 array ``(samples, 2)``.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if there are fewer than three samples or two dimensions.

    Example:
        >>> import numpy
        >>> from keras_tnt.visualization import tsne
        >>> tsne(numpy.random.default_rng(0).normal(size=(40, 12))).shape
        (40, 2)
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError(
            "t-SNE is scikit-learn's, which could not be imported. Install it: "
            'pip install "keras-tnt[demo]"'
        ) from error
    if len(features) < 3:
        raise ValueError(f"t-SNE takes at least 3 samples, got {len(features)}.")
    if features.shape[1] < 2:
        raise ValueError(
            "t-SNE takes samples of at least 2 dimensions, got an array of shape "
            f"{features.shape}."
        )
    perplexity = min(30, (len(features) - 1) / 3)
    layout = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    with one_openmp_thread():
        return layout.fit_transform(np.asarray(features, "float32"))

"""How the weights of a model are divided among devices that share it."""

import keras

# By columns: each device computes some of the heads' and the hidden layer's features.
COLUMNS = r"attention/(qkv|query|key_value)|feed_forward/intermediate_dense"
# By rows: each device has the rows of the features that it computed.
ROWS = r"attention/projection|feed_forward/output_dense"
OUTER = r"(?!.*inner/).*"


def layout_map(
    device_mesh: keras.distribution.DeviceMesh,
) -> keras.distribution.LayoutMap:
    """Return which weights of TNT and PyramidTNT are divided, and along which axis.

    For `keras.distribution.ModelParallel`, on JAX: for models that are larger than a
    device. Each device along the axis ``"model"`` has a part of the weights, of their
    moments in the optimizer and of their moving average:

    - Query, key and value and the first Dense of the feed-forward layer are divided by
      columns, with their biases. A column is a feature, and the GELU and the attention
      of a head need no features of others.
    - The output projection and the second Dense are divided by rows. Each device
      multiplies the features that it has, and one sum over the devices completes the
      layer. Their biases are added after it, so every device has all of them.
    - All other weights are on every device. The inner blocks have 0.4 % of the weights
      of TNT-S, but as many activations as the outer ones: dividing them would save no
      memory and cost two more sums over the devices in each block. Fold layers,
      embeddings, norms and the head are small, too.

    So 89 % of the weights of TNT-S are divided, 90 % of TNT-B and 80 % of PyramidTNT-S.

    This follows Megatron-LM (arXiv 1909.08053, section 3), with one difference: a TNT
    has one kernel for query, key and value, whose columns are not ordered by device.
    The devices exchange its results, so the number of heads need not be a multiple of
    the number of devices along ``"model"``. The widths must be: ``outer_dim`` and
    ``mlp_ratio`` · ``outer_dim``, of every stage. Otherwise JAX raises an error when
    the model is built.

    Args:
        device_mesh: a `keras.distribution.DeviceMesh` with the axes ``"batch"``, which
            divides the images, and ``"model"``.

    Returns:
        A `keras.distribution.LayoutMap`.

    Raises:
        ValueError: if the mesh has no axis ``"model"``.

    Example:
        ```python
        import keras
        from keras_tnt.training import layout_map, tnt_small_imagenet, train

        mesh = keras.distribution.DeviceMesh((2, 4), ("batch", "model"))
        distribution = keras.distribution.ModelParallel(
            layout_map=layout_map(mesh), batch_dim_name="batch"
        )
        train(tnt_small_imagenet(), "runs/imagenet", distribution)
        ```
    """
    if "model" not in device_mesh.axis_names:
        raise ValueError(
            "The device mesh needs an axis 'model', and 'batch' for the images, got "
            f"{device_mesh.axis_names}. Create it with axis_names=('batch', 'model')."
        )
    layouts = keras.distribution.LayoutMap(device_mesh)
    layouts[f"{OUTER}({COLUMNS})/kernel"] = (None, "model")
    layouts[f"{OUTER}({COLUMNS})/bias"] = ("model",)
    layouts[f"{OUTER}({ROWS})/kernel"] = ("model", None)
    return layouts

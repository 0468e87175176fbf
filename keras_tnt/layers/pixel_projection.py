"""Pixel projection: what the pixels of a patch add to its token."""

from keras import ops

from keras_tnt.layers.base import TNTLayer


class PixelProjectionLayer(TNTLayer):
    """Base class of blocks that add pixels to patches (section 2.2, equation 8).

    The pixel projection is ``LN(Dense(LN(flatten(pixels))))`` for each patch; the Dense
    has no bias. Its sublayers are named ``fold_*``, as in saved weights.
    """

    def _create_pixel_projection(self):
        self.fold_input_norm = self._norm("fold_input_norm")
        self.fold_output_norm = self._norm("fold_output_norm")

    def _build_pixel_projection(self, features, outer_dim):
        """Build the sublayers for patches with this number of features."""
        self.fold_input_norm.build((None, features))
        self.fold_dense = self._dense(outer_dim, "fold_dense", use_bias=False)
        self.fold_dense.build((None, features))
        self.fold_output_norm.build((None, outer_dim))

    def _project_pixels(self, pixels, training):
        """Project pixels ``(…, pixels, inner_dim)`` to rows, one for each patch."""
        *_, per_patch, inner_dim = pixels.shape
        rows = ops.reshape(pixels, (-1, per_patch * inner_dim))
        rows = self.fold_input_norm(rows, training=training)
        return self.fold_output_norm(self.fold_dense(rows), training=training)

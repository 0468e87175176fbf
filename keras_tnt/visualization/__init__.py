"""Visualization: attention, features and saliency, as arrays and as plots."""

from keras_tnt.visualization.attention_maps import (
    AttentionMaps,
    attention_maps,
    attention_rollout,
)
from keras_tnt.visualization.block_features import (
    BlockFeatures,
    block_features,
    features_to_rgb,
    pixel_map,
    principal_components,
    tsne,
)
from keras_tnt.visualization.feature_maps import (
    feature_map_tsne,
    feature_maps,
    mean_pixel_map,
)
from keras_tnt.visualization.image_maps import (
    block_map,
    class_token_map,
    inside_patch,
    most_attended_patch,
    on_pixel_grid,
    patch_attention,
    resize_maps,
)
from keras_tnt.visualization.plot_attention import (
    plot_attention_heads,
    plot_attention_overlays,
    plot_inner_attention,
    plot_patch_attention,
)
from keras_tnt.visualization.plot_boxes import plot_boxes
from keras_tnt.visualization.plot_feature_maps import (
    plot_feature_map_tsne,
    plot_feature_maps,
    plot_mean_pixels,
)
from keras_tnt.visualization.plot_features import (
    plot_features,
    plot_saliency,
    plot_tsne,
)
from keras_tnt.visualization.plot_masks import plot_masks
from keras_tnt.visualization.saliency import grad_cam, integrated_gradients

__all__ = [
    "AttentionMaps",
    "BlockFeatures",
    "attention_maps",
    "attention_rollout",
    "block_features",
    "block_map",
    "class_token_map",
    "feature_map_tsne",
    "feature_maps",
    "features_to_rgb",
    "grad_cam",
    "inside_patch",
    "integrated_gradients",
    "mean_pixel_map",
    "most_attended_patch",
    "on_pixel_grid",
    "patch_attention",
    "pixel_map",
    "plot_attention_heads",
    "plot_attention_overlays",
    "plot_boxes",
    "plot_feature_map_tsne",
    "plot_feature_maps",
    "plot_features",
    "plot_inner_attention",
    "plot_masks",
    "plot_mean_pixels",
    "plot_patch_attention",
    "plot_saliency",
    "plot_tsne",
    "principal_components",
    "resize_maps",
    "tsne",
]

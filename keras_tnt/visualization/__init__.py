"""What a TNT sees: attention, features, and what its answers hang on."""

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
from keras_tnt.visualization.image_maps import (
    block_map,
    class_token_map,
    inside_patch,
    most_attended,
    on_pixel_grid,
    resize_maps,
)
from keras_tnt.visualization.plot_attention import (
    draw_heads,
    draw_inside,
    draw_overlays,
)
from keras_tnt.visualization.plot_features import (
    draw_features,
    draw_layouts,
    draw_reasons,
)
from keras_tnt.visualization.saliency import grad_cam, integrated_gradients

__all__ = [
    "AttentionMaps",
    "BlockFeatures",
    "attention_maps",
    "attention_rollout",
    "block_features",
    "block_map",
    "class_token_map",
    "draw_features",
    "draw_heads",
    "draw_inside",
    "draw_layouts",
    "draw_overlays",
    "draw_reasons",
    "features_to_rgb",
    "grad_cam",
    "inside_patch",
    "integrated_gradients",
    "most_attended",
    "on_pixel_grid",
    "pixel_map",
    "principal_components",
    "resize_maps",
    "tsne",
]

"""What a TNT sees: attention, features, and what its answers hang on."""

from keras_tnt.explain.attention import (
    AttentionMaps,
    attention_maps,
    attention_rollout,
)
from keras_tnt.explain.draw_attention import draw_heads, draw_inside, draw_overlays
from keras_tnt.explain.maps import (
    block_map,
    class_token_map,
    inside_patch,
    most_attended,
    on_pixel_grid,
    resize_maps,
)

__all__ = [
    "AttentionMaps",
    "attention_maps",
    "attention_rollout",
    "block_map",
    "class_token_map",
    "draw_heads",
    "draw_inside",
    "draw_overlays",
    "inside_patch",
    "most_attended",
    "on_pixel_grid",
    "resize_maps",
]

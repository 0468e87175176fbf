"""A web page to try a model on one's own images: what it sees, and where it looks.

Gradio, which the page is made with, is imported when a page is built.
"""

from keras_tnt.app.page import build_app, require_gradio
from keras_tnt.app.prediction import (
    Explanation,
    blend_overlay,
    explain_prediction,
    has_attention,
)
from keras_tnt.app.server import serve

__all__ = [
    "Explanation",
    "blend_overlay",
    "build_app",
    "explain_prediction",
    "has_attention",
    "require_gradio",
    "serve",
]

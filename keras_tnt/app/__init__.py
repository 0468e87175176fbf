"""A web page to try a model on one's own pictures: what it sees, and where it looks.

Gradio, which the page is made with, is imported when a page is built.
"""

from keras_tnt.app.page import build_app, require_gradio
from keras_tnt.app.prediction import Answer, answer, draw_overlay, has_attention
from keras_tnt.app.server import serve

__all__ = [
    "Answer",
    "answer",
    "build_app",
    "draw_overlay",
    "has_attention",
    "require_gradio",
    "serve",
]

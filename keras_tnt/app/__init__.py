"""A web page to try a model on one's own images: its classes and its attention.

Gradio, which makes the page, is imported when a page is built.
"""

from keras_tnt.app.page import build_app, serve
from keras_tnt.app.prediction import Explanation, attention_image, explain_prediction

__all__ = ["Explanation", "attention_image", "build_app", "explain_prediction", "serve"]

"""Decoding pictures of any common format and kind to 8-bit RGB.

All of it is TensorFlow ops, so it also runs inside `tf.data` and in an exported
signature. What a picture costs is limited before it is decoded: files may come from
anywhere.
"""

from keras_tnt.decoding.decode import SUFFIXES, decode_image, load_image
from keras_tnt.decoding.limits import MAX_PIXELS

__all__ = ["MAX_PIXELS", "SUFFIXES", "decode_image", "load_image"]

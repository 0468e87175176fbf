"""Images: decoding any common format to 8-bit RGB, preprocessing, ImageNet's classes.

All of it is TensorFlow ops, so it also runs inside `tf.data` and in an exported
signature. What an image costs is limited before it is decoded: files may come from
anywhere.
"""

from keras_tnt.images.color import rgb_to_gray
from keras_tnt.images.decode import decode_image, load_image
from keras_tnt.images.imagenet import decode_predictions, imagenet_classes
from keras_tnt.images.limits import MAX_JPEG_SCANS, MAX_PIXELS
from keras_tnt.images.preprocess import CROP_FRACTION, preprocess_input
from keras_tnt.images.suffixes import SUFFIXES

__all__ = [
    "CROP_FRACTION",
    "MAX_JPEG_SCANS",
    "MAX_PIXELS",
    "SUFFIXES",
    "decode_image",
    "decode_predictions",
    "imagenet_classes",
    "load_image",
    "preprocess_input",
    "rgb_to_gray",
]

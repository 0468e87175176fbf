"""Pictures in, names out: decoding, the evaluation transform, ImageNet's classes.

Everything that touches pixels is TensorFlow ops, so it also runs inside `tf.data` and
in an exported signature.
"""

import functools
import math
import operator
from importlib import resources
from pathlib import Path

import numpy as np
import tensorflow as tf

# The published models are evaluated on the central 90 % of the resized picture.
CROP_FRACTION = 0.9

# Format: position and value of the bytes that give it away.
SIGNATURES = {
    "JPEG": (0, b"\xff\xd8\xff"),
    "PNG": (0, b"\x89PNG"),
    "GIF": (0, b"GIF8"),
    "BMP": (0, b"BM"),
    "WebP": (8, b"WEBP"),
}


def decode_image(contents):
    """Decode a JPEG, PNG, GIF, BMP or WebP picture to RGB.

    Gray, palette, CMYK and 16-bit pictures become 8-bit RGB, the latter by their high
    bytes. Alpha is dropped, not blended, as by Pillow's `convert("RGB")`; transparent
    pixels of a GIF are black. Of an animation this is the first frame. The EXIF
    orientation is not applied (nor do the common ImageNet loaders apply it). JPEGs are
    decoded with the accurate transform, which gives the pixels that Pillow gives.
    BMPs may have 1, 4, 8, 24 or 32 bits per pixel, uncompressed.

    Args:
        contents: an encoded picture, `bytes` or a scalar string tensor.

    Returns:
        A uint8 tensor (height, width, 3).

    Raises:
        ValueError: if `contents` is not one encoded picture but, say, a path.
        tf.errors.InvalidArgumentError: when the op runs, if the bytes are no picture
            of these formats, or a damaged one.

    Example:
        >>> import tensorflow as tf
        >>> from keras_tnt.images import decode_image
        >>> encoded = tf.io.encode_png(tf.zeros((2, 5, 1), tf.uint8))
        >>> decode_image(encoded).shape
        TensorShape([2, 5, 3])
    """
    if not (isinstance(contents, bytes) or _is_scalar_string(contents)):
        raise ValueError(
            "`contents` must be one encoded picture, bytes or a scalar string tensor, "
            f"but is of type {type(contents).__name__}. Paths go to `load_image`; "
            "batches of encoded pictures through `tf.map_fn`."
        )
    contents = tf.convert_to_tensor(contents, tf.string)
    head = _padded_head(contents, 12)

    def has_signature(name):
        position, magic = SIGNATURES[name]
        return tf.equal(tf.strings.substr(head, position, len(magic)), magic)

    def decode_jpeg():
        return tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")

    def decode_other():
        return tf.io.decode_image(contents, channels=3, expand_animations=False)

    image = tf.case(
        [
            (has_signature("JPEG"), decode_jpeg),
            (has_signature("WebP"), lambda: _decode_webp(contents)),
            (has_signature("BMP"), lambda: _decode_bmp(contents)),
        ],
        default=decode_other,
    )
    image.set_shape((None, None, 3))
    return image


def load_image(path):
    """Read and decode a picture file; see `decode_image` for the formats.

    Args:
        path: the file, a string or path object.

    Returns:
        A uint8 tensor (height, width, 3).

    Raises:
        OSError: if the file cannot be read (`FileNotFoundError` if there is none).
        ValueError: if the file is empty, damaged or of another format.

    Example:
        >>> import pathlib, tempfile
        >>> import tensorflow as tf
        >>> from keras_tnt.images import load_image
        >>> path = pathlib.Path(tempfile.mkdtemp(), "black.png")
        >>> encoded = tf.io.encode_png(tf.zeros((2, 5, 1), tf.uint8))
        >>> _ = path.write_bytes(encoded.numpy())
        >>> load_image(path).shape
        TensorShape([2, 5, 3])
    """
    contents = Path(path).read_bytes()
    try:
        return decode_image(contents)
    except tf.errors.OpError as error:
        raise ValueError(
            f"{str(path)!r} cannot be decoded: it {_describe(contents)}. "
            f"Expected a picture in one of the formats {', '.join(SIGNATURES)}."
        ) from error


def _describe(contents):
    """Say what an undecodable file looks like."""
    if not contents:
        return "is empty"
    for name, (position, magic) in SIGNATURES.items():
        if contents[position : position + len(magic)] == magic:
            return (
                f"starts like a {name} but is damaged, or of a kind too rare to be read"
            )
    return f"starts with {contents[:8]!r}, like no known format"


def _is_scalar_string(value):
    return (
        tf.is_tensor(value)
        and value.dtype == tf.string
        and value.shape.rank in (0, None)
    )


def _padded_head(contents, length):
    """The first bytes, zeros behind a shorter file: `substr` wants every position."""
    return tf.strings.join([tf.strings.substr(contents, 0, length), b"\0" * length])


def _decode_webp(contents):
    """Decode a WebP, the first frame of an animated one.

    TensorFlow 2.21 writes four channels for every animation, but past the end of a
    buffer for three if the file's alpha flag is not set. So it gets set here.
    """
    head = _padded_head(contents, 21)
    flags = tf.cast(
        tf.io.decode_raw(tf.strings.substr(head, 20, 1), tf.uint8)[0], tf.int32
    )
    with_alpha = tf.constant([bytes([value | 0x10]) for value in range(256)])

    def set_alpha_flag():
        before = tf.strings.substr(contents, 0, 20)
        behind = tf.strings.substr(contents, 21, -1)
        return tf.strings.join([before, tf.gather(with_alpha, flags), behind])

    has_flags = tf.equal(tf.strings.substr(head, 12, 4), b"VP8X")
    has_flags &= tf.strings.length(contents) > 20
    contents = tf.cond(has_flags, set_alpha_flag, lambda: contents)
    # The op refuses `channels=3` where there is alpha.
    return tf.io.decode_image(contents, expand_animations=False)[:, :, :3]


def _decode_bmp(contents):
    """Decode an uncompressed BMP.

    TensorFlow's own op takes palette indices for gray levels, knows neither 1 nor 4
    bits, and refuses files with bytes behind the pixels.
    """
    head = _padded_head(contents, 66)

    def number(position, dtype=tf.int32):
        field = tf.strings.substr(head, position, dtype.size)
        return tf.cast(tf.io.decode_raw(field, dtype)[0], tf.int64)

    start, header, width, height = number(10), number(14), number(18), number(22)
    bits, compression = number(28, tf.uint16), number(30)
    known = (compression == 0) & tf.reduce_any(bits == [1, 4, 8, 24, 32])
    # Compression 3 is none either, but bit masks for the channels: here the usual ones.
    masks = tf.strings.substr(head, 54, 12)
    usual = tf.equal(masks, b"\0\0\xff\0\0\xff\0\0\xff\0\0\0")
    known |= (compression == 3) & (bits == 32) & usual
    tf.debugging.Assert(
        known & (header >= 40) & (start >= 14 + header) & (width > 0) & (height != 0),
        ["Unsupported kind of BMP: bits, compression:", bits, compression],
    )

    data = tf.io.decode_raw(contents, tf.uint8)
    stride = (width * bits + 31) // 32 * 4
    pixels = data[start : start + stride * tf.abs(height)]
    rows = tf.reshape(pixels, [tf.abs(height), stride])
    rows = tf.cond(height > 0, lambda: tf.reverse(rows, [0]), lambda: rows)

    def true_color():
        channels = bits // 8
        values = rows[:, : width * channels]
        return tf.reshape(values, [-1, width, channels])[:, :, 2::-1]

    def palette_color():
        shifts = tf.cast(tf.range(8 - bits, -1, -bits), tf.uint8)
        mask = tf.cast(2**bits - 1, tf.uint8)
        indices = tf.bitwise.right_shift(rows[:, :, tf.newaxis], shifts) & mask
        indices = tf.reshape(indices, [tf.abs(height), -1])[:, :width]
        palette = data[14 + header : 14 + header + (start - 14 - header) // 4 * 4]
        colors = tf.reshape(palette, [-1, 4])[:, 2::-1]
        return tf.gather(colors, tf.cast(indices, tf.int32))

    return tf.cond(bits > 8, true_color, palette_color)


def preprocess_input(images, size=224):
    r"""Resize and crop pictures as in the published evaluation.

    The picture is resized, bicubic with antialias, until it just covers a box of
    $\lfloor size / 0.9 \rfloor$ (248 for 224), and its center is cut out. This equals
    torchvision's `Resize(248)` and `CenterCrop(224)` on a Pillow picture: a horizontal
    and a vertical pass, which both end in whole gray levels. Values stay 0-255: the
    model scales.

    Args:
        images: one picture (height, width, channels), a batch of them
            (batch, height, width, channels), or a list of pictures of any sizes;
            arrays or tensors, values 0-255, uint8 or any other number type.
        size: height and width of the result, or a pair (height, width).

    Returns:
        A float32 tensor (height, width, channels) for one picture, else
        (batch, height, width, channels); whole numbers from 0 to 255.

    Raises:
        ValueError: for another rank, no pictures, values that are no numbers or (where
            values are known, outside `tf.function` and `tf.data`) not within 0-255,
            or a size below 1.

    Example:
        >>> import numpy as np
        >>> from keras_tnt.images import preprocess_input
        >>> preprocess_input(np.zeros((300, 400, 3), "uint8")).shape
        TensorShape([224, 224, 3])
    """
    size = _height_and_width(size)
    if isinstance(images, list | tuple):
        pictures = [_checked(image, ranks=(3,)) for image in images]
        channels = {picture.shape[-1] for picture in pictures}
        if len(channels) != 1:
            raise ValueError(
                "Expected one or more pictures with the same number of channels; got "
                f"{len(pictures)} pictures with {sorted(channels, key=str)} channels."
            )
        return tf.stack([_resize_and_crop(p[tf.newaxis], size)[0] for p in pictures])
    images = _checked(images, ranks=(3, 4))
    if images.shape.rank == 3:
        return _resize_and_crop(images[tf.newaxis], size)[0]
    return _resize_and_crop(images, size)


def _height_and_width(size):
    try:
        pair = size if isinstance(size, list | tuple) else (size, size)
        height, width = (operator.index(side) for side in pair)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ValueError(
            "`size` must be a whole number of pixels, at least 1, or a pair "
            f"(height, width) of them; got {size!r}."
        )
    return height, width


def _checked(images, ranks):
    """The pictures as a tensor, if they are pictures."""
    images = tf.convert_to_tensor(images)
    dtype, shape = images.dtype, images.shape
    if not (dtype.is_integer or dtype.is_floating):
        raise ValueError(
            f"Pictures must be numbers, uint8 or float, 0-255; got {dtype.name}. "
            "`load_image` reads files, `decode_image` decodes their contents."
        )
    if shape.rank not in ranks or 0 in shape[-3:]:
        raise ValueError(
            "Expected a picture (height, width, channels), a batch (batch, height, "
            "width, channels) or a list of pictures, none of them empty; got shape "
            f"{shape}. A gray picture needs a channel axis: `image[..., None]`."
        )
    if dtype != tf.uint8 and tf.executing_eagerly():
        values = tf.cast(images, tf.float32)
        if not tf.reduce_all((values >= 0) & (values <= 255)):  # catches NaN too
            raise ValueError(
                f"Pictures must have values from 0 to 255; this {dtype.name} one has "
                f"{tf.reduce_min(values):g} to {tf.reduce_max(values):g}."
            )
    return images


def _resize_and_crop(images, size):
    box = [math.floor(side / CROP_FRACTION) for side in size]
    old = tf.shape(images, tf.int64)[1:3]
    # The side that has to grow more meets the box; the other then covers it.
    new = tf.where(
        box[0] * old[1] >= box[1] * old[0],
        [box[0], box[0] * old[1] // old[0]],
        [box[1] * old[0] // old[1], box[1]],
    )
    scale = tf.cast(new, tf.float32) / tf.cast(old, tf.float32)
    corner = tf.round(tf.cast(new - size, tf.float32) / 2)

    def resample(images, size, scale, corner):
        images = tf.raw_ops.ScaleAndTranslate(
            images=images,
            size=size,
            scale=scale,
            translation=-corner,
            kernel_type="keyscubic",
            antialias=True,
        )
        return tf.clip_by_value(tf.floor(images + 0.5), 0.0, 255.0)

    # Only the pixels of the crop are computed, so a very long picture costs no memory.
    across, down = tf.constant([0.0, 1.0]), tf.constant([1.0, 0.0])
    images = resample(
        tf.cast(images, tf.float32),
        tf.stack([tf.cast(old[0], tf.int32), size[1]]),
        scale * across + down,
        corner * across,
    )
    return resample(images, size, scale * down + across, corner * down)


@functools.cache
def imagenet_classes():
    """The classes of ImageNet-1k in index order.

    A name is the first WordNet lemma, with underscores for spaces as in
    `keras.applications`. Two pairs that share theirs are told apart: `crane_bird` and
    `crane_machine`, `maillot` and `tank_suit`. The dog `Cardigan` and the garment
    `cardigan` differ in case only.

    Returns:
        A tuple of 1,000 pairs (WordNet id, name).

    Example:
        >>> from keras_tnt.images import imagenet_classes
        >>> imagenet_classes()[207]
        ('n02099601', 'golden_retriever')
    """
    file = resources.files("keras_tnt") / "imagenet_classes.tsv"
    lines = file.read_text(encoding="utf-8").splitlines()
    return tuple(tuple(line.split("\t")) for line in lines if not line.startswith("#"))


def decode_predictions(probabilities, top=5):
    """Name the best ImageNet classes of every picture.

    Args:
        probabilities: what a model with the 1,000 ImageNet classes predicts, an array
            or tensor (batch, 1000).
        top: how many classes to return for a picture.

    Returns:
        For every picture a list of `top` tuples (WordNet id, name, score), best first.

    Raises:
        ValueError: for another shape, or `top` outside 1-1000.

    Example:
        >>> import numpy as np
        >>> from keras_tnt.images import decode_predictions
        >>> decode_predictions(np.eye(1000)[[207]], top=1)
        [[('n02099601', 'golden_retriever', 1.0)]]
    """
    scores = np.asarray(probabilities)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            "Expected predictions of the 1,000 ImageNet classes, shape (batch, 1000); "
            f"got shape {scores.shape}. For a model with other classes take the labels "
            "it was trained with; one picture needs a batch axis."
        )
    if not 1 <= top <= 1000:
        raise ValueError(f"`top` must be from 1 to 1000; got {top!r}.")
    classes = imagenet_classes()
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[index], float(row[index])) for index in best]
        for row, best in zip(scores, order, strict=True)
    ]

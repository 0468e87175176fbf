"""Decoding pictures of any common format and kind to 8-bit RGB.

All of it is TensorFlow ops, so it also runs inside `tf.data` and in an exported
signature.
"""

from pathlib import Path

import tensorflow as tf

# Format: position and value of the bytes that give it away.
SIGNATURES = {
    "JPEG": (0, b"\xff\xd8\xff"),
    "PNG": (0, b"\x89PNG"),
    "GIF": (0, b"GIF8"),
    "BMP": (0, b"BM"),
    "WebP": (8, b"WEBP"),
}

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"}


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
        >>> from keras_tnt.decoding import decode_image
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
        >>> from keras_tnt.decoding import load_image
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

"""What the C library does with freed memory."""

import ctypes
import os

# Of glibc's malloc.h. TOP_PAD is the size of two heaps of a thread, which are then kept
# when they are empty.
TRIM_THRESHOLD, MMAP_THRESHOLD, TOP_PAD = -1, -3, -2
OPTIONS = {TRIM_THRESHOLD: 2**31 - 1, MMAP_THRESHOLD: 2**31 - 1, TOP_PAD: 2**27}
VARIABLES = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
)


def keep_freed_memory() -> bool:
    """Keep freed memory in the process, for the next tensors.

    By default, glibc gives large blocks back to the system when they are freed. The
    next operation gets new pages, which the system clears first. On CPUs that can take
    as long as the model: with this setting, and without oneDNN, a step of `keras-tnt
    demo` took 0.5 to 0.7 of the time, and TNT-S was 1.3 times as fast in batches of 64.
    With oneDNN, TNT-S is as fast with it as without.

    The commands and `keras_tnt.training.train` do this themselves. Call it before
    `model.fit` or `model.predict` on CPUs. It holds for the whole process, which then
    keeps as much memory as it needed at most.

    Returns:
        Whether it was set. It is not where the C library is not glibc, or where the
        environment has settings for it: ``MALLOC_TRIM_THRESHOLD_``,
        ``MALLOC_MMAP_THRESHOLD_``, ``MALLOC_TOP_PAD_`` or ``GLIBC_TUNABLES``.

    Example:
        >>> import keras_tnt
        >>> kept = keras_tnt.keep_freed_memory()

    Reference:
        mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if any(name in os.environ for name in VARIABLES) or not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    done = [mallopt(option, value) for option, value in OPTIONS.items()]
    return all(done)


def _is_glibc() -> bool:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (AttributeError, OSError, ValueError):  # Windows, macOS, musl
        return False

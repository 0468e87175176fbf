"""What the C library does with freed memory."""

import ctypes
import os

# Of glibc's malloc.h, and their values: 2 GiB, and one heap for all threads.
OPTIONS = {-1: 2**31 - 1, -3: 2**31 - 1, -8: 1}
VARIABLES = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_ARENA_MAX",
    "GLIBC_TUNABLES",
)


def keep_freed_memory() -> bool:
    """Keep freed memory in the process, for the next tensors.

    By default, glibc gives large blocks back to the system when they are freed. The
    next operation gets new pages, which the system clears first. On CPUs that can take
    as long as the model: with this setting, a step of `keras-tnt demo` takes about half
    the time, and TNT-S in batches of 64 takes 0.7 times as long.

    The commands and `keras_tnt.training.train` do this themselves. Call it before the
    first operation if you use `model.fit` or `model.predict` on CPUs: threads that have
    computed keep heaps of their own. It holds for the whole process, which then keeps
    as much memory as it needed at most. Without this package, set the variables
    ``MALLOC_TRIM_THRESHOLD_`` and ``MALLOC_MMAP_THRESHOLD_`` to 2147483647 and
    ``MALLOC_ARENA_MAX`` to 1.

    Returns:
        Whether it was set. It is not where the C library is not glibc, or where one of
        the variables above or ``GLIBC_TUNABLES`` is set.

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

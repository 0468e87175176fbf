"""What the CPU of this machine can compute."""

import functools
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# Linux lists these for CPUs that multiply bfloat16: x86, x86 with tiles, ARM.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


@functools.cache
def has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 matrices in hardware.

    Server CPUs do since about 2022: Cooper Lake and Sapphire Rapids from Intel, Zen 4
    from AMD, Neoverse V1 and N2 from ARM. Only Linux tells.

    Example:
        >>> from keras_tnt.utils.cpu import has_bfloat16
        >>> has_bfloat16() in (True, False)
        True
    """
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next(
        (line for line in lines if line.lower().startswith(("flags", "features"))), ""
    )
    return not BFLOAT16_FLAGS.isdisjoint(flags.partition(":")[2].split())

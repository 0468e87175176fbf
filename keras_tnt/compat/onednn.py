"""oneDNN on processors on which TensorFlow does not use it by default."""

import os
import platform
import sys


def use_onednn() -> None:
    """Have TensorFlow compute with oneDNN on any x86 processor.

    It sets the environment variable ``TF_ENABLE_ONEDNN_OPTS``, which TensorFlow reads
    when it is imported. So it has no effect afterwards, and sets nothing then. A value
    of the user stays.

    Fault: on x86 processors without AVX512-VNNI, AVX-VNNI or AMX, TensorFlow uses Eigen
    by default, and TNT-S takes about twice as long.
    Issue: no issue known; the default is intended.
    Seen in: TensorFlow 2.21.0 (first and last version checked).
    """
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    if is_x86 and "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

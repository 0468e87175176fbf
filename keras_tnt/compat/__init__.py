"""Workarounds for faults of Keras, TensorFlow and other libraries, one function each.

Each docstring states the fault, the issue, and the first and last version in which the
fault was seen. `tests/compat` has a test for each that fails when the fault is gone.
"""

# Internal: import from the modules.
__all__: list[str] = []

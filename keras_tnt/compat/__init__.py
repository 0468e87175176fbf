"""Workarounds for faults of Keras and TensorFlow, one function each."""

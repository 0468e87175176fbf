"""Decoders of the image formats other than JPEG."""

"""The building blocks of PyramidTNT."""

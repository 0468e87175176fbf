"""Helpers that know nothing of models."""

# Internal: import from the modules.
__all__: list[str] = []

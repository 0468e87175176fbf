"""Faults of other software, for the tests of what works around them."""

import contextlib
import re

import pytest


@contextlib.contextmanager
def still_raises(error, match, workaround):
    """Fail unless the code raises the error, because the workaround can go then.

    A warning is an error in these tests.
    """
    try:
        yield
    except error as found:
        if not re.search(match, str(found)):
            raise
        return
    pytest.fail(f"The fault is gone: remove {workaround}")

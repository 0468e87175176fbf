"""The text of failed assertions."""

import pytest
import tensorflow as tf

from keras_tnt.utils.assertions import assertion_text


def fail():
    tf.debugging.Assert(False, ["bees/b.jpb", "has a label:", tf.constant(7)])


@pytest.mark.parametrize("function", [fail, tf.function(fail, autograph=False)])
def test_assertion_text__eager_and_in_a_graph(function):
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        function()
    assert assertion_text(error.value) == "bees/b.jpb has a label: 7"


def test_assertion_text__other_errors():
    with pytest.raises(tf.errors.OpError) as error:
        tf.io.decode_png(b"no image")
    assert assertion_text(error.value) is None

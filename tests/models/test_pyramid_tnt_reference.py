"""PyramidTNT computes what the published implementation computes."""

import keras
import numpy as np
import pytest

from tests.helpers import reference

STAGES = range(4)


@pytest.mark.parametrize("case", ["pyramid_tnt", "pyramid_tnt_deep"])
def test_pyramid_tnt__equals_official_stages_and_logits(case):
    expected = reference.tensors(case)
    model = reference.build(case)
    layers = [model.get_layer(f"stage_{stage + 1}") for stage in STAGES]
    outputs = [layer.output for layer in layers]
    parts = keras.Model(
        model.input, [outputs, model.get_layer("avg_pool").output, model.output]
    )
    stages, features, logits = parts(reference.images(case))
    for stage, (pixels, patches) in zip(STAGES, stages, strict=True):
        for kind, found in (("words", pixels), ("sentences", patches)):
            stored = expected[f"stage{stage}.{kind}"]
            np.testing.assert_allclose(
                np.reshape(found, stored.shape), stored, atol=1e-4
            )
    np.testing.assert_allclose(features, expected["features"], atol=1e-4)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)

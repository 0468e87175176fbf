"""The reliability diagram."""

import numpy as np

from keras_tnt.evaluation import Calibration
from keras_tnt.visualization import plot_reliability as module
from keras_tnt.visualization.plot_reliability import plot_reliability


def test_plot_reliability__bars(tmp_path, monkeypatch):
    """Accuracy above, images below, a bar for each bin."""
    figures = []
    monkeypatch.setattr(
        module, "save_figure", lambda figure, path: figures.append(figure)
    )
    counts = Calibration.of(
        np.array([0.9, 0.95, 0.3, 1.0]), np.array([True, False, True, True]), bins=4
    )
    plot_reliability(counts, tmp_path / "reliability.png")
    above, below = figures[0].axes
    assert [bar.get_height() for bar in above.patches] == [0, 1, 0, 2 / 3]
    assert [bar.get_height() for bar in below.patches] == [0, 1, 0, 3]
    assert [bar.get_x() for bar in below.patches] == [0, 0.25, 0.5, 0.75]
    assert above.get_title() == f"expected calibration error {counts.error:.2%}"

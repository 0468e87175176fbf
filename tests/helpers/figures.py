"""What a figure shows: the data behind its axes."""

import matplotlib.figure


def saved_figures(monkeypatch):
    """A list to which every figure is added that is saved from now on."""
    figures = []
    savefig = matplotlib.figure.Figure.savefig

    def record(figure, *arguments, **options):
        figures.append(figure)
        savefig(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", record)
    return figures


def image_of(axis):
    """The array of the one image of an axis."""
    (image,) = axis.get_images()
    return image.get_array().data

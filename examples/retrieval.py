"""Find images that look alike: the nearest neighbours of a TNT's class tokens.

As it stands this trains a small TNT for a few minutes, on the embedded images of
clothing, and searches among those that it has not seen. With a model that is there
already, such as the one of `keras-tnt demo`, it is done at once:

    python examples/retrieval.py --model runs/demo/model.keras
"""

import argparse

import keras
import numpy as np

from keras_tnt import data
from keras_tnt.training import fashion_mnist_demo, train
from keras_tnt.visualization.plot_results import require_matplotlib


def embed(model, images):
    """Class tokens after the final norm, of length 1."""
    tokens = keras.Model(model.input, model.get_layer("class_token").output)
    vectors = tokens.predict(images, batch_size=64, verbose=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(vectors, count):
    """For each vector the indices of the nearest others, the nearest first."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)  # below every cosine
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def recall_at_1(neighbours, labels):
    """The share of images whose nearest neighbour is of their class."""
    return float(np.mean(labels[neighbours[:, 0]] == labels))


def draw(images, labels, neighbours, queries, path):
    """Draws a row for each query: itself, then its neighbours, other classes in red."""
    names = data.fashion_mnist_mini_class_names()
    columns = 1 + neighbours.shape[1]
    figure = require_matplotlib().figure.Figure(
        (columns, 1.15 * len(queries)), layout="constrained"
    )
    rows = figure.subplots(len(queries), columns, squeeze=False)
    for row, query in zip(rows, queries, strict=True):
        for axis, index in zip(row, (query, *neighbours[query]), strict=True):
            axis.imshow(images[index, ..., 0], cmap="gray")
            same = labels[index] == labels[query]
            axis.set_title(
                names[labels[index]], fontsize=7, color="black" if same else "crimson"
            )
            axis.set_axis_off()
    rows[0][0].annotate("query", (0.5, 1.3), xycoords="axes fraction", ha="center")
    rows[0][1].annotate("nearest", (0.5, 1.3), xycoords="axes fraction", ha="center")
    figure.savefig(path, dpi=100)


def main():
    """Embeds the test images, searches, draws."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="a .keras file; trained first by default")
    parser.add_argument("--out", default="retrieval.png", help="the image")
    options = parser.parse_args()

    if not options.model:
        train(fashion_mnist_demo(), "runs/retrieval")
    model = keras.saving.load_model(options.model or "runs/retrieval/model.keras")

    test = data.fashion_mnist_mini("test").batch(2000)
    images, labels = next(test.as_numpy_iterator())
    vectors = embed(model, images)
    neighbours = nearest(vectors, count=6)
    print(f"recall@1 {recall_at_1(neighbours, labels):.1%}", end=", ")
    print(f"of the pixels themselves {_of_pixels(images, labels):.1%}.")
    queries = [int(np.flatnonzero(labels == label)[0]) for label in range(10)]
    draw(images, labels, neighbours, queries, options.out)
    print(f"{options.out} shows ten images and what is nearest to each.")


def _of_pixels(images, labels):
    """What the same search finds with pixel values for embeddings."""
    values = images.reshape(len(images), -1).astype("float32")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return recall_at_1(nearest(values, 1), labels)


if __name__ == "__main__":
    main()

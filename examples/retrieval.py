"""Find similar images: nearest neighbours of a TNT's class tokens.

The example trains a small TNT for a few minutes on the bundled images and searches the
test images. With a trained model, such as that of `keras-tnt demo`, it skips training:

    python examples/retrieval.py --model runs/demo/model.keras
"""

import argparse

import keras
import numpy as np

from keras_tnt import data
from keras_tnt.training import fashion_mnist_demo, train
from keras_tnt.visualization.plot_results import require_matplotlib


def embed(model, images):
    """Return the class tokens after the final norm, scaled to length 1."""
    tokens = keras.Model(model.input, model.get_layer("class_token").output)
    vectors = tokens.predict(images, batch_size=64, verbose=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest(vectors, count):
    """Return the indices of the nearest other vectors, nearest first."""
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)  # below every cosine similarity
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def recall_at_1(neighbours, labels):
    """Return the share of images whose nearest neighbour has the same class."""
    return float(np.mean(labels[neighbours[:, 0]] == labels))


def plot_neighbours(images, labels, neighbours, queries, path):
    """Plot each query and its neighbours in a row, other classes in red."""
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
    """Embed the test images, search and plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", help="a .keras file; by default, train one")
    parser.add_argument("--out", default="retrieval.png", help="output image")
    options = parser.parse_args()

    if not options.model:
        train(fashion_mnist_demo(), "runs/retrieval")
    model = keras.saving.load_model(options.model or "runs/retrieval/model.keras")

    test = data.fashion_mnist_mini("test").batch(2000)
    images, labels = next(test.as_numpy_iterator())
    vectors = embed(model, images)
    neighbours = nearest(vectors, count=6)
    print(f"recall@1 {recall_at_1(neighbours, labels):.1%}", end=", ")
    print(f"of the pixels {_of_pixels(images, labels):.1%}.")
    queries = [int(np.flatnonzero(labels == label)[0]) for label in range(10)]
    plot_neighbours(images, labels, neighbours, queries, options.out)
    print(f"Wrote {options.out}: ten images and their nearest neighbours.")


def _of_pixels(images, labels):
    """Return recall@1 with pixel values as embeddings."""
    values = images.reshape(len(images), -1).astype("float32")
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return recall_at_1(nearest(values, 1), labels)


if __name__ == "__main__":
    main()

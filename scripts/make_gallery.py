"""Make docs/gallery.md and its images: attention, features and saliency of a TNT.

The images are the photograph in tests/assets and the bundled data set. The model is a
run directory, a .keras file, or tnt_small for the published ImageNet weights:

    keras-tnt train --recipe fashion_mnist_demo --epochs 5 --no-deterministic \
        --model-options '{"outer_dim": 64, "inner_dim": 8, "depth": 6,
        "outer_num_heads": 4, "inner_num_heads": 2, "patch_size": 4, "inner_stride": 1,
        "name": "tnt_gallery"}' --out runs/gallery
    python scripts/make_gallery.py --model runs/gallery

Needs the extra `demo`: matplotlib and scikit-learn.
"""

import argparse
from pathlib import Path

import numpy as np

from keras_tnt.data import fashion_mnist_mini, fashion_mnist_mini_class_names
from keras_tnt.images import load_image
from keras_tnt.inference.classification import classify, prepare
from keras_tnt.inference.classifier import load_classifier
from keras_tnt.utils.files import atomic_write
from keras_tnt.visualization import (
    BlockFeatures,
    attention_maps,
    block_features,
    grad_cam,
    integrated_gradients,
    most_attended_patch,
    pixel_map,
    plot_attention_heads,
    plot_attention_overlays,
    plot_feature_map_tsne,
    plot_feature_maps,
    plot_features,
    plot_inner_attention,
    plot_mean_pixels,
    plot_patch_attention,
    plot_saliency,
    plot_tsne,
)
from keras_tnt.visualization.image_maps import default_blocks

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests" / "assets" / "astronaut_landscape.png"
PAGE = ROOT / "docs" / "gallery.md"
SAMPLES = 400


def read_clothes(classifier, number):
    """Read the first bundled test images, prepared for the model, and their classes."""
    records = fashion_mnist_mini(f"test[:{number}]").as_numpy_iterator()
    images, labels = zip(*records, strict=True)
    color = [image.repeat(3, axis=-1) for image in images]
    return np.stack([prepare(classifier, image) for image in color]), np.array(labels)


def titles(classifier, images):
    """Return the best class of each image with its score."""
    best = classify(classifier, images, top=1)
    return [f"{name} {score:.0%}" for ((name, score),) in best]


def plot_photo(classifier, directory):
    """Plot attention in the photograph, and the feature maps of its blocks."""
    image = prepare(classifier, load_image(PHOTO)).numpy()
    maps = attention_maps(classifier.model, image[None])
    blocks = default_blocks(maps.outer)
    (title,) = titles(classifier, image[None])
    plot_attention_overlays(
        maps, image, blocks, directory / "gallery_overlay.png", title
    )
    plot_attention_heads(maps, image, blocks, directory / "gallery_heads.png")
    inner = [block for block in blocks if block in maps.inner]
    patch = most_attended_patch(maps, max(maps.outer))
    plot_inner_attention(maps, image, inner, patch, directory / "gallery_patch.png")
    plot_patch_attention(maps, blocks, directory / "gallery_patch_attention.png")
    features = block_features(classifier.model, image[None])
    plot_feature_maps(features, image, blocks, directory / "gallery_feature_maps.png")
    plot_feature_map_tsne(features, blocks, directory / "gallery_feature_map_tsne.png")
    plot_mean_pixels(
        features, image[None], inner, directory / "gallery_mean_pixels.png"
    )


def plot_clothes(classifier, directory):
    """Plot features by block, their t-SNE, and saliency."""
    images, labels = read_clothes(classifier, SAMPLES)
    features = chosen_features(classifier.model, images)
    blocks = sorted(features.patches)
    names = fashion_mnist_mini_class_names()
    some = [int(np.argmax(labels == label)) for label in range(8)]

    few = [0, 1, 5, 6, 7]
    shown = [some[index] for index in few]
    part = BlockFeatures(
        *({block: value[shown] for block, value in part.items()} for part in features)
    )
    plot_features(part, images[shown], blocks, directory / "gallery_features.png")

    means = {
        f"mean patch, block {block}": features.patches[block].mean(axis=(1, 2))
        for block in blocks
    }
    plot_tsne(means, labels, names, directory / "gallery_patches.png")

    plot_pixels(features, images, blocks, directory / "gallery_pixels.png")

    model, images = classifier.model, images[some]
    cams, shares = grad_cam(model, images), integrated_gradients(model, images)
    plot_saliency(
        images,
        titles(classifier, images),
        cams,
        shares,
        directory / "gallery_reasons.png",
    )


def chosen_features(model, images, batch_size=50):
    """Compute the features of the default blocks, in batches to save memory."""
    batches = []
    for start in range(0, len(images), batch_size):
        features = block_features(model, images[start : start + batch_size])
        blocks = default_blocks(features.patches)
        batches.append([{b: part[b] for b in blocks if b in part} for part in features])
    return BlockFeatures(
        *(
            {b: np.concatenate([part[b] for part in parts]) for b in parts[0]}
            for parts in zip(*batches, strict=True)
        )
    )


def plot_pixels(features, images, blocks, path):
    """Plot the t-SNE of pixels of many images, colored by brightness."""
    inner = [block for block in blocks if block in features.pixels]
    grid = features.patches[inner[0]].shape[1:3]
    maps = {block: pixel_map(features.pixels[block], grid) for block in inner}
    _, rows, columns, _ = maps[inner[0]].shape
    # The mean gray value of the image region of each pixel.
    batch, height, width, channels = images.shape
    parts = images.reshape(
        batch, rows, height // rows, columns, width // columns, channels
    )
    brightness = parts.mean(axis=(2, 4, 5)).ravel()
    rng = np.random.default_rng(0)
    some = rng.choice(len(brightness), 1000, replace=False)
    layers = {
        f"pixels, block {block}": value.reshape(-1, value.shape[-1])[some]
        for block, value in maps.items()
    }
    plot_tsne(layers, brightness[some], "brightness", path)


def describe(classifier, source):
    """Describe the model: source, size and accuracy."""
    model = classifier.model
    size = f"{model.input_shape[1]}x{model.input_shape[2]}"
    text = f"`{source}`, {model.count_params():,} parameters, images of {size}"
    if list(classifier.class_names) != list(fashion_mnist_mini_class_names()):
        return text + "."
    images, labels = read_clothes(classifier, 2000)
    right = model.predict(images, verbose=0, batch_size=250).argmax(axis=1) == labels
    return f"{text}, accuracy {right.mean():.1%} on the bundled test images."


def main():
    """Write the images and the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="as in keras-tnt attention")
    arguments = parser.parse_args()
    classifier = load_classifier(arguments.model)
    directory = PAGE.parent / "images"
    plot_photo(classifier, directory)
    plot_clothes(classifier, directory)
    template = Path(__file__).with_name("gallery_template.md").read_text("utf-8")
    with atomic_write(PAGE) as unfinished:
        unfinished.write_text(
            template.replace("{model}", describe(classifier, arguments.model)), "utf-8"
        )
    print(f"Wrote {PAGE} and its images.")


if __name__ == "__main__":
    main()

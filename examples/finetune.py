"""Fine-tune a TNT on your own images: first the head, then all layers.

By default the example fine-tunes a small model from 28x28 to 42x42 pixels on the
bundled images. With image folders `train` and `validation` it fine-tunes the published
TNT-S at 384x384:

    python examples/finetune.py --data images/

`keras-tnt train --recipe tnt_small_finetune_384` does this in one command, with
checkpoints. This example shows a training loop of your own.
"""

import argparse
import dataclasses

import keras

import keras_tnt
from keras_tnt import data
from keras_tnt.training import AdamW, fashion_mnist_demo, train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--data", help="directory with image folders train and validation")
parser.add_argument("--out", default="finetuned.keras", help="output file")
parser.add_argument("--epochs", type=int, default=4, help="epochs of the whole model")
options = parser.parse_args()
keras_tnt.keep_freed_memory()  # faster on CPUs
keras.utils.set_random_seed(0)

# The images, and a model that was trained on other images.
if options.data:
    size, channels, batch_size, rate = 384, 3, 32, 3e-4
    augmentation = data.FINETUNE_AUGMENTATION
    images = data.load_dataset(options.data, "train")
    others = data.load_dataset(options.data, "validation")
    model = keras_tnt.TNTSmall(
        weights="imagenet",
        classes=len(images.class_names),  # a new head
        input_shape=(size, size, channels),  # position embeddings are resampled
        drop_path_rate=0.1,
    )
else:
    size, channels, batch_size, rate = 42, 1, 64, 2e-3
    augmentation = data.FLIP_AUGMENTATION
    images = data.load_dataset("fashion_mnist_mini", "train[50%:60%]")
    others = data.load_dataset("fashion_mnist_mini", "test[:25%]")
    toy = dataclasses.replace(
        fashion_mnist_demo(),
        model_options=fashion_mnist_demo().model_options | {"depth": 2},
        train_split="train[:30%]",
        validation_split="test[:25%]",
        epochs=2,
        deterministic=False,
    )
    train(toy, "runs/finetune_toy")
    model = keras_tnt.TNT(
        **toy.model_options,
        weights="runs/finetune_toy/model.keras",
        classes=10,
        input_shape=(size, size, channels),
    )


def batches(source, **options):
    """Return batches in the size of the model."""
    return data.image_dataset(
        source, image_size=size, channels=channels, batch_size=batch_size, **options
    )


def fit(optimizer, epochs):
    """Train the trainable layers."""
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(),
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    return model.fit(
        batches(images, augmentation=augmentation, epochs=epochs),
        epochs=epochs,
        steps_per_epoch=len(images) // batch_size,
        shuffle=False,  # already shuffled
        validation_data=batches(others),
        verbose=2,
    )


# Train only the head (a linear probe).
for layer in model.layers:
    layer.trainable = layer.name == "predictions"
fit(AdamW(1e-3), epochs=1)

# Train all layers, with lower learning rates near the input. (`model.trainable = True`
# has no effect, because it was never False.)
for layer in model.layers:
    layer.trainable = True
history = fit(AdamW(rate, layer_decay=0.75), options.epochs)
model.save(options.out)
print(f"Accuracy {history.history['val_accuracy'][-1]:.1%}. Wrote {options.out}.")

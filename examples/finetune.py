"""Fine-tune a TNT on images of your own: first the head, then everything.

As it stands this takes a toy from 28x28 to 42x42 pixels, on the embedded images of
clothing. With class directories in `train` and `validation` it takes the published TNT-S to
your classes, at 384x384:

    python examples/finetune.py --data images/

`keras-tnt train --recipe tnt_small_finetune_384` does it in one command, with checkpoints; this
is how it looks in a training of your own.
"""

import argparse
import dataclasses

import keras

import keras_tnt
from keras_tnt import data
from keras_tnt.training import AdamW, fashion_mnist_demo, train

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("--data", help="a directory of class directories")
parser.add_argument("--out", default="finetuned.keras", help="the model")
parser.add_argument("--epochs", type=int, default=4, help="of the whole model")
options = parser.parse_args()

# The images, and a model that was trained on others.
if options.data:
    size, channels, batch_size, rate = 384, 3, 32, 3e-4
    augmentation = data.FINETUNE_AUGMENTATION
    images = data.load_dataset(options.data, "train")
    others = data.load_dataset(options.data, "validation")
    model = keras_tnt.TNTSmall(
        weights="imagenet",
        classes=len(images.class_names),  # the head is fresh
        input_shape=(size, size, channels),  # the positions are resampled
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
    """Images as the model takes them."""
    return data.image_dataset(
        source, image_size=size, channels=channels, batch_size=batch_size, **options
    )


def fit(optimizer, epochs):
    """Trains what is trainable."""
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(),
        weighted_metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    return model.fit(
        batches(images, augmentation=augmentation, epochs=epochs),
        epochs=epochs,
        steps_per_epoch=len(images) // batch_size,
        shuffle=False,  # the batches are shuffled
        validation_data=batches(others),
        verbose=2,
    )


# The head alone, a linear probe.
for layer in model.layers:
    layer.trainable = layer.name == "predictions"
fit(AdamW(1e-3), epochs=1)

# Everything, the more slowly the nearer to the image. (`model.trainable = True` would
# do nothing: Keras takes it as set already, as it was never False.)
for layer in model.layers:
    layer.trainable = True
history = fit(AdamW(rate, layer_decay=0.75), options.epochs)
model.save(options.out)
print(
    f"Accuracy {history.history['val_accuracy'][-1]:.1%}; {options.out} is the model."
)

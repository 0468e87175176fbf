"""A worker that trains until another one is lost, or for some minutes."""

import time

import keras
import tensorflow as tf

from keras_tnt import distribute


class Report(keras.callbacks.Callback):
    """Prints the steps."""

    def on_train_batch_end(self, batch, logs=None):
        print("step", batch, flush=True)
        time.sleep(0.05)


def main():
    """Trains a perceptron on zeros."""
    strategy = distribute.create_strategy()
    with strategy.scope():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(), "mse")
    data = distribute.distribute_dataset(
        strategy,
        lambda *place: tf.data.Dataset.from_tensors((tf.zeros((2, 2)), [0, 0])),
    )
    with distribute.worker_errors(strategy):
        model.fit(
            data, steps_per_epoch=3000, shuffle=False, verbose=0, callbacks=[Report()]
        )


if __name__ == "__main__":
    main()

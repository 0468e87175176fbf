"""The files of `fashion_mnist_mini`, which `keras_tnt.data` reads."""

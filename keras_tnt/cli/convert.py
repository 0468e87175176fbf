"""`keras-tnt convert`."""

import argparse
import os
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_tnt.export.comparison import noise
from keras_tnt.models.from_tensors import read_model
from keras_tnt.models.model_card import model_card
from keras_tnt.utils.files import create_directory, local_path, sha256
from keras_tnt.weights import load_weights, registry, save_upstream_weights

SUFFIXES = (".safetensors", ".weights.h5", ".keras")
TOLERANCE = 1e-5
LOAD = {
    ".keras": 'import keras\nimport keras_tnt\n\nmodel = keras.saving.load_model("{}")',
    ".safetensors": 'import keras_tnt\n\nkeras_tnt.load_weights(model, "{}")',
    ".weights.h5": 'import keras_tnt\n\nkeras_tnt.load_weights(model, "{}")',
    None: "import keras_hub\nimport keras_tnt\n\n"
    'model = keras_hub.models.ImageClassifier.from_preset("{}")',
}


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    convert = commands.add_parser(
        "convert",
        help="convert a published checkpoint to another file, and verify it",
        description="Convert a checkpoint to a file or a KerasHub preset, with a model "
        "card. The result is loaded again; one that differs is not written.",
    )
    convert.add_argument(
        "source",
        metavar="SOURCE",
        help="an official, timm or PyramidTNT checkpoint (.safetensors, .pth, .pt, "
        ".pth.tar), a .keras file, or hf://owner/name",
    )
    convert.add_argument(
        "out",
        metavar="OUT",
        help="a file .safetensors, .weights.h5 or .keras, or a directory for a "
        "KerasHub preset",
    )
    convert.add_argument(
        "--license",
        help="SPDX identifier of the license of the weights; known for the published "
        "weights of a repository",
    )
    convert.add_argument(
        "--overwrite", action="store_true", help="replace an existing file"
    )
    convert.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    out = local_path(options.out)
    suffix = next((s for s in SUFFIXES if out.name.endswith(s)), None)
    if suffix is None and out.suffix:
        raise ValueError(
            f"Unknown kind of file: {out}. Expected a name that ends in one of "
            f"{', '.join(SUFFIXES)}, or a directory for a KerasHub preset."
        )
    targets = [out, _card_path(out, suffix)] if suffix else [out]
    if not suffix:
        create_directory(out).rmdir()  # fails early where there is something
    elif not options.overwrite:
        _refuse_existing(targets)
    source = registry.fetch(options.source)
    model = read_model(source)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".convert-") as directory:
        unfinished = Path(directory) / out.name
        write, read = (_write_file, _read_file) if suffix else (_write_preset, _preset)
        write(model, unfinished)
        difference = _compare(model, read(model, unfinished), out)
        card = _card_path(unfinished, suffix)
        files = [unfinished] if suffix else sorted({*unfinished.iterdir()} - {card})
        text = model_card(
            model,
            options.source,
            {path.name: sha256(path) for path in files}
            | {options.source: sha256(source)},
            LOAD[suffix].format(out.name),
            options.license,
            registry.find_published(options.source),
        )
        card.write_text(text, encoding="utf-8")
        for target in targets:
            os.replace(Path(directory) / target.name, target)
    print(f"{out}: loaded again, outputs equal within {difference:.1g}.")


def _card_path(path, suffix):
    if suffix is None:
        return path / "README.md"
    return path.with_name(path.name.removesuffix(suffix) + ".md")


def _refuse_existing(paths):
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} exists. Pass --overwrite to replace it.")


def _write_file(model, path):
    if path.name.endswith(".safetensors"):
        save_upstream_weights(model, path)
    elif path.name.endswith(".keras"):
        model.save(path)
    else:
        model.save_weights(path)


def _read_file(model, path):
    """The model of a file; that of a file of weights is built anew."""
    if not path.name.endswith(".weights.h5"):
        return read_model(path)
    again = keras.models.clone_model(model)
    load_weights(again, path)
    return again


def _write_preset(model, path):
    from keras_tnt.keras_hub import from_tnt  # KerasHub takes seconds to import

    from_tnt(model).save_to_preset(path)


def _preset(model, path):
    import keras_hub

    kind = keras_hub.models.ImageClassifier
    return kind.from_preset(str(path))


def _compare(model, again, out):
    """The largest difference between the outputs of two models for images of noise."""
    images = noise(model.input_shape[1:], number=2)
    outputs = [
        keras.ops.convert_to_numpy(m(images, training=False)) for m in (model, again)
    ]
    difference = float(np.abs(outputs[0] - outputs[1]).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{out} was not written: loaded again, its outputs differ by "
            f"{difference:.2g}, tolerated are {TOLERANCE:g}. Please report it with the "
            "file."
        )
    return difference

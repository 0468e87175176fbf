"""`keras-tnt benchmark`."""

import argparse
import json
from pathlib import Path


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add the command to the parser."""
    benchmark = commands.add_parser(
        "benchmark", help="measure speed and memory of a model on this machine"
    )
    benchmark.add_argument(
        "--model",
        default="TNTSmall",
        help="a model's name, such as TNTBase, for random weights, the directory of a "
        "run, or a .keras file; TNTSmall by default",
    )
    benchmark.add_argument(
        "--batch-sizes", nargs="+", type=int, default=[1, 8, 16, 32], metavar="N"
    )
    benchmark.add_argument("--image-size", type=int, help="of a model given by name")
    benchmark.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16", "mixed_float16"),
        default="float32",
        help="of a model given by name; float32 is the default",
    )
    benchmark.add_argument(
        "--no-training", action="store_true", help="measure inference only"
    )
    benchmark.add_argument(
        "--remat",
        action="store_true",
        help="train a model given by name with rematerialization",
    )
    benchmark.add_argument("--repetitions", type=int, default=7)
    benchmark.add_argument(
        "--out", type=Path, help="a new directory; by default benchmark, benchmark-2, …"
    )
    benchmark.add_argument("--json", action="store_true", help="print JSON")
    benchmark.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    from keras_tnt.cli.benchmark_run import benchmark, describe_machine, plot_speed
    from keras_tnt.training import RunDirectory
    from keras_tnt.visualization.figure import require_matplotlib

    require_matplotlib()
    model = _model(options)
    measurements = []
    for measured in benchmark(
        model, options.batch_sizes, not options.no_training, options.repetitions
    ):
        measurements.append(measured)
        if not options.json:
            print(
                f"{measured.kind}, batch {measured.batch_size}: "
                f"{measured.images_per_second:.1f} images/s, first call "
                f"{measured.first_call:.1f} s, peak {measured.peak_mib:.0f} MiB",
                flush=True,
            )
    record = {
        "model": model.name,
        "image_size": model.input_shape[1:3],
        "precision": model.dtype_policy.name,
        "machine": describe_machine(),
        "measurements": [measured._asdict() for measured in measurements],
    }
    directory = RunDirectory.create_or_next(options.out, "benchmark").path
    (directory / "benchmark.json").write_text(json.dumps(record, indent=1) + "\n")
    plot_speed(measurements, directory / "benchmark.png")
    if options.json:
        print(json.dumps(record))
    else:
        print(f"{directory} has all figures and an image of them.")


def _model(options):
    """The model to measure."""
    import keras

    from keras_tnt import models
    from keras_tnt.inference.classifier import load_classifier

    if options.model in models.__all__:
        size = options.image_size
        return getattr(models, options.model)(
            weights=None,
            input_shape=(size, size, 3) if size else None,
            remat=options.remat,
            dtype=options.precision,
        )
    if options.image_size or options.remat or options.precision != "float32":
        raise ValueError(
            "--image-size, --precision and --remat go with a model's name, one of "
            f"{', '.join(models.__all__)}; {options.model!r} has its own."
        )
    model = load_classifier(options.model).model
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"{options.model!r} is an export. Expected the name of a model, a run "
            "directory or a .keras file."
        )
    return model

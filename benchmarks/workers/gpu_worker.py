"""Compile one program and time it on request; started by gpu.py.

    KERAS_BACKEND=jax python benchmarks/workers/gpu_worker.py '{"subject": "jax", ...}'

The argument is a JSON object: a subject of gpu.py, whether the sizes are toys, and the
fields of a row. The worker says `ready`, or `error` and ends. Then each line of its
input is a number of calls, which it times.
"""

import json
import resource
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import protocol

PRECISIONS = ("float32", "tf32", "bfloat16")
CLASSES = 1000
TOY = {"outer_dim": 48, "inner_dim": 12, "outer_num_heads": 3, "inner_num_heads": 2}


def sizes(spec):
    """Return a TNT's arguments and the side of its images."""
    from keras_tnt.models.tnt import VARIANTS

    if spec["toy"]:
        return TOY | {"depth": 1}, 32
    return VARIANTS[spec["model"]] | {"depth": 12}, 224


def dtype(precision, training):
    """Return a dtype policy: in bfloat16, weights of inference are bfloat16 too."""
    if precision == "bfloat16":
        return "mixed_bfloat16" if training else "bfloat16"
    return "float32"


def keras_model(spec):
    """Build the TNT of a row, which returns logits."""
    import keras_tnt

    arguments, side = sizes(spec)
    training = spec["mode"] == "training"
    return keras_tnt.TNT(
        **arguments,
        input_shape=(side, side, 3),
        classes=CLASSES,
        drop_path_rate=0.1 if training else 0.0,
        remat=spec["remat"],
        include_preprocessing=False,
        classifier_activation=None,
        dtype=dtype(spec["precision"], training),
    )


def program(spec, framework):
    """Return the program of a row, and what to say about it."""
    framework.set_precision(spec["precision"])
    if spec["mode"] == "product":
        return framework.product(128 if spec["toy"] else 8192), {}
    arguments, side = sizes(spec)
    images = protocol.images(spec["batch"], side)
    labels = np.zeros(spec["batch"], "int64")
    facts = {}
    if spec["subject"].startswith("timm"):
        model = framework.timm_model(arguments, side, spec)
    else:
        import keras_tnt

        with framework.building():
            model = keras_model(spec)
        images = images.transpose(0, 2, 3, 1)
        facts["multiply_adds"] = keras_tnt.complexity(model).multiply_adds
    if spec["mode"] == "training":
        return framework.training(model, images, labels, spec), facts
    return framework.inference(model, images, spec), facts


def errors(spec, framework):
    """Return the largest error of the logits of the reference tensors, by precision."""
    from tests.helpers import reference

    timm = spec["subject"].startswith("timm")
    case = "tnt_timm" if timm else "tnt_official"
    tensors = reference.tensors(case)
    found = {}
    for precision in PRECISIONS:
        framework.set_precision(precision)
        if timm:
            images = tensors["input"]
            model = framework.timm_reference(case, precision)
        else:
            images = reference.images(case)
            with framework.building():
                model = reference.build(case, dtype=dtype(precision, False))
        run = framework.inference(model, images, spec | {"precision": precision})
        run.compile()
        found[precision] = float(np.abs(run.as_array(run()) - tensors["logits"]).max())
    return found


def resident():
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def serve(run, spec):
    """Time the number of calls in each line of the input, after one untimed call."""
    # At batch 1 the time of a single answer counts.
    wait_each = spec["batch"] == 1
    for line in sys.stdin:
        run.wait(run())
        started = time.perf_counter()
        for _ in range(int(line)):
            output = run()
            if wait_each:
                run.wait(output)
        run.wait(output)
        seconds = (time.perf_counter() - started) / int(line)
        memory = run.memory()
        kind = "process" if memory is None else "device"
        run.release()
        protocol.say(
            seconds=seconds,
            memory_mib=resident() if memory is None else memory,
            memory_kind=kind,
        )


def main():
    """Prepare the program of the argument and serve it."""
    spec = json.loads(sys.argv[1])
    try:
        framework = __import__(f"gpu_{spec['framework']}")
        if spec["mode"] == "check":
            protocol.say(
                ready=True, device=framework.device(), **errors(spec, framework)
            )
            return
        run, facts = program(spec, framework)
        seconds = run.compile()
        run.release()
        protocol.say(
            ready=True, device=framework.device(), compile_seconds=seconds, **facts
        )
        serve(run, spec)
    except Exception as error:
        traceback.print_exc()
        text = str(error).strip().partition("\n")[0][:300]
        protocol.say(error=f"{type(error).__name__}: {text}")


if __name__ == "__main__":
    main()

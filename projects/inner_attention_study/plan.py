"""The runs of the study: models, settings and order. See README.md."""

import dataclasses

import numpy as np

# A TNT with the proportions of TNT-S, which also has 4x4 pixels per patch.
TNT = {
    "outer_dim": 72,
    "inner_dim": 12,
    "depth": 4,
    "outer_num_heads": 3,
    "inner_num_heads": 2,
    "patch_size": 7,
    "inner_stride": 2,
}
VIT = TNT | {"inner_blocks": ()}
# Four times the patch area: four patches per image, 4x4 pixels in each.
LARGE_PATCHES = {"patch_size": 14, "inner_stride": 4}

# Builder arguments by name. "without": layers without position embedding.
VARIANTS = {
    "tnt": TNT,
    "vit_equal_flops": VIT | {"outer_dim": 93},
    "vit_equal_parameters": VIT | {"outer_dim": 81},
    "positions_none": TNT | {"without": ("pixel_embedding", "patch_embedding")},
    "positions_pixels": TNT | {"without": ("patch_embedding",)},
    "positions_patches": TNT | {"without": ("pixel_embedding",)},
    "inner_blocks_1_3": TNT | {"inner_blocks": (1, 3)},
    "inner_blocks_1": TNT | {"inner_blocks": (1,)},
    "inner_heads_1": TNT | {"inner_num_heads": 1},
    "inner_heads_4": TNT | {"inner_num_heads": 4},
    "pixels_49": TNT | {"inner_stride": 1, "inner_dim": 4},
    "pixels_4": TNT | {"inner_stride": 4, "inner_dim": 48},
    "squeeze_excitation": TNT | {"se_ratio": 0.25},
    "tnt_large_patches": TNT | LARGE_PATCHES,
    "vit_large_patches": VIT | LARGE_PATCHES | {"outer_dim": 90},
    # The same multiply-adds as the two before.
    "pyramid_tnt": {
        "outer_dim": 32,
        "inner_dim": 4,
        "depths": (1, 2, 1, 1),
        "outer_num_heads": 2,
        "inner_num_heads": 1,
    },
}
MAIN = ("tnt", "vit_equal_flops", "vit_equal_parameters")
LARGE = ("tnt_large_patches", "vit_large_patches")
TUNED = (*MAIN, *LARGE, "pyramid_tnt")
POSITIONS = ("positions_none", "positions_pixels", "positions_patches")
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
# One more rate per model, beside the best of `RATES`.
FIFTH_RATES = {"tnt": 16e-3, "vit_equal_flops": 3e-3, "vit_equal_parameters": 3e-3}
SIZES = (1_000, 5_000, 20_000)  # images; the main runs use 60,000

BATCH = 128  # images
STEPS = 1_800  # 3.8 epochs
RATE_STEPS = 480  # 1.2 epochs of the 50,000 images that are not held out
LONGER = 3  # times the steps


@dataclasses.dataclass(frozen=True)
class Run:
    """One training; runs with the same settings are equal.

    Attributes:
        phase: the part of the plan that first asked for it, such as "main"; it has no
            effect on the run.
        variant: a name of `VARIANTS`.
        learning_rate: the highest of the schedule.
        seed: seed of the weights and of the image order; variants with the same seed
            see the same images in the same order.
        images: number of training images.
        steps: optimizer steps.
        held_out: whether to hold out the last 10,000 training images and to evaluate
            on them instead of the test set.
    """

    phase: str = dataclasses.field(compare=False)
    variant: str
    learning_rate: float
    seed: int
    images: int = 60_000
    steps: int = STEPS
    held_out: bool = False

    @classmethod
    def of(cls, record):
        """Return the run of a record."""
        fields = dataclasses.fields(cls)
        return cls(**{field.name: record[field.name] for field in fields})


def planned(records):
    """List the runs known so far, in order and without duplicates.

    The learning-rate runs come first, because the other runs depend on their results.
    The compared models choose a rate twice: with few steps and with all steps. Runs at
    the first rates stay in the plan, and the TNT's variants keep its first rate.
    """
    done = accuracies(records).keys()
    runs = rate_runs()
    if done >= set(runs):
        rates = best_rates(records, runs)
        runs = [*runs, *first_runs(rates), *all_steps_runs()]
        if done >= set(runs):
            tuned = rates | best_rates(records, all_steps_runs())
            runs += [*tuned_runs(tuned), *last_runs(rates)]
    return list(dict.fromkeys(runs))


def missing(records):
    """List the known runs that have no record."""
    done = accuracies(records)
    return [run for run in planned(records) if run not in done]


def accuracies(records):
    """Return the accuracy of each run: {run: accuracy}."""
    return {Run.of(record): record["accuracy"] for record in records}


def best_rates(records, runs):
    """Return the best learning rate of each variant whose runs are complete.

    Args:
        records: records of finished runs.
        runs: `rate_runs()` or `all_steps_runs()`.

    Returns:
        A dict of learning rates by variant.
    """
    reached = accuracies(records)
    best = {}
    for variant in dict.fromkeys(run.variant for run in runs):
        tried = [run for run in runs if run.variant == variant]
        if reached.keys() >= set(tried):
            best[variant] = max(tried, key=reached.get).learning_rate
    return best


def rate_runs():
    """Return the runs that choose a rate for each of `TUNED`, with few steps."""
    return [
        held_out("rates", variant, rate, RATE_STEPS)
        for variant in TUNED
        for rate in RATES
    ]


def all_steps_runs():
    """Return the runs that choose a rate again, with all steps."""
    phase = "all steps"
    # The most likely rates first.
    return [
        *(held_out(phase, v, rate) for rate in (4e-3, 2e-3, 8e-3, 1e-3) for v in MAIN),
        *(held_out(phase, v, rate) for v, rate in FIFTH_RATES.items()),
        *(held_out(phase, v, rate) for rate in RATES for v in LARGE),
    ]


def held_out(phase, variant, rate, steps=STEPS):
    """Return a run that tries a learning rate on held-out images."""
    return Run(phase, variant, rate, 0, 50_000, steps, held_out=True)


def first_runs(rates):
    """Return the runs at the rates that were chosen with few steps."""
    return [
        *seeds(5, "main", MAIN, rates),
        *seeds(3, "positions", POSITIONS, rates),
        *seeds_of_sizes(rates),
        *seeds(5, "large patches", LARGE, rates),
        *seeds(3, "inner blocks", ("inner_blocks_1_3", "inner_blocks_1"), rates),
        *seeds(5, "training length", LARGE, rates, steps=LONGER * STEPS),
        *seeds(3, "PyramidTNT", ("pyramid_tnt",), rates),
        *seeds(3, "learning rate", ("tnt",), {"tnt": rates["vit_equal_flops"]}),
    ]


def tuned_runs(rates):
    """Return the runs at the rates that were chosen with all steps."""
    return [
        *seeds(5, "main", MAIN, rates),
        *seeds_of_sizes(rates),
        *seeds(5, "large patches", LARGE, rates),
        *seeds(5, "training length", LARGE, rates, steps=LONGER * STEPS),
    ]


def last_runs(rates):
    """Return the runs of further variants, at the TNT's first rate."""
    return [
        *seeds(3, "inner heads", ("inner_heads_1", "inner_heads_4"), rates),
        *seeds(3, "squeeze-and-excitation", ("squeeze_excitation",), rates),
        *seeds(3, "pixels in a patch", ("pixels_49", "pixels_4"), rates),
    ]


def seeds(number, phase, variants, rates, **changes):
    """Return runs of some variants, each at its own rate or at the TNT's.

    Seed by seed, so that an interrupted study has comparable runs.
    """
    return [
        Run(phase, variant, rates.get(variant, rates["tnt"]), seed, **changes)
        for seed in range(number)
        for variant in variants
    ]


def seeds_of_sizes(rates):
    """Return the runs with fewer images."""
    runs = []
    for size in SIZES:
        runs += seeds(3, "data size", MAIN[:2], rates, images=size)
    return runs


def image_order(run, available):
    """Return the images of each step, and which of them are flipped.

    They depend on the seed, the numbers of images and the number of steps only.

    Args:
        run: a `Run`.
        available: number of images from which the run takes its own.

    Returns:
        Indices and booleans, `(steps, BATCH)`.
    """
    rng = np.random.default_rng(run.seed)
    chosen = rng.permutation(available)[: run.images]
    needed = run.steps * BATCH
    epochs = [rng.permutation(chosen) for _ in range(-(-needed // len(chosen)))]
    order = np.concatenate(epochs)[:needed].reshape(run.steps, BATCH)
    return order, rng.random(order.shape) < 0.5

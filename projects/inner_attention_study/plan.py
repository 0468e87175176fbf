"""The study's runs: which models are trained, how, and in which order.

The plan, the runs behind it and what they cost are told in README.md.
"""

import dataclasses

# A TNT in the proportions of TNT-S: 4x4 pixels in a patch, as there.
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
# Patches four times as large: as many pixels in each, four of them in an image.
LARGE_PATCHES = {"patch_size": 14, "inner_stride": 4}

# Name: what is built. "without" names the layers that get no position embedding.
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
    # As many multiply-adds as those two.
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
# One more for each, tried when those had been: beside the best of them.
FIFTH_RATES = {"tnt": 16e-3, "vit_equal_flops": 3e-3, "vit_equal_parameters": 3e-3}
SIZES = (1_000, 5_000, 20_000)  # images; the main runs have all 60,000

BATCH = 128  # images
STEPS = 1_800  # 3.8 times all images
RATE_STEPS = 480  # 1.2 times the 50,000 that are left to train on
LONGER = 3  # times the steps


@dataclasses.dataclass(frozen=True)
class Run:
    """One training; runs with the same settings are equal.

    Attributes:
        phase: the part of the plan that asked for it first, "rates", "main", …; it has
            no influence.
        variant: a name of `VARIANTS`.
        learning_rate: the highest.
        seed: of the weights and of the order of the images; variants with the same
            seed see the same images in the same order.
        images: how many of the training images there are.
        steps: optimizer steps.
        held_out: whether to train without the last 10,000 training images and to
            evaluate on those, instead of the test set.
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
        """The run that a record is of."""
        fields = dataclasses.fields(cls)
        return cls(**{field.name: record[field.name] for field in fields})


def planned(records):
    """The study's runs as far as they are known, in their order, each once.

    The learning rates come first: what the other runs are follows from their results.
    For what is compared they are chosen twice, with few steps and with all. What had
    been trained by the first choice stays, and so does the rate of the TNT's variants.
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
    """The runs that are not yet there, as far as they are known."""
    done = accuracies(records)
    return [run for run in planned(records) if run not in done]


def accuracies(records):
    """The accuracy that each run reached: {run: accuracy}."""
    return {Run.of(record): record["accuracy"] for record in records}


def best_rates(records, runs):
    """The best learning rate of each variant all of whose runs are there.

    Args:
        records: what came of the study's runs.
        runs: those that try rates, `rate_runs` or `all_steps_runs`.

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
    """The runs that choose, with few steps, a learning rate for all of `TUNED`."""
    return [
        held_out("rates", variant, rate, RATE_STEPS)
        for variant in TUNED
        for rate in RATES
    ]


def all_steps_runs():
    """The runs that choose again, with as many steps as the rates are for."""
    phase = "all steps"
    # Likely ones first.
    return [
        *(held_out(phase, v, rate) for rate in (4e-3, 2e-3, 8e-3, 1e-3) for v in MAIN),
        *(held_out(phase, v, rate) for v, rate in FIFTH_RATES.items()),
        *(held_out(phase, v, rate) for rate in RATES for v in LARGE),
    ]


def held_out(phase, variant, rate, steps=STEPS):
    """A run that tries a learning rate."""
    return Run(phase, variant, rate, 0, 50_000, steps, held_out=True)


def first_runs(rates):
    """The runs at the learning rates that were chosen with few steps."""
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
    """The runs at the learning rates that were chosen with all steps."""
    return [
        *seeds(5, "main", MAIN, rates),
        *seeds_of_sizes(rates),
        *seeds(5, "large patches", LARGE, rates),
        *seeds(5, "training length", LARGE, rates, steps=LONGER * STEPS),
    ]


def last_runs(rates):
    """The runs of more variants, at the rate of those before."""
    return [
        *seeds(3, "inner heads", ("inner_heads_1", "inner_heads_4"), rates),
        *seeds(3, "squeeze-and-excitation", ("squeeze_excitation",), rates),
        *seeds(3, "pixels in a patch", ("pixels_49", "pixels_4"), rates),
    ]


def seeds(number, phase, variants, rates, **changes):
    """Runs of some variants, each at its rate or at the TNT's.

    They go seed by seed, so that what is there when they are ended can be compared.
    """
    return [
        Run(phase, variant, rates.get(variant, rates["tnt"]), seed, **changes)
        for seed in range(number)
        for variant in variants
    ]


def seeds_of_sizes(rates):
    """Runs with fewer images."""
    runs = []
    for size in SIZES:
        runs += seeds(3, "data size", MAIN[:2], rates, images=size)
    return runs

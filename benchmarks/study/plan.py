"""The study's runs: which models are trained, how, and in which order.

The plan, the runs behind it and what they cost are told in docs/study.md.
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
# Patches four times as large: as many pixels in each, four of them in a picture.
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
SIZES = (1_000, 5_000, 20_000)  # pictures; the main runs have all 60,000

STEPS = 1_800  # of 128 pictures: 3.8 times all
RATE_STEPS = 480  # 1.2 times the 50,000 that are left to train on
LONGER = 3  # times the steps


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        phase: the part of the plan, "rates", "main", …
        variant: a name of `VARIANTS`.
        learning_rate: the highest.
        seed: of the weights and of the order of the pictures; variants with the same
            seed see the same pictures in the same order.
        pictures: how many of the training pictures there are.
        steps: optimizer steps.
        held_out: whether to train without the last 10,000 training pictures and to
            evaluate on those, instead of the test set.
    """

    phase: str
    variant: str
    learning_rate: float
    seed: int
    pictures: int = 60_000
    steps: int = STEPS
    held_out: bool = False

    @classmethod
    def of(cls, record):
        """The run that a record is of."""
        fields = dataclasses.fields(cls)
        return cls(**{field.name: record[field.name] for field in fields})


def rate_runs():
    """The runs that choose a learning rate for each model of `TUNED`."""
    return [
        Run("rates", variant, rate, 0, 50_000, RATE_STEPS, held_out=True)
        for variant in TUNED
        for rate in RATES
    ]


def best_rates(records, phase="rates"):
    """The best learning rate of each variant that a phase tried with all of them."""
    found = {}
    for record in records:
        if record["phase"] == phase:
            tried = found.setdefault(record["variant"], {})
            tried[record["learning_rate"]] = record["accuracy"]
    return {
        variant: max(tried, key=tried.get)
        for variant, tried in found.items()
        if set(tried) >= set(RATES)
    }


def study_runs(rates):
    """All other runs, in their order.

    Variants of the TNT are trained with its learning rate.

    Args:
        rates: the learning rate of each model of `TUNED`, see `best_rates`.

    Returns:
        A list of `Run`.
    """
    runs = []

    def add(phase, variants, seeds, like=None, **changes):
        for seed in seeds:
            for variant in variants:
                rate = rates.get(like or variant, rates["tnt"])
                runs.append(Run(phase, variant, rate, seed, **changes))

    # Seed by seed, so that what is there when it is ended can be compared.
    add("main", MAIN, range(5))
    add("positions", POSITIONS, range(3))
    for size in SIZES:
        add("data size", MAIN[:2], range(3), pictures=size)
    add("large patches", LARGE, range(5))
    add("inner blocks", ("inner_blocks_1_3", "inner_blocks_1"), range(3))
    add("training length", LARGE, range(3), steps=LONGER * STEPS)
    add("PyramidTNT", ("pyramid_tnt",), range(3))
    add("learning rate", ("tnt",), range(3), like="vit_equal_flops")
    # The choice of rates again, with as many steps as they are for; likely ones first.
    for rate in (4e-3, 2e-3, 8e-3, 1e-3):
        for variant in MAIN:
            runs.append(
                Run("all steps", variant, rate, 0, 50_000, STEPS, held_out=True)
            )
    add("training length", LARGE, range(3, 5), steps=LONGER * STEPS)
    add("training length", MAIN[:2], range(3), steps=LONGER * STEPS)
    add("inner heads", ("inner_heads_1", "inner_heads_4"), range(3))
    add("pixels in a patch", ("pixels_49", "pixels_4"), range(3))
    add("squeeze-and-excitation", ("squeeze_excitation",), range(3))
    return runs


def missing(records):
    """The runs that are not yet there, as far as they are known.

    The learning rates come first: what the others are follows from their results.
    """
    done = {Run.of(record) for record in records}
    runs = [run for run in rate_runs() if run not in done]
    if runs:
        return runs
    return [run for run in study_runs(best_rates(records)) if run not in done]

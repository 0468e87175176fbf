"""Makes the study's tables and pictures of its raw lines, runs.jsonl.

    python benchmarks/study/report.py

The tables go into docs/study.md, between their marks, the pictures into docs/images.
"""

import argparse
import re
import statistics
from pathlib import Path

import plan
from run import RECORDS, read
from scipy import stats

from keras_tnt.figures import new_figure, save_figure
from keras_tnt.replacing import replacing

DOCS = Path(__file__).parents[2] / "docs"
NAMES = {
    "tnt": "TNT",
    "vit_equal_flops": "ViT, equal FLOPs",
    "vit_equal_parameters": "ViT, equal parameters",
    "positions_none": "no positions",
    "positions_pixels": "positions of pixels only",
    "positions_patches": "positions of patches only",
    "inner_blocks_1_3": "inner transformer in blocks 1 and 3 of 4",
    "inner_blocks_1": "inner transformer in block 1 of 4",
    "inner_heads_1": "1 inner head",
    "inner_heads_4": "4 inner heads",
    "pixels_49": "49 pixels of width 4 in a patch",
    "pixels_4": "4 pixels of width 48 in a patch",
    "squeeze_excitation": "with squeeze-and-excitation",
    "tnt_large_patches": "TNT, patches of 14x14",
    "vit_large_patches": "ViT, patches of 14x14, equal FLOPs",
    "pyramid_tnt": "PyramidTNT",
}
# ImageNet top-1 of the paper's Tables 3 and 5 to 8, in percent.
PAPER = {
    "tnt": 81.5,
    "vit_equal_flops": 79.8,
    "positions_none": 80.5,
    "positions_pixels": 80.7,
    "positions_patches": 80.8,
    "inner_blocks_1_3": 81.4,
    "inner_blocks_1": 81.3,
    "inner_heads_1": 81.0,
    "inner_heads_4": 81.5,
    "pixels_49": 81.0,
    "pixels_4": 81.1,
    "squeeze_excitation": 81.7,
    "tnt_large_patches": 81.5,
    "vit_large_patches": 79.8,
    "pyramid_tnt": 82.0,
}
ABLATIONS = (
    "positions",
    "inner blocks",
    "inner heads",
    "pixels in a patch",
    "squeeze-and-excitation",
)
# What is compared: a TNT, and others beside it, by phase and variant.
MAIN = tuple(("main", variant) for variant in plan.MAIN)
LARGE = (
    *(("large patches", variant) for variant in plan.LARGE),
    ("PyramidTNT", "pyramid_tnt"),
)
MARKS = {
    "tnt": ("tab:red", "o"),
    "vit_equal_flops": ("tab:blue", "o"),
    "vit_equal_parameters": ("tab:cyan", "o"),
    "tnt_large_patches": ("tab:red", "s"),
    "vit_large_patches": ("tab:blue", "s"),
    "pyramid_tnt": ("tab:green", "^"),
}


def main():
    """Writes all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    records = read(options.records)
    document = options.docs / "study.md"
    text = fill(document.read_text(), tables(records))
    with replacing(document) as unfinished:
        unfinished.write_text(text)
    draw_cost(records, options.docs / "images" / "study_cost.png")
    draw_curves(records, options.docs / "images" / "study_curves.png")
    if of_phase(records, "data size"):
        draw_sizes(records, options.docs / "images" / "study_sizes.png")


def fill(text, made):
    """Puts each table between its marks, ``<!-- name -->`` and ``<!-- end -->``."""
    for name, table in made.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, found = re.subn(
            pattern,
            lambda match, table=table: match[1] + table + match[2],
            text,
            flags=re.DOTALL,
        )
        if found != 1:
            raise ValueError(
                f"Expected <!-- {name} --> … <!-- end --> once in the text."
            )
    return text


def tables(records):
    """All tables, as Markdown, by their marks."""
    return {
        "rates": rates_table(records, "rates", plan.TUNED),
        "all steps": rates_table(records, "all steps", plan.MAIN),
        "main": comparison_table(records, *MAIN),
        "conditions": conditions_table(records),
        "large patches": comparison_table(records, *LARGE),
        "ablations": ablations_table(records),
        "left": left(records),
    }


def of_phase(records, phase):
    """The records of a phase."""
    return [record for record in records if record["phase"] == phase]


def choose(records, phase, variant, pictures=None):
    """The records of a variant in a phase: {seed: record}."""
    return {
        record["seed"]: record
        for record in of_phase(records, phase)
        if record["variant"] == variant and pictures in (None, record["pictures"])
    }


def percent(chosen):
    """Mean and standard deviation of the accuracy of runs."""
    values = [100 * record["accuracy"] for record in chosen.values()]
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f} (one seed)"
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    return f"{mean:.2f} ± {deviation:.2f} ({len(values)} seeds)"


def paired(ours, theirs):
    """Mean difference of runs with the same seeds, in points, its interval and p."""
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 2:
        return "-"
    first, second = (
        [100 * chosen[seed]["accuracy"] for seed in seeds] for chosen in (ours, theirs)
    )
    test = stats.ttest_rel(first, second)
    low, high = test.confidence_interval(0.95)
    mean = statistics.mean(a - b for a, b in zip(first, second, strict=True))
    return f"{mean:+.2f} [{low:+.2f}, {high:+.2f}], p = {test.pvalue:.2g}"


def rates_table(records, phase, variants):
    """Accuracy on held-out pictures by learning rate."""
    best = plan.best_rates(records, phase)
    lines = [
        "| held-out accuracy, % | " + " | ".join(f"{r:g}" for r in plan.RATES) + " |",
        "|---" * (1 + len(plan.RATES)) + "|",
    ]
    for variant in variants:
        tried = {
            record["learning_rate"]: 100 * record["accuracy"]
            for record in of_phase(records, phase)
            if record["variant"] == variant
        }
        cells = []
        for rate in plan.RATES:
            cell = f"{tried[rate]:.2f}" if rate in tried else "-"
            cells.append(f"**{cell}**" if best.get(variant) == rate else cell)
        lines.append(f"| {NAMES[variant]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def comparison_table(records, *rows):
    """A TNT, the first of the rows, beside others; a row is a phase and a variant."""
    lines = [
        "| | parameters | million multiply-adds | images/s in training "
        "| test accuracy, % | TNT's lead, points [95 % interval], paired t-test "
        "| ImageNet, paper |",
        "|---|---|---|---|---|---|---|",
    ]
    tnt = choose(records, *rows[0])
    for phase, variant in rows:
        chosen = choose(records, phase, variant)
        if not chosen:
            continue
        one = next(iter(chosen.values()))
        lead = "" if (phase, variant) == rows[0] else paired(tnt, chosen)
        lines.append(
            f"| {NAMES[variant]} | {one['parameters']:,} "
            f"| {one['multiply_adds'] / 1e6:.2f} | {speed(chosen):,.0f} "
            f"| {percent(chosen)} | {lead} | {PAPER.get(variant, '')} |"
        )
    return "\n".join(lines) + "\n"


def speed(chosen):
    """Median images a second of some runs."""
    return statistics.median(r["images_per_second"] for r in chosen.values())


def conditions_table(records):
    """TNT beside the plain transformer of equal cost, under other conditions."""
    small = plan.MAIN[:2]
    rows = [
        (
            "7x7",
            f"{size:,}",
            plan.STEPS,
            [of_size(records, variant, size) for variant in small],
        )
        for size in (*plan.SIZES, 60_000)
    ]
    tnt = choose(records, "learning rate", "tnt")
    vit = choose(records, "main", "vit_equal_flops")
    note = "60,000, TNT with the ViT's learning rate"
    rows.append(("7x7", note, plan.STEPS, (tnt, vit)))
    for patches, variants, phases in (
        ("7x7", small, ("training length",)),
        ("14x14", plan.LARGE, ("large patches", "training length")),
    ):
        for phase in phases:
            steps = plan.STEPS * (plan.LONGER if phase == "training length" else 1)
            pair = [choose(records, phase, variant) for variant in variants]
            rows.append((patches, "60,000", steps, pair))
    lines = [
        "| patches | training pictures | steps | TNT, % | ViT, equal FLOPs, % "
        "| TNT's lead, points |",
        "|---|---|---|---|---|---|",
    ]
    for patches, pictures, steps, (tnt, vit) in rows:
        if tnt and vit:
            lines.append(
                f"| {patches} | {pictures} | {steps:,} | {percent(tnt)} "
                f"| {percent(vit)} | {paired(tnt, vit)} |"
            )
    return "\n".join(lines) + "\n"


def of_size(records, variant, size):
    """The runs of a model with so many pictures, by seed."""
    phase = "main" if size == 60_000 else "data size"
    return choose(records, phase, variant, size)


def ablations_table(records):
    """Variants of the TNT beside it."""
    lines = [
        "| | parameters | million multiply-adds | test accuracy, % | against the full "
        "TNT, points | ImageNet, paper (TNT-S: 81.5) |",
        "|---|---|---|---|---|---|",
    ]
    tnt = choose(records, "main", "tnt")
    for phase in ABLATIONS:
        for variant in plan.VARIANTS:
            chosen = choose(records, phase, variant)
            if not chosen:
                continue
            one = next(iter(chosen.values()))
            lines.append(
                f"| {NAMES[variant]} | {one['parameters']:,} "
                f"| {one['multiply_adds'] / 1e6:.2f} | {percent(chosen)} "
                f"| {paired(chosen, tnt)} | {PAPER[variant]} |"
            )
    return "\n".join(lines) + "\n"


def left(records):
    """What of the plan has been run."""
    planned = plan.rate_runs() + plan.study_runs(dict.fromkeys(plan.MAIN, 0))
    hours = sum(record["seconds"] * record["threads"] for record in records) / 7200
    return (
        f"{len(records)} of the plan's {len(planned)} runs are there; they took "
        f"{hours:.1f} hours of training on two cores.\n"
    )


def draw_cost(records, path):
    """Accuracy against what a model costs and against the time of its training."""
    figure, axes = new_figure(1, 2, (9, 3.8))
    by_cost, by_time = axes.flat
    for phase, variant in MAIN + LARGE:
        chosen = choose(records, phase, variant).values()
        if not chosen:
            continue
        accuracy = [100 * record["accuracy"] for record in chosen]
        cost = [record["multiply_adds"] / 1e6 for record in chosen]
        color, mark = MARKS[variant]
        style = {"color": color, "marker": mark, "linestyle": "", "alpha": 0.6}
        by_cost.plot(cost, accuracy, label=NAMES[variant], **style)
        if phase == "main":  # the others trained side by side, two at a time
            minutes = [record["seconds"] / 60 for record in chosen]
            by_time.plot(minutes, accuracy, **style)
    by_cost.set(xlabel="million multiply-adds an image", ylabel="test accuracy, %")
    by_time.set(xlabel="minutes of training on two cores")
    by_cost.legend(fontsize="small")
    save_figure(figure, path)


def draw_curves(records, path):
    """Accuracy and loss on the test set in the course of the main runs."""
    figure, axes = new_figure(1, 2, (9, 3.6))
    for variant in plan.MAIN:
        chosen = choose(records, "main", variant).values()
        for axis, name in zip(axes.flat, ("val_accuracy", "val_loss"), strict=True):
            for number, record in enumerate(chosen):
                curve = record["curves"][name]
                done = range(1, len(curve) + 1)
                steps = [record["steps"] * part / len(curve) for part in done]
                axis.plot(
                    steps,
                    curve,
                    color=MARKS[variant][0],
                    alpha=0.6,
                    label=None if number else NAMES[variant],
                )
    axes.flat[0].set(xlabel="steps", ylabel="test accuracy")
    axes.flat[1].set(xlabel="steps", ylabel="test loss (smoothed labels)")
    axes.flat[0].legend()
    save_figure(figure, path)


def draw_sizes(records, path):
    """Accuracy against the number of training pictures."""
    figure, axes = new_figure(1, 1, (5.5, 3.6))
    axis = axes.flat[0]
    for variant in plan.MAIN[:2]:
        sizes, means, deviations = [], [], []
        for size in (*plan.SIZES, 60_000):
            chosen = of_size(records, variant, size).values()
            values = [100 * record["accuracy"] for record in chosen]
            if len(values) > 1:
                sizes.append(size)
                means.append(statistics.mean(values))
                deviations.append(statistics.stdev(values))
        axis.errorbar(
            sizes,
            means,
            deviations,
            fmt="o-",
            capsize=3,
            color=MARKS[variant][0],
            label=NAMES[variant],
        )
    axis.set(xscale="log", xlabel="training pictures", ylabel="test accuracy, %")
    axis.legend()
    save_figure(figure, path)


if __name__ == "__main__":
    main()

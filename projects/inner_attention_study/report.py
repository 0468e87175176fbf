"""Make the tables and images of the study from runs.jsonl.

    python projects/inner_attention_study/report.py

The tables go between their marks in README.md, the images into the directory images.
"""

import argparse
import itertools
import re
import statistics
from pathlib import Path

import plan
from run import RECORDS, read
from scipy import stats

from keras_tnt.utils.files import atomic_write
from keras_tnt.visualization.figure import new_figure, save_figure

HERE = Path(__file__).parent
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
# ImageNet top-1 in percent: the paper's Tables 4 to 8 and 12; PyramidTNT's paper. The
# inner blocks are those of S-1 and S-2 (Table 5), 4 and 3 of 12.
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
ABLATIONS = [variant for variant in plan.VARIANTS if variant not in plan.TUNED]
LARGE = (*plan.LARGE, "pyramid_tnt")
MARKS = {
    "tnt": ("tab:red", "o"),
    "vit_equal_flops": ("tab:blue", "o"),
    "vit_equal_parameters": ("tab:cyan", "o"),
    "tnt_large_patches": ("tab:red", "s"),
    "vit_large_patches": ("tab:blue", "s"),
    "pyramid_tnt": ("tab:green", "^"),
}


def main():
    """Write tables and images."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--docs", type=Path, default=HERE)
    options = parser.parse_args()
    records = read(options.records)
    document = options.docs / "README.md"
    text = fill(document.read_text(encoding="utf-8"), tables(records))
    with atomic_write(document) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    images = options.docs / "images"
    plot_cost(records, images / "cost.png")
    plot_training_curves(records, images / "curves.png")
    plot_sizes(records, images / "sizes.png")


def fill(text, made):
    """Put each table between its marks, `<!-- name -->` and `<!-- end -->`."""
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
    """Return all tables as Markdown, by mark."""
    return {
        "rates": rates_table(records, plan.rate_runs()),
        "all steps": rates_table(records, plan.all_steps_runs()),
        "main": comparison_table(records, plan.MAIN),
        "conditions": conditions_table(records),
        "large patches": comparison_table(records, LARGE),
        "ablations": ablations_table(records),
        "left": left(records),
    }


def first_rates(records):
    """Return the learning rates that were chosen with few steps."""
    return plan.best_rates(records, plan.rate_runs())


def tuned_rates(records):
    """Return the rates chosen with all steps; otherwise those with few steps."""
    return first_rates(records) | plan.best_rates(records, plan.all_steps_runs())


def choose(records, variant, rates, images=60_000, steps=plan.STEPS):
    """Return the records of a variant at its rate or the TNT's, by seed."""
    rate = rates.get(variant, rates.get("tnt"))
    wanted = (variant, rate, images, steps, False)
    names = ("variant", "learning_rate", "images", "steps", "held_out")
    return {
        record["seed"]: record
        for record in records
        if tuple(record[name] for name in names) == wanted
    }


def percent(chosen):
    """Format mean and standard deviation of the accuracy of runs."""
    values = [100 * record["accuracy"] for record in chosen.values()]
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.2f} (one seed)"
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    return f"{mean:.2f} ± {deviation:.2f} ({len(values)} seeds)"


def paired(ours, theirs):
    """Format the mean difference of runs with equal seeds, its interval and p."""
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


def rates_table(records, runs):
    """Return the table of accuracy on held-out images by learning rate."""
    best = plan.best_rates(records, runs)
    reached = plan.accuracies(records)
    tried = {(run.variant, run.learning_rate): reached.get(run) for run in runs}
    rates = sorted({run.learning_rate for run in runs})
    lines = [
        "| held-out accuracy, % | " + " | ".join(f"{rate:g}" for rate in rates) + " |",
        "|---" * (1 + len(rates)) + "|",
    ]
    for variant in dict.fromkeys(run.variant for run in runs):
        cells = []
        for rate in rates:
            accuracy = tried.get((variant, rate))
            cell = "-" if accuracy is None else f"{100 * accuracy:.2f}"
            cells.append(f"**{cell}**" if best.get(variant) == rate else cell)
        lines.append(f"| {NAMES[variant]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def comparison_table(records, variants):
    """Compare the first variant, a TNT, with the others, each at its best rate."""
    lines = [
        "| | parameters | million multiply-adds | images/s in training "
        "| test accuracy, % | TNT's lead, points [95 % interval], paired t-test "
        "| ImageNet, paper |",
        "|---|---|---|---|---|---|---|",
    ]
    rates = tuned_rates(records)
    tnt = choose(records, variants[0], rates)
    for variant in variants:
        chosen = choose(records, variant, rates)
        if not chosen:
            continue
        one = next(iter(chosen.values()))
        lead = "" if variant == variants[0] else paired(tnt, chosen)
        lines.append(
            f"| {NAMES[variant]} | {one['parameters']:,} "
            f"| {one['multiply_adds'] / 1e6:.2f} | {speed(records, variant):,.0f} "
            f"| {percent(chosen)} | {lead} | {PAPER.get(variant, '')} |"
        )
    return "\n".join(lines) + "\n"


def speed(records, variant):
    """Return the median images per second of the trainings with the most cores."""
    runs = [
        record
        for record in records
        if record["variant"] == variant
        and record["steps"] == plan.STEPS
        and not record["held_out"]
    ]
    most = max(record["threads"] for record in runs)
    return statistics.median(
        record["images_per_second"] for record in runs if record["threads"] == most
    )


def conditions_table(records):
    """Compare TNT and the ViT of equal cost under other conditions."""
    first, tuned = first_rates(records), tuned_rates(records)
    shared = first | {"tnt": first.get("vit_equal_flops", 0)}
    lines = [
        "| patches | training images | steps | learning rates | TNT, % "
        "| ViT, equal FLOPs, % | TNT's lead, points |",
        "|---|---|---|---|---|---|---|",
    ]
    conditions = [(size, plan.STEPS) for size in (*plan.SIZES, 60_000)]
    conditions.append((60_000, plan.LONGER * plan.STEPS))
    for patches, variants in (("7x7", plan.MAIN[:2]), ("14x14", plan.LARGE)):
        *others, best = (
            tuple(rates.get(variant, 0) for variant in variants)
            for rates in (first, shared, tuned)
        )
        # In the order of the TNT's rate, without duplicates.
        pairs = sorted({*others, best})
        for (images, steps), pair in itertools.product(conditions, pairs):
            tnt, vit = (
                choose(records, variant, {variant: rate}, images, steps)
                for variant, rate in zip(variants, pair, strict=True)
            )
            if not tnt or not vit:
                continue
            used = " and ".join(f"{rate:g}" for rate in pair)
            lines.append(
                f"| {patches} | {images:,} | {steps:,} "
                f"| {f'**{used}**' if pair == best else used} | {percent(tnt)} "
                f"| {percent(vit)} | {paired(tnt, vit)} |"
            )
    return "\n".join(lines) + "\n"


def ablations_table(records):
    """Compare the TNT with its variants, all at its first rate."""
    lines = [
        "| | parameters | million multiply-adds | test accuracy, % | against the full "
        "TNT, points | ImageNet, paper |",
        "|---|---|---|---|---|---|",
    ]
    rates = first_rates(records)
    tnt = choose(records, "tnt", rates)
    for variant in ("tnt", *ABLATIONS):
        chosen = choose(records, variant, rates)
        if not chosen:
            continue
        one = next(iter(chosen.values()))
        change = "" if variant == "tnt" else paired(chosen, tnt)
        lines.append(
            f"| {NAMES[variant]} | {one['parameters']:,} "
            f"| {one['multiply_adds'] / 1e6:.2f} | {percent(chosen)} "
            f"| {change} | {PAPER[variant]} |"
        )
    return "\n".join(lines) + "\n"


def left(records):
    """Return a sentence on how much of the plan was run."""
    hours = sum(record["seconds"] * record["threads"] for record in records) / 7200
    return (
        f"{len(records)} of the plan's {len(plan.planned(records))} runs are complete. "
        f"They took {hours:.1f} hours of training on two cores.\n"
    )


def plot_cost(records, path):
    """Plot accuracy against multiply-adds and against training time."""
    figure, axes = new_figure(1, 2, (9, 3.8))
    by_cost, by_time = axes.flat
    rates = tuned_rates(records)
    for variant in plan.MAIN + LARGE:
        chosen = choose(records, variant, rates).values()
        if not chosen:
            continue
        accuracy = [100 * record["accuracy"] for record in chosen]
        cost = [record["multiply_adds"] / 1e6 for record in chosen]
        color, mark = MARKS[variant]
        style = {"color": color, "marker": mark, "linestyle": "", "alpha": 0.6}
        by_cost.plot(cost, accuracy, label=NAMES[variant], **style)
        if variant in plan.MAIN:  # the others trained two at a time
            seconds = plan.STEPS * plan.BATCH / speed(records, variant)
            by_time.plot([seconds / 60] * len(accuracy), accuracy, **style)
    by_cost.set(xlabel="million multiply-adds an image", ylabel="test accuracy, %")
    by_time.set(xlabel="minutes of training on two cores (median)")
    by_cost.legend(fontsize="small")
    save_figure(figure, path)


def plot_training_curves(records, path):
    """Plot test accuracy and loss of the main runs during training."""
    figure, axes = new_figure(1, 2, (9, 3.6))
    rates = tuned_rates(records)
    for variant in plan.MAIN:
        chosen = choose(records, variant, rates).values()
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


def plot_sizes(records, path):
    """Plot accuracy against the number of images; dashed at the first rates."""
    figure, axes = new_figure(1, 1, (5.5, 3.6))
    axis = axes.flat[0]
    first, tuned = first_rates(records), tuned_rates(records)
    for variant in plan.MAIN[:2]:
        styles = [(tuned, "o-", 1)]
        if first.get(variant) != tuned.get(variant):
            styles.insert(0, (first, "o--", 0.5))
        for rates, style, alpha in styles:
            sizes, means, deviations = [], [], []
            for size in (*plan.SIZES, 60_000):
                chosen = choose(records, variant, rates, size).values()
                values = [100 * record["accuracy"] for record in chosen]
                if len(values) > 1:
                    sizes.append(size)
                    means.append(statistics.mean(values))
                    deviations.append(statistics.stdev(values))
            if not sizes:
                continue
            axis.errorbar(
                sizes,
                means,
                deviations,
                fmt=style,
                capsize=3,
                color=MARKS[variant][0],
                alpha=alpha,
                label=f"{NAMES[variant]}, learning rate {rates[variant]:g}",
            )
    axis.set(xscale="log", xlabel="training images", ylabel="test accuracy, %")
    axis.legend(fontsize="small")
    save_figure(figure, path)


if __name__ == "__main__":
    main()

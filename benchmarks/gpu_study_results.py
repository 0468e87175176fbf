"""Comparisons of gpu_study.py's models, and their table."""

import jax
import numpy as np

from benchmarks.gpu_report import markdown


def comparisons(records):
    """Compare the TNT with each ViT that trained to the end, seed by seed.

    Returns:
        A dict by variant: the TNT's lead in points for each seed, its mean, the 95 %
        interval and the p-value of a paired t-test.
    """
    known = {r["variant"]: r["accuracy"] for r in records if r["accuracy"]}
    found = {}
    for variant in known:
        if "tnt" in known and variant != "tnt":
            leads = 100 * (np.array(known["tnt"]) - np.array(known[variant]))
            found[variant] = {"leads": leads.tolist(), **t_test(leads)}
    return found


def t_test(differences):
    """Return mean, 95 % interval and two-sided p-value of paired differences."""
    number = len(differences)
    mean = float(np.mean(differences))
    error = float(np.std(differences, ddof=1)) / number**0.5

    def p_value(t):
        free = number - 1
        return float(jax.scipy.special.betainc(free / 2, 0.5, free / (free + t * t)))

    low, high = 0.0, 1e3
    for _ in range(60):  # bisection
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(middle) > 0.05 else (low, middle)
    p = p_value(mean / error) if error else None
    return {
        "mean": mean,
        "interval": [mean - high * error, mean + high * error],
        "p": p,
    }


def table(facts, records):
    """Return the results as Markdown."""
    title = "Rehearsal at toy sizes" if facts["toy"] else "Main question of the study"
    rows = []
    for record in records:
        accuracy = record["accuracy"] and 100 * np.array(record["accuracy"])
        compared = facts["comparisons"].get(record["variant"])
        lead = compared and (
            f"{compared['mean']:+.2f} [{compared['interval'][0]:+.2f}, "
            f"{compared['interval'][1]:+.2f}]"
        )
        rows.append(
            [
                record["variant"],
                f"{record['learning_rate']:g}",
                f"{record['steps_done']:,} of {record['steps']:,}",
                f"{accuracy.mean():.2f} ± {accuracy.std(ddof=1):.2f}"
                if record["accuracy"]
                else None,
                lead,
                record["images_per_second"] and f"{record['images_per_second']:,.0f}",
                record["error"],
            ]
        )
    columns = ["model", "learning rate", "steps", "test accuracy, %"]
    columns += ["TNT's lead, points [95 % interval]", "images/s", "remark"]
    data = f"{facts['data']}, {facts['training_images']:,} training images"
    return f"# {title}: {facts['device']}, {data}\n\n" + markdown(columns, rows)

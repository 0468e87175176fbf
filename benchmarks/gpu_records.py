"""Records of gpu.py, and their table."""

import statistics

from benchmarks.gpu_report import markdown

BASELINES = ("timm", "timm_compiled")
COLUMNS = [
    *("row", "subject", "images/s", "lowest to highest", "relative to timm, eager"),
    *("relative to timm, compiled", "share of the product's rate", "memory, MiB"),
    *("compilation, s", "remark"),
]
FIELDS = ("subject", "mode", "precision", "batch", "model", "remat")
FACTS = ("memory_mib", "memory_kind", "compile_seconds")


def records(name, workers, times, rates, flops):
    """Return a record for each worker of a row.

    Args:
        name: the row's.
        workers: the workers.
        times: by `id` of a worker, the seconds of a batch in each turn; `None` for a
            turn that it lacks.
        rates: operations per second of the product in each turn, or `None`.
        flops: operations per image, or `None`.
    """
    speeds = {
        worker.spec["subject"]: [
            seconds and worker.spec["batch"] / seconds for seconds in times[id(worker)]
        ]
        for worker in workers
    }
    found = []
    for worker in workers:
        own = speeds[worker.spec["subject"]]
        measured = [speed for speed in own if speed]
        record = {"row": name} | {field: worker.spec[field] for field in FIELDS}
        record |= {
            "images_per_second": statistics.median(measured) if measured else None,
            "turns": own,
            "relative_to": {
                other: ratio(own, speeds[other])
                for other in BASELINES
                if other in speeds
            },
            "product_flops_per_second": ratio(rates, [1] * len(rates)),
            "flops_per_image": flops,
            "share_of_product": flops
            and ratio([speed and flops * speed for speed in own], rates),
        }
        record |= {fact: worker.facts.get(fact) for fact in FACTS}
        error = worker.error or (None if measured else "no time was left")
        found.append(record | {"error": error})
    return found


def ratio(values, others):
    """Return the median ratio of pairs that are both known, or `None`."""
    pairs = zip(values, others, strict=False)
    found = [value / other for value, other in pairs if value and other]
    return statistics.median(found) if found else None


def check_record(name, worker):
    """Return the record of a subject's errors on the reference tensors."""
    found = {
        precision: worker.facts.get(precision)
        for precision in ("float32", "tf32", "bfloat16")
    }
    exact = found["float32"]
    return {
        "row": name,
        "subject": worker.spec["subject"],
        "largest_error": found,
        "within_1e-4": None if exact is None else exact <= 1e-4,
        "error": worker.error,
    }


def table(facts, records):
    """Return the tables of the check and of the times, and what is missing."""
    checks = [r for r in records if "largest_error" in r]
    timed = [r for r in records if "largest_error" not in r]
    title = "Rehearsal at toy sizes" if facts["toy"] else "TNTs on a GPU"
    parts = [f"# {title}: {facts.get('device', 'unknown device')}"]
    columns = [
        "subject",
        "float32",
        "tf32",
        "bfloat16",
        "float32 within 1e-4",
        "remark",
    ]
    rows = [
        [
            r["subject"],
            *(e and f"{e:.1e}" for e in r["largest_error"].values()),
            r["within_1e-4"],
            r["error"],
        ]
        for r in checks
    ]
    parts.append("Largest error of the reference logits:\n\n" + markdown(columns, rows))
    parts.append(markdown(COLUMNS, [cells(record) for record in timed]))
    parts.append("Not measured: " + (", ".join(facts["missing"]) or "nothing") + ".")
    return "\n\n".join(parts)


def cells(record):
    """Return a line of the table of times."""
    turns = [speed for speed in record["turns"] if speed] or None
    relative = [record["relative_to"].get(name) for name in BASELINES]
    share, memory = record["share_of_product"], record["memory_mib"]
    seconds = record["compile_seconds"]
    remark = record["error"] or ("timed alone" if record.get("alone") else None)
    if memory and record["memory_kind"] == "process":
        memory = f"{memory:.0f} (process)"
    elif memory:
        memory = f"{memory:.0f}"
    return [
        record["row"],
        record["subject"],
        turns and f"{statistics.median(turns):,.1f}",
        turns and f"{min(turns):,.1f} to {max(turns):,.1f}",
        *(value and f"{value:.2f}" for value in relative),
        share and f"{share:.1%}",
        memory,
        seconds and f"{seconds:.1f}",
        remark,
    ]

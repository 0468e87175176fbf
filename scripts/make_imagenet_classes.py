"""Write keras_tnt/images/imagenet_classes.tsv: ids and names of the 1,000 classes.

Both source files are in the wheel of timm (1.0.31 was used), in `timm/data/_info`:
`imagenet_synsets.txt` has the 1,000 WordNet ids in class order, and
`imagenet_synset_to_lemma.txt` the lemmas (words) of every synset. A class is named by
its first lemma, with underscores for spaces, as in Keras's own list.

The lemmas come from WordNet 3.0, Copyright 2006 by Princeton University, all rights
reserved; https://wordnet.princeton.edu/license-and-commercial-use has the license.

    python scripts/make_imagenet_classes.py imagenet_synsets.txt \
        imagenet_synset_to_lemma.txt
"""

import argparse
import os
from pathlib import Path

OUTPUT = Path(__file__).parents[1] / "keras_tnt" / "images" / "imagenet_classes.tsv"

# Two pairs of classes share their first lemma; these names tell them apart. The other
# class of the second pair, n03710637 (tights of dancers), stays "maillot".
DISTINCT_NAMES = {
    "n02012849": "crane_bird",
    "n03126707": "crane_machine",
    "n03710721": "tank_suit",
}

HEADER = """\
# The ImageNet-1k classes in index order: WordNet id, name.
# Made by scripts/make_imagenet_classes.py. The names are from WordNet 3.0,
# Copyright 2006 by Princeton University. All rights reserved.
# https://wordnet.princeton.edu/license-and-commercial-use
"""


def class_rows(synsets: Path, lemmas: Path) -> list[tuple[str, str]]:
    """Join the two source files to (WordNet id, name) rows in class order.

    Args:
        synsets: file with one WordNet id a line, in class order.
        lemmas: file with a WordNet id, a tab and comma-separated lemmas a line.

    Returns:
        1,000 rows; ids and names occur once each.

    Raises:
        ValueError: if the files do not yield 1,000 different ids and names.
    """
    lines = lemmas.read_text(encoding="utf-8").splitlines()
    words = dict(line.split("\t") for line in lines)
    rows = []
    for wordnet_id in synsets.read_text(encoding="utf-8").split():
        first_lemma = words[wordnet_id].split(",")[0].strip().replace(" ", "_")
        rows.append((wordnet_id, DISTINCT_NAMES.get(wordnet_id, first_lemma)))
    counts = len(rows), len({row[0] for row in rows}), len({row[1] for row in rows})
    if counts != (1000, 1000, 1000):
        raise ValueError(
            "Expected 1,000 classes with different ids and names; "
            "got {} classes, {} ids, {} names.".format(*counts)
        )
    return rows


def main() -> None:
    """Read the arguments and write the class list."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("synsets", type=Path, help="imagenet_synsets.txt")
    parser.add_argument("lemmas", type=Path, help="imagenet_synset_to_lemma.txt")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()

    rows = class_rows(arguments.synsets, arguments.lemmas)
    unfinished = arguments.output.with_suffix(".tmp")
    lines = [f"{wordnet_id}\t{name}\n" for wordnet_id, name in rows]
    unfinished.write_text(HEADER + "".join(lines), encoding="utf-8", newline="\n")
    os.replace(unfinished, arguments.output)
    print(f"Wrote {len(rows)} classes to {arguments.output}")


if __name__ == "__main__":
    main()

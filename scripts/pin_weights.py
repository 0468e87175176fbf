"""Pin the published weights: write their revisions and SHA-256 into the package.

    python scripts/pin_weights.py [--variants tnt_small tnt_base] [--out FILE]

For each variant it asks the Hugging Face Hub for the newest commit, downloads that
file, compares its SHA-256 with the Hub's, and loads it into the model. Then it writes
keras_tnt/weights/published_files.json. RELEASING.md says when to run it.
"""

import argparse
import json
import os
import re
from pathlib import Path

from huggingface_hub import get_hf_file_metadata, hf_hub_url

import keras_tnt
from keras_tnt.utils.files import atomic_write, sha256
from keras_tnt.weights import registry


def pin(variant):
    """Return revision and SHA-256 of a variant's newest published file."""
    weights = registry.PUBLISHED[variant]
    url = hf_hub_url(weights.repo_id, weights.filename)
    metadata = get_hf_file_metadata(url, token=os.environ.get("HF_TOKEN"))
    path = registry.download(weights.repo_id, weights.filename, metadata.commit_hash)
    found = sha256(path)
    # The ETag of a large file is its SHA-256.
    if re.fullmatch("[0-9a-f]{64}", metadata.etag or "") and found != metadata.etag:
        raise ValueError(
            f"The download of {weights.repo_id} is damaged: its SHA-256 is {found}, "
            f"the Hub says {metadata.etag}. Delete {path} and try again."
        )
    keras_tnt.create_model(variant, weights=path)
    return {"revision": metadata.commit_hash, "sha256": found}


def main(arguments=None):
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    variants = list(registry.PUBLISHED)
    parser.add_argument("--variants", nargs="+", choices=variants, default=variants)
    parser.add_argument("--out", type=Path, default=registry.PINS_FILE)
    options = parser.parse_args(arguments)
    pins = json.loads(registry.PINS_FILE.read_text(encoding="utf-8"))
    for variant in options.variants:
        pins[variant] = pin(variant)
        print(f"{variant}: {pins[variant]}")
    with atomic_write(options.out) as unfinished:
        unfinished.write_text(json.dumps(pins, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Publish a PyramidTNT checkpoint of its authors in a repository of the Hub.

    python scripts/mirror_pyramid_tnt.py pyramid_tnt_s.pth.tar OWNER/NAME

The authors' files (Apache-2.0) are on a file-sharing site only, from which no program
can download them. The script converts one to safetensors, with a model card, verifies
the result and uploads it. Reading ``.pth.tar`` needs PyTorch; uploading needs HF_TOKEN.
"""

import argparse
import tempfile
from pathlib import Path

from huggingface_hub import HfApi

from keras_tnt.cli import main as keras_tnt_command
from keras_tnt.models.catalog import model_info
from keras_tnt.models.from_tensors import read_model
from keras_tnt.weights.registry import MANUAL_DOWNLOAD, WEIGHTS_FILE


def main(arguments=None):
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="the authors' file")
    parser.add_argument("repo_id", metavar="OWNER/NAME", help="a repository of the Hub")
    options = parser.parse_args(arguments)
    variant = model_info(read_model(options.checkpoint)).variant
    if variant not in MANUAL_DOWNLOAD:
        parser.error(
            f"{options.checkpoint} is {variant or 'of another size'}, not one of "
            f"{', '.join(MANUAL_DOWNLOAD)}."
        )
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / WEIGHTS_FILE
        command = ["convert", str(options.checkpoint), str(out)]
        status = keras_tnt_command([*command, "--license", "apache-2.0"])
        if status:
            raise SystemExit(status)
        card = out.with_suffix(".md")
        text = card.read_text(encoding="utf-8").replace(
            f"`{options.checkpoint}`",
            f"the authors' file at {MANUAL_DOWNLOAD[variant][0]}",
        )
        (Path(directory) / "README.md").write_text(text, encoding="utf-8")
        card.unlink()
        api = HfApi()
        api.create_repo(options.repo_id, exist_ok=True)
        commit = api.upload_folder(
            repo_id=options.repo_id,
            folder_path=directory,
            commit_message=f"Add {variant}",
        )
    print(
        f"hf://{options.repo_id}@{commit.oid} has {variant}. Add it to PUBLISHED in "
        "keras_tnt/weights/registry.py and run scripts/pin_weights.py."
    )


if __name__ == "__main__":
    main()

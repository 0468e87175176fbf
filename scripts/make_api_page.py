"""Write docs/api.md: the public names of every module, one line each.

    python scripts/make_api_page.py

The names are those of `__all__`; the descriptions are the first sentences of their
docstrings. Needs the extra `hub`.
"""

import importlib
import inspect
import re
from pathlib import Path

from keras_tnt.utils.files import atomic_write

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
MODULES = (
    "keras_tnt",
    "keras_tnt.layers",
    "keras_tnt.structure",
    "keras_tnt.images",
    "keras_tnt.tasks",
    "keras_tnt.data",
    "keras_tnt.distribute",
    "keras_tnt.evaluation",
    "keras_tnt.export",
    "keras_tnt.training",
    "keras_tnt.inference",
    "keras_tnt.visualization",
    "keras_tnt.keras_hub",
    "keras_tnt.app",
)
# Plain values have no docstring.
VALUES = {
    "CROP_FRACTION": "Crop fraction of the published evaluation.",
    "FINETUNE_AUGMENTATION": "Augmentation for fine-tuning.",
    "FLIP_AUGMENTATION": "Horizontal flips only.",
    "IMAGENET_AUGMENTATION": "Augmentation of the paper's ImageNet recipe.",
    "MAX_PIXELS": "Largest number of pixels of an image that is decoded.",
    "STRATEGIES": "Names that `create_strategy` accepts.",
    "SUFFIXES": "File name suffixes of the supported image formats.",
    "__version__": "Version of the package.",
}
HEAD = """\
# Public API

These names are public. Everything else in the package may change without notice.
`scripts/make_api_page.py` writes this page; `help(NAME)` shows the documentation.
"""


def public_names(module):
    """Return the public names of a module: `__all__`, or the classes it defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__, key=str.lower)
    return [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]


def describe(name, value):
    """Return the first sentence of a docstring."""
    if name in VALUES:
        return VALUES[name]
    text = " ".join(inspect.getdoc(value).partition("\n\n")[0].split())
    return re.split(r"(?<=[^.]\.) (?=[A-Z`])", text)[0].replace("|", "\\|")


def main():
    """Write the page."""
    parts = [HEAD]
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        rows = [
            f"| `{name}` | {describe(name, getattr(module, name))} |"
            for name in public_names(module)
        ]
        table = "\n".join(["| name | |", "|---|---|", *rows])
        parts.append(f"## {module_name}\n\n{table}\n")
    with atomic_write(PAGE) as unfinished:
        unfinished.write_text("\n".join(parts), encoding="utf-8")
    print(f"Wrote {PAGE}.")


if __name__ == "__main__":
    main()

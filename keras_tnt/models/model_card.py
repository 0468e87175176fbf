"""The model card of a file with weights."""

from collections.abc import Mapping

import keras

from keras_tnt._version import __version__
from keras_tnt.models.catalog import model_info
from keras_tnt.weights.registry import PublishedWeights

UNKNOWN = "unknown"
TEMPLATE = """\
---
license: {license}
library_name: keras
pipeline_tag: image-classification
tags:
- keras
- image-classification
- transformer-in-transformer
---

# {title}

{sentence} Written by keras_tnt {version}.

| | |
|---|---|
{rows}

Normalization: `(pixels / 255 - mean) / std`; the {scaled_by} does it.

| file | SHA-256 |
|---|---|
{hashes}

```python
{example}
```
"""


def model_card(
    model: keras.Model,
    source: str,
    hashes: Mapping[str, str],
    example: str,
    license: str | None = None,
    published: PublishedWeights | None = None,
) -> str:
    """Return a model card in Markdown, with the metadata of the Hugging Face Hub.

    Args:
        model: the TNT or PyramidTNT whose weights were written.
        source: where the weights are from.
        hashes: dict from file names to SHA-256, the source's among them.
        example: Python code that loads the files.
        license: SPDX identifier of the license of the weights; that of ``published`` by
            default.
        published: the published weights, if the source is these.

    Example:
        >>> import keras_tnt
        >>> from keras_tnt.models.model_card import model_card
        >>> model = keras_tnt.TNT(48, 12, depth=1, outer_num_heads=3, classes=7,
        ...                       input_shape=(64, 64, 3))
        >>> print(model_card(model, "own.pth", {}, "...", "mit")[:16])
        ---
        license: mit
    """
    info = model_info(model)
    license = license or (published.license if published else UNKNOWN)
    height, width = info.image_size
    facts = {
        "architecture": info.variant or info.architecture,
        "image size": f"{height}x{width}",
        "outputs": model.output_shape[-1],
        "parameters": f"{model.count_params():,}",
        "mean, std": f"{info.mean}, {info.std}",
        "resized": f"{info.interpolation}, center crop of {info.crop_fraction}",
        "license": license,
    }
    if published:
        facts["ImageNet top-1"] = f"{published.top1} %, measured by the publisher"
        facts["provenance"] = published.provenance
    return TEMPLATE.format(
        license=license,
        title=info.variant or info.architecture,
        sentence=f"Transformer in Transformer, converted from `{source}`.",
        version=__version__,
        rows=_rows(facts),
        scaled_by="model" if info.includes_preprocessing else "caller",
        hashes=_rows({f"`{name}`": f"`{value}`" for name, value in hashes.items()}),
        example=example,
    )


def _rows(table):
    return "\n".join(f"| {name} | {value} |" for name, value in table.items())

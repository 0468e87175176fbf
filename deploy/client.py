"""Classify image files with TensorFlow Serving; needs nothing but Python.

MODEL_URL=http://localhost:8501/v1/models/pets python client.py cat.jpg dog.jpg
"""

import base64
import json
import os
import sys
import urllib.request
from pathlib import Path


def classify(contents, url):
    """Return the rows of `serving_default` for encoded images."""
    images = [{"b64": base64.b64encode(image).decode()} for image in contents]
    request = urllib.request.Request(
        f"{url}:predict",
        json.dumps({"instances": images}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["predictions"]


def main(paths):
    """Print the best class of each file; return 1 if one is not an image."""
    url = os.environ.get("MODEL_URL", "http://localhost:8501/v1/models/model")
    rows = classify([Path(path).read_bytes() for path in paths], url)
    for path, row in zip(paths, rows, strict=True):
        best = f"{row['classes'][0]} {row['scores'][0]:.3f}" if row["ok"] else "corrupt"
        print(f"{path}: {best}")
    return int(not all(row["ok"] for row in rows))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: client.py IMAGE …")
    sys.exit(main(sys.argv[1:]))

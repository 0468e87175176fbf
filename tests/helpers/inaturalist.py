"""Archives of iNaturalist-2019 in their documented format, with a few images."""

import json

import numpy as np

from tests.helpers.datasets import encoded, photo


def write_inaturalist(directory, train=(400, 2, 10, 2), validation=(10, 400)):
    """Writes archives of iNaturalist-2019: of each split, the classes of its images.

    In the order of the files; annotations are in another order than the images.
    """
    names = {400: "Rosa canina", 2: "Larus canus", 10: "Larus fuscus"}
    above = {400: "Plants", 2: "Birds", 10: "Birds"}
    for name, classes in (("train", train), ("val", validation)):
        files = [f"train_val2019/{above[c]}/{c}/{name}{i}.jpg"
                 for i, c in enumerate(classes)]  # fmt: skip
        for number, file in enumerate(files):
            path = directory / file
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.roll(photo(40, 36), 5 * number, axis=1)
            path.write_bytes(encoded(image, "JPEG"))
        record = {
            "info": {"year": 2019},
            "licenses": [{"id": 0, "name": "", "url": ""}],
            "categories": [{"id": c, "name": names[c]} for c in names],
            "images": [
                {"id": 100 + i, "file_name": file, "width": 36, "height": 40}
                for i, file in enumerate(files)
            ],
            "annotations": [
                {"id": i, "image_id": 100 + i, "category_id": classes[i]}
                for i in reversed(range(len(files)))
            ],
        }
        (directory / f"{name}2019.json").write_text(json.dumps(record))
    return directory

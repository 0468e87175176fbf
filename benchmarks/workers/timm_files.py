"""Classify the images of a directory with timm; started by predict_files.py."""

import sys
from pathlib import Path

import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

torch.set_num_threads(2)


class Images(Dataset):
    """The files of a directory, preprocessed."""

    def __init__(self, directory, transform):
        self.paths = sorted(Path(directory).iterdir())
        self.transform = transform

    def __len__(self):
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, index):
        """Return an image."""
        return self.transform(Image.open(self.paths[index]).convert("RGB"))


def main(directory):
    """Print the five best classes of each file."""
    model = timm.create_model("tnt_s_patch16_224", pretrained=False).eval()
    settings = timm.data.resolve_model_data_config(model)
    images = Images(directory, timm.data.create_transform(**settings))
    paths = iter(images.paths)
    with torch.inference_mode():
        for batch in DataLoader(images, batch_size=32, num_workers=2):
            best = torch.softmax(model(batch), -1).topk(5)
            for values, indices in zip(best.values, best.indices, strict=True):
                print(next(paths), values.tolist(), indices.tolist())


if __name__ == "__main__":
    main(sys.argv[1])

"""Time timm's models on request; started by vs_timm.py in PyTorch's environment.

The model is TNT-S, or for kinds that begin with "pyramid" the one in `MODELS`.
"""

import io
import sys
from pathlib import Path

import protocol
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

torch.set_num_threads(protocol.cores())

# Of the pyramids of transformers, the two that are nearest to PyramidTNT-S in
# multiply-adds, each at its published size.
MODELS = {
    "tnt": "tnt_s_patch16_224",
    "pyramid_pcpvt": "twins_pcpvt_small",
    "pyramid_svt": "twins_svt_small",
}
PYRAMID_SIZE = 224


def build(name="tnt", **options):
    """Return timm's model, equal in each process.

    A file of weights is `checkpoint_path`, as in timm.
    """
    torch.manual_seed(0)
    return timm.create_model(MODELS[name], pretrained=False, **options)


def multiply_adds(model, images):
    """Return those of one image, without the small ones that PyTorch does not count."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(images[:1])
    return counter.get_total_flops() // 2


def serve_jpeg(content, compiled, weights):
    """Return a prediction of one JPEG: Pillow, timm's transform and the model."""
    model = build(checkpoint_path=weights).eval()
    settings = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**settings)
    if compiled:
        model = torch.compile(model)

    def run():
        with torch.inference_mode():
            image = Image.open(io.BytesIO(content)).convert("RGB")
            scores = torch.softmax(model(transform(image)[None]), -1)
            return scores.topk(5).values.numpy()

    return run


def autocast(enabled):
    """Return a context in which products are bfloat16."""
    return torch.autocast("cpu", torch.bfloat16, enabled=enabled)


def predict(images, kind, weights):
    """Return a forward pass without gradients."""
    name = kind.removesuffix("_compiled")
    name = name if name in MODELS else "tnt"
    file = {"checkpoint_path": weights} if name == "tnt" else {}
    model = build(name, img_size=images.shape[-1], **file).eval()
    if name != "tnt":
        protocol.say(multiply_adds=multiply_adds(model, images))
    if kind.startswith("bfloat16"):
        model, images = model.bfloat16(), images.bfloat16()
    if kind.endswith("compiled"):
        model = torch.compile(model)
    mixed = kind.startswith("autocast")

    def run():
        with torch.inference_mode(), autocast(mixed):
            return torch.softmax(model(images).float(), -1).numpy()

    return run


def train(images, kind, weights):
    """Return a training step with AdamW."""
    model = build(drop_path_rate=0.1, checkpoint_path=weights).train()
    if kind == "train_checkpointing":
        model.set_grad_checkpointing(True)
    if kind.endswith("compiled"):
        model = torch.compile(model)
    mixed = kind.startswith("train_autocast")
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    labels = torch.zeros(len(images), dtype=torch.long)

    def run():
        optimizer.zero_grad()
        with autocast(mixed):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def work(kind, batch, weights, size):
    """Return the function to time."""
    if kind == "save":
        save_file(build().state_dict(), weights)
        sys.exit()
    compiled = kind.endswith("compiled")
    if kind.startswith("jpeg"):
        photo = Path(weights).with_name("photo.jpg")
        return serve_jpeg(photo.read_bytes(), compiled, weights)
    size = PYRAMID_SIZE if kind.startswith("pyramid") else int(size)
    images = torch.from_numpy(protocol.images(int(batch), size))
    return (train if kind.startswith("train") else predict)(images, kind, weights)


after_import = protocol.peak_mib()
run = work(*sys.argv[1:])
protocol.say(mib_after_import=after_import)
protocol.serve(run)

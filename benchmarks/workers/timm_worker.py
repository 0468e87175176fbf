"""Time TNT-S of timm on request; started by vs_timm.py in PyTorch's environment."""

import sys

import protocol
import timm
import torch
from safetensors.torch import save_file

torch.set_num_threads(2)


def build(**options):
    """Return timm's TNT-S, equal in each process."""
    torch.manual_seed(0)
    return timm.create_model("tnt_s_patch16_224", pretrained=False, **options)


def predict(images, compiled):
    """Return a forward pass without gradients."""
    model = build(img_size=images.shape[-1]).eval()
    if compiled:
        model = torch.compile(model)

    def run():
        with torch.inference_mode():
            return torch.softmax(model(images), -1).numpy()

    return run


def train(images, compiled, checkpointing):
    """Return a training step with AdamW."""
    model = build(drop_path_rate=0.1).train()
    if checkpointing:
        model.set_grad_checkpointing(True)
    if compiled:
        model = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    labels = torch.zeros(len(images), dtype=torch.long)

    def run():
        optimizer.zero_grad()
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
    images = torch.from_numpy(protocol.images(int(batch), int(size)))
    compiled = kind.endswith("compiled")
    if kind.startswith("train"):
        return train(images, compiled, kind == "train_checkpointing")
    return predict(images, compiled)


protocol.serve(work(*sys.argv[1:]))

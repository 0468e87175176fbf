"""Programs on PyTorch: those of keras_tnt and those of timm."""

import contextlib
import time

import numpy as np
import torch

building = contextlib.nullcontext

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device():
    """Return the name of the device."""
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"


def set_precision(precision):
    """Set how float32 products and convolutions are computed."""
    exact = precision == "float32"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact


class Program:
    """A function without arguments; compiled where the subject says so."""

    def __init__(self, function, compiled=False, exported=0.0):
        self.function, self.compiled = function, compiled
        self.exported = exported  # seconds

    def compile(self):
        """Call until compiled; return the seconds, `None` without compilation.

        These are the export and what the first call took beyond the second.
        """
        if not self.compiled:
            return None
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            self.wait(self())
            seconds.append(time.perf_counter() - started)
        return self.exported + seconds[0] - seconds[1]

    def __call__(self):
        return self.function()

    def wait(self, output):
        """Wait until the device has computed everything."""
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    def as_array(self, output):
        """Return an output as float32."""
        return output.float().cpu().numpy()

    def memory(self):
        """Return the peak of the device's memory in MiB, `None` on a CPU."""
        if DEVICE.type == "cuda":
            return torch.cuda.max_memory_allocated() / 2**20
        return None

    def release(self):
        """Give the memory that no tensor has back to the other processes."""
        torch.cuda.empty_cache()


def is_compiled(spec):
    """Whether the subject is compiled."""
    return spec["subject"].endswith("compiled")


def compiled(model, spec):
    """Return a module that is compiled at its first call.

    At toy sizes no code is generated, which takes a minute a program on a CPU.
    """
    return torch.compile(model, backend="aot_eager" if spec["toy"] else "inductor")


def tensor(array, dtype=None):
    """Return a tensor on the device."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(DEVICE, dtype)


def inference(model, images, spec):
    """Return a forward pass of a Keras model or one of timm."""
    timm = spec["subject"].startswith("timm")
    bfloat16 = spec["precision"] == "bfloat16"
    images = tensor(images, torch.bfloat16 if bfloat16 else torch.float32)
    options = {} if timm else {"training": False}
    started = time.perf_counter()
    model = model.eval()
    if is_compiled(spec) and not timm:
        # Dynamo breaks Keras's calls into many graphs. An export is one graph.
        with torch.no_grad():
            model = torch.export.export(model, (images,), options, strict=False)
        model = model.module()
    exported = time.perf_counter() - started
    if is_compiled(spec):
        model = compiled(model, spec)

    def function():
        with torch.inference_mode():
            return model(images, **options)

    return Program(function, is_compiled(spec), exported)


def training(model, images, labels, spec):
    """Return a training step with AdamW."""
    images, labels = tensor(images), tensor(labels)
    if spec["subject"].startswith("timm"):
        return timm_training(model, images, labels, spec)
    import keras

    from keras_tnt.training import AdamW

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(AdamW(1e-3, weight_decay=0.05), loss, jit_compile=False)
    return Program(lambda: model.train_step((images, labels)))


def timm_training(model, images, labels, spec):
    """Return timm's training step in PyTorch's mixed precision."""
    model.train()
    if spec["remat"]:
        model.set_grad_checkpointing(True)
    on_gpu = DEVICE.type == "cuda"
    optimizer = torch.optim.AdamW(
        model.parameters(), 1e-3, weight_decay=0.05, fused=on_gpu
    )
    forward = compiled(model, spec) if is_compiled(spec) else model
    precision = contextlib.nullcontext()
    if spec["precision"] == "bfloat16":
        precision = torch.autocast(DEVICE.type, torch.bfloat16)

    def function():
        optimizer.zero_grad()
        with precision:
            logits = forward(images)
            loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return Program(function, is_compiled(spec))


def timm_model(arguments, side, spec):
    """Return timm's TNT of the same sizes."""
    import timm

    training = spec["mode"] == "training"
    model = timm.create_model(
        "tnt_s_patch16_224",
        embed_dim=arguments["outer_dim"],
        inner_dim=arguments["inner_dim"],
        depth=arguments["depth"],
        num_heads_outer=arguments["outer_num_heads"],
        num_heads_inner=arguments["inner_num_heads"],
        img_size=side,
        drop_path_rate=0.1 if training else 0.0,
    ).to(DEVICE)
    if spec["precision"] == "bfloat16" and not training:
        model = model.to(torch.bfloat16)
    return model


def timm_reference(case, precision):
    """Return timm's TNT of a reference case with its weights."""
    from timm.models.tnt import TNT

    from tests.helpers import reference

    model = TNT(**reference.CASES[case]["config"])
    weights = reference.tensors(case, "weight.")
    model.load_state_dict({name: torch.tensor(x) for name, x in weights.items()})
    model = model.to(DEVICE)
    return model.to(torch.bfloat16) if precision == "bfloat16" else model


def product(size):
    """Return a bfloat16 product of two square matrices."""
    matrix = torch.randn((size, size), device=DEVICE).to(torch.bfloat16)
    return Program(lambda: matrix @ matrix)

import os
import subprocess
import sys

import pytest

import keras_tnt
from keras_tnt.cli import main
from keras_tnt.utils import memory
from tests.helpers.toy import toy_recipe

needs_glibc = pytest.mark.skipif(
    not memory._is_glibc(), reason="the C library is not glibc"
)
FAULTS = """
import ctypes, resource, runpy, sys

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = libc.memset.argtypes = None
SIZE = 64 * 2**20


def page_faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(SIZE)))
        libc.memset(block, 1, ctypes.c_size_t(SIZE))
        libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


before = page_faults()
kept = runpy.run_path(sys.argv[1])["keep_freed_memory"]()
page_faults()
print(kept, before, page_faults())
"""


def page_faults(**environment):
    """What the function returned, and the page faults before and after it."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, memory.__file__],
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in memory.VARIABLES}
        | environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kept, before, after = done.stdout.split()
    return kept == "True", int(before), int(after)


@needs_glibc
def test_keep_freed_memory__no_new_pages():
    kept, before, after = page_faults()
    assert kept
    assert before >= 8 * 32  # of 2 MiB at most
    assert after < 8


@needs_glibc
@pytest.mark.parametrize("name", memory.VARIABLES)
def test_keep_freed_memory__settings_of_the_user_stay(name):
    value = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}
    kept, before, after = page_faults(**{name: value.get(name, "1048576")})
    assert not kept
    assert after >= before // 2


@pytest.mark.parametrize("error", [AttributeError, OSError, ValueError])
def test_keep_freed_memory__another_library(error, monkeypatch):
    def confstr(name):
        raise error

    monkeypatch.setattr(os, "confstr", confstr, raising=False)
    assert not keras_tnt.keep_freed_memory()


def test_keep_freed_memory__by_commands_and_training(monkeypatch, tmp_path, capsys):
    calls = []
    monkeypatch.setattr("keras_tnt.cli.keep_freed_memory", lambda: calls.append("main"))
    monkeypatch.setattr(
        "keras_tnt.training.trainer.keep_freed_memory", lambda: calls.append("train")
    )
    assert main(["predict", "no_such_image.jpg"]) == 1
    with pytest.raises(ValueError, match="Did you mean"):
        keras_tnt.training.train(
            toy_recipe(data="fashion_mnist_mimi"), tmp_path / "run"
        )
    assert calls == ["main", "train"]

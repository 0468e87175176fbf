"""What the CPU can compute, by the flags that Linux lists."""

import pytest

from keras_tnt.utils import cpu


@pytest.fixture
def has_bfloat16(monkeypatch, tmp_path):
    """A function that asks `has_bfloat16` about the text of /proc/cpuinfo."""

    def ask(text):
        path = tmp_path / "cpuinfo"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(cpu, "CPUINFO", path)
        return cpu.has_bfloat16.__wrapped__()

    return ask


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 avx512_vnni", True),
        ("flags\t\t: fpu amx_bf16 amx_tile", True),
        ("Features\t: fp asimd i8mm bf16", True),
        ("flags\t\t: fpu avx512f avx512_vnni", False),
        ("Features\t: fp asimd", False),
        ("model name\t: a CPU with bf16", False),
    ],
)
def test_has_bfloat16__by_flags(line, expected, has_bfloat16):
    assert has_bfloat16(f"processor\t: 0\n{line}\nbugs\t: none\n") is expected


def test_has_bfloat16__not_linux(monkeypatch, tmp_path):
    monkeypatch.setattr(cpu, "CPUINFO", tmp_path / "missing")
    assert cpu.has_bfloat16.__wrapped__() is False

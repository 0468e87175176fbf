"""What wheel and sdist contain, and that an installed wheel runs."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.helpers import ROOT

pytest.importorskip("hatchling", reason="the extra dev is not installed")


def run(*command, cwd):
    """What a command prints, without the clone in its path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    process = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert process.returncode == 0, process.stdout + process.stderr[-3000:]
    return process.stdout


def build(source, out):
    """Build the sdist of a directory, and from that the wheel, as pip does."""
    hatchling = [sys.executable, "-m", "hatchling", "build"]
    run(*hatchling, "--target", "sdist", "--directory", out, cwd=source)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(out, filter="data")
        names = {name.partition("/")[2] for name in file.getnames()}
    unpacked = out / archive.name.removesuffix(".tar.gz")
    run(*hatchling, "--target", "wheel", "--directory", out, cwd=unpacked)
    (wheel,) = out.glob("*.whl")
    return names, wheel


@pytest.fixture(scope="module")
def distribution(tmp_path_factory):
    """The names in the sdist of the package, and the wheel made of it."""
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def contents(wheel):
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


@pytest.mark.end_to_end
def test_wheel__has_the_package_without_images(distribution):
    names, wheel = distribution
    tracked = subprocess.run(
        ["git", "ls-files", "keras_tnt"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    if not tracked:
        pytest.skip("this is no clone")
    files = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert files == set(tracked)
    assert names >= {*tracked, "tests/conftest.py", "demo_data/pyproject.toml"}
    assert wheel.stat().st_size < 1_000_000


@pytest.mark.end_to_end
def test_wheel__of_the_images(tmp_path):
    names, wheel = build(ROOT / "demo_data", tmp_path)
    package = ROOT / "demo_data" / "keras_tnt_demo_data"
    files = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert len(files) == 7
    assert names >= files
    licensed = (
        "keras_tnt_demo_data-1.0.0.dist-info/licenses/keras_tnt_demo_data/LICENSE"
    )
    assert contents(wheel) >= {*files, licensed}


@pytest.mark.end_to_end
def test_wheel__runs_where_it_is_installed(distribution, tmp_path):
    """In an environment of its own; the packages that it needs come from this one."""
    _, wheel = distribution
    venv.create(tmp_path, symlinks=os.name == "posix")
    paths = {"base": str(tmp_path), "platbase": str(tmp_path)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", paths))
    (site_packages / "others.pth").write_text(
        sysconfig.get_path("purelib"), encoding="utf-8"
    )
    python = Path(sysconfig.get_path("scripts", "venv", paths)) / "python"
    install = ["--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run(sys.executable, "-m", "pip", *install, wheel, cwd=tmp_path)
    script = ROOT / "scripts" / "check_installation.py"
    printed = run(python, "-I", script, cwd=tmp_path)
    assert f"in {site_packages / 'keras_tnt'} predicts." in printed

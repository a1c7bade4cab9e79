"""The wheel works in an environment that has httpx and nothing else of ours."""

import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

CLIENT = Path(__file__).parent.parent


def unpack(wheel: Path, environment: Path) -> None:
    """Installs a wheel of plain Python, which is no more than its files."""
    venv.create(environment)
    zipfile.ZipFile(wheel).extractall(packages(environment))


def install(wheel: Path, environment: Path) -> None:
    """Installs it with pip, which takes ten times as long."""
    venv.create(environment, with_pip=True)
    options = ("--no-index", "--no-deps", "--disable-pip-version-check")
    pip = [str(python(environment)), "-m", "pip", "install", *options, str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)


def python(environment: Path) -> Path:
    return environment / "bin" / "python"


def packages(environment: Path) -> Path:
    (found,) = (environment / "lib").glob("python*/site-packages")
    return found


@pytest.mark.parametrize("put", [unpack, pytest.param(install, marks=pytest.mark.long)])
def test_the_wheel_is_installed_and_imported(put: Callable[[Path, Path], None], tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=CLIENT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.partition("/")[2] for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    assert names == {path.name for path in (CLIENT / "otp_service_client").iterdir() if path.is_file()}

    put(wheel, tmp_path / "venv")
    site = packages(tmp_path / "venv")
    # httpx and what it needs come from this environment.
    (site / "httpx.pth").write_text(str(Path(httpx.__file__).parent.parent))
    script = """
import importlib.metadata, otp_service_client
print(otp_service_client.__file__)
print(*importlib.metadata.requires("otp-service-client"))
print(otp_service_client.Client("http://127.0.0.1:1", "otp_k"))
"""
    command = [str(python(tmp_path / "venv")), "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    path, requires, shown = done.stdout.splitlines()
    assert Path(path).is_relative_to(site)
    assert requires == "httpx>=0.28"
    assert shown == "Client('http://127.0.0.1:1')"

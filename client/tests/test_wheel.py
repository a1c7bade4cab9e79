"""The wheel works in an environment that has httpx and nothing else of ours."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import httpx

CLIENT = Path(__file__).parent.parent


def test_the_wheel_is_installed_and_imported(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=CLIENT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = {name.partition("/")[2] for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name}
    assert names == {path.name for path in (CLIENT / "otp_service_client").iterdir() if path.is_file()}

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [
        str(python),
        "-m",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--disable-pip-version-check",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    # httpx and what it needs come from this environment.
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "httpx.pth").write_text(str(Path(httpx.__file__).parent.parent))
    script = """
import importlib.metadata, otp_service_client
print(otp_service_client.__file__)
print(*importlib.metadata.requires("otp-service-client"))
print(otp_service_client.Client("http://127.0.0.1:1", "otp_k"))
"""
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    path, requires, shown = done.stdout.splitlines()
    assert Path(path).is_relative_to(site)
    assert requires == "httpx>=0.28"
    assert shown == "Client('http://127.0.0.1:1')"

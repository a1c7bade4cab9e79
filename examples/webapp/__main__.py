"""Runs the application beside `otp-service dev`, which it starts if none runs in its folder."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from otp_service_client import AsyncClient

from examples.webapp.app import create_app

FOLDER = Path(".otp-dev")


def main() -> None:
    """Start the service and the application."""
    parser = argparse.ArgumentParser(prog="./run example", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of otp-service dev")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the service ends too
    with service(options.folder):
        otp = AsyncClient(read(options.folder, "url"), read(options.folder, "api-key"))
        app = create_app(otp, f"{read(options.folder, 'simulator-url')}/")
        print(f"\nClick here: http://127.0.0.1:{options.port}/\n", flush=True)  # noqa: T201 - for the person who started it
        uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


@contextmanager
def service(folder: Path) -> Iterator[None]:
    """Run the service, unless it runs already in this folder."""
    if is_ready(folder):
        yield
        return
    (folder / "url").unlink(missing_ok=True)
    command = [sys.executable, "-m", "otp_service", "dev", "--folder", str(folder)]
    with subprocess.Popen(command) as process:  # noqa: S603 - our own command
        try:
            while not is_ready(folder):
                if process.poll() is not None:
                    sys.exit("otp-service dev has ended; see above.")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def is_ready(folder: Path) -> bool:
    """Return whether the service in this folder responds."""
    try:
        return httpx.get(f"{read(folder, 'url')}/readyz").is_success
    except (OSError, httpx.HTTPError):
        return False


def read(folder: Path, name: str) -> str:
    """Return the text of a file in the folder of `dev`."""
    return (folder / name).read_text().strip()


if __name__ == "__main__":
    main()

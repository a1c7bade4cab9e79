"""Runs the application beside `otp-service dev`, which it starts if none runs in its folder."""

import argparse
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import uvicorn
from otp_service_client import AsyncClient

from examples.webapp.app import create_app

FOLDER = Path(".otp-dev")
PORT = 8080


def main() -> None:
    """Start the service and the application."""
    parser = argparse.ArgumentParser(prog="./run example", description=__doc__)
    parser.add_argument("--port", type=int, help=f"{PORT}, or a free one if that is taken")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of otp-service dev")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the service ends too
    with listen(options.port) as listener, service(options.folder):
        otp = AsyncClient(read(options.folder, "url"), read(options.folder, "api-key"))
        app = create_app(otp, f"{read(options.folder, 'simulator-url')}/")
        port = listener.getsockname()[1]
        print(f"\nClick here: http://127.0.0.1:{port}/\n", flush=True)  # noqa: T201 - for the person who started it
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(app, log_level="warning")).run([listener])


def listen(port: int | None) -> socket.socket:
    """Return a listening socket on this port. Without one, it is 8080 or a free one."""
    try:
        return socket.create_server(("127.0.0.1", PORT if port is None else port))
    except OSError as error:
        if port is not None:
            sys.exit(f"Port {port} cannot be used: {error.strerror}. Choose another one with --port, or leave it out.")
        return socket.create_server(("127.0.0.1", 0))


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

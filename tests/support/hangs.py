"""Ends a test run that hangs, even if a worker of xdist has died."""

import faulthandler
import os
import sys
import threading


def end_process_after(seconds: float) -> None:
    """Ends this process and its workers if it still runs after this many seconds."""

    def end() -> None:
        print(f"the test run has not ended within {seconds:.0f} s", file=sys.__stderr__, flush=True)
        faulthandler.dump_traceback(file=sys.__stderr__ or 2)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()

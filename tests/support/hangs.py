"""The end of a test run that hangs, even if a worker of xdist has died."""

import faulthandler
import os
import sys
import threading


def end_process_after(seconds: float) -> None:
    """End this process if it still runs after so many seconds; its workers end with it."""

    def end() -> None:
        print(f"the test run has not ended within {seconds:.0f} s", file=sys.__stderr__, flush=True)
        faulthandler.dump_traceback(file=sys.__stderr__ or 2)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()

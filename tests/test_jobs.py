"""Threads run jobs, and those that hash give way to the others."""

import asyncio
import os
import sys
import threading

import pytest

from otp_service.jobs import Job, Threads


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only a process has a priority")
async def test_threads_can_give_way_to_the_others() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    mine = priority()
    polite, plain = Threads(1, "polite", 5), Threads(1, "plain")
    jobs = [Job.of(priority), Job.of(priority)]
    polite.put(jobs[0])
    plain.put(jobs[1])
    assert await asyncio.gather(*(job.waiting for job in jobs)) == [mine + 5, mine]
    assert priority() == mine
    for threads in (polite, plain):
        threads.end()
        threads.join()

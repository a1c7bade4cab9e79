"""Measurements without load: a plain endpoint for comparison, the start-up, and an idle process."""

from benchmarks import machine, servers
from benchmarks.bench import Bench, latency
from benchmarks.servers import DEFAULT_ARGON2, Database


def of_the_machine(bench: Bench) -> None:
    """Measures what does not depend on the database."""
    with servers.plain() as (pid, port):
        before = machine.cpu_seconds(pid)
        done = bench.run(port, bench.checks("otp_none", ["x"]), 32)
        spent = (machine.cpu_seconds(pid) - before) / done.statuses[200] * 1000
        bench.note("a plain Starlette endpoint", per_second=done.rate(200), cpu_s_per_1000=spent, **latency(done))


def start_up(bench: Bench, database: Database, base_url: str) -> None:
    """Measures the best time until ready, relative to the imports, and the memory before the first hash."""
    imports = servers.import_seconds()
    environment = servers.settings(database, base_url, DEFAULT_ARGON2, bench.folder)
    times = []
    for _ in range(1 + 3):  # the first one writes the bytecode
        with servers.serving(environment) as (server, _, ready):
            times.append(ready)
            memory = machine.memory_mb(server.process.pid)
    ready = min(times)
    bench.note(f"{database.name}: start-up", ready_s=ready, over_bare_imports=ready / imports, idle_mb=memory)

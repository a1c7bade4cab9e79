"""quick: checks cpu & ratio"""

import asyncio, itertools, json, sys, tempfile
from pathlib import Path
from benchmarks import load, machine, seed, servers
from benchmarks.gateway import gateway
from otp_service.argon2_cost import parse_argon2_cost
from tests.support.service import SECRET_KEYS


def main() -> None:
    names = sys.argv[1].split(",")
    argons = sys.argv[2].split(",,") if len(sys.argv) > 2 else [servers.DEFAULT_ARGON2, servers.CHEAPEST_ARGON2]
    secs = float(sys.argv[3]) if len(sys.argv) > 3 else 6
    conns = [int(x) for x in (sys.argv[4].split(",") if len(sys.argv) > 4 else ["8", "32"])]
    with tempfile.TemporaryDirectory() as f, gateway(0.0) as gw:
        folder = Path(f)
        with servers.databases(folder, names) as dbs:
            for db in dbs:
                seeded = seed.seed(db.url, SECRET_KEYS, parse_argon2_cost(servers.DEFAULT_ARGON2), 256)
                for argon in argons:
                    cost = parse_argon2_cost(argon)
                    if argon != servers.DEFAULT_ARGON2:
                        # rehash
                        import sqlalchemy as sa
                        from otp_service.hashing import PinHasher
                        from otp_service.vault import Vault
                        from otp_service.config.secret_keys import parse_secret_keys
                        from otp_service.storage.engine import make_engine

                        h = PinHasher(Vault(parse_secret_keys(SECRET_KEYS)), cost)
                        e = make_engine(db.url)
                        with e.begin() as tx:
                            for vid in seeded.verification_ids:
                                ph = asyncio.run(h.hash(vid, seed.PIN))
                                tx.execute(
                                    sa.text("update sends set pin_hash=:h, pepper_key=:k where verification_id=:v"),
                                    {"h": ph.phc, "k": ph.pepper_key, "v": vid},
                                )
                        e.dispose()
                    raw = machine.raw_hash_rate(cost, 2)
                    with servers.serving(servers.settings(db, gw, argon, folder)) as (server, port, ready):
                        for n in conns:
                            reqs = (
                                load.request(
                                    "POST", f"/v1/verifications/{v}/checks", seeded.api_key, b'{"pin":"271828"}'
                                )
                                for v in itertools.cycle(seeded.verification_ids)
                            )
                            lock = iter(reqs)
                            c0 = machine.cpu_seconds(server.process.pid)
                            p0 = machine.cpu_seconds(db.pid) if db.pid else 0
                            l = asyncio.run(load.run(port, lock, connections=n, seconds=secs))
                            c1 = machine.cpu_seconds(server.process.pid)
                            p1 = machine.cpu_seconds(db.pid) if db.pid else 0
                            done = l.statuses[200]
                            print(
                                db.name,
                                argon,
                                "conns",
                                n,
                                "rate %.0f raw %.0f ratio %.3f" % (l.rate(200), raw, l.rate(200) / raw),
                                "p50 %.0f p99 %.0f" % (l.percentile(200, 0.5), l.percentile(200, 0.99)),
                                "cpu/1000: %.2f db %.2f" % ((c1 - c0) / done * 1000, (p1 - p0) / done * 1000),
                                dict(l.statuses),
                                "mem %.0f" % machine.memory_mb(server.process.pid),
                                flush=True,
                            )
                    raw2 = machine.raw_hash_rate(cost, 2)
                    print("raw after %.0f" % raw2, "ready %.2f" % ready)


main()

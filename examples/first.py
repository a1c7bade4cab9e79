"""Verifies a number with the Python client, while `./run` runs: .venv/bin/python examples/first.py [NUMBER]"""

import sys
from pathlib import Path

from otp_service_client import Client

folder = Path(__file__).parent.parent / ".otp-dev"
url, key, simulator = ((folder / name).read_text().strip() for name in ("url", "api-key", "simulator-url"))
to = sys.argv[1] if len(sys.argv) > 1 else "+573001234567"

with Client(url, key) as otp:
    started = otp.verifications.start(to=to, purpose="signup", session="s-1")
    pin = input(f"PIN, from {simulator}/ : ")
    check = otp.verifications.check(started.id, pin, session="s-1")
    if check.proof:  # only of an approved check
        verified = otp.proofs.redeem(check.proof, purpose="signup", session="s-1")
        print("approved", verified.to)
    else:
        print(check.result, check.verification.attempts_left)

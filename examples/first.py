"""Verifies a number with the Python client, while `./run` runs: .venv/bin/python examples/first.py [NUMBER]"""

import sys
from pathlib import Path

from otp_service_client import Client, errors

folder = Path(__file__).parent.parent / ".otp-dev"
to = sys.argv[1] if len(sys.argv) > 1 else "+573001234567"

try:
    url, key, simulator = ((folder / name).read_text().strip() for name in ("url", "api-key", "simulator-url"))
    with Client(url, key) as otp:
        started = otp.verifications.start(to=to, purpose="signup", session="s-1")
        pin = input(f"PIN, from {simulator}/ : ")
        check = otp.verifications.check(started.id, pin, session="s-1")
        if check.proof:  # only of an approved check
            verified = otp.proofs.redeem(check.proof, purpose="signup", session="s-1")
            print("approved", verified.to)
        else:
            print(check.result, check.verification.attempts_left)
except (FileNotFoundError, errors.Unreachable):
    sys.exit("The service does not run. Start it with ./run, then run this again.")
except errors.Error as error:  # such as a number or a PIN that is none
    sys.exit(f"{error} Then run this again.")
except (EOFError, KeyboardInterrupt):
    sys.exit("\nNo PIN was typed. Run this again to type it.")

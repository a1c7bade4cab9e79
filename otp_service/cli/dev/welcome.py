"""What `dev` prints: addresses, the API key, and lines to paste that verify a number."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from otp_service.cli.dev.folder import LOOSER

SAMPLE_NUMBER = "+573001234567"
SENDER = "12345"


def welcome(api: str, vendor: str, api_key: str, folder: Path) -> str:
    """Return the text for the person who started `dev`. `api`, `vendor`: addresses without a slash at the end."""
    return f"""
  API        {api}        documentation {api}/docs
  SMS        {vendor}/       what the simulated gateway "delivered"; as JSON: {vendor}/messages
  API key    {api_key}
  folder     {folder}       delete it to begin anew
  limits     {LOOSER} times looser than those of `serve`
{_python_lines(api, vendor, api_key) if find_spec("otp_service_client") else ""}
Let a shell know the address and the key:

  export OTP_SERVICE_URL={api}
  export OTP_SERVICE_KEY={api_key}

Then verify a number with curl. Paste these lines: they request a PIN, read it from the SMS and check it.

{_curl_lines(vendor)}
Text STOP as that phone; START takes it back:

  curl -s {vendor}/mo -d '{{"from": "{SAMPLE_NUMBER}", "to": "{SENDER}", "text": "STOP"}}'

See what the guard against SMS pumping does, in a second terminal: ./run attack

Ctrl-C stops.
"""


def _python_lines(api: str, vendor: str, api_key: str) -> str:
    # Not indented: the spaces would be pasted too, and Python would reject them.
    return f"""
Verify a number with the Python client. In a second terminal, paste these lines, then type the PIN:

{shlex.quote(sys.executable)} -c '
from otp_service_client import Client

otp = Client("{api}", "{api_key}")
started = otp.verifications.start(to="{SAMPLE_NUMBER}", purpose="signup", session="s-1")
pin = input("PIN, from {vendor}/ : ")
check = otp.verifications.check(started.id, pin, session="s-1")
print(check.result)
'
"""


def _curl_lines(vendor: str) -> str:
    headers = """-H "Authorization: Bearer $OTP_SERVICE_KEY" -H 'Content-Type: application/json'"""
    checks = "$OTP_SERVICE_URL/v1/verifications/${id:?is empty: the start was refused}/checks"
    started = f'{{"to": "{SAMPLE_NUMBER}", "purpose": "signup"}}'
    return f"""\
  answer=$(curl -s $OTP_SERVICE_URL/v1/verifications {headers} -d '{started}'); printf '%s\\n' "$answer"
  id=$(printf '%s' "$answer" | sed -n 's/.*"id":"\\(ver_[^"]*\\)".*/\\1/p')
  pin=$(curl -s {vendor}/messages | grep -o '"pin":"[0-9]*"' | head -n 1 | tr -dc 0-9)
  curl -s "{checks}" {headers} -d "{{\\"pin\\": \\"$pin\\"}}" -w '\\n'
"""

"""The page on which a person reads the messages."""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from itertools import islice

from starlette.responses import HTMLResponse

from otp_service.clock import rfc3339
from otp_service.simulator.store import Message, MobileOriginated

_SHOWN = 50
_REFRESH_SECONDS = 2

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7a5a; }
@media (prefers-color-scheme: dark) { :root { --accent: #4cd3a5; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 44rem; padding: 1.25rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
a { color: inherit; }
ol { list-style: none; margin: 1.5rem 0; padding: 0; }
li { border: 1px solid var(--line); border-radius: .75rem; margin: 0 0 .75rem; padding: .75rem 1rem; }
.head { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; font-size: .875rem; }
.text { margin: .5rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.pin { color: var(--accent); font: 700 1.5rem/1.2 ui-monospace, monospace; letter-spacing: .15em; margin: 0; }
.status { color: var(--accent); }
.from-handset { background: var(--soft); }
.empty { background: var(--soft); border-radius: .75rem; padding: 1rem; }
code { overflow-wrap: anywhere; }
"""

_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simulated Campaign Manager</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>Simulated Campaign Manager</h1>
<p>Messages stop here: nothing reaches a phone. {refreshing}</p>
{messages}
<h2>Text as a phone</h2>
<p><code>{texting}</code></p>
</main>
</body>
</html>
"""


def messages_page(
    messages: Sequence[Message], from_handsets: Sequence[MobileOriginated], *, url: str, refreshing: bool
) -> HTMLResponse:
    """Return the page. `messages`: newest first; `from_handsets`: oldest first; `url`: of the page."""
    shown: list[Message | MobileOriginated] = [*messages[:_SHOWN], *islice(reversed(from_handsets), _SHOWN)]
    page = _PAGE.format(
        style=_STYLE,
        refreshing=_refreshing() if refreshing else _still(),
        messages=_list(shown) if shown else _empty(url),
        texting=_texting(url, messages[0] if messages else None),
    )
    # As a header, not as an element: the page stays valid for checkers that forbid the element, and can be paused.
    refresh = {"Refresh": str(_REFRESH_SECONDS)} if refreshing else {}
    return HTMLResponse(page, headers=_HEADERS | refresh)


def _texting(url: str, newest: Message | None) -> str:
    """Return a command that answers the newest message."""
    number, code = (newest.to, newest.sender) if newest else ("573001234567", "12345")
    body = json.dumps({"from": f"+{number}", "to": code, "text": "STOP"})
    return escape(f"curl -s {url}mo -d '{body}'")


def _refreshing() -> str:
    return f'This page refreshes itself every {_REFRESH_SECONDS} seconds (<a href="?still=1">pause</a>).'


def _still() -> str:
    return 'This page is paused (<a href="?">go on</a>).'


def _empty(url: str) -> str:
    return (
        '<div class="empty"><p><strong>No messages yet.</strong> To send the first, point the service at this '
        f"gateway with <code>OTP_OGANGI_BASE_URL={escape(url)}mmc</code> and start a verification with "
        "<code>POST /v1/verifications</code>. <code>otp-service dev</code> has done the first part.</p></div>"
    )


def _list(shown: list[Message | MobileOriginated]) -> str:
    newest = sorted(shown, key=lambda each: each.at, reverse=True)[:_SHOWN]
    items = "\n".join(_item(each) if isinstance(each, Message) else _received(each) for each in newest)
    return f"<ol>\n{items}\n</ol>"


def _item(message: Message) -> str:
    pin = f'<p class="pin">{escape(message.pin)}</p>' if message.pin else ""
    return (
        f'<li><div class="head"><strong>+{escape(message.to)}</strong> <span>from {escape(message.sender)}</span> '
        f'<span>{escape(message.method)}</span> <span class="status">{escape(message.status)}</span> '
        f'{_time(message.at)}</div><p class="text">{escape(message.text)}</p>{pin}</li>'
    )


def _received(received: MobileOriginated) -> str:
    return (
        f'<li class="from-handset"><div class="head"><strong>from +{escape(received.sender)}</strong> '
        f"<span>to {escape(received.to)}</span> {_time(received.at)}</div>"
        f'<p class="text">{escape(received.text)}</p></li>'
    )


def _time(at: float) -> str:
    shown = rfc3339(at)
    return f'<time datetime="{shown}">{shown}</time>'

"""The page on which a person reads the messages."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape

from starlette.responses import HTMLResponse

from otp_service.clock import rfc3339
from otp_service.simulator.store import Message

_SHOWN = 50
_REFRESH_SECONDS = 2

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7a5a; }
@media (prefers-color-scheme: dark) { :root { --accent: #4cd3a5; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 44rem; padding: 1.25rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; }
a { color: inherit; }
ol { list-style: none; margin: 1.5rem 0; padding: 0; }
li { border: 1px solid var(--line); border-radius: .75rem; margin: 0 0 .75rem; padding: .75rem 1rem; }
.head { display: flex; flex-wrap: wrap; gap: 0 1rem; justify-content: space-between; font-size: .875rem; }
.text { margin: .5rem 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.pin { color: var(--accent); font: 700 1.5rem/1.2 ui-monospace, monospace; letter-spacing: .15em; margin: 0; }
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
</main>
</body>
</html>
"""


def messages_page(messages: Sequence[Message], *, base_url: str, refreshing: bool) -> HTMLResponse:
    """The newest messages. `base_url`: where the service should send to."""
    page = _PAGE.format(
        style=_STYLE,
        refreshing=_refreshing() if refreshing else _still(),
        messages=_list(messages) if messages else _empty(base_url),
    )
    # As a header, not as an element: the page stays valid for checkers that forbid the element, and can be paused.
    refresh = {"Refresh": str(_REFRESH_SECONDS)} if refreshing else {}
    return HTMLResponse(page, headers=_HEADERS | refresh)


def _refreshing() -> str:
    return f'This page refreshes itself every {_REFRESH_SECONDS} seconds (<a href="?still=1">pause</a>).'


def _still() -> str:
    return 'This page is paused (<a href="?">go on</a>).'


def _empty(base_url: str) -> str:
    return (
        '<div class="empty"><p><strong>No messages yet.</strong> To send the first, point the service at this '
        f"gateway with <code>OTP_OGANGI_BASE_URL={escape(base_url)}</code> and start a verification with "
        "<code>POST /v1/verifications</code>. <code>otp-service dev</code> has done the first part.</p></div>"
    )


def _list(messages: Sequence[Message]) -> str:
    items = "\n".join(_item(message) for message in messages[:_SHOWN])
    return f"<ol>\n{items}\n</ol>"


def _item(message: Message) -> str:
    pin = f'<p class="pin">{escape(message.pin)}</p>' if message.pin else ""
    sender = f"from {escape(message.sender)}" if message.sender else ""
    at = rfc3339(message.at)
    return (
        f'<li><div class="head"><strong>+{escape(message.to)}</strong> <span>{sender}</span> '
        f'<span>{escape(message.method)}</span> <time datetime="{at}">{at}</time></div>'
        f'<p class="text">{escape(message.text)}</p>{pin}</li>'
    )

"""The pages. `Markup.format` escapes every value."""

from datetime import UTC, datetime

from markupsafe import Markup

from examples.webapp.messages import duration
from examples.webapp.sessions import Pending, seconds_until

_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Quay</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/style.css">
<script src="/static/countdown.js" defer></script>
</head>
<body>
<header><a href="/">Quay</a></header>
<main>
<h1>{title}</h1>
{content}</main>
<footer>{footer}</footer>
</body>
</html>
""")
_FOOTER = Markup('A demo: no phone rings. <a href="{inbox}" target="_blank" rel="noopener">Read the messages</a>')
_MESSAGE = Markup('<p class="{kind}" id="{kind}" role="{role}">{text}</p>\n')
_TEXT = Markup("<p>{}</p>\n")
_BUTTON_LINK = Markup('<p><a class="button{kind}" href="{href}">{label}</a></p>\n')
_LINK = Markup('<p class="aside">{text} <a href="{href}">{label}</a></p>\n')
_FIELD = Markup("""<label for="{name}">{label}</label>
<input id="{name}" name="{name}" value="{value}" aria-describedby="{name}-hint alert" required {attributes}>
<p class="hint" id="{name}-hint">{hint}</p>
""")
_FORM = Markup("""<form method="post" action="{action}">
<input type="hidden" name="csrf" value="{csrf}">
{fields}<button>{button}</button>
</form>
""")
_LOG_OUT = Markup("""<form method="post" action="/logout">
<input type="hidden" name="csrf" value="{csrf}">
<button class="plain">Log out</button>
</form>
""")
_RESEND = Markup("""<form method="post" action="{action}" class="resend" data-seconds="{seconds}">
<input type="hidden" name="csrf" value="{csrf}">
<p class="hint" role="status">{wait}</p>
<button class="plain">Send another message</button>
</form>
""")
_HOME = Markup("""<p>Quay shows how an application verifies phone numbers and second factors with otp_service.</p>
<nav><a class="button" href="/signup">Create an account</a><a class="button plain" href="/login">Log in</a></nav>
""")

SHORTEST_PASSWORD = 8
_PHONE = Markup('type="tel" autocomplete="tel" maxlength="32"')
_PASSWORD = Markup('type="password" autocomplete="current-password" maxlength="256"')
_NEW_PASSWORD = Markup('type="password" autocomplete="new-password" minlength="{}" maxlength="256"').format(
    SHORTEST_PASSWORD
)
_PIN = Markup(
    'class="pin" autocomplete="one-time-code" inputmode="numeric" pattern="[0-9 \\-]*" maxlength="20" autofocus'
)


def page(title: str, content: Markup, inbox: str = "") -> str:
    """Return a whole page. `inbox`: where a demo shows its messages."""
    return _PAGE.format(title=title, content=content, footer=_FOOTER.format(inbox=inbox) if inbox else "")


def alert(text: str) -> Markup:
    """Return what did not work, or nothing."""
    return _MESSAGE.format(kind="alert", role="alert", text=text) if text else Markup("")


def notice(text: str) -> Markup:
    """Return what has been done."""
    return _MESSAGE.format(kind="notice", role="status", text=text)


def text(sentence: str) -> Markup:
    """Return a paragraph."""
    return _TEXT.format(sentence)


def link(text: str, href: str, label: str) -> Markup:
    """Return a link in a line of its own."""
    return _LINK.format(text=text, href=href, label=label)


def button_link(href: str, label: str, *, plain: bool = False) -> Markup:
    """Return a link that looks like a button."""
    return _BUTTON_LINK.format(href=href, label=label, kind=" plain" if plain else "")


def form(action: str, csrf: str, fields: Markup, button: str) -> Markup:
    """Return a form with its token and its button."""
    return _FORM.format(action=action, csrf=csrf, fields=fields, button=button)


def home() -> Markup:
    """Return the first page of somebody who is not logged in."""
    return _HOME


def account(phone: str, csrf: str) -> Markup:
    """Return the page of somebody who is logged in."""
    text = f"Your number ends in {phone[-2:]}. It is verified."
    return _TEXT.format(text) + button_link("/security", "Security of your account") + _LOG_OUT.format(csrf=csrf)


def signup(csrf: str, phone: str) -> Markup:
    """Return the form for a new account."""
    hint = f"At least {SHORTEST_PASSWORD} characters."
    fields = phone_field(phone) + field("password", "Password", hint, _NEW_PASSWORD)
    form = _FORM.format(action="/signup", csrf=csrf, fields=fields, button="Create the account")
    return form + link("Already have an account?", "/login", "Log in")


def login(csrf: str, phone: str) -> Markup:
    """Return the form for a login."""
    fields = phone_field(phone) + field("password", "Password", "Next, we ask for a code or send you a PIN.", _PASSWORD)
    form = _FORM.format(action="/login", csrf=csrf, fields=fields, button="Log in")
    return form + link("Forgot your password?", "/reset", "Set a new one")


def reset(csrf: str, phone: str) -> Markup:
    """Return the form that begins a password reset."""
    return _FORM.format(action="/reset", csrf=csrf, fields=phone_field(phone), button="Send a PIN")


def new_password(csrf: str) -> Markup:
    """Return the form for a new password."""
    fields = field("password", "New password", f"At least {SHORTEST_PASSWORD} characters.", _NEW_PASSWORD)
    return _FORM.format(action="/reset/password", csrf=csrf, fields=fields, button="Set the password")


def start_again(path: str) -> Markup:
    """Return the link to the first page of a flow."""
    return link("Something went wrong?", path, "Start again")


def pin(path: str, csrf: str, sent_to: str, pending: Pending) -> Markup:
    """Return the form for the PIN, and the button for another message."""
    fields = field("pin", "PIN", f"{pending.verification.pin_length} digits, from the newest message.", _PIN)
    form = _FORM.format(action=f"{path}/pin", csrf=csrf, fields=fields, button="Continue")
    at = pending.verification.resend_at
    another = resend(path, csrf, seconds_until(at, datetime.now(UTC))) if at is not None else Markup("")
    return _TEXT.format(sent_to) + form + another + start_again(path)


def resend(path: str, csrf: str, seconds: int) -> Markup:
    """Return the button for another message, with its countdown."""
    wait = f"You can ask for another message in {duration(seconds)}." if seconds else "No message yet?"
    return _RESEND.format(action=f"{path}/resend", csrf=csrf, seconds=seconds, wait=wait)


def phone_field(value: str) -> Markup:
    """Return the field of a number."""
    return field("phone", "Mobile number", "With the country code: +57\u00a0300\u00a0123\u00a04567", _PHONE, value)


def field(name: str, label: str, hint: str, attributes: Markup, value: str = "") -> Markup:
    """Return a field of a form with its hint."""
    return _FIELD.format(name=name, label=label, hint=hint, attributes=attributes, value=value)

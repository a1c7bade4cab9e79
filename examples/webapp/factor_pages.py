"""The pages of second factors. `Markup.format` escapes every value."""

from collections.abc import Iterable
from datetime import UTC, datetime
from textwrap import wrap

from markupsafe import Markup
from otp_service_client import Challenge, Device, Devices, Factor, FactorChoice, Factors, Totp

from examples.webapp import pages
from examples.webapp.sessions import seconds_until

_NOTHING = Markup("")
_FOCUS = Markup(" autofocus")
_RECOVERY_CODE = Markup('class="pin" autocomplete="one-time-code" autocapitalize="none" maxlength="64"')
_APP_CODE = Markup('class="pin" autocomplete="one-time-code" inputmode="numeric" pattern="[0-9 \\-]*" maxlength="20"')
_NAME = Markup('maxlength="64" autocomplete="off"')
_LOST = Markup('<input type="hidden" name="lost" value="1">\n')
_PREFER = Markup('<input type="hidden" name="prefer" value="1">\n')
_REMEMBER = Markup(
    '<p class="check"><input type="checkbox" id="remember" name="remember" value="1">'
    ' <label for="remember">Do not ask again in this browser for 30 days</label></p>\n'
)
_BUTTON = Markup("""<form method="post" action="{action}">
<input type="hidden" name="csrf" value="{csrf}">
<input type="hidden" name="{name}" value="{value}">
{more}<button class="plain" aria-label="{button} {about}">{button}</button>
</form>
""")
_ACTIONS = Markup('<div class="actions">\n{}</div>\n')
_HEADING = Markup("<h2>{}</h2>\n")
_QR = Markup('<div class="qr" role="img" aria-label="QR code for the app">{svg}</div>\n')
_SECRET = Markup(
    '<p>If you cannot scan it, <a href="{uri}">open the app on this phone</a>, or type this secret into the app:</p>\n'
    '<p class="secret">{secret}</p>\n'
)
_CODES = Markup('<ul class="codes" aria-label="Recovery codes">\n{}</ul>\n')
_ITEM = Markup("<li>{}</li>\n")
_NAMED = Markup('<p><strong>{name}</strong> <span class="hint">{hint}</span></p>\n')
_RENAME = Markup("""<details>
<summary>Rename</summary>
<form method="post" action="/security/factor">
<input type="hidden" name="csrf" value="{csrf}">
<input type="hidden" name="id" value="{id}">
<label for="name-{id}">Name</label>
<input id="name-{id}" name="name" value="{name}" required {attributes}>
<button class="plain">Save the name</button>
</form>
</details>
""")
_LIST = Markup('<ul class="list">\n{}</ul>\n')


def security(csrf: str, factors: Factors, devices: Devices) -> Markup:
    """Return the security page of an account."""
    active = [each for each in factors if each.status != "unverified"]
    only = len(active) == 1
    content = pages.text(_what_we_ask(len(active)))
    content += _LIST.format(_join(_factor(csrf, each, only=only) for each in active)) if active else Markup("")
    content += _button("/security/app/new", csrf, "Add an authenticator app")
    content += pages.button_link("/security/phone", "Add a phone", plain=True)
    if active:
        left = factors.recovery_codes.remaining
        content += _HEADING.format("Recovery codes") + pages.text(
            f"You have {left} left. One logs you in if you lose your phone."
        )
        content += _button("/security/codes", csrf, "Replace them" if left else "Make recovery codes")
    if devices:
        content += _HEADING.format("Remembered browsers")
        content += _LIST.format(_join(_browser(csrf, each) for each in devices))
    return content + pages.link("", "/", "Back to your account")


def _what_we_ask(factors: int) -> str:
    if factors == 0:
        return "After the password we send a PIN to your number. An authenticator app is safer than SMS."
    if factors == 1:
        return "After the password we ask for this:"
    return "After the password we ask for one of these: an app first, unless you choose another one."


def _factor(csrf: str, factor: Factor, *, only: bool) -> Markup:
    name = name_of(factor)
    hints = [
        _kind(factor) if factor.name else "",
        "used first" if factor.preferred else "",
        "locked" if factor.status == "locked" else "",
    ]
    content = _NAMED.format(name=name, hint=", ".join(filter(None, hints)))
    content += _RENAME.format(csrf=csrf, id=factor.id, name=factor.name or "", attributes=_NAME)
    actions = _button("/security/remove", csrf, "Remove", "id", factor.id, about=name)
    if not (factor.preferred or only):
        actions = _button("/security/factor", csrf, "Use first", "id", factor.id, _PREFER, name) + actions
    return _ITEM.format(content + _ACTIONS.format(actions))


def _browser(csrf: str, device: Device) -> Markup:
    used = f"last used {(device.last_used_at or device.created_at).astimezone(UTC):%d %B %Y}"
    forget = _button("/security/browser", csrf, "Forget it", "id", device.id, about=used)
    return _ITEM.format(_NAMED.format(name="A browser", hint=used) + forget)


def name_of(factor: Factor | FactorChoice) -> str:
    """Return what the user calls a factor."""
    return factor.name or ("Authenticator app" if factor.type == "totp" else f"Phone {factor.hint}")


def _kind(factor: Factor) -> str:
    return "authenticator app" if factor.type == "totp" else f"SMS to {factor.hint}"


def new_app(csrf: str, totp: Totp) -> Markup:
    """Return the QR code of a new app, and the form for its first value."""
    content = pages.text("Scan this with your authenticator app. Then type the code that the app shows.")
    content += _QR.format(svg=Markup(totp.qr_svg))  # noqa: S704 - the service made it
    field = pages.field("pin", "Six-digit code", "The app shows a new one every 30 seconds.", _APP_CODE)
    content += _SECRET.format(uri=totp.uri, secret=" ".join(wrap(totp.secret, 4)))
    return content + pages.form("/security/app", csrf, field, "Add this app") + pages.link("", "/security", "Cancel")


def new_phone(csrf: str, phone: str) -> Markup:
    """Return the form for the number of another phone."""
    risk = "SMS is weaker than an app: somebody who takes over your number reads your messages. Keep an app beside it."
    form = pages.form("/security/phone", csrf, pages.phone_field(phone), "Send a PIN")
    return pages.text(risk) + form + pages.link("", "/security", "Cancel")


def recovery_codes(codes: Iterable[str]) -> Markup:
    """Return the page with new recovery codes."""
    content = pages.text(
        "If you lose your phone, one of these logs you in. Each works once. Print this page, or copy them into a"
        " password manager: we do not show them again."
    )
    content += _CODES.format(_join(_ITEM.format(code) for code in codes))
    return content + pages.button_link("/security", "I have saved them")


def challenge(path: str, csrf: str, challenge: Challenge, factor: FactorChoice, *, remembers: bool) -> Markup:
    """Return the form for a value of the factor, and the other ways."""
    if factor.type == "sms":
        content = pages.text(f"Type the PIN from the message to your phone that ends in {(factor.hint or '')[-2:]}.")
        hint = "The digits of the newest message."
    else:
        content = pages.text(
            f"Open {factor.name or 'your authenticator app'} and type the code that it shows for Quay."
        )
        hint = "Each code works once. If you have just used it, wait for the next one."
    fields = pages.field("pin", "PIN" if factor.type == "sms" else "Six-digit code", hint, _APP_CODE + _FOCUS)
    content += pages.form(path, csrf, fields + (_REMEMBER if remembers else Markup("")), "Continue")
    if factor.type == "sms" and challenge.resend_at is not None:
        content += pages.resend(path, csrf, seconds_until(challenge.resend_at, datetime.now(UTC)))
    content += _other_ways(path, csrf, challenge)
    return content + pages.link("Lost your phone?", f"{path}/recovery", "Use a recovery code")


def recovery(path: str, csrf: str, challenge: Challenge) -> Markup:
    """Return the form for a recovery code."""
    fields = (
        pages.field("pin", "Recovery code", "Ten letters and digits. Each code works once.", _RECOVERY_CODE + _FOCUS)
        + _LOST
    )
    content = pages.form(path, csrf, fields, "Continue")
    if challenge.factor is None:
        return content + _other_ways(path, csrf, challenge)
    return content + pages.link("Found your phone?", path, "Use it")


def _other_ways(path: str, csrf: str, challenge: Challenge) -> Markup:
    if not challenge.factors:
        return Markup("")
    ways = (_button(f"{path}/switch", csrf, _way(each), "factor", each.id) for each in challenge.factors)
    return _HEADING.format("Use another way") + _join(ways)


def _way(factor: FactorChoice) -> str:
    return f"Send a PIN to {name_of(factor)}" if factor.type == "sms" else name_of(factor)


def _button(
    action: str, csrf: str, label: str, name: str = "id", value: str = "", more: Markup = _NOTHING, about: str = ""
) -> Markup:
    return _BUTTON.format(action=action, csrf=csrf, button=label, name=name, value=value, more=more, about=about)


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)

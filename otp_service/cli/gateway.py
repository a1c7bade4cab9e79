"""`gateway call`: any method of the SMS gateway by hand."""

import asyncio
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import click

from otp_service.app import make_gateway
from otp_service.cli.dev.folder import load_settings
from otp_service.cli.kit.running import Problems
from otp_service.config.settings import ServiceSettings
from otp_service.gateways.base import Outcome, Sent
from otp_service.gateways.ogangi.advice import advice
from otp_service.gateways.ogangi.methods import METHODS, SEND_MT, SEND_MT_FLAGS, Method
from otp_service.gateways.ogangi.replies import Reply

_NUMBERS = frozenset({"mobileNumber", "mobilenumber"})
_DATES = frozenset({"date", "sendDate"})
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_SHOWN = frozenset(
    {"input", "status", "statusDescription", "description", "records", "blackListType", "encoding", "carrier"}
    | {"timezone", *_DATES}
)
"""The elements that hold neither a number nor a PIN nor what somebody wrote."""
_YES_OR_NO = frozenset({"true", "false"})
_PLAIN = re.compile(r"([A-Za-z_'()-]{1,30}[.,]? ?){0,20}|UTF-8|-?[0-9]{1,5}")
"""Words and small counts: a gateway that quotes our URL in its error shows neither number nor text in Base64."""
_NAME = re.compile(r"[A-Za-z]{1,30}")


def _methods() -> str:
    rows = [f"  {name}  {' '.join(_parameters(method))}" for name, method in METHODS.items()]
    return "\n".join(["\b", "Methods and their parameters (those in brackets have a default):", *rows])


def _parameters(method: Method) -> Iterator[str]:
    for each in (*method.url, *method.body):
        has_default = each.default is not None or each.name in {"instanceId", "from"}
        yield f"[{each.name}]" if has_default else each.name


@click.group()
def gateway() -> None:
    """Call methods of the SMS gateway."""


@gateway.command(epilog=_methods())
@click.argument("method", required=False)
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--flags", help="The flags of sendMT; the same as sendMT-flags flags=...")
@click.option("--show", is_flag=True, help="Show numbers, PINs, texts and ids as they are; else they are masked.")
@click.pass_context
def call(ctx: click.Context, method: str | None, values: tuple[str, ...], flags: str | None, show: bool) -> None:
    """Call METHOD of the gateway with the account of the settings and show its reply.

    The sending methods really send. Numbers with or without +; carrier and from are those of the settings unless they
    are given. Exit code 0 if the gateway says OK.
    """
    if method is None:
        click.echo(ctx.get_help())
        return
    given = _given(values)
    if flags is not None:
        method, given = SEND_MT_FLAGS.name if method == SEND_MT.name else method, {**given, "flags": flags}
    if method not in METHODS:
        raise Problems([f"The gateway has no method {method}; it has {', '.join(METHODS)}."])
    reply = asyncio.run(_called(load_settings(ServiceSettings), METHODS[method], given))
    _print(reply, show)


def _given(values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = any(not name or not equals for name, equals, _ in pairs)
    if wrong or len({name for name, _, _ in pairs}) < len(pairs):
        raise Problems(["Write each parameter once, as NAME=VALUE, such as mobileNumber=+573001234567."])
    return {name: f"+{value.removeprefix('+')}" if name in _NUMBERS else value for name, _, value in pairs}


async def _called(settings: ServiceSettings, method: Method, given: dict[str, str]) -> Reply | Sent:
    takes_carrier = any(each.name == "carrier" and each.default is None for each in method.url)
    if takes_carrier and settings.ogangi_carrier is not None:
        given = {"carrier": settings.ogangi_carrier, **given}
    client = make_gateway(settings)
    try:
        client.caller.request(method, given)
        return await client.caller.call(method, given, settings.ogangi_timeout)
    except ValueError as error:
        raise Problems([f"{error}."]) from None
    finally:
        await client.aclose()


def _print(reply: Reply | Sent, show: bool) -> None:
    """Print a reply. Raises Problems unless its status is OK."""
    if isinstance(reply, Sent):
        click.echo(f"outcome: {reply.outcome} ({reply.reason})")
        raise Problems([advice(reply.reason)])
    outcome = Outcome.ACCEPTED if reply.status == "OK" else Outcome.REFUSED
    click.echo(f"outcome: {outcome}")
    for element in reply.root:
        click.echo("\n".join(_tree(element, show)))
    if reply.status != "OK":
        raise Problems([advice(reply.status.lower())])


def _tree(element: Element, show: bool) -> Iterator[str]:
    """Return a line for each element, indented; without recursion, since a reply may be nested deeply."""
    waiting = [(element, 0)]
    while waiting:
        at, depth = waiting.pop()
        text = (at.text or "").strip()
        shown = text if show else _masked(at.tag, text)
        name = at.tag if show or _NAME.fullmatch(at.tag) else "****"
        yield _printable(f"{'  ' * min(depth, 20)}{name}: {shown}".removesuffix(" "))
        waiting += [(child, depth + 1) for child in reversed(at)]


def _masked(name: str, text: str) -> str:
    if name in _DATES and _DATE.fullmatch(text):
        return text
    is_plain = name in _SHOWN and _PLAIN.fullmatch(text) is not None
    return text if is_plain or text in _YES_OR_NO else "****" * bool(text)


def _printable(text: str) -> str:
    """Return text without control characters, which a terminal would interpret."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)

"""The clients against the running service."""

import inspect
import itertools
import json
import logging
import pickle
import re
import socket
import traceback
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import otp_service_client
import pytest
from otp_service_client import AsyncClient, Client, calls, errors
from otp_service_client.responses import PAUSES
from pydantic import BaseModel
from running_service import Connect, Dev

from otp_service.api import notifications, opt_outs, proofs, search, verifications
from otp_service.api.kit.problems import MEDIA_TYPE, STATUS


def wrong(pin: str) -> str:
    return f"{(int(pin) + 1) % 10 ** len(pin):0{len(pin)}d}"


def test_a_number_is_verified(otp: Any, dev: Dev, to: str) -> None:
    started = otp.verifications.start(to=to, purpose="signup", session="s-1", subject="u-1", user_ip="192.0.2.1")
    assert (started.status, started.to, started.subject, started.attempts_left) == ("pending", to, "u-1", 5)
    assert started.expires_at - started.created_at == timedelta(minutes=10)
    assert abs(started.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    pin = dev.pin(to)
    missed = otp.verifications.check(started.id, wrong(pin), session="s-1")
    assert (missed.result, missed.approved, missed.verification.attempts_left) == ("incorrect", False, 4)
    hit = otp.verifications.check(started.id, f"{pin[:3]} {pin[3:]}", session="s-1", to=to, purpose="signup")
    assert (hit.result, hit.approved, hit.verification.status) == ("approved", True, "approved")
    assert otp.verifications.get(started.id).status == "approved"
    story = [event.type for event in otp.verifications.events(started.id) if event.type != "receipt"]
    assert story == ["created", "send", "check", "check", "approved"]


def test_verifications_are_found_page_by_page(otp: Any, to: str) -> None:
    ids = [otp.verifications.start(to=to, purpose=purpose).id for purpose in ("signup", "login")]
    first = otp.verifications.search(to=to, limit=1, created_after=datetime.now(UTC) - timedelta(hours=1))
    last = otp.verifications.search(to=to, limit=1, cursor=first.next_cursor)
    assert [verification.id for page in (first, last) for verification in page] == ids[::-1]
    assert (len(last), last.next_cursor) == (1, None)
    with pytest.raises(errors.Invalid):
        otp.verifications.search(status="pending")


def test_a_decoy_sends_nothing(otp: Any, dev: Dev, to: str) -> None:
    decoy = otp.verifications.start(to=to, purpose="password_reset", decoy=True)
    assert (decoy.status, decoy.to, dev.messages(to)) == ("pending", to, [])
    assert otp.verifications.start(purpose="password_reset", decoy=True).to is None


def test_a_proof_is_redeemed_once(otp: Any, dev: Dev, to: str) -> None:
    started = otp.verifications.start(to=to, purpose="signup", session="s-1", subject="u-1")
    proof = otp.verifications.check(started.id, dev.pin(to), session="s-1").proof
    with pytest.raises(errors.Mismatch):
        otp.proofs.redeem(proof, purpose="login", session="s-1")
    with pytest.raises(errors.InvalidProof):
        otp.proofs.redeem(proof[:-4] + "AAAA", purpose="signup", session="s-1")
    redeemed = otp.proofs.redeem(proof, purpose="signup", session="s-1")
    assert (redeemed.verification_id, redeemed.to, redeemed.subject) == (started.id, to, "u-1")
    assert redeemed.redeemed_at >= redeemed.approved_at
    with pytest.raises(errors.AlreadyRedeemed):
        otp.proofs.redeem(proof, purpose="signup", session="s-1")


def test_a_message_is_sent_again_and_a_verification_is_canceled(otp: Any, dev: Dev, to: str) -> None:
    started = otp.verifications.start(to=to, purpose="signup")
    assert otp.verifications.resend(started.id).sends_left == started.sends_left - 1
    assert len(dev.messages(to)) == 2
    canceled = otp.verifications.cancel(started.id)
    assert (canceled.status, canceled.reason) == ("canceled", "requested")
    with pytest.raises(errors.NotPending):
        otp.verifications.resend(started.id)


def test_a_notification_is_sent(otp: Any, to: str) -> None:
    queued = otp.notifications.send(to=to, text="Your order is on its way.", reference="order-1")
    assert (queued.status, queued.segments, queued.reference) == ("queued", 1, "order-1")
    assert otp.notifications.get(queued.id).to == to


def test_a_number_opts_out(otp: Any, to: str) -> None:
    assert not otp.opt_outs.lookup(to).opted_out
    added = otp.opt_outs.add(to)
    assert (added.opted_out, added.source, added.since.tzinfo) == (True, "client", UTC)
    with pytest.raises(errors.OptedOut):
        otp.verifications.start(to=to, purpose="signup")
    assert not otp.opt_outs.remove(to).opted_out


@pytest.mark.parametrize(
    ("request_of", "expected", "status"),
    [
        (lambda otp, _: otp.verifications.start(to="+571234", purpose="signup"), errors.InvalidNumber, 422),
        (lambda otp, to: otp.verifications.start(to=to, purpose="nothing"), errors.Invalid, 422),
        (lambda otp, _: otp.verifications.get("ver_" + "x" * 22), errors.NotFound, 404),
        (lambda otp, _: otp.verifications.get("../../livez"), errors.NotFound, 404),
    ],
)
def test_a_refusal_is_an_error_of_its_code(
    otp: Any, to: str, request_of: Callable[[Any, str], Any], expected: type[errors.Error], status: int
) -> None:
    with pytest.raises(expected) as raised:
        request_of(otp, to)
    assert type(raised.value) is expected
    assert (raised.value.status, raised.value.code) == (status, expected.code)
    assert raised.value.detail
    assert raised.value.request_id
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own
    assert (type(again), vars(again), str(again)) == (expected, vars(raised.value), str(raised.value))


def test_a_limit_says_which_and_how_long_to_wait(otp: Any, to: str) -> None:
    started = otp.verifications.start(to=to, purpose="login")
    with pytest.raises(errors.RateLimited) as raised:
        otp.verifications.resend(started.id)
    assert raised.value.limit == "resend_after"
    assert raised.value.retry_after is not None
    assert 0 < raised.value.retry_after <= (started.resend_at - started.created_at).total_seconds()


def test_a_wrong_field_is_named(otp: Any, to: str) -> None:
    started = otp.verifications.start(to=to, purpose="signup", session="s-1")
    with pytest.raises(errors.Invalid) as raised:
        otp.verifications.check(started.id, "12", session="s-1")
    assert [wrong.field for wrong in raised.value.errors] == ["pin"]
    message = f"invalid: {raised.value.detail} pin: {raised.value.errors[0].detail}"
    assert (str(raised.value), repr(raised.value)) == (message, f"Invalid({message!r})")
    with pytest.raises(errors.Mismatch):
        otp.verifications.check(started.id, "123456", session="s-2")


def test_a_wrong_key_is_unauthorized(connect: Connect, to: str) -> None:
    with pytest.raises(errors.Unauthorized):
        connect(key="otp_wrong").verifications.start(to=to, purpose="signup")


def test_every_code_of_the_service_has_a_class_with_its_name() -> None:
    assert STATUS.keys() <= errors.Error.by_code.keys()
    for code, cls in errors.Error.by_code.items():
        assert cls.__name__ == "".join(word.capitalize() for word in code.split("_"))
        assert getattr(errors, cls.__name__) is cls


@pytest.mark.parametrize(
    ("build", "body"),
    [
        (calls.start, verifications.StartBody),
        (calls.check, verifications.CheckBody),
        (calls.search, search.SearchBody),
        (calls.redeem, proofs.RedeemBody),
        (calls.send_notification, notifications.NotifyBody),
        (calls.add_opt_out, opt_outs.NumberBody),
    ],
)
def test_a_method_takes_every_field_of_its_call(build: Callable[..., Any], body: type[BaseModel]) -> None:
    assert inspect.signature(build).parameters.keys() - {"verification_id"} >= body.model_fields.keys()


@pytest.mark.parametrize(
    ("ours", "answer"),
    [
        (otp_service_client.Verification, verifications.VerificationAnswer),
        (otp_service_client.Delivery, verifications.DeliveryAnswer),
        (otp_service_client.Check, verifications.CheckAnswer),
        (otp_service_client.Event, verifications.EventAnswer),
        (otp_service_client.Notification, notifications.NotificationAnswer),
        (otp_service_client.OptOut, opt_outs.OptOutLookupAnswer),
        (otp_service_client.SearchPage, search.SearchAnswer),
        (otp_service_client.Redemption, proofs.RedeemedAnswer),
    ],
)
def test_an_answer_has_every_field_of_the_service(ours: type, answer: type[BaseModel]) -> None:
    assert {field.name for field in fields(ours)} >= answer.model_fields.keys()


def test_both_clients_have_the_same_methods() -> None:
    with Client("http://x", "k") as sync:
        other = AsyncClient("http://x", "k")
        assert vars(sync).keys() == vars(other).keys()
        for noun in vars(sync).keys() - {"_http"}:
            methods, others = vars(getattr(sync, noun)), vars(getattr(other, noun))
            assert methods.keys() == others.keys()
            for name, method in methods.items():
                assert inspect.signature(method) == inspect.signature(others[name])
                assert method.__doc__


def test_the_address_and_the_key_come_from_the_environment(dev: Dev, to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTP_SERVICE_URL", dev.url)
    monkeypatch.setenv("OTP_SERVICE_KEY", dev.key)
    with Client() as otp:
        assert otp.opt_outs.lookup(to).to == to


BAD_SETTINGS = [
    ("", "otp_k"),
    ("otp_k", "http://x"),
    ("me:otp_k@host", "otp_k"),
    ("http://x", ""),
    ("http://x", "otp_k\n"),
]


@pytest.mark.parametrize(("url", "key"), BAD_SETTINGS)
def test_a_missing_or_malformed_setting_is_named_without_its_value(url: str, key: str) -> None:
    with pytest.raises(ValueError, match="OTP_SERVICE_") as raised:
        Client(url, key)
    assert "otp_k" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost", "http://localhost"),
        ("otp.example.com/api", "https://otp.example.com/api"),
    ],
)
def test_an_address_without_scheme_is_shown_with_the_right_form(
    url: str, right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=re.escape(f'base_url: "{url}" ')) as raised:
        Client(url, "otp_k")
    assert str(raised.value).endswith(f"write {right}.")
    monkeypatch.setenv("OTP_SERVICE_URL", url)
    with pytest.raises(ValueError, match=re.escape(f'OTP_SERVICE_URL: "{url}" ')):
        AsyncClient(api_key="otp_k")


# Answers are lost and proxies answer.


def problem(code: str, retry_after: str | None = None) -> httpx.Response:
    headers = {"Content-Type": MEDIA_TYPE, "X-Request-Id": "r-1"}
    headers |= {"Retry-After": retry_after} if retry_after else {}
    return httpx.Response(STATUS[code], headers=headers, content=json.dumps({"code": code, "detail": "No."}))


def page(status: int) -> httpx.Response:
    return httpx.Response(status, html="<h1>proxy</h1>")


Outcome = httpx.Response | Exception


class Played:
    """A transport with the outcomes of the first requests; the service handles all others."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.keys: list[str | None] = []
        self._outcomes = iter(outcomes)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("Idempotency-Key"))
        outcome = next(self._outcomes, None)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome or self.forward(request)

    def forward(self, request: httpx.Request) -> httpx.Response:
        answer = httpx.request(request.method, request.url, headers=request.headers, content=request.read())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of the clients, which take no time."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("otp_service_client.client.sleep", waited.append)
    monkeypatch.setattr("otp_service_client.async_client.sleep", sleep)
    return waited


REPEATED: list[tuple[Callable[[], Outcome], list[float], type[errors.Error]]] = [
    (lambda: httpx.ConnectError("refused"), [*PAUSES], errors.Unreachable),
    (lambda: httpx.ReadTimeout("late"), [*PAUSES], errors.Unreachable),
    (lambda: httpx.RemoteProtocolError("cut off"), [*PAUSES], errors.Unreachable),
    (lambda: page(502), [*PAUSES], errors.Unreachable),
    (lambda: problem("overloaded", "2"), [2.0, 2.0], errors.Overloaded),
    (lambda: problem("unavailable", "1"), [1.0, 1.0], errors.Unavailable),
]


@pytest.mark.parametrize(("outcome", "waits", "error"), REPEATED)
def test_a_post_without_an_answer_is_sent_twice_more_with_the_same_key(
    connect: Connect,
    to: str,
    pauses: list[float],
    outcome: Callable[[], Outcome],
    waits: list[float],
    error: type[errors.Error],
) -> None:
    played = Played(outcome(), outcome())
    otp = connect(transport=httpx.MockTransport(played))
    started = otp.verifications.start(to=to, purpose="signup")
    assert started.status == "pending"
    assert pauses == waits
    assert len(played.keys) == 3
    assert len({*played.keys}) == 1
    assert played.keys[0]

    played = Played(outcome(), outcome(), outcome())
    otp = connect(transport=httpx.MockTransport(played))
    with pytest.raises(error):
        otp.verifications.resend(started.id)
    assert len(played.keys) == 3


NEVER: list[tuple[Callable[[], Outcome], str]] = [
    (lambda: problem("gateway_failed"), "gateway_failed"),
    (lambda: problem("overloaded", "3"), "overloaded"),
    (lambda: problem("unavailable"), "unavailable"),
    (lambda: problem("rate_limited", "1"), "rate_limited"),
    (lambda: problem("idempotency_in_progress", "1"), "idempotency_in_progress"),
    (lambda: problem("internal"), "internal"),
    (lambda: page(500), "unknown"),
    (lambda: page(503), "unknown"),
    (lambda: page(200), "unknown"),
    (lambda: httpx.Response(201, json=[]), "unknown"),
    (lambda: httpx.Response(201, json={"id": "ver_1"}), "unknown"),
    (lambda: httpx.Response(302, headers={"Location": "https://elsewhere.invalid"}), "unknown"),
    (lambda: httpx.Response(503, json={"code": "unavailable"}, headers={"Retry-After": "1"}), "unknown"),
]


@pytest.mark.parametrize(("outcome", "code"), NEVER)
def test_no_other_post_is_repeated(
    connect: Connect, to: str, pauses: list[float], outcome: Callable[[], Outcome], code: str
) -> None:
    played = Played(outcome())
    with pytest.raises(errors.Error) as raised:
        connect(transport=httpx.MockTransport(played)).verifications.start(to=to, purpose="signup")
    assert raised.value.code == code
    assert (len(played.keys), pauses) == (1, [])


def test_a_get_is_never_repeated(connect: Connect) -> None:
    played = Played(httpx.ReadTimeout("late"))
    with pytest.raises(errors.Unreachable):
        connect(transport=httpx.MockTransport(played)).verifications.get("ver_1")
    assert played.keys == [None]


def test_each_post_has_a_key_of_its_own(connect: Connect, to: str) -> None:
    played = Played()
    otp = connect(transport=httpx.MockTransport(played))
    for _ in range(3):
        otp.opt_outs.lookup(to)
    assert len({*played.keys}) == 3


def test_a_lost_answer_sends_no_second_message(connect: Connect, dev: Dev, to: str, pauses: list[float]) -> None:
    class Losing(Played):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = self.forward(request)
            self.keys.append(request.headers["Idempotency-Key"])
            if len(self.keys) < 3:
                raise httpx.ReadError("connection reset")
            return answer

    otp = connect(transport=httpx.MockTransport(Losing()))
    started = otp.verifications.start(to=to, purpose="signup")
    assert len(dev.messages(to)) == 1
    assert started.delivery.status == "sent"
    resent = connect(transport=httpx.MockTransport(Losing())).verifications.resend(started.id)
    assert len(dev.messages(to)) == 2
    assert resent.sends_left == started.sends_left - 1
    assert pauses == [*PAUSES, *PAUSES]


def test_where_nobody_listens_the_service_is_unreachable(connect: Connect, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(errors.Unreachable) as raised:
        connect(url).opt_outs.lookup("+573001234567")
    assert (raised.value.code, raised.value.status, pauses) == ("unreachable", None, [*PAUSES])
    assert raised.value.__cause__ is None


def test_an_unknown_code_and_unknown_fields_do_no_harm(connect: Connect, to: str) -> None:
    new = {"code": "from_the_future", "detail": "No.", "errors": None, "more": 1}
    body = httpx.Response(418, headers={"Content-Type": MEDIA_TYPE}, content=json.dumps(new))
    answer = {"to": to, "opted_out": False, "source": None, "since": None, "more": {"x": 1}}
    otp = connect(transport=httpx.MockTransport(Played(body, httpx.Response(200, json=answer))))
    with pytest.raises(errors.Error) as raised:
        otp.opt_outs.lookup(to)
    assert (type(raised.value), raised.value.code, raised.value.status) == (errors.Error, "from_the_future", 418)
    found = otp.opt_outs.lookup(to)
    assert found.gateway_blacklisted is None
    with pytest.raises(FrozenInstanceError):
        found.to = ""


@pytest.mark.usefixtures("pauses")
def test_nothing_secret_is_in_a_repr_an_error_or_a_log(
    connect: Connect, dev: Dev, to: str, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG):
        otp = connect()
        started = otp.verifications.start(to=to, purpose="signup", session="s-secret")
        pin = dev.pin(to)
        check = otp.verifications.check(started.id, pin, session="s-secret")
        shown += map(repr, [started, check, otp.opt_outs.lookup(to), otp.notifications.send(to=to, text="Hi."), otp])
        for outcome in (httpx.ReadTimeout("late"), page(502), problem("internal")):
            played = Played(*itertools.repeat(outcome, 3))
            try:
                connect(transport=httpx.MockTransport(played)).verifications.check(started.id, pin, to=to)
            except errors.Error as error:
                shown += ["".join(traceback.format_exception(error)), repr(error), repr(vars(error))]
        shown.append(repr(calls.check(started.id, pin, to=to)))
    text = "\n".join([*shown, *caplog.messages])
    assert "ReadTimeout" in text
    for secret in (pin, to, to[1:], dev.key, "s-secret"):
        assert not re.search(rf"(?<!\d){re.escape(secret)}(?!\d)", text)

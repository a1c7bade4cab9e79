"""Second factors by the clients, against the running service."""

import inspect
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import otp_service_client
import pyotp
import pytest
from otp_service_client import errors, factor_answers, factor_calls
from pydantic import BaseModel
from running_service import Dev

from otp_service.api.factors import challenges, devices, factors, recovery_codes, subjects


def value(secret: str, steps: int = 0) -> str:
    """Returns what an app shows now, or some steps later."""
    return pyotp.TOTP(secret).at(time.time(), counter_offset=steps)


def active_app(otp: Any, subject: str) -> str:
    """Returns the secret of an active app, whose present value was used."""
    added = otp.factors.add_totp(subject=subject, account_name="ana@example.com")
    verified = otp.factors.verify(added.id, value(added.totp.secret, -1))
    assert (verified.result, verified.approved, verified.factor.status) == ("approved", True, "active")
    return str(added.totp.secret)


def test_a_user_signs_in_by_app_and_by_recovery_code_and_is_remembered(otp: Any, to: str) -> None:
    subject = f"ana/{to}"
    secret = active_app(otp, subject)
    codes = otp.factors.recovery_codes(subject=subject)
    assert (len(codes), codes.remaining) == (10, 10)
    challenge = otp.challenges.start(subject=subject, session="s")
    assert (challenge.status, challenge.approved, challenge.factor.type) == ("pending", False, "totp")
    checked = otp.challenges.check(challenge.id, value(secret), session="s", remember=True)
    assert (checked.result, checked.approved, checked.challenge.status) == ("approved", True, "approved")
    redeemed = otp.proofs.redeem(checked.proof, purpose="login", session="s")
    assert (redeemed.subject, redeemed.to, redeemed.verification_id) == (subject, None, challenge.id)
    passed = otp.challenges.start(subject=subject, device=checked.device)
    assert passed.approved
    assert otp.proofs.redeem(passed.proof, purpose="login").subject == subject
    by_code = otp.challenges.start(subject=subject, factor="recovery_code")
    assert otp.challenges.check(by_code.id, next(iter(codes)).upper()).approved
    assert otp.factors.list(subject=subject).recovery_codes.remaining == 9
    story = [event.type for event in otp.challenges.events(challenge.id)]
    assert story == ["created", "check", "approved"]


def test_a_phone_is_added_and_the_challenge_switched_to_it(otp: Any, dev: Dev, to: str) -> None:
    subject = f"luis {to}"
    secret = active_app(otp, subject)
    started = otp.verifications.start(to=to, purpose="signup", subject=subject)
    phone_proof = otp.verifications.check(started.id, dev.pin(to)).proof
    with pytest.raises(errors.ProofNeeded):
        otp.factors.add_sms(subject=subject, phone_proof=phone_proof)
    proof = otp.challenges.check(otp.challenges.start(subject=subject).id, value(secret)).proof
    phone = otp.factors.add_sms(subject=subject, phone_proof=phone_proof, name="Phone", proof=proof)
    assert (phone.type, phone.status, phone.hint, phone.totp) == ("sms", "active", f"...{to[-2:]}", None)
    assert otp.factors.update(phone.id, preferred=True).preferred
    app = next(each for each in otp.factors.list(subject=subject) if each.type == "totp")
    challenge = otp.challenges.start(subject=subject)
    assert (challenge.factor.id, challenge.delivery.status) == (phone.id, "sent")
    switched = otp.challenges.switch(challenge.id, app.id)
    assert (switched.factor.id, [each.id for each in switched.factors]) == (app.id, [phone.id])
    with pytest.raises(errors.NotSms):
        otp.challenges.resend(challenge.id)
    assert otp.challenges.get(challenge.id).status == "pending"
    assert otp.challenges.cancel(challenge.id).status == "canceled"
    assert otp.factors.get(phone.id).name == "Phone"
    assert otp.factors.remove(phone.id) is None
    with pytest.raises(errors.ProofNeeded):
        otp.factors.remove(app.id)


def test_devices_are_revoked_and_a_subject_is_erased(otp: Any, to: str) -> None:
    subject = f"eva {to}?&=%2F"
    secret = active_app(otp, subject)
    otp.challenges.check(otp.challenges.start(subject=subject).id, value(secret), remember=True)
    (device,) = otp.devices.list(subject=subject)
    assert otp.devices.revoke(device.id) is None
    assert otp.devices.revoke_all(subject=subject) is None
    kept = otp.subjects.get(subject)
    assert (kept.subject, len(kept.factors), kept.devices) == (subject, 1, ())
    assert {each.status for each in kept.challenges} == {"approved"}
    assert otp.subjects.erase(subject) is None
    assert otp.subjects.get(subject).factors == ()
    with pytest.raises(errors.NoFactor):
        otp.challenges.start(subject=subject)
    assert otp.challenges.start(subject=subject, decoy=True).factor.type == "totp"


def test_no_repr_has_a_secret(otp: Any, to: str) -> None:
    added = otp.factors.add_totp(subject=to)
    verified = otp.factors.verify(added.id, value(added.totp.secret, -1))
    codes = otp.factors.recovery_codes(subject=to)
    checked = otp.challenges.check(otp.challenges.start(subject=to).id, value(added.totp.secret), remember=True)
    shown = repr((added, verified, codes, checked))
    for secret in (added.totp.secret, *codes, checked.proof, checked.device, to):
        assert secret not in shown


def test_a_subject_of_dots_and_a_proof_of_other_letters_are_sent_as_they_are(otp: Any) -> None:
    for subject in (".", ".."):
        otp.factors.add_totp(subject=subject)
        assert otp.subjects.get(subject).subject == subject
        assert otp.subjects.erase(subject) is None
    with pytest.raises(errors.Error):
        otp.factors.recovery_codes(subject="nobody", proof="ñ")


@pytest.mark.parametrize(
    ("build", "body"),
    [
        (factor_calls.add_totp, factors.FactorBody),
        (factor_calls.verify, factors.VerifyFactorBody),
        (factor_calls.update_factor, factors.ChangeFactorBody),
        (factor_calls.recovery_codes, recovery_codes.RecoveryCodesBody),
        (factor_calls.start_challenge, challenges.ChallengeBody),
        (factor_calls.check_challenge, challenges.ChallengeCheckBody),
        (factor_calls.switch_challenge, challenges.SwitchBody),
    ],
)
def test_a_method_takes_every_field_of_its_call(build: Callable[..., Any], body: type[BaseModel]) -> None:
    assert inspect.signature(build).parameters.keys() >= body.model_fields.keys() - {"type"}


@pytest.mark.parametrize(
    ("ours", "answer"),
    [
        (otp_service_client.Factor, factors.NewFactorAnswer),
        (otp_service_client.Totp, factors.TotpAnswer),
        (otp_service_client.FactorCheck, factors.VerifyFactorAnswer),
        (otp_service_client.Factors, factors.FactorsAnswer),
        (otp_service_client.NewRecoveryCodes, recovery_codes.NewRecoveryCodesAnswer),
        (otp_service_client.RecoveryCodes, recovery_codes.RecoveryCodesAnswer),
        (otp_service_client.Challenge, challenges.ChallengeAnswer),
        (otp_service_client.ChallengeCheck, challenges.ChallengeCheckAnswer),
        (otp_service_client.FactorChoice, challenges.FactorChoiceAnswer),
        (otp_service_client.Device, devices.DeviceAnswer),
        (otp_service_client.Subject, subjects.SubjectAnswer),
        (factor_answers.FailureCount, subjects.FailureCountAnswer),
        (factor_answers.ChallengeOfSubject, subjects.ChallengeOfSubjectAnswer),
    ],
)
def test_an_answer_has_every_field_of_the_service(ours: type, answer: type[BaseModel]) -> None:
    assert {field.name for field in fields(ours)} >= answer.model_fields.keys()

"""The calls about second factors, as functions from their fields to the request; nothing is sent here."""

from otp_service_client.answers import Events
from otp_service_client.calls import Call, path_of, post
from otp_service_client.factor_answers import (
    Challenge,
    ChallengeCheck,
    Devices,
    Factor,
    FactorCheck,
    Factors,
    NewRecoveryCodes,
    Subject,
)


def add_totp(
    *, subject: str, name: str | None = None, account_name: str | None = None, proof: str | None = None
) -> Call[Factor]:
    """Add an authenticator app; show the user `totp.qr_svg`, then `verify` the value that the app shows.

    `proof`: of a challenge that the user has just passed, needed if there is an active factor.
    """
    fields = {"subject": subject, "name": name, "account_name": account_name}
    return post("/v1/factors", Factor, type="totp", x_proof=proof, **fields)


def add_sms(*, subject: str, phone_proof: str, name: str | None = None, proof: str | None = None) -> Call[Factor]:
    """Add a phone with the proof of an approved verification of its number.

    `proof`: of a challenge that the user has just passed, needed if there is an active factor.
    """
    return post("/v1/factors", Factor, type="sms", subject=subject, name=name, proof=phone_proof, x_proof=proof)


def verify(factor_id: str, pin: str) -> Call[FactorCheck]:
    """Check the first value of a new authenticator app; a right one makes it active."""
    return post(path_of("factors", factor_id, "/verify"), FactorCheck, pin=pin)


def list_factors(*, subject: str) -> Call[Factors]:
    """Return the second factors of a user, and how many recovery codes are left."""
    return Call("GET", "/v1/factors", Factors, query={"subject": subject})


def get_factor(factor_id: str) -> Call[Factor]:
    """Return a second factor."""
    return Call("GET", path_of("factors", factor_id), Factor)


def update_factor(factor_id: str, *, name: str | None = None, preferred: bool | None = None) -> Call[Factor]:
    """Change the name of a factor, or whether challenges use it first."""
    return post(path_of("factors", factor_id), Factor, name=name, preferred=preferred)


def remove_factor(factor_id: str, *, proof: str | None = None) -> Call[None]:
    """Remove a factor. The last active one needs the `proof` of a challenge that the user has just passed."""
    return Call("DELETE", path_of("factors", factor_id), type(None), x_proof=proof)


def recovery_codes(*, subject: str, proof: str | None = None) -> Call[NewRecoveryCodes]:
    """Make ten recovery codes; earlier ones end, which needs the `proof` of a challenge."""
    return post("/v1/factors/recovery-codes", NewRecoveryCodes, subject=subject, x_proof=proof)


def start_challenge(
    *,
    subject: str,
    purpose: str | None = None,
    factor: str | None = None,
    device: str | None = None,
    session: str | None = None,
    user_ip: str | None = None,
    locale: str | None = None,
    decoy: bool | None = None,
) -> Call[Challenge]:
    """Start a challenge: a phone gets a PIN, an app needs none, a remembered `device` passes at once."""
    return post("/v1/challenges", Challenge, **locals())


def check_challenge(
    challenge_id: str, pin: str, *, session: str | None = None, remember: bool | None = None
) -> Call[ChallengeCheck]:
    """Check what the user typed: a PIN, the value of an app or a recovery code. This uses an attempt."""
    path = path_of("challenges", challenge_id, "/checks")
    return post(path, ChallengeCheck, pin=pin, session=session, remember=remember)


def resend_challenge(challenge_id: str) -> Call[Challenge]:
    """Send a new PIN to the phone of a challenge; possible from `resend_at` on."""
    return post(path_of("challenges", challenge_id, "/resends"), Challenge)


def switch_challenge(challenge_id: str, factor: str) -> Call[Challenge]:
    """Switch a pending challenge to another factor of the user; attempts go on."""
    return post(path_of("challenges", challenge_id, "/switch"), Challenge, factor=factor)


def cancel_challenge(challenge_id: str) -> Call[Challenge]:
    """Cancel a pending challenge."""
    return post(path_of("challenges", challenge_id, "/cancel"), Challenge)


def get_challenge(challenge_id: str) -> Call[Challenge]:
    """Return the current challenge."""
    return Call("GET", path_of("challenges", challenge_id), Challenge)


def challenge_events(challenge_id: str) -> Call[Events]:
    """Return the history of a challenge."""
    return Call("GET", path_of("challenges", challenge_id, "/events"), Events)


def list_devices(*, subject: str) -> Call[Devices]:
    """Return the remembered devices of a user."""
    return Call("GET", "/v1/devices", Devices, query={"subject": subject})


def revoke_device(device_id: str) -> Call[None]:
    """Revoke a remembered device."""
    return Call("DELETE", path_of("devices", device_id), type(None))


def revoke_devices(*, subject: str) -> Call[None]:
    """Revoke all remembered devices of a user."""
    return Call("DELETE", "/v1/devices", type(None), query={"subject": subject})


def get_subject(subject: str) -> Call[Subject]:
    """Return everything that is kept of a user."""
    return Call("GET", path_of("subjects", subject), Subject)


def erase_subject(subject: str) -> Call[None]:
    """Erase the factors, recovery codes and devices of a user, and what links verifications to the user."""
    return Call("DELETE", path_of("subjects", subject), type(None))

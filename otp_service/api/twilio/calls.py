"""Authentication with HTTP Basic, and the sids in the path."""

import base64
import hmac
import re

import structlog
from starlette.requests import Request

from otp_service.api.kit.calls import Call, credentials
from otp_service.api.twilio.sids import verification_id_of
from otp_service.errors import Refusal, not_found
from otp_service.services.clients.clients import ApiKeyCache, Client


class TwilioCall(Call):
    """An authenticated request."""

    @property
    def purpose(self) -> str:
        """Return the purpose that `ServiceSid` names. Refusal: `not_found` if it is malformed."""
        name: str = self.request.path_params["service_sid"]
        if not re.fullmatch("[a-z][a-z0-9_]{0,31}", name):
            raise not_found("service")
        return name

    @property
    def id(self) -> str:
        """Return the id of the verification in the path. Refusal: `not_found` if the sid is malformed."""
        return self.id_of(self.request.path_params["sid"])

    @staticmethod
    def id_of(sid: str) -> str:
        """Return the id of a verification. Refusal: `not_found` if the sid is malformed."""
        verification_id = verification_id_of(sid)
        if verification_id is None:
            raise not_found("verification")
        return verification_id

    def url(self, path: str) -> str:
        """Return the URL of a path below the service, without scheme and host if OTP_PUBLIC_URL is not set."""
        base: str = self.request.app.state.public_url or ""
        return f"{base.rstrip('/')}/v2/Services/{self.purpose}{path}"


async def authenticated(request: Request) -> TwilioCall:
    """Return the call of an authenticated client. Refusal: `unauthorized`."""
    clients: ApiKeyCache = request.app.state.clients
    user, api_key = _user_and_key(request)
    client = await clients.client_of(api_key)
    if client is None or not _is_named(client, user):
        raise Refusal("unauthorized", "Authenticate with the client's id or name as user and its API key as password.")
    structlog.contextvars.bind_contextvars(client=client.name)
    return TwilioCall(request.app.state.context, client, request)


def _user_and_key(request: Request) -> tuple[str, str]:
    try:
        user, _, api_key = base64.b64decode(credentials(request, "basic"), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, api_key


def _is_named(client: Client, user: str) -> bool:
    return any([hmac.compare_digest(name.encode(), user.encode()) for name in (client.id, client.name)])

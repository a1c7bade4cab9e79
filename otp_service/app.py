"""Wires the packages together: the only place that does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.middleware import Middleware

from otp_service.api.middleware import Observed
from otp_service.api.problems import HANDLERS
from otp_service.api.routes import OPERATIONS, routes
from otp_service.clock import Clock
from otp_service.config.settings import ServiceSettings
from otp_service.errors import Unavailable
from otp_service.gateways.base import Gateway
from otp_service.gateways.ogangi.client import Account, OgangiGateway
from otp_service.hashing import PinHasher
from otp_service.services import rotation
from otp_service.services.clients import Directory
from otp_service.services.context import Context
from otp_service.services.health import GatewayHealth
from otp_service.services.retention import sweep_forever
from otp_service.storage.engine import Database
from otp_service.vault import Vault


def make_gateway(settings: ServiceSettings) -> OgangiGateway:
    """The gateway of the settings."""
    account = Account(
        base_url=settings.ogangi_base_url,
        instance_id=settings.ogangi_instance_id,
        public_key=settings.ogangi_public_key.get_secret_value(),
        private_key=settings.ogangi_private_key.get_secret_value(),
        sender=settings.ogangi_sender,
    )
    return OgangiGateway(
        account, padding=settings.ogangi_base64_padding, pin_placeholder=settings.ogangi_pin_placeholder
    )


def make_context(settings: ServiceSettings, gateway: Gateway | None = None) -> Context:
    """Everything the services work with."""
    vault = Vault(settings.keys)
    return Context(
        policy=settings.policy,
        countries=settings.allowed_countries,
        default_carrier=settings.ogangi_carrier,
        gateway_timeout=settings.ogangi_timeout,
        clock=Clock(),
        database=Database(settings.database_url),
        vault=vault,
        hasher=PinHasher(vault, settings.argon2),
        gateway=gateway or make_gateway(settings),
        gateway_health=GatewayHealth(),
    )


def create_app(settings: ServiceSettings, gateway: Gateway | None = None) -> Starlette:
    """The service as an ASGI application."""
    ctx = make_context(settings, gateway)
    table = routes()
    app = Starlette(
        routes=table,
        exception_handlers=HANDLERS,
        middleware=[Middleware(Observed, routes=table)],
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.context = ctx
    app.state.clients = Directory(ctx.database, ctx.clock)
    app.state.operations = OPERATIONS
    app.state.metrics_token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    ctx: Context = app.state.context
    # A process that comes up while the database is away serves 503 and heals, instead of ending the others with it.
    with suppress(Unavailable):
        await ctx.database.anchor(ctx.clock)
        await rotation.record_index_key(ctx.database, ctx.vault)
    sweeper = asyncio.create_task(sweep_forever(ctx))
    yield
    sweeper.cancel()
    with suppress(asyncio.CancelledError):
        await sweeper
    await ctx.gateway.aclose()
    ctx.hasher.close()
    ctx.database.close()

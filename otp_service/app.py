"""Wires the packages together: the only place that does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.applications import Starlette
from starlette.middleware import Middleware

from otp_service.api.events import as_json
from otp_service.api.exceptions import HANDLERS, internal
from otp_service.api.kit.middleware import Observed
from otp_service.api.operations import OPERATIONS
from otp_service.api.routes import ROUTES
from otp_service.clock import Clock
from otp_service.config.settings import ServiceSettings
from otp_service.database.engine import Database
from otp_service.errors import Unavailable
from otp_service.gateways.base import Gateway
from otp_service.gateways.health import GatewayHealth
from otp_service.gateways.ogangi.callbacks import read_callback
from otp_service.gateways.ogangi.caller import Account, Descriptor
from otp_service.gateways.ogangi.client import OgangiGateway
from otp_service.gateways.webhooks import WebhookClient
from otp_service.hashing.hasher import PinHasher
from otp_service.services.clients.clients import ApiKeyCache
from otp_service.services.context import Context
from otp_service.services.delivery import lease_worker, receipts
from otp_service.services.guard import counting as guard_counting
from otp_service.services.guard import lists, watch
from otp_service.services.inbound import reader
from otp_service.services.notifications import outbox
from otp_service.services.operations import loops, retention, rotation
from otp_service.services.operations.clock import synchronize
from otp_service.services.operations.loops import Loop, Wakes
from otp_service.services.opt_outs import campaign
from otp_service.services.webhooks import delivery
from otp_service.vault import Vault

NO_PUBLIC_URL = "urn:otp-service"
"""The issuer of proofs if OTP_PUBLIC_URL is not set."""


def make_gateway(settings: ServiceSettings) -> OgangiGateway:
    """Return the gateway of the settings."""
    account = Account(
        base_url=settings.ogangi_base_url,
        instance_id=settings.ogangi_instance_id,
        public_key=settings.ogangi_public_key.get_secret_value(),
        private_key=settings.ogangi_private_key.get_secret_value(),
        sender=settings.ogangi_sender,
    )
    names = settings.policy.campaign
    return OgangiGateway(
        account,
        padding=settings.ogangi_base64_padding,
        pin_placeholder=settings.ogangi_pin_placeholder,
        mt_flags=settings.policy.gateway.mt_flags,
        descriptor=Descriptor(sender=names.sender_name, keyword=names.keyword_name, number=names.number_name),
    )


def make_context(settings: ServiceSettings, gateway: Gateway | None = None) -> Context:
    """Return the context that the services share."""
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
        webhooks=WebhookClient(settings.webhook_networks),
        sender=settings.ogangi_sender,
        issuer=settings.public_url or NO_PUBLIC_URL,
        wakes=Wakes(),
    )


def create_app(settings: ServiceSettings, gateway: Gateway | None = None, *, background_work: bool = True) -> Starlette:
    """Return the service as an ASGI application. `background_work`: False if a test runs each step itself."""
    ctx = make_context(settings, gateway)
    app = Starlette(
        routes=ROUTES,
        exception_handlers=HANDLERS,
        middleware=[Middleware(Observed, internal=internal)],
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.context = ctx
    app.state.clients = ApiKeyCache(ctx.database, ctx.clock)
    app.state.loops = _loops(ctx) if background_work else []
    app.state.operations = OPERATIONS
    app.state.public_url = settings.public_url
    app.state.metrics_token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
    app.state.callback_token = (
        settings.ogangi_callback_token.get_secret_value() if settings.ogangi_callback_token else None
    )
    app.state.read_callback = read_callback
    return app


def _loops(ctx: Context) -> list[Loop]:
    """Return the background loops with their pauses in seconds."""
    return [
        Loop("sweep", partial(retention.round_of, ctx), retention.PERIOD_SECONDS),
        Loop("outbox", partial(outbox.work, ctx), lease_worker.CLAIM_EVERY_SECONDS, ctx.wakes.outbox),
        Loop("webhooks", partial(delivery.work, ctx, as_json), lease_worker.CLAIM_EVERY_SECONDS, ctx.wakes.webhooks),
        Loop("campaign", partial(campaign.work, ctx), 2.0, ctx.wakes.campaign),
        Loop("inbound", partial(reader.poll, ctx), 1.0, ctx.wakes.inbound),
        Loop("receipts", partial(receipts.poll, ctx), 2.0),
        Loop("guard", partial(guard_counting.work, ctx), guard_counting.PERIOD_SECONDS),
        Loop("guard_watch", partial(watch.step, ctx), watch.PERIOD_SECONDS),
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    ctx: Context = app.state.context
    # A process that comes up while the database is away serves 503 and heals, instead of ending the others with it.
    try:
        with suppress(Unavailable):
            await synchronize(ctx.database, ctx.clock)
            await rotation.record_index_key(ctx.database, ctx.vault)
            await lists.refresh(ctx.database, ctx.clock, ctx.guard_lists)
        async with loops.running(app.state.loops):
            yield
            ctx.wakes.stopping.set()
    finally:
        await ctx.gateway.aclose()
        await ctx.webhooks.aclose()
        # These wait for threads. After a reload, the event loop serves the new application meanwhile.
        await asyncio.to_thread(ctx.hasher.close)
        await asyncio.to_thread(ctx.database.close)

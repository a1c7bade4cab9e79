"""Two servers on one database, for the tests that need no server of their own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.postgres import Server
from tests.support.processes import Running, replicas, service_settings
from tests.support.vendor import Vendor

METRICS_TOKEN = "a-metrics-token-of-tests"


@dataclass(frozen=True)
class Pair:
    """Two replicas of the service."""

    servers: list[Running]
    database_url: str


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shared_vendor: Vendor
) -> Iterator[Pair]:
    """On each database; they log all they can."""
    folder = tmp_path_factory.mktemp("pair")
    if request.param == "sqlite":
        url = f"sqlite:///{folder / 'otp.db'}"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), folder / "otp.db")
    else:
        postgres: Server = request.getfixturevalue("postgres_server")
        url = postgres.create_database(template=request.getfixturevalue("migrated_postgres"))
    config = folder / "otp.toml"
    config.write_text("[purposes.signup]\npin_length = 10\nresend_after = [0]\n")
    settings = service_settings(
        url,
        shared_vendor,
        OTP_CONFIG_FILE=str(config),
        OTP_LOG_LEVEL="debug",
        OTP_METRICS_TOKEN=METRICS_TOKEN,
    )
    with replicas(settings, settings) as servers:
        yield Pair(servers, url)

"""What uvicorn is configured with."""

import pytest
import uvicorn
from starlette.applications import Starlette

from otp_service.config.settings import ServiceSettings, load
from otp_service.server.options import server_options
from tests.support.processes import service_settings
from tests.support.vendor import Vendor


@pytest.mark.parametrize(("given", "seconds"), [({}, 75), ({"OTP_KEEP_ALIVE": "620"}, 620)])
def test_an_idle_connection_stays_open_as_long_as_the_setting_says(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], seconds: int
) -> None:
    monkeypatch.delenv("OTP_KEEP_ALIVE", raising=False)
    for name, value in service_settings("sqlite:///otp.db", vendor, **given).items():
        monkeypatch.setenv(name, value)
    config = uvicorn.Config(Starlette(), **server_options(load(ServiceSettings)))
    assert config.timeout_keep_alive == seconds

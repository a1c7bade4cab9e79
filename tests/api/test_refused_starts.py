"""The log line of a refused start says which purpose and, masked, which number."""

import pytest
import structlog
from structlog.testing import LogCapture

from otp_service.api.kit import middleware
from tests.support.service import serving
from tests.support.vendor import Vendor


@pytest.mark.parametrize("decoy", [True, False])
async def test_the_log_line_of_a_refused_start_names_purpose_and_masked_number(
    database_url: str, vendor: Vendor, monkeypatch: pytest.MonkeyPatch, decoy: bool
) -> None:
    async with serving(database_url, vendor, countries="US") as service:
        captured = LogCapture()
        monkeypatch.setattr(
            middleware,
            "log",
            structlog.wrap_logger(
                None,
                processors=[structlog.contextvars.merge_contextvars, captured],
                wrapper_class=structlog.make_filtering_bound_logger(0),
            ),
        )
        answer = await service.api.try_start("+573001234567", decoy=decoy)
    assert answer.json()["code"] == "country_not_allowed"
    (line,) = captured.entries
    assert (line["purpose"], line["to"]) == ("signup", "+57******4567")
    assert "3001234567" not in repr(line)

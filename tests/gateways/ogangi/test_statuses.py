"""The vendor's statuses in our words."""

import pytest

from otp_service.gateways.ogangi.statuses import delivery, is_failure, normalised

DOCUMENTED = {
    "sent": "SENT, DELIVERED_TO_CARRIER, DELIVERED TO CARRIER, SENT_TO_CARRIER, SENT_TO_DEVICE, SENDING, PENDING, "
    "ACCEPTD, BUFFRED",
    "delivered": "DELIVERED_TO_DEVICE, DELIVRD, DELIVERED, READ",
    "undelivered": "EXPIRED, UNREACHABLE, UNDELIVERED, UNDELIV, UNDELIV..., DELETED",
    "failed": "NOT_SENT, BAD_FROM, BAD_TO, BAD_ENCODING, BAD_CARRIER/FROM, NOT_ENOUGH_FUNDS, BAD_TIMEZONE, "
    "BAD ADDRESS, INVALID ROUTING, REJECTD, REJECTED, FAILED",
    "unknown": "CARRIER GATEWAY ERROR, INTERNAL ERROR, INTERNAL ERROR (retry)",
}


@pytest.mark.parametrize(
    ("word", "status"), [(word, status) for word, listed in DOCUMENTED.items() for status in listed.split(", ")]
)
def test_every_documented_status_has_its_word(word: str, status: str) -> None:
    assert delivery(status) == word
    assert is_failure(status) == (word in ("failed", "undelivered"))


@pytest.mark.parametrize("spelling", ["BAD_CARRIER/FROM", "bad carrier / from", " Bad_Carrier_From "])
def test_spellings_are_one_status(spelling: str) -> None:
    assert normalised(spelling) == "BAD_CARRIER_FROM"
    assert is_failure(spelling)


@pytest.mark.parametrize("status", ["", "NEW_STATUS", "ſENT", "NOT_SENT_YET"])
def test_a_status_that_is_not_in_the_table_is_never_a_failure(status: str) -> None:
    assert delivery(status) == "unknown"
    assert not is_failure(status)

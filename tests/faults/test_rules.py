"""The history checker: each rule is broken by a small history, and by nothing else in it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults import rules
from tests.faults.history import (
    Call,
    EventRow,
    FailureRow,
    History,
    Message,
    NotificationRow,
    Rows,
    SendRow,
    VerificationRow,
)

TO, OTHER = "+573000000001", "+573000000002"
ID = "ver_1"
PIN, WRONG = "111111", "222222"

STARTED = Call("start", 201, {"id": ID, "status": "pending"}, to=TO, key="k")
STARTED_AGAIN = replace(STARTED)
INCORRECT = Call("check", 200, {"result": "incorrect", "verification": {"id": ID, "status": "pending"}}, TO, ID, WRONG)
APPROVED = Call("check", 200, {"result": "approved", "verification": {"id": ID, "status": "approved"}}, TO, ID, PIN)
NO_ANSWER = replace(APPROVED, status=None, body={})
ARRIVED = Message(TO, 10.2, PIN)
PENDING_ROW = VerificationRow(ID, TO, created_at=10.0, attempts_spent=1, attempts_compared=1)
ROW = replace(PENDING_ROW, status="approved", attempts_spent=2, ended_at=12.0)
SENT = SendRow(ID, started_at=10.1, has_hash=True, request_id=1)
WRONG_EVENT, RIGHT_EVENT = EventRow(ID, "incorrect"), EventRow(ID, "approved")
NOTIFIED = Call("notify", 202, {"id": "ntf_1", "status": "queued"}, to=OTHER)
TOLD, TOLD_ROW = Message(OTHER, 11.0), NotificationRow("ntf_1", OTHER, "sent", 10.9)


def history(calls: list[Call] | None = None, messages: list[Message] | None = None, **rows: Any) -> History:
    """Returns a history: one verification, started twice with one key, checked wrong, then right; one notification."""
    good: dict[str, Any] = {
        "verifications": [ROW],
        "sends": [SENT],
        "events": [WRONG_EVENT, RIGHT_EVENT],
        "failures": [],
        "notifications": [TOLD_ROW],
    }
    return History(
        calls if calls is not None else [STARTED, STARTED_AGAIN, INCORRECT, APPROVED, NOTIFIED],
        messages if messages is not None else [ARRIVED, TOLD],
        Rows(**{**good, **rows}),
    )


def pending(row: VerificationRow = PENDING_ROW, **parts: Any) -> History:
    """Returns the same history before the right check."""
    given: dict[str, list[Any]] = {"events": [WRONG_EVENT], "failures": [FailureRow(TO, checks=1)], **parts}
    calls = given.pop("calls", [STARTED, INCORRECT, NOTIFIED])
    return history(calls, verifications=[row], **given)


def broken(found: History) -> set[str]:
    """Returns the names of the rules that a history breaks."""
    return {violation.partition(":")[0] for violation in rules.violations(found)}


def test_a_good_history_breaks_no_rule() -> None:
    assert rules.violations(history()) == []
    assert rules.violations(pending()) == []
    assert rules.violations(history(sends=[replace(SENT, price=5)], spent=5)) == []


def test_a_right_check_without_an_answer_explains_its_approval_and_a_kept_answer_counts_once() -> None:
    assert rules.violations(history([STARTED, INCORRECT, NO_ANSWER, NOTIFIED])) == []
    keyed = replace(APPROVED, key="c")
    assert rules.violations(history([STARTED, INCORRECT, keyed, keyed, NOTIFIED])) == []


TOO_LATE_A_ROW = replace(SENT, started_at=11.0)
SENT_TWICE = [SENT, replace(SENT, started_at=10.15)]

BREAKS = [
    ("no_double_send", history(messages=[ARRIVED, ARRIVED])),
    ("no_double_send", history(sends=[replace(SENT, outcome="refused", has_hash=False)])),
    ("no_double_send", history(sends=[TOO_LATE_A_ROW])),
    ("no_double_send", history(notifications=[replace(TOLD_ROW, status="failed")])),
    ("one_intent_one_message", history(messages=[ARRIVED, ARRIVED], sends=SENT_TWICE)),
    ("one_intent_one_message", history([replace(STARTED, status=502, body={})])),
    ("one_intent_one_message", history(sends=SENT_TWICE)),
    ("no_double_approval", history([STARTED, INCORRECT, APPROVED, APPROVED])),
    ("no_double_approval", history(events=[WRONG_EVENT, RIGHT_EVENT, RIGHT_EVENT])),
    ("no_double_approval", history(events=[WRONG_EVENT])),
    ("no_double_approval", pending(calls=[STARTED, INCORRECT, APPROVED])),
    ("no_lost_attempt", history([STARTED, INCORRECT, INCORRECT, APPROVED])),
    ("no_lost_attempt", history(events=[WRONG_EVENT, WRONG_EVENT, RIGHT_EVENT])),
    ("no_lost_attempt", history(verifications=[replace(ROW, attempts=1)])),
    ("no_lost_attempt", history(verifications=[replace(ROW, attempts_compared=3)])),
    ("no_lost_attempt", history(events=[RIGHT_EVENT])),
    ("no_lost_failure", pending(failures=[])),
    ("no_lost_failure", pending(failures=[FailureRow(TO, checks=2)])),
    ("no_approval_without_the_pin", history([STARTED, INCORRECT, replace(APPROVED, pin=WRONG)])),
    ("no_approval_without_the_pin", history([STARTED, INCORRECT])),
    ("no_approval_without_the_pin", history(verifications=[replace(ROW, created_at=11.0)])),
    ("nothing_verifiable_that_was_not_sent", history(messages=[TOLD])),
    ("nothing_verifiable_that_was_not_sent", history(sends=[replace(SENT, outcome="refused")])),
    ("nothing_verifiable_that_was_not_sent", history(sends=[replace(SENT, outcome="unknown")])),
    ("nothing_accepted_is_lost", history([replace(STARTED, body={"id": "ver_2", "status": "pending"})])),
    ("nothing_accepted_is_lost", history(notifications=[])),
    ("nothing_accepted_is_lost", history([STARTED, Call("cancel", 200, {"id": ID, "status": "canceled"}, TO, ID)])),
    ("everything_ends", history(sends=[replace(SENT, outcome=None)])),
    ("everything_ends", history(verifications=[replace(ROW, status="odd")])),
    ("everything_ends", history(verifications=[replace(ROW, ended_at=None)])),
    ("everything_ends", history(notifications=[replace(TOLD_ROW, status="sending")])),
    ("the_ceiling_counts_what_may_have_left", history(sends=[replace(SENT, price=5)])),
    ("the_ceiling_counts_what_may_have_left", history(spent=5)),
    ("the_ceiling_counts_what_may_have_left", history(sends=[replace(SENT, price=5, has_begun=False)], spent=5)),
]


@pytest.mark.parametrize(("rule", "found"), BREAKS)
def test_what_breaks_a_rule_is_reported(rule: str, found: History) -> None:
    assert rule in broken(found)


def test_every_rule_is_broken_by_some_history() -> None:
    assert {rule.__name__ for rule in rules.RULES} == {name for name, _ in BREAKS}


@pytest.mark.parametrize(("_rule", "found"), BREAKS)
def test_no_sentence_holds_a_pin_or_a_number(_rule: str, found: History) -> None:
    for violation in rules.violations(found):
        assert not any(secret in violation for secret in (PIN, WRONG, TO, OTHER))

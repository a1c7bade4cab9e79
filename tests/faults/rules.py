"""The rules for every history. Each yields a sentence per violation, without a PIN or a full number."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import count

from otp_service.phone import mask
from tests.faults.history import MAY_HAVE_LEFT, Call, History, VerificationRow

STATUSES = {"pending", "approved", "expired", "exhausted", "canceled", "failed"}
DELIVERIES = {"sent", "delivered", "undelivered", "unknown", "failed", "none"}
NOTIFIED = {"queued", "sending", "sent", "delivered", "undelivered", "unknown", "failed"}
FINAL = {"approved", "canceled", "failed"}
"""Statuses that an answer may not take back; a last attempt that is still being compared may approve the others."""
EVALUATED = ("incorrect", "approved")

Rule = Callable[[History], Iterator[str]]


def no_double_send(history: History) -> Iterator[str]:
    """A number gets no more messages than there are rows that count one, each committed before its message."""
    to_of = {row.id: row.to for row in history.rows.verifications}
    began: dict[str | None, list[float]] = defaultdict(list)
    for send in history.rows.sends:
        if send.outcome in MAY_HAVE_LEFT:
            began[to_of.get(send.verification_id)].append(send.started_at)
    for told in history.rows.notifications:
        if told.status not in ("queued", "failed"):
            began[told.to].append(told.created_at)
    for to, times in _messages(history).items():
        rows = sorted(began[to])
        if len(times) > len(rows):
            yield f"{len(times)} messages to {mask(to)}, and {len(rows)} rows that count one"
        for message_at, row_at in zip(times, rows, strict=False):
            if row_at > message_at + history.slack:
                yield f"a message to {mask(to)} was out before its row"


def one_intent_one_message(history: History) -> Iterator[str]:
    """A number gets at most one message per request of a client; all calls with one key are one request."""
    intents: dict[str | None, set[Hashable]] = defaultdict(set)
    unkeyed = count()
    to_of = {row.id: row.to for row in history.rows.verifications}
    for call in history.calls:
        if not call.surely_sent_nothing():
            to = call.to or to_of.get(call.verification_id or "")
            intents[to].add((call.operation, call.key) if call.key else next(unkeyed))
    for to, times in _messages(history).items():
        if len(times) > len(intents[to]):
            yield f"{len(times)} messages to {mask(to)}, and {len(intents[to])} requests that can have sent one"
    sent = Counter(send.request_id for send in history.rows.sends if send.outcome in MAY_HAVE_LEFT and send.request_id)
    for request_id, times_sent in sent.items():
        if times_sent > 1:
            yield f"the request {request_id} sent {times_sent} times"


def no_double_approval(history: History) -> Iterator[str]:
    """A verification has one approval and one `approved` response; a saved response may be returned again."""
    answers = Counter(call.verification_id for call in _once(history.calls) if call.result == "approved")
    noted = Counter(event.verification_id for event in history.rows.events if event.result == "approved")
    for what, counted in (("answers", answers), ("events", noted)):
        for verification_id, times in counted.items():
            if times > 1:
                yield f"{verification_id} has {times} approved {what}"
    approved = {row.id for row in history.rows.verifications if row.status == "approved"}
    for verification_id in sorted(approved ^ set(noted)):
        yield f"{verification_id} is approved without its event, or the other way round"
    for verification_id in sorted(set(answers) - {None} - approved, key=str):
        yield f"{verification_id} was answered approved, and is not"


def no_lost_attempt(history: History) -> Iterator[str]:
    """PINs compared <= attempts used <= attempts allowed, and each is recorded."""
    calls = _once(history.calls)
    answers = Counter((call.verification_id, call.result) for call in calls if call.result in EVALUATED)
    noted = Counter((event.verification_id, event.result) for event in history.rows.events)
    for row in history.rows.verifications:
        for kind, counted in (("answers", answers), ("events", noted)):
            evaluated = sum(counted[row.id, result] for result in EVALUATED)
            if evaluated > row.attempts_spent:
                yield f"{row.id}: {evaluated} {kind} were evaluated, {row.attempts_spent} attempts spent"
        if row.attempts_spent > row.attempts:
            yield f"{row.id}: {row.attempts_spent} of {row.attempts} attempts were spent"
        if row.attempts_compared > row.attempts_spent:
            yield f"{row.id}: more was compared than spent"
        if answers[row.id, "incorrect"] > noted[row.id, "incorrect"]:
            yield f"{row.id}: an incorrect answer left no event"


def no_lost_failure(history: History) -> Iterator[str]:
    """The failure budget of a number counted every attempt since its last approval, and no others."""
    counted = {(row.to, row.client, row.purpose): row.checks for row in history.rows.failures}
    of_number: dict[tuple[str | None, str, str], list[VerificationRow]] = defaultdict(list)
    for row in history.rows.verifications:
        of_number[row.to, row.client, row.purpose].append(row)
    for whose, rows in of_number.items():
        cleared_at = max((row.ended_at or 0.0 for row in rows if row.status == "approved"), default=0.0)
        least = sum(row.attempts_spent for row in rows if row.created_at > cleared_at + history.slack)
        most = sum(row.attempts_spent for row in rows)
        found = counted.get(whose, 0)
        if whose[0] is not None and not least <= found <= most:
            yield f"the budget at {mask(whose[0])} counts {found}; it should be {least} to {most}"


def no_approval_without_the_pin(history: History) -> Iterator[str]:
    """Every approval, even a possible one, had a PIN that this number received since the verification began."""
    rows = {row.id: row for row in history.rows.verifications}
    came = {(message.to, message.pin): message.at for message in sorted(history.messages, key=lambda each: each.at)}
    explained = set()
    for call in history.calls:
        row = rows.get(call.verification_id or "")
        if call.operation != "check" or row is None:
            continue
        right = came.get((row.to or "", call.pin), 0.0) >= row.created_at - history.slack
        if call.result == "approved" and not right:
            yield f"{row.id} was approved with a PIN that never came to {mask(row.to or '')}"
        if right and (call.result == "approved" or call.status is None or call.status >= 500):
            explained.add(row.id)
    for row in rows.values():
        if row.status == "approved" and row.id not in explained:
            yield f"{row.id} is approved, and nobody gave its PIN"


def nothing_verifiable_that_was_not_sent(history: History) -> Iterator[str]:
    """An accepted send has its message; a PIN that was refused or is unknown is never approved."""
    to_of = {row.id: row.to for row in history.rows.verifications}
    accepted = Counter(to_of.get(send.verification_id) for send in history.rows.sends if send.outcome == "accepted")
    messages = _messages(history)
    for to, times in accepted.items():
        if to is not None and times > len(messages.get(to, [])):
            yield f"{times} accepted sends to {mask(to)}, and {len(messages.get(to, []))} messages"
    for send in history.rows.sends:
        if send.has_hash and (send.outcome == "refused" or (send.route == "pin" and send.outcome != "accepted")):
            yield f"{send.verification_id}: a send over {send.route} that is {send.outcome} verifies"


def nothing_accepted_is_lost(history: History) -> Iterator[str]:
    """Every 2xx response has its row, and a final status that was returned never changes."""
    rows = {row.id: row.status for row in history.rows.verifications}
    told = {row.id for row in history.rows.notifications}
    for call in history.calls:
        shown = call.verification
        if shown and shown.get("id") not in rows:
            yield f"{call.operation} answered {call.status} for {shown.get('id')}, which has no row"
        elif shown and shown["status"] in FINAL and rows[shown["id"]] != shown["status"]:
            yield f"{shown['id']} was {shown['status']} and is {rows[shown['id']]}"
        if call.operation == "notify" and call.status == 202 and call.body.get("id") not in told:
            yield f"the notification {call.body.get('id')} was accepted and has no row"


def everything_ends(history: History) -> Iterator[str]:
    """After the sweep no send is without an outcome, and every status is a known one."""
    for send in history.rows.sends:
        if send.outcome is None:
            yield f"{send.verification_id}: a send over {send.route} has no outcome"
    for row in history.rows.verifications:
        if row.status not in STATUSES or row.delivery_status not in DELIVERIES:
            yield f"{row.id} is {row.status}, its message {row.delivery_status}"
        if (row.status == "pending") != (row.ended_at is None):
            yield f"{row.id} is {row.status}, and its end is {row.ended_at}"
    for told in history.rows.notifications:
        if told.status not in NOTIFIED or told.status == "sending":
            yield f"{told.id} is {told.status}"


def the_ceiling_counts_what_may_have_left(history: History) -> Iterator[str]:
    """After the sweep the ceiling counts each message that left or may have, and no other."""
    left = (send for send in history.rows.sends if send.outcome in MAY_HAVE_LEFT and send.has_begun)
    due = sum(send.price for send in left)
    if history.rows.spent != due:
        yield f"the ceiling counts {history.rows.spent}, and messages for {due} may have left"


RULES: tuple[Rule, ...] = (
    no_double_send,
    one_intent_one_message,
    no_double_approval,
    no_lost_attempt,
    no_lost_failure,
    no_approval_without_the_pin,
    nothing_verifiable_that_was_not_sent,
    nothing_accepted_is_lost,
    everything_ends,
    the_ceiling_counts_what_may_have_left,
)


def violations(history: History) -> list[str]:
    """Yields every violation of every rule, with the name of the rule."""
    return [f"{rule.__name__}: {found}" for rule in RULES for found in rule(history)]


def _messages(history: History) -> dict[str, list[float]]:
    """Returns the times at which each number got its messages, oldest first."""
    times: dict[str, list[float]] = defaultdict(list)
    for message in history.messages:
        times[message.to].append(message.at)
    return {to: sorted(found) for to, found in times.items()}


def _once(calls: Iterable[Call]) -> Iterator[Call]:
    """Returns the calls with a 2xx response; of those with the same key, only the first."""
    seen = set()
    for call in calls:
        this = (call.operation, call.verification_id, call.key)
        if call.status in (200, 201, 202) and (call.key is None or this not in seen):
            seen.add(this)
            yield call

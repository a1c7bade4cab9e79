"""schemathesis on everything that the OpenAPI document describes, over real HTTP: all default checks, no finding."""

import asyncio
import itertools
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.core.parameters import ParameterLocation

from otp_service.api.kit import openapi
from otp_service.api.kit.examples import IDS
from otp_service.api.kit.operation import Operation
from otp_service.api.operations import OPERATIONS
from otp_service.app import create_app
from otp_service.clock import Clock
from otp_service.database.engine import Database
from otp_service.services.clients import clients
from tests.support.servers import running
from tests.support.service import AT_ONCE, NO_LIMITS, make_settings, new_number
from tests.support.vendor import Vendor

schema = schemathesis.openapi.from_dict(openapi.document(OPERATIONS))
# A body can be as described and still wrong: numbering plans, the configured purposes and the length of a
# verification's PIN are not in its schema. The others are the defaults.
schema.config.checks.positive_data_acceptance.expected_statuses = ["2xx", "401", "403", "404", "409", "422", "429"]
# With --all, the bounds of every field are tried, and more random requests.
ALL = settings.get_current_profile_name() == "all"
schema.config.phases.coverage.enabled = ALL

REAL: dict[str, dict[str, Any]] = {
    "verifications": {"purpose": "signup"},
    "notifications": {"text": "Hello"},
    "factors": {"type": "totp"},
    "challenges": {"decoy": True},
}
WEBHOOK = {"url": "http://127.0.0.1:9009/", "events": ["*"]}
CONFIG = {"limits": NO_LIMITS, "purposes": {"signup": AT_ONCE}}
_turn = itertools.count()
_seen: dict[str, set[int]] = defaultdict(set)


@dataclass(frozen=True)
class Served:
    """The service on a real port, with a client's key."""

    http: httpx.Client
    headers: dict[str, str]

    @property
    def url(self) -> str:
        return str(self.http.base_url)

    def new(self, path: str) -> str:
        """The id of a new verification or notification, as the path needs one."""
        things = path.split("/")[2]
        if things == "webhooks":
            return self._webhook()
        if things == "devices":
            return IDS["devices"]  # of nobody: only an approval makes one
        owner = {"subject": f"user-{next(_turn)}"} if things in {"factors", "challenges"} else {"to": new_number()}
        answer = self.http.post(f"/v1/{things}", json=REAL[things] | owner)
        return str(answer.raise_for_status().json()["id"])

    def _webhook(self) -> str:
        found = self.http.get("/v1/webhooks").raise_for_status().json()["webhooks"]
        return str((found or [self.http.post("/v1/webhooks", json=WEBHOOK).raise_for_status().json()])[0]["id"])


@pytest.fixture(scope="module")
def served(migrated_sqlite: Path, shared_vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("schemathesis") / "otp.db"
    shutil.copy(migrated_sqlite, path)
    database = Database(f"sqlite:///{path}")
    key = asyncio.run(clients.create(database, Clock(), "schemathesis")).api_key
    database.close()
    headers = {"Authorization": f"Bearer {key}"}
    app = create_app(make_settings(f"sqlite:///{path}", shared_vendor.base_url, CONFIG, webhook_networks="127.0.0.0/8"))
    with running(app) as url, httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
        yield Served(http, headers)


def is_negative(case: Case[Any], location: ParameterLocation) -> bool:
    return case.meta is not None and case.meta.is_negative_at(location)


def make_real(case: Case[Any], served: Served) -> None:
    """Every other time a verification that there is, and a request that reaches it; what is wrong on purpose stays."""
    turn = next(_turn)
    if turn % 2:
        return
    if "id" in case.path_parameters and not is_negative(case, ParameterLocation.PATH):
        case.path_parameters["id"] = served.new(case.path)
    if "Idempotency-Key" in (case.headers or {}) and not is_negative(case, ParameterLocation.HEADER):
        case.headers["Idempotency-Key"] = f"turn-{turn}"
    if isinstance(case.body, dict) and not is_negative(case, ParameterLocation.BODY):
        case.body = real_body(case.path, case.body)


def real_body(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if "pin" in body:
        return {"pin": body["pin"][:6] if body["pin"][:6].isdecimal() else "123456"}
    if path == "/v1/webhooks":
        return {**body, "url": WEBHOOK["url"]}
    if path.split("/")[2] not in {"verifications", "notifications", "opt-outs"}:
        return body
    body = {name: value for name, value in body.items() if name not in ("template", "values")}
    return {**body, **REAL.get(path.split("/")[2], {}), "to": new_number()}


def does_what_the_document_says(operation: Operation) -> Any:
    """The test of one call."""

    @schema.include(path=operation.path, method=operation.method).parametrize()
    @settings(
        max_examples=30 if ALL else 10,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    def test(case: Case[Any], served: Served) -> None:
        make_real(case, served)
        answer = case.call_and_validate(base_url=served.url, headers=served.headers)
        _seen[case.operation.label].add(answer.status_code)

    return test


# One test of its own name per call: processes that share the work know tests by their names.
for _operation in OPERATIONS:
    _name = f"{_operation.handler.__module__.rpartition('.')[2]}_{_operation.handler.__name__}"
    globals()[f"test_{_name}_does_what_the_document_says"] = does_what_the_document_says(_operation)


@pytest.mark.parametrize(
    ("call", "statuses"),
    [
        ("POST /v1/verifications", {201, 422}),
        ("GET /v1/verifications/{id}", {200, 404}),
        ("GET /v1/verifications/{id}/events", {200, 404}),
        ("POST /v1/verifications/{id}/checks", {200, 404, 422}),
        ("POST /v1/verifications/{id}/resends", {200, 404, 422}),
        ("POST /v1/verifications/{id}/cancel", {200, 404, 422}),
        ("POST /v1/notifications", {202, 422}),
        ("GET /v1/notifications/{id}", {200, 404}),
    ],
)
def test_every_call_was_really_reached(call: str, statuses: set[int]) -> None:
    assert statuses <= _seen[call]

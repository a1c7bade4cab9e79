"""Request bodies: strict JSON of at most 16 KiB; what is wrong is named, never repeated."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.support import JSON, nothing_counted, post, problem, wrong_fields
from tests.support.service import Service, new_number

STARTS = "/v1/verifications"
SECRET = "hunter2-hunter2"


def body(**fields: Any) -> dict[str, Any]:
    return {"to": new_number(), "purpose": "signup", **fields}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null,",
        "{'to': 1}",
        '{"to": "+573001234567",}',
        '{"to": NaN}',
        '{"to": -Infinity}',
        '{"to": "+573001234567", "to": "+573001234568", "purpose": "signup"}',
        '{"to": {"a": 1, "a": 1}}',
        '{"to": "\\ud800"}',
        '{"\\udc00": 1}',
        '{"to": "a\nb"}',
        '{"to": ' + "9" * 5000 + "}",
        '{"to": "+573001234567", "purpose": "signup"} {}',
        "[" * 8000,
        b'{"to": "\xff"}',
        '\ufeff{"to": "+573001234567", "purpose": "signup"}'.encode(),
        '{"to": "+573001234567", "purpose": "signup"}'.encode("utf-16"),
    ],
    ids=range(18),
)
async def test_what_is_not_json_or_can_be_read_in_two_ways_is_malformed(shared: Service, content: str | bytes) -> None:
    async with nothing_counted(shared):
        problem(await post(shared, STARTS, content), 400, "malformed")


@pytest.mark.parametrize(
    "content", ["[" * 8000 + "]" * 8000, '{"a":' * 2000 + "1" + "}" * 2000], ids=["lists", "objects"]
)
async def test_deep_nesting_is_refused(shared: Service, content: str) -> None:
    async with nothing_counted(shared):
        answer = await post(shared, STARTS, content)
    # How deep the parser goes differs between versions of Python: too deep for it, or no object of ours.
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("content", ["null", "1", '"text"', "true", "[]", '[{"to": "+573001234567"}]'])
async def test_json_that_is_no_object_is_wrong_as_a_whole(shared: Service, content: str) -> None:
    async with nothing_counted(shared):
        answer = await post(shared, STARTS, content)
        assert wrong_fields(answer) == ["body"]
        assert "StartBody" not in answer.text


@pytest.mark.parametrize("path", [STARTS, f"{STARTS}/ver_0123456789012345678901/checks"])
async def test_every_wrong_field_is_named_at_once_and_no_value_is_repeated(shared: Service, path: str) -> None:
    wrong = {"to": [SECRET], "pin": {"a": SECRET}, "purpose": 7, "session": SECRET + "\n", SECRET: 1, "123456": 2}
    async with nothing_counted(shared):
        answer = await post(shared, path, json.dumps(wrong))
    named = set(wrong_fields(answer))
    assert named == {"to", "pin", "purpose", "session", "(unknown)"}
    assert SECRET not in answer.text
    assert "123456" not in answer.text


async def test_missing_fields_are_named(shared: Service) -> None:
    assert wrong_fields(await post(shared, STARTS, "{}")) == ["purpose", "to"]


@pytest.mark.parametrize("field", ["to", "purpose", "locale", "carrier", "user_ip", "session", "subject", "reference"])
@pytest.mark.parametrize("value", [1, 1.5, True, [], ["a"], {}, {"a": "b"}])
async def test_a_value_of_another_type_is_refused(shared: Service, field: str, value: Any) -> None:
    async with nothing_counted(shared):
        assert wrong_fields(await post(shared, STARTS, json.dumps(body(**{field: value})))) == [field]


@pytest.mark.parametrize("key", ["decoy", "page", "pin", "To", "client_id", "__proto__", "id"])
async def test_a_key_that_the_body_should_not_have_is_refused(shared: Service, key: str) -> None:
    async with nothing_counted(shared):
        assert wrong_fields(await post(shared, STARTS, json.dumps(body(**{key: "inbound"})))) == [key]


@pytest.mark.parametrize("key", ["", "p123456", "a b", "\u202e", "ñ", "a" * 41, "+573001234567", "<b>"])
async def test_a_key_with_an_odd_name_is_not_repeated(shared: Service, key: str) -> None:
    async with nothing_counted(shared):
        answer = await post(shared, STARTS, json.dumps(body(**{key: 1})))
    assert wrong_fields(answer) == ["(unknown)"]


@pytest.mark.parametrize("call", ["resends", "cancel"])
async def test_calls_without_a_body_take_nothing_or_an_empty_object(shared: Service, call: str) -> None:
    started = await shared.api.start()
    path = f"{STARTS}/{started['id']}/{call}"
    async with nothing_counted(shared):
        assert wrong_fields(await post(shared, path, '{"pin": "123456"}')) == ["body"]
        assert wrong_fields(await post(shared, path, "[]")) == ["body"]
        problem(await post(shared, path, "{"), 400, "malformed")
        problem(await post(shared, path, "{}", {"Content-Type": "text/plain"}), 415, "unsupported_media_type")
        problem(await post(shared, path, "[" * 100_000), 413, "too_large")
    expected = 200 if call == "cancel" else 429
    assert (await post(shared, path, "{}")).status_code == expected
    assert (await post(shared, path, "", {})).status_code == expected


async def in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 1024):
        yield b" " * 1024


async def test_a_body_over_16_kib_is_refused_announced_or_not(shared: Service) -> None:
    fitting = json.dumps(body())
    async with nothing_counted(shared):
        problem(await post(shared, STARTS, fitting.ljust(16 * 1024 + 1)), 413, "too_large")
        problem(await post(shared, STARTS, "[" * 100_000), 413, "too_large")
        problem(await post(shared, STARTS, in_chunks(17 * 1024)), 413, "too_large")
        problem(await post(shared, STARTS, "{}", {**JSON, "Content-Length": "1" + "0" * 30}), 413, "too_large")
    assert (await post(shared, STARTS, fitting.ljust(16 * 1024))).status_code == 201


async def test_a_body_without_an_announced_length_is_read(shared: Service) -> None:
    async def content() -> AsyncIterator[bytes]:
        for char in json.dumps(body()):
            yield char.encode()

    assert (await post(shared, STARTS, content())).status_code == 201


@pytest.mark.parametrize(
    "media_type",
    [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
        "application/problem+json", "application/json; charset=latin-1", "application/json, text/plain", "json",
        "application/json; charset=utf-8; x=y",
    ],
)  # fmt: skip
async def test_another_media_type_is_refused(shared: Service, media_type: str) -> None:
    async with nothing_counted(shared):
        answer = await post(shared, STARTS, json.dumps(body()), {"Content-Type": media_type})
        problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity", "x"])
async def test_an_encoded_body_is_refused(shared: Service, encoding: str) -> None:
    async with nothing_counted(shared):
        answer = await post(shared, STARTS, json.dumps(body()), {**JSON, "Content-Encoding": encoding})
        problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "APPLICATION/JSON", "application/json;charset=utf-8", 'application/json; charset="UTF-8"'],
)
async def test_json_may_say_that_it_is_utf_8(shared: Service, media_type: str) -> None:
    answer = await post(shared, STARTS, json.dumps(body()), {"Content-Type": media_type})
    assert answer.status_code == 201
